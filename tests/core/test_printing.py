"""Text for people stays on its line."""

from __future__ import annotations

import pytest

from radius_mfa.core.printing import printable


def test_printable_text_is_left_alone() -> None:
    assert printable("Größe: 時刻") == "Größe: 時刻"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("\u2028", "\\u2028"), ("zürich\0", "zürich\\x00")],
)
def test_what_would_steer_a_terminal_or_forge_a_line_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
