"""What is said of a file that is no YAML: the line of the slip, which is seldom where the parser stopped."""

from __future__ import annotations

import pytest

from radius_mfa.config.document import read_document

COLUMN = "begins in another column than what it belongs to, which begins on line"
ESCAPED = r"a quote is opened here, and \" does not close it; write \\ for a \, or take single quotes"
LIST = "is of a list, which goes on with a - on line {}: write - and a space before it"
KEYED = "has no colon and space after the key, as in key: value"


def why(text: str) -> tuple[int, str]:
    (problem,) = read_document("f.yaml", text).problems
    assert problem.path == ()
    assert problem.text.startswith("not valid YAML: ")
    return problem.line, problem.text.removeprefix("not valid YAML: ")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: b\nc: [}", 2, "put quotes around a value that begins with }"),
        ("a: b: c", 1, "put quotes around a value with a colon and a space in it"),
        ("a:\n\tb: 1", 2, "a tab stands where the line begins; indent with spaces"),
        ("ä: ö\nb: \x01", 2, "a control character is in it"),
        ("a: b\nc\n", 2, KEYED),
        ("a: |x\n", 1, "put quotes around a value that begins with | or >"),
        ("a: *\n", 1, "put quotes around a value that begins with * or &"),
        ("a\nb: c\n", 2, "the line above has no colon and space after its key, as in key: value"),
        ("a: b\n  c: d\n", 2, "is indented deeper than the line above, which has a value already"),
        ("a: - b\n", 1, "an item of a list, - and a space, begins on a line of its own"),
        ('a: "\\d"\n', 1, r"\ means something else in double quotes; write \\, or take single quotes"),
        ('a: "b" c\n', 1, "nothing can stand after a closing quote or bracket; put quotes around all of it"),
        ("a: [${B}]\n", 1, 'inside [ ] and { } write "${NAME}" in quotes'),
        ("- a\nb: c\n", 2, f"{COLUMN} 1"),
    ],
)
def test_the_slip_is_told_and_its_line(text: str, line: int, said: str) -> None:
    assert why(text) == (line, said)


class TestQuotes:
    """One that is left open ends where the next one opens, which may be a page further down."""

    @pytest.mark.parametrize(
        ("text", "closed"),
        [
            ('a: "secret\nb: c\nd: "e"\n', 3),
            ("a: 'secret\nb: it's\n", 2),
            ('x:\n  - a: "secret\n    b: [c, "d"]\n', 3),
        ],
    )
    def test_left_open_are_told_where_they_open(self, text: str, closed: int) -> None:
        line = 1 + text[: text.index("secret")].count("\n")
        said = f"a quote is opened here and closed on line {closed} only; close it where the value ends"
        assert why(text) == (line, said)

    def test_never_closed_are_told_where_they_open(self) -> None:
        assert why("a: b\nc: 'd\ne: f\n") == (2, "a quote is opened here and never closed")

    @pytest.mark.parametrize(
        "text", ['a: "EXAMPLE\\"\nb: "c"\n', 'a: "EXAMPLE\\"\n', 'a: {b: "EXAMPLE\\", c: "d"}\n']
    )
    def test_that_a_backslash_keeps_open_are_told_so(self, text: str) -> None:
        assert why(text) == (1, ESCAPED)

    def test_over_several_lines_that_are_closed_are_not_blamed_for_what_comes_after(self) -> None:
        assert why('a: "b\n  c"\nd: [}\n') == (3, "put quotes around a value that begins with }")


class TestDashes:
    @pytest.mark.parametrize("space", ["", "\n", "  # of the list\n"])
    @pytest.mark.parametrize("indent", ["  ", ""])
    def test_the_first_one_that_is_missing_is_told_where_it_is(self, space: str, indent: str) -> None:
        text = f"a:\n{space}    b: c\n    d: e\n{indent}- b: f\n"
        line = text[: text.index("    b: c")].count("\n") + 1
        assert why(text) == (line, LIST.format(line + 2))

    def test_one_in_another_column_is_told_of_itself(self) -> None:
        assert why("a:\n    - b: c\n  - b: f\n") == (3, f"{COLUMN} 1")

    def test_a_whole_file_may_be_the_list(self) -> None:
        assert why("  a: b\n- c\n") == (1, LIST.format(2))
        assert why("a: b\n- c\n") == (2, f"{COLUMN} 1")
