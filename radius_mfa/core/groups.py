"""Directory groups: one spelling for all of one group."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


@lru_cache(maxsize=16_384)
def fold_group(group: str) -> str:
    """One spelling for all of one group (RFC 4514).

    Case is nothing, nor the space around a DN's `,` and `=`, nor in which way a character is escaped.
    """
    escaped = _ESCAPED.sub(_escaped_one_way, group) if "\\" in group else group
    single = re.sub(r"\s+", " ", escaped.strip())
    return re.sub(r"(?<!\\) ?(?<!\\)([,=]) ?", r"\1", single).casefold()


# Pairs of hexadecimal digits, or one of the characters that can be escaped by themselves (RFC 4514 §3).
_ESCAPED = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\[ \"#+,;<=>\\]")
_MUST_BE_ESCAPED = frozenset('"+,;<>\\')


def _escaped_one_way(found: re.Match[str]) -> str:
    """What is escaped as itself: `\\2C` and `\\,` are `\\,`, `\\C3\\BC` is `ü`."""
    written = found[0]
    if len(written) > 2:
        try:
            written = bytes.fromhex(written.replace("\\", "")).decode()
        except UnicodeDecodeError:
            return written
        if any(unicodedata.category(each)[0] == "C" for each in written):
            return found[0]
    else:
        written = written[1]
    return "".join(f"\\{each}" if each in _MUST_BE_ESCAPED else each for each in written)
