"""What the documentation names is there: every test it cites, every file it links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_CITED = re.compile(r"`(?:tests/)?((?:[a-z_0-9]+/)*test_[a-z_0-9]+)(?:\.py)?(?:::(test_[a-z_0-9]+))?`")
_LINKED = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def cited(page: str) -> list[tuple[str, str]]:
    """Files below `tests/`, without their ending, each with a test in it or ""."""
    return _CITED.findall(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_is_cited_is_there(page: Path) -> None:
    for file, name in cited(page.read_text()):
        source = ROOT / "tests" / f"{file}.py"
        assert source.is_file(), file
        assert not name or re.search(rf"def {name}\(", source.read_text()), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINKED.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_threats_are_answered_by_tests() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    threats = page.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in threats.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        assert cited(row), row
