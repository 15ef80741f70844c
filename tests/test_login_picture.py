"""The login of the README is what `radius-mfa demo` prints; else record it anew: `make docs ARGS=login`."""

from __future__ import annotations

import re

import pytest

from docs.site.login import FILE, first_login, picture, printed

ROOT = FILE.parents[1]


def without_what_is_random(text: str) -> str:
    """Octets and codes are others each time, and as many."""
    return re.sub(r"0x[0-9a-f]+|(?<=types )\d{6}", lambda found: "x" * len(found[0]), text)


def test_it_shows_what_the_demo_prints_now() -> None:
    recorded = FILE.read_text("utf-8")

    assert without_what_is_random(recorded) == without_what_is_random(picture(first_login(printed())))
    assert "Access-Accept" in recorded
    assert len(recorded) < 60_000
    assert not re.search(r"(?:href|src|url\()", recorded)  # nothing is fetched from elsewhere


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_front_pages_show_it_before_anything_else(page: str) -> None:
    first_screen = (ROOT / page).read_text("utf-8").splitlines()[:40]
    assert any(re.match(r"!\[.{40,}\]\((?:docs/)?login\.svg\)", line) for line in first_screen)
