"""Tables in Markdown, as the repository and the site both read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MADE = "<!-- Made from the code by `make docs`: what is changed here is lost. -->\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of these columns, a blank line after it."""
    lines = [heads, ["---"] * len(heads), *([cell(each) for each in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines) + "\n"


def cell(text: str) -> str:
    """Text as it may stand in a table: on one line, and with no bar of its own."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    return f"`{text}`"


def sentence(text: str) -> str:
    """With a capital letter and a full stop, whatever it came with."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def anchor(name: str) -> str:
    """What a link may lead to, where there is no heading."""
    return f'<a id="{name}"></a>'
