"""Values of attributes as text (RFC 4517 §3.3.6: a Directory String is UTF-8)."""

from __future__ import annotations

import unicodedata


def text_of(value: bytes) -> str:
    """A value as text; hexadecimal where it is none, as an objectGUID.

    Ideographic and other spaces are text: names have them.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() or _has_odd_spaces_only(text) else value.hex()


def _has_odd_spaces_only(text: str) -> bool:
    return all(each.isprintable() or unicodedata.category(each) == "Zs" for each in text)
