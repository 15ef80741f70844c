"""What is wrong with a file that is no YAML, in words for whoever has written it: the parser's are for parsers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import yaml

_QUOTES = "put quotes around a value that begins with"
_UNCLOSED = r"a quote is opened here, and \" does not close it; write \\ for a \, or take single quotes"
_ESCAPED_QUOTE = re.compile(r""""[^"]*\\"\s*(?:[,\]}#].*)?$""")
_ENDED_EARLY = re.compile(r"""\s*(?:"[^"]*"|'[^']*'|\[[^\]]*\]|\{[^}]*\})\s*[^\s#]""")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the parser stopped: `line` from 1, `column` from 0.  `began`: the line of what it was in there."""

    lines: list[str]
    line: int
    column: int
    began: int

    def text(self, line: int) -> str:
        return self.lines[line - 1] if 0 < line <= len(self.lines) else ""

    @property
    def character(self) -> str:
        return self.text(self.line)[self.column : self.column + 1]

    @property
    def above(self) -> str:
        """The last line before that has anything in it."""
        return next((each for each in reversed(self.lines[: self.line - 1]) if each.split("#")[0].strip()), "")


def why_not(broken: yaml.YAMLError, text: str, tokens: Iterator[yaml.Token]) -> tuple[int, str]:
    """The line to look at, and what is wrong with it.

    `tokens`: those of the text, up to where it has none.
    """
    if not isinstance(broken, yaml.MarkedYAMLError):
        forbidden = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, forbidden.start()) + 1 if forbidden else 1
        return line, "a control character is in it"
    mark, context = broken.problem_mark or broken.context_mark, broken.context_mark
    line = mark.line + 1 if mark else 1
    began = context.line + 1 if context else line
    place = _Place(text.splitlines(), line, mark.column if mark else 0, began)
    problem = ", ".join(filter(None, (broken.problem, broken.context)))
    if re.match(r" *\t", place.text(line)):
        return line, "a tab stands where the line begins; indent with spaces"
    if mark and (opened := _quote_before(tokens, mark)):
        return _long_quote(place, opened)
    for known, remedy in _REMEDIES:
        if re.search(known, problem):
            return remedy(place)
    return line, problem or "it cannot be read"


def _quote_before(tokens: Iterator[yaml.Token], mark: yaml.Mark) -> int:
    """The line of the quote that ends on the line of `mark`, before it, and began on another; 0 for none.

    Whoever forgets to close a quote closes it where the next one opens, and only there the parser stops.
    """
    opened = 0
    with suppress(yaml.YAMLError):
        for token in tokens:
            if token.start_mark.line >= mark.line:
                break
            if token.end_mark.line == mark.line and getattr(token, "style", None) in ("'", '"'):
                opened = token.start_mark.line + 1
    return opened


# --- by what the parser says: libyaml's words, and PyYAML's own -------------------------------------


def _no_token(place: _Place) -> tuple[int, str]:
    return place.line, f"{_QUOTES} {place.character or 'such a character'}"


def _no_block(place: _Place) -> tuple[int, str]:
    return place.line, f"{_QUOTES} | or >"


def _no_alias(place: _Place) -> tuple[int, str]:
    return place.line, f"{_QUOTES} * or &"


def _second_colon(place: _Place) -> tuple[int, str]:
    if re.match(r"\s*(?:- +)?[^\s:][^:]*: .*:(?:\s|$)", place.text(place.line)):
        return place.line, "put quotes around a value with a colon and a space in it"
    if re.search(r":(?:\s|$)", place.above):
        return place.line, "is indented deeper than the line above, which has a value already"
    return place.line, "the line above has no colon and space after its key, as in key: value"


def _no_colon(place: _Place) -> tuple[int, str]:
    return place.began, "has no colon and space after the key, as in key: value"


def _other_column(place: _Place) -> tuple[int, str]:
    if place.character == "-" and (line := _without_dash(place)):
        return line, f"is of a list, which goes on with a - on line {place.line}: write - and a space before it"
    if _ENDED_EARLY.match(place.text(place.line).partition(": ")[2]):
        return place.line, "nothing can stand after a closing quote or bracket; put quotes around all of it"
    return place.line, f"begins in another column than what it belongs to, which begins on line {place.began}"


def _without_dash(place: _Place) -> int:
    """The line of the first item of the list whose next one is at `place`, where it has no -; 0 where it has."""
    first = 0
    for line in range(place.line - 1, 0, -1):
        text = place.text(line).partition("#")[0].rstrip()
        indent = len(text) - len(text.lstrip())
        if text and (indent < place.column or not (indent or text.startswith("-"))):
            break
        first = line if text else first
    return 0 if place.text(first).lstrip().startswith("-") else first


def _dash(place: _Place) -> tuple[int, str]:
    return place.line, "an item of a list, - and a space, begins on a line of its own"


def _open_quote(place: _Place) -> tuple[int, str]:
    if _ESCAPED_QUOTE.search(place.text(place.began)):
        return place.began, _UNCLOSED
    return place.began, "a quote is opened here and never closed"


def _long_quote(place: _Place, opened: int) -> tuple[int, str]:
    if _ESCAPED_QUOTE.search(place.text(opened)):
        return opened, _UNCLOSED
    return opened, f"a quote is opened here and closed on line {place.line} only; close it where the value ends"


def _open_bracket(place: _Place) -> tuple[int, str]:
    if _ESCAPED_QUOTE.search(place.text(place.line)):
        return place.line, _UNCLOSED
    # To YAML, the { of [${NAME}] begins a mapping.
    if "${" in place.text(place.line):
        return place.line, 'inside [ ] and { } write "${NAME}" in quotes'
    where = "here" if place.began == place.line else f"on line {place.began}"
    return place.line, (
        f"[ or {{ is opened {where}, and a comma or its end is missing; "
        "inside, put quotes around values with [ ] { } or , in them"
    )


def _escape(place: _Place) -> tuple[int, str]:
    return place.line, r"\ means something else in double quotes; write \\, or take single quotes"


_REMEDIES: tuple[tuple[str, Callable[[_Place], tuple[int, str]]], ...] = (
    ("cannot start any token|node content", _no_token),
    ("block scalar", _no_block),
    ("while scanning an (alias|anchor)", _no_alias),
    ("mapping values are not allowed", _second_colon),
    ("expected ':'", _no_colon),
    ("sequence entries are not allowed", _dash),
    ("quoted scalar.*end of stream|end of stream.*quoted scalar", _open_quote),
    ("escape character", _escape),
    ("flow (sequence|mapping|node)", _open_bracket),
    ("'-' indicator|expected key|<block end>|<document start>", _other_column),
)
