"""Passes over lines that cannot be about somebody, without reading them as JSON: that takes 40 times as long.

A line is looked at if it could be about one of the names, however their characters are written in it.  In plain
ASCII, a name stands there as it is, but for upper and lower case.  It may be there otherwise where the line has an
escape `\\u`, or octets that are no ASCII, since compatibility forms are folded: those lines are looked at.  The
`…` of masked names is no reason to: it folds to three dots, which has as many octets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from radius_mfa.observe.audit_files import Line, every_line

_ELLIPSIS, _DOTS = "…".encode(), b"..."
_ESCAPED = re.compile(r'["\\/\x00-\x1f\x7f]')  # what JSON may write with a backslash and without `\u`


class NameSieve:
    """`observe.audit_files.Sieve` for events about any of those names, folded (`usernames.fold`), or ids.

    The first and the last of the lines are kept whoever they are about, so that whoever reads on knows what
    time it is.  Whether the others are events at all is not known.
    """

    def __init__(self, names: Iterable[str]) -> None:
        dotted = (name.replace("…", "...") for name in names)
        self._needles = tuple({_needle(name) for name in dotted if name.isascii()})

    def __call__(self, octets: bytes) -> Iterable[Line]:
        if not all(self._needles):  # a name of nothing but what may be escaped
            return every_line(octets)
        folded = octets.lower()
        if not folded.isascii():
            folded = folded.replace(_ELLIPSIS, _DOTS)
        begins = {0, folded.rfind(b"\n") + 1}
        for needle in (*self._needles, *[b"\\u"] * (b"\\" in folded)):  # two are looked for far slower than one
            begins.update(_begins_of(folded, needle))
        if not folded.isascii():
            begins.update(at for at, line in every_line(folded) if not line.isascii())
        return _lines_at(octets, sorted(begins))


def _lines_at(octets: bytes, begins: Iterable[int]) -> Iterator[Line]:
    for at in begins:
        end = octets.find(b"\n", at)
        if line := octets[at : end if end >= 0 else None]:
            yield at, line


def _needle(name: str) -> bytes:
    """The longest part of the name that stands in a line as it is."""
    return max(_ESCAPED.split(name.lower()), key=len).encode()


def _begins_of(octets: bytes, needle: bytes) -> Iterator[int]:
    """Where the lines begin that have it."""
    found = octets.find(needle)
    while found >= 0:
        yield octets.rfind(b"\n", 0, found) + 1
        end = octets.find(b"\n", found)
        if end < 0:
            return
        found = octets.find(needle, end)
