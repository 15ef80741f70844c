"""The administrator's file as plain data, and on which line everything stands.

The file is read from YAML's events, not through YAML's types: a scalar is text as written, `true`
or `false`.  (YAML 1.1 would make `off` false, `0123` 83 and a MAC address a number.)  Anchors,
aliases, merge keys and tags are not read: a file that says what it means needs none of them, and
they are how a small file grows large.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from radius_mfa.config.not_yaml import why_not
from radius_mfa.core.printing import printable

KeyPath = tuple[str | int, ...]

EACH: Final = "*"  # in a pattern: every item of a list

_DEEPEST = 16  # the contract's own keys need eight
_BOOLEANS = {"true": True, "false": False}
_NOTHING = ("", "~", "null")
_LONGEST_SHOWN = 80
_COMMA = (
    "what follows its comma has no colon and value; write key: value, "
    "a list as [a, b], or quotes around a value with a comma in it"
)
_BRACE = "begins with {, and so is a mapping to YAML; put quotes around it, or give its key a value"
_BRACES = "begins with {, and so is a mapping to YAML; write a list as [a, b], or give each key a value"
BRACED = frozenset({_BRACE, _BRACES})

# libyaml's, where PyYAML was built with it, is ten times as fast.
_Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_Bare = tuple[yaml.Event, str | None]  # a key without a colon, and the last one before it that has one


class Unusable:
    """Stands where a value was found wrong already, so that nobody reports it twice."""


UNUSABLE = Unusable()


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend.  `line`: from 1, 0 where there is no file to point into."""

    line: int
    path: KeyPath = field(compare=False)
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things stand in the file called `file`."""

    file: str
    lines: dict[KeyPath, int] = field(repr=False)

    def line(self, *path: str | int) -> int:
        """The line of the key `path`, or of the innermost part of it that is written down."""
        return self.lines.get(self.written(path), 1)

    def written(self, path: KeyPath) -> KeyPath:
        """The innermost part of `path` that is written down."""
        while path and path not in self.lines:
            path = path[:-1]
        return path

    def cite(self, text: str, *path: str | int) -> str:
        """`FILE:LINE: key.path: text`, as every problem is shown."""
        return self.shown(Problem(self.line(*path), path, text))

    def shown(self, problem: Problem) -> str:
        """`FILE:LINE: key.path: text`, in one line whatever is in it."""
        place = f"{self.file}:{problem.line}" if problem.line else self.file
        return printable(": ".join(filter(None, (place, dotted(problem.path), problem.text))))


@dataclass(slots=True)
class Document:
    """What is written, and where.

    `data`: mappings, lists, texts and booleans.  `hidden`: what to show in place of a value that is
    not in the file itself; `secret_files`: those that secrets were taken from.  `problems`: found so far,
    with UNUSABLE left where a value was wrong; `warnings`: what may stay, and yet should not.
    """

    places: Places
    data: object = field(default=UNUSABLE, repr=False)
    hidden: dict[KeyPath, str] = field(default_factory=dict)
    secret_files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def report(self, text: str, *path: str | int) -> None:
        """Note a problem with the key `path`."""
        self.problems.append(Problem(self.places.line(*path), path, text))

    def warn(self, text: str, *path: str | int) -> None:
        """Note something about the key `path` that works and yet should not stay."""
        self.warnings.append(Problem(self.places.line(*path), path, text))

    def unique(self, found: Iterable[tuple[KeyPath, Hashable]], what: str) -> None:
        """Report every value that another has had before it; `what` ends the sentence about it."""
        first: dict[Hashable, KeyPath] = {}
        for path, value in found:
            before = first.setdefault(value, path)
            if before != path:
                line = self.places.line(*before)
                self.report(f"{self.written(path)} {what}, on line {line}; change one", *path)

    def at(self, path: KeyPath) -> object:
        """The value of the key `path`; UNUSABLE where there is none."""
        value = self.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part, UNUSABLE)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return UNUSABLE
        return value

    def as_written(self, path: KeyPath) -> KeyPath:
        """The innermost part of `path` that is written down.

        What is a list of one may stand alone, and a value for what it is by names: those have the name "" then.
        """
        found: KeyPath = ()
        for part in path:
            if (*found, part) in self.places.lines:
                found = (*found, part)
            elif part != "" and (not isinstance(part, int) or isinstance(self.at(found), list)):
                break
        return found

    def has(self, *path: str | int) -> bool:
        """Whether the key `path` is written down, whatever its value."""
        return path in self.places.lines

    def each(self, *pattern: str) -> Iterator[KeyPath]:
        """The path of every value that `pattern` names."""
        return _matching(self.data, (), pattern)

    def texts(self, *pattern: str) -> Iterator[tuple[KeyPath, str]]:
        """Every text that `pattern` names, with its path; where a list stands, every text in it."""
        for path in self.each(*pattern):
            yield from self.texts_at(path)

    def texts_at(self, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
        """The text at `path`, or every text in the list there."""
        value = self.at(path)
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, list):
            yield from (((*path, at), each) for at, each in enumerate(value) if isinstance(each, str))

    def written(self, path: KeyPath) -> str:
        """The value at `path` as the file has it, for a reader; never what is inside a mapping or list."""
        value = self.at(path)
        if path in self.hidden:
            return quoted(self.hidden[path])
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return quoted(value)
        return "a list" if isinstance(value, list) else "a mapping"


def read_document(file: str, text: str) -> Document:
    """The one YAML document in `text`.  What cannot be read is among its problems."""
    document = Document(Places(file, {(): 1}))
    reader = _Reader(text, document)
    try:
        document.data = reader.read()
    except yaml.YAMLError as broken:
        line, why = why_not(broken, text, yaml.scan(text, Loader=_Loader))
        document.problems.append(Problem(line, (), f"not valid YAML: {why}"))
    except _TooDeepError as deep:
        document.problems.append(Problem(deep.line, (), f"nested deeper than {_DEEPEST} levels"))
    return document


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Reader:
    """Builds data out of YAML's events."""

    def __init__(self, text: str, document: Document) -> None:
        self._events = yaml.parse(text, Loader=_Loader)
        self._document = document
        self._text, self._lines = text, text.splitlines()

    def read(self) -> object:
        data: object = UNUSABLE
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and data is not UNUSABLE:
                self._refuse(event, (), "a second document starts here; only one can stand in a file")
                break
            if isinstance(event, yaml.NodeEvent):
                data = self._value(event, ())
        return data

    def _value(self, event: yaml.NodeEvent, path: KeyPath) -> object:
        line = _line(event)
        self._document.places.lines.setdefault(path, line)
        if len(path) > _DEEPEST:
            raise _TooDeepError(line)
        anchored = event.anchor is not None
        if anchored:
            text = "anchors (&) and aliases (*) are not read; write the value out, or put quotes around it"
            self._refuse(event, path, text)
        if isinstance(event, yaml.AliasEvent):
            return UNUSABLE
        tagged = getattr(event, "tag", None) is not None
        if tagged and not anchored:
            self._refuse(event, path, "tags (!) are not read; write the plain value, or put quotes around it")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, in_braces=bool(event.flow_style))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)  # there is no other kind of node
        return UNUSABLE if (anchored or tagged) and not event.value else self._scalar(event, path)

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> object:
        text: str = event.value
        if not _plain(event):
            return text
        if text in _NOTHING:
            if path:  # an empty file is another matter
                comment = re.search(r"(?:^|\s)#", "".join(self._lines[_line(event) - 1 : _line(event)]))
                why = "has no value before the comment that # begins; put quotes around it, or remove the key"
                self._refuse(event, path, why if comment else "has no value; give it one, or remove it")
            return UNUSABLE
        return _BOOLEANS.get(text, text)

    def _sequence(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            assert isinstance(event, yaml.NodeEvent)
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath, *, in_braces: bool) -> object:
        entries: dict[str, object] = {}
        bare: list[_Bare] = []
        with_value: str | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            assert isinstance(event, yaml.NodeEvent)
            key = self._key(event, path)
            following = next(self._events)
            assert isinstance(following, yaml.NodeEvent)
            if in_braces and self._is_bare(event, following):
                bare.append((event, with_value))
            elif key is None:
                self._pass_over(following)
            elif key in entries:
                first = self._document.places.line(*path, key)
                self._refuse(event, (*path, key), f"is given twice, first on line {first}; remove one")
                self._pass_over(following)
            else:
                self._document.places.lines[(*path, key)] = _line(event)
                entries[key] = self._value(following, (*path, key))
                with_value = key
        return self._without_bare(path, entries, bare)

    def _is_bare(self, key: yaml.NodeEvent, value: yaml.NodeEvent) -> bool:
        """Whether not even a colon follows the key: inside { } YAML takes that for a value that is empty."""
        if not isinstance(value, yaml.ScalarEvent) or value.value or not _plain(value):
            return False
        assert key.end_mark is not None  # the parser knows where everything is
        assert value.start_mark is not None
        between = self._text[key.end_mark.index : value.start_mark.index]
        return ":" not in re.sub("#.*", "", between)

    def _without_bare(self, path: KeyPath, entries: dict[str, object], bare: Sequence[_Bare]) -> object:
        """The entries of a mapping in braces; what stands there without a colon is no key that anybody meant.

        It is never shown: it may be what follows a comma in a secret.
        """
        firsts: dict[str | None, yaml.Event] = {}
        for event, before in bare:
            firsts.setdefault(before, event)
        if None in firsts:
            self._refuse(firsts[None], path, _BRACE if len(bare) == 1 else _BRACES)
            return UNUSABLE
        for before, event in firsts.items():
            assert before is not None  # or the mapping is none
            self._refuse(event, (*path, before), _COMMA)
            entries[before] = UNUSABLE
        return entries

    def _key(self, event: yaml.NodeEvent, path: KeyPath) -> str | None:
        """The text of a key; None, and a problem, where it is not one."""
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
            self._refuse(event, path, "a key must be plain text")
            self._pass_over(event)
            return None
        key: str = event.value
        if key == "<<" and _plain(event):
            self._refuse(event, path, "merge keys (<<) are not read; write the values out")
            return None
        if not key:
            self._refuse(event, path, "a key is empty; name it, or remove it")
            return None
        return key

    def _pass_over(self, event: yaml.Event) -> None:
        """Take the rest of a value that nobody will read."""
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if not depth:
                return
            event = next(self._events)

    def _refuse(self, event: yaml.Event, path: KeyPath, text: str) -> None:
        self._document.problems.append(Problem(_line(event), path, text))


def _plain(event: yaml.ScalarEvent) -> bool:
    """Neither quoted nor a block: PyYAML's own reader says so with None, libyaml with an empty style."""
    return not event.style


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _matching(value: object, path: KeyPath, pattern: tuple[str, ...]) -> Iterator[KeyPath]:
    if not pattern:
        yield path
    elif pattern[0] == EACH and isinstance(value, list):
        for at, item in enumerate(value):
            yield from _matching(item, (*path, at), pattern[1:])
    elif isinstance(value, dict) and pattern[0] in value:
        yield from _matching(value[pattern[0]], (*path, pattern[0]), pattern[1:])


# --- for readers --------------------------------------------------------------------------------


def dotted(path: KeyPath) -> str:
    """`clients[0].secret`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:_LONGEST_SHOWN]}" for part in path)
    return text.removeprefix(".")


def quoted(text: str) -> str:
    """`"text"`, not endless."""
    return f'"{text}"' if len(text) <= _LONGEST_SHOWN else f'"{text[:_LONGEST_SHOWN]}…"'
