"""Text for people on one line of a terminal or a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` in one line: whatever does not print is escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
