"""The pages of the documentation, and what each has for the shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(.*)$")
_HEADING = re.compile(r"^#+ (.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences.  `page`: as of the root of the repository.  `section`: the heading above."""

    page: str
    section: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.section!r})"


def pages() -> list[str]:
    """All there are."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "CHANGELOG.md")


def comments() -> list[Path]:
    """Files that users copy, with words of ours in them, from the root of the repository on."""
    found = [*ROOT.glob("config/*.yaml"), *ROOT.glob("deploy/**/*")]
    return [path.relative_to(ROOT) for path in found if path.is_file()]


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Those of one language, or all."""
    return [each for each in _blocks(page) if language in (None, each.language)]


def _blocks(page: str) -> Iterator[Block]:
    section, opened, text = "", None, ""
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened = number, len(fence[1]), fence[2].strip()
            elif heading := _HEADING.match(line):
                section = heading[1]
        elif fence:
            yield Block(page, section, opened[0], opened[2], text)
            opened, text = None, ""
        else:
            text += line[opened[1] :] + "\n"
    assert opened is None, f"{page}: a block that begins in line {opened} does not end"


def without_blocks(page: str) -> str:
    """Its prose.  Of another file, all of it, but for the marks of comments at the beginning of lines."""
    text = re.sub(r"^( *)```.*?^\1```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    return text if page.endswith(".md") else re.sub(r"^ *#+", "", text, flags=re.MULTILINE)
