"""How the YAML is read: what is text, what is refused, on which line everything stands."""

from __future__ import annotations

import pytest

from radius_mfa.config.document import UNUSABLE, Document, Places, Problem, dotted, read_document


def read(text: str) -> Document:
    return read_document("f.yaml", text)


def shown(text: str) -> list[str]:
    document = read(text)
    return [document.places.shown(each) for each in document.problems]


class TestScalars:
    @pytest.mark.parametrize(
        "written",
        [
            "off", "on", "yes", "no", "y", "True", "FALSE", "0123", "0o17", "0x1F", "1_000", "1e3", ".inf",
            "00:11:22:33:44:55", "1:30", "190:20:30", "2024-01-01", "2024-01-01 10:00:00", "=", "Null", "12",
        ],
    )  # fmt: skip
    def test_stay_text_as_written(self, written: str) -> None:
        assert read(f"key: {written}").data == {"key": written}

    def test_only_true_and_false_are_booleans(self) -> None:
        assert read("{a: true, b: false}").data == {"a": True, "b": False}

    @pytest.mark.parametrize("quoted", ['"true"', "'true'", "|-\n  true"])
    def test_are_text_in_quotes_and_blocks(self, quoted: str) -> None:
        assert read(f"key: {quoted}").data == {"key": "true"}

    @pytest.mark.parametrize("nothing", ["", "~", "null"])
    def test_without_a_value_are_refused(self, nothing: str) -> None:
        assert shown(f"a: 1\nkey: {nothing}") == ["f.yaml:2: key: has no value; give it one, or remove it"]

    def test_may_be_empty_in_quotes(self) -> None:
        assert read('key: ""').data == {"key": ""}

    def test_are_text_as_keys_too(self) -> None:
        assert read("{true: a, 0123: b}").data == {"true": "a", "0123": "b"}


class TestRefused:
    def test_a_duplicate_key_names_both_lines_and_the_first_one_stays(self) -> None:
        document = read("a: 1\nb: 2\na: {c: 3, c: 4}\n")
        assert [document.places.shown(each) for each in document.problems] == [
            "f.yaml:3: a: is given twice, first on line 1; remove one"
        ]
        assert document.data == {"a": "1", "b": "2"}

    def test_a_merge_key_is_not_read(self) -> None:
        document = read("a:\n  <<: {b: [1, {c: 2}]}\n  d: 3\n")
        assert shown("a:\n  <<: {b: 1}\n") == ["f.yaml:2: a: merge keys (<<) are not read; write the values out"]
        assert document.data == {"a": {"d": "3"}}

    def test_anchors_and_aliases_are_not_read(self) -> None:
        text = "anchors (&) and aliases (*) are not read; write the value out, or put quotes around it"
        assert shown("a: &x 1\nb: *x\n") == [f"f.yaml:1: a: {text}", f"f.yaml:2: b: {text}"]

    def test_a_billion_laughs_are_not_laughed(self) -> None:
        laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
        document = read("l0: &l0 lol\n" + laughs)
        assert isinstance(document.data, dict)
        assert document.data["l9"] == [UNUSABLE] * 9

    @pytest.mark.parametrize("tagged", ["!!int 3", "!!python/object/apply:os.system [ls]", "!x {a: b}", "! a"])
    def test_tags_are_not_read(self, tagged: str) -> None:
        assert shown(f"key: {tagged}") == [
            "f.yaml:1: key: tags (!) are not read; write the plain value, or put quotes around it"
        ]

    @pytest.mark.parametrize("key", ["[a, b]", "{a: b}", "!!str a", "&x a", "*x"])
    def test_a_key_that_is_not_plain_text(self, key: str) -> None:
        assert shown(f"c: d\n? {key}\n: value\n") == ["f.yaml:2: a key must be plain text"]

    def test_an_empty_key(self) -> None:
        assert shown('"": a') == ["f.yaml:1: a key is empty; name it, or remove it"]

    def test_a_second_document(self) -> None:
        assert shown("a: b\n---\nc: d\n") == [
            "f.yaml:2: a second document starts here; only one can stand in a file"
        ]

    def test_what_is_nested_too_deep(self) -> None:
        assert shown("a: " + "[" * 50) == ["f.yaml:1: nested deeper than 16 levels"]
        (wrong,) = shown("a: " + "[" * 100_000)  # libyaml has had a limit of its own since 0.2.6
        assert wrong.startswith("f.yaml:1: ")
        assert "nest" in wrong

    def test_what_is_no_yaml_with_its_line(self) -> None:
        (problem,) = read("a: b\nc: [}").problems
        assert problem == Problem(2, (), "")
        assert problem.text == "not valid YAML: put quotes around a value that begins with }"


class TestBraces:
    """What has no colon inside { } was meant as something else, and may be part of a secret: it is not shown."""

    @pytest.mark.parametrize("written", ["{vlanId|120}", "{b }", "{ größe # a comment: too\n}", '{"b"}'])
    def test_around_a_value_want_quotes(self, written: str) -> None:
        assert shown(f"a: {written}") == [
            "f.yaml:1: a: begins with {, and so is a mapping to YAML; "
            "put quotes around it, or give its key a value"
        ]
        assert read(f"a: {written}").data == {"a": UNUSABLE}

    def test_around_several_are_no_list(self) -> None:
        assert shown("a: {b, c, d}") == [
            "f.yaml:1: a: begins with {, and so is a mapping to YAML; "
            "write a list as [a, b], or give each key a value"
        ]

    def test_a_comma_in_a_value_is_one_problem_of_its_key(self) -> None:
        comma = (
            "what follows its comma has no colon and value; write key: value, "
            "a list as [a, b], or quotes around a value with a comma in it"
        )
        assert shown("a: {b: c, d, e f, g: h,\n i}") == [f"f.yaml:1: a.b: {comma}", f"f.yaml:2: a.g: {comma}"]
        assert read("a: {b: c, d, g: h}").data == {"a": {"b": UNUSABLE, "g": "h"}}

    def test_a_key_with_a_colon_and_no_value_is_named(self) -> None:
        assert shown("a: {b: , c: d}") == ["f.yaml:1: a.b: has no value; give it one, or remove it"]


class TestPlaces:
    def test_know_the_line_of_every_key_and_item(self) -> None:
        places = read("a:\n  b: 1\n  c:\n    - d: 2\n    -\n      e: 3\n").places
        lines = [("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 0, "d"), ("a", "c", 1, "e")]
        assert [places.line(*path) for path in lines] == [1, 2, 4, 4, 6]

    def test_give_what_is_absent_the_line_of_what_is_around_it(self) -> None:
        assert read("a:\n  b:\n    c: 1\n").places.line("a", "b", "x", "y") == 2

    def test_cite_in_one_line_whatever_is_in_it(self) -> None:
        cited = Places("f\n.yaml", {}).cite("is\x1b[31m wrong\u2028", "a\rb", 0)
        assert cited == "f\\n.yaml:1: a\\rb[0]: is\\x1b[31m wrong\\u2028"

    def test_cite_without_a_line_where_there_is_no_file(self) -> None:
        assert Places("f.yaml", {}).shown(Problem(0, (), "is gone")) == "f.yaml: is gone"


def test_a_path_is_written_with_dots_and_brackets() -> None:
    assert dotted(("clients", 0, "address", 1)) == "clients[0].address[1]"


def test_an_endless_key_is_cut() -> None:
    assert len(dotted(("a" * 10_000,))) < 100


class TestQueries:
    document = read("p:\n  - {c: a, f: [x, {y: z}, w]}\n  - {c: [b, true]}\n  - text\n")

    def test_find_texts_alone_and_in_lists(self) -> None:
        assert list(self.document.texts("p", "*", "c")) == [(("p", 0, "c"), "a"), (("p", 1, "c", 0), "b")]

    def test_pass_over_what_is_not_text(self) -> None:
        assert [text for _, text in self.document.texts("p", "*", "f")] == ["x", "w"]

    @pytest.mark.parametrize("path", [("q",), ("p", 9), ("p", "c"), ("p", 0, "c", "d")])
    def test_find_nothing_where_there_is_nothing(self, path: tuple[str | int, ...]) -> None:
        assert self.document.at(path) is UNUSABLE

    def test_show_no_inside_of_mappings_and_lists(self) -> None:
        assert [self.document.written(("p", 0, key)) for key in ("c", "f")] == ['"a"', "a list"]
        assert self.document.written(("p", 0)) == "a mapping"
        assert self.document.written(("p", 1, "c", 1)) == "true"
