"""The files of a dictionary, in FreeRADIUS's format: what pyrad makes of them, and what it would pass over.

To pyrad a word it does not know is a remark.  In a file of an administrator's that is a slip of the pen, or
BEGIN-TLV, without which the numbers after it mean other attributes.  Nor may such a file give another meaning to
what is shipped, for by those names the server itself writes.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from pyrad import dictfile
from pyrad import dictionary as pyrad_dictionary

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.wire.values import FORMATS, WIDTHS

_STATEMENTS = ("ATTRIBUTE", "VALUE", "VENDOR", "BEGIN-VENDOR", "END-VENDOR")
_LARGEST_VENDOR = (1 << 24) - 1  # RFC 2865 §5.26: the first of the four octets is 0
_FLAG = re.compile("has_tag|encrypt=.")
_INSIDE = re.compile(r"(0x[0-9a-fA-F]+|0o[0-7]+|[0-9]+)(\.(0x[0-9a-fA-F]+|0o[0-7]+|[0-9]+))+")
_KEYWORD = re.compile("[A-Z-]{3,20}")
_NEAR_A_KEYWORD = 0.7  # of 1
_MOST_UNKNOWN = 3  # statements; whatever has more was named by mistake, and may be full of secrets

# What it would warn of is said here, and nowhere else.
_logger = logging.getLogger("pyrad")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False


@dataclass(frozen=True, slots=True)
class _Statement:
    """`place`: FILE:LINE."""

    place: str
    words: list[str]

    @property
    def word(self) -> str:
        """The one that says what it is."""
        return self.words[0].upper()


@dataclass(frozen=True, slots=True)
class Parsed:
    """`attributes`: pyrad's, each with its vendor's number.

    `unserved`: by the file that has them, the names of what was left out, each with its FILE:LINE.
    `secret`: vendor and number of what a file of the administrator's says is never to be shown.
    """

    attributes: tuple[tuple[Any, int], ...]
    unserved: dict[Path, dict[str, str]]
    secret: frozenset[tuple[int, int]]


def parse(top: Path, more: Sequence[Path] = ()) -> Parsed:
    """All of `top`, which is ours, and of `more` files, which are the administrator's.

    What is not served is an error in ours, and left out of theirs.  Raises ConfigurationError, FILE:LINE: what.
    """
    parsed = pyrad_dictionary.Dictionary()
    _read(parsed, _statements(top))
    if unusable := _unserved(parsed):
        raise ConfigurationError(
            *(f"{top}: {name}: neither its type nor its number is served" for name in unusable)
        )
    secret = set[tuple[int, int]]()
    unserved = {file: _add(parsed, file, secret) for file in more}
    attributes = tuple((each, parsed.vendors[each.vendor]) for each in parsed.attributes.values())
    return Parsed(attributes, unserved, frozenset(secret))


def _statements(file: Path) -> list[_Statement]:
    """All that is in the file and in those that it includes."""
    found: list[_Statement] = []
    reader = None
    try:
        reader = dictfile.DictFile(str(file))
        found.extend(
            _Statement(_at(reader, file), words)
            for line in reader
            if (words := line.removeprefix("\ufeff").partition("#")[0].split())
        )
        return found
    except OSError as error:
        why = f"cannot be read: {error.filename}: {error.strerror}"
    except UnicodeDecodeError:
        why = "cannot be read: not UTF-8"
    except pyrad_dictionary.ParseError as error:
        why = error.msg
    raise ConfigurationError(f"{_at(reader, file)}: {why}")


def _at(reader: Any, file: Path) -> str:
    """FILE:LINE of where it is; before it has begun, the file alone."""
    return f"{Path(reader.stack[-1].dir) / reader.File()}:{reader.Line()}" if reader else f"{file}"


def _read(parsed: Any, statements: Sequence[_Statement]) -> None:
    """pyrad is given what was read, a line a statement, for it knows the files by their names alone."""
    try:
        parsed.ReadDictionary(StringIO("\n".join(" ".join(each.words) for each in statements)))
    except pyrad_dictionary.ParseError as error:
        raise ConfigurationError(f"{statements[error.line - 1].place}: {error.msg}") from None


def _unserved(parsed: Any) -> list[str]:
    attributes = parsed.attributes.values()
    return sorted(parsed.skipped_attributes | {each.name for each in attributes if not _usable(each)})


def _usable(attribute: Any) -> bool:
    kind = attribute.type in WIDTHS or attribute.type in FORMATS
    return kind and 0 < attribute.code < 256 and attribute.parent is None


# --- the administrator's ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """An attribute as it is written.

    `numbers`: one, or more for what is inside of another.  `flags`: those that say how it stands in a packet.
    `secret`: FreeRADIUS's flag, never to be shown.
    """

    name: str
    vendor: int
    numbers: tuple[int, ...]
    kind: str
    flags: frozenset[str] = frozenset()
    secret: bool = field(default=False, compare=False)

    @property
    def number(self) -> tuple[int, tuple[int, ...]]:
        return self.vendor, self.numbers

    def is_like(self, other: _Named) -> bool:
        """Whether the two are written alike in a packet, where they have one number."""
        return (self.kind, self.flags) == (other.kind, other.flags)


# Absent from what is shipped, for it has no value of its own (RFC 2865 §5.26).
_VENDOR_SPECIFIC = _Named("Vendor-Specific", 0, (26,), "vsa")


def _add(parsed: Any, file: Path, secret: set[tuple[int, int]]) -> dict[str, str]:
    """Read `file` into `parsed`; the names and places of what is not served, which is left out.

    What is flagged as secret is added to `secret`.
    """
    statements = _statements(file)
    before, vendors = dict(parsed.attributes), dict(parsed.vendors.forward)
    values = {name: dict(each.values.forward) for name, each in before.items()}
    known = [_VENDOR_SPECIFIC, *(_known(parsed, each) for each in before.values())]
    _refuse(_misspelt(file, statements))
    statements = _folded(parsed, statements)
    _read(parsed, [_readable(each) for each in statements])
    _refuse(_wrong_vendors(parsed, vendors, statements))
    unserved = _unserved(parsed)
    parsed.skipped_attributes.clear()
    for name in unserved:
        parsed.attributes.pop(name, None)
    written = list(_written(parsed, statements))
    _refuse(_wrong_attributes(known, written, unserved))
    _refuse(_wrong_values(parsed, statements, unserved))
    _refuse(_changed_values(before, values, statements))
    _keep_values(values, parsed)
    secret |= {(each.vendor, each.numbers[0]) for _, each in written if each.secret and len(each.numbers) == 1}
    places = {each.words[1]: each.place for each in _of("ATTRIBUTE", statements)}
    return {name: places[name] for name in unserved}


def _folded(parsed: Any, statements: Sequence[_Statement]) -> list[_Statement]:
    """Names as they are spelt first, for their case says nothing; types in small letters."""
    attributes = {name.casefold(): name for name in parsed.attributes}
    vendors = {name.casefold(): name for name in parsed.vendors.forward}
    for each in statements:
        if each.words[1:] and each.word in ("ATTRIBUTE", "VENDOR"):
            spelt = attributes if each.word == "ATTRIBUTE" else vendors
            spelt.setdefault(each.words[1].casefold(), each.words[1])
    return [replace(each, words=_spelt(each, attributes, vendors)) for each in statements]


def _spelt(statement: _Statement, attributes: Mapping[str, str], vendors: Mapping[str, str]) -> list[str]:
    word, *words = statement.words
    names = attributes if statement.word in ("ATTRIBUTE", "VALUE") else vendors
    words[:1] = [names.get(each.casefold(), each) for each in words[:1]]
    if statement.word == "ATTRIBUTE":
        words[2:3] = [each.lower() for each in words[2:3]]
        words[3:4] = [vendors.get(each.casefold(), each) for each in words[3:4]]
    return [word, *words]


def _readable(statement: _Statement) -> _Statement:
    """What is inside of another is not served, whatever it is; pyrad refuses it where the other is unknown."""
    words = statement.words
    if statement.word == "ATTRIBUTE" and len(words) > 3 and _INSIDE.fullmatch(words[2]):
        return replace(statement, words=[*words[:3], _VENDOR_SPECIFIC.kind, *words[4:]])
    return statement


def _keep_values(before: Mapping[str, Mapping[str, bytes]], parsed: Any) -> None:
    """To pyrad an attribute that is said again is a new one, without the named values that it had.

    Those come first: a second name for a number is not the one that is shown.
    """
    for name, shipped in before.items():
        values = parsed.attributes[name].values
        both = {**shipped, **values.forward}
        values.forward.clear()
        for each, octets in both.items():
            values.Add(each, octets)


def _refuse(problems: Iterable[str]) -> None:
    if found := tuple(problems):
        raise ConfigurationError(*found)


def _misspelt(file: Path, statements: Iterable[_Statement]) -> list[str]:
    """Words that nobody knows are shown only where they are a slip in one of the format's own."""
    slips, unknown = list[str](), list[str]()
    for each in statements:
        near = difflib.get_close_matches(each.word, _STATEMENTS, 1, _NEAR_A_KEYWORD)
        if each.word == "BEGIN-TLV":
            slips.append(f"{each.place}: attributes within attributes are not served; remove all up to END-TLV")
        elif each.word in (*_STATEMENTS, "END-TLV"):
            continue
        elif near and _KEYWORD.fullmatch(each.words[0]):
            slips.append(f"{each.place}: unknown statement {each.words[0]!r}; did you mean {near[0]}?")
        else:
            unknown.append(f"{each.place}: unknown statement; here can stand {', '.join(_STATEMENTS)}, $INCLUDE")
    if len(unknown) > _MOST_UNKNOWN:
        return [f"{file}: is no dictionary in FreeRADIUS's format"]
    return slips + unknown


def _wrong_vendors(parsed: Any, known: Mapping[str, int], statements: Iterable[_Statement]) -> Iterator[str]:
    for each in _of("VENDOR", statements):
        name = each.words[1]
        number = parsed.vendors[name]
        if known.get(name, number) != number:
            yield f"{each.place}: vendor {name} is {known[name]} already; remove the line, or take another name"
        elif not 0 < number <= _LARGEST_VENDOR:
            yield f"{each.place}: the number of a vendor is from 1 to {_LARGEST_VENDOR} (RFC 2865 §5.26)"


def _wrong_attributes(
    known: Iterable[_Named], written: Iterable[tuple[str, _Named]], unserved: Sequence[str]
) -> Iterator[str]:
    """A name has one meaning.  A standard number has one name; a vendor's may have several: vendors rename."""
    by_name = {each.name.casefold(): each for each in known}
    by_number: dict[tuple[int, tuple[int, ...]], _Named] = {}
    for each in by_name.values():
        by_number.setdefault(each.number, each)
    shipped = frozenset(by_number)
    for place, each in written:
        before = by_name.setdefault(each.name.casefold(), each)
        if replace(before, name=each.name) != each:
            yield f"{place}: {each.name} is another attribute already; remove the line, or take another name"
        elif each.name not in unserved:
            other = by_number.setdefault(each.number, each)
            if other.name.casefold() == each.name.casefold() or (each.vendor and each.is_like(other)):
                continue
            if not each.vendor:
                what = "already; is BEGIN-VENDOR missing? otherwise remove the line"
            else:
                which = "the line" if each.number in shipped else "one of the two"
                what = f"already, of another type; remove {which}"
            yield f"{place}: number {each.numbers[0]} is {other.name} {what}"


def _wrong_values(parsed: Any, statements: Iterable[_Statement], unserved: Sequence[str]) -> Iterator[str]:
    for each in _of("VALUE", statements):
        name = each.words[1]
        if name not in parsed.attributes and name not in unserved:
            near = difflib.get_close_matches(name, parsed.attributes, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{each.place}: a value of {name}, which is no attribute{hint}"


def _changed_values(
    before: Mapping[str, Any], values: Mapping[str, Mapping[str, bytes]], statements: Iterable[_Statement]
) -> Iterator[str]:
    """A name that is there already stays what it is: policies that are written with it must not change."""
    numbers = {
        name: {each.casefold(): int.from_bytes(octets, "big") for each, octets in named.items()}
        for name, named in values.items()
        if before[name].type in WIDTHS
    }
    for each in _of("VALUE", statements):
        _, attribute, name, number = each.words
        known = numbers.get(attribute, {}).get(name.casefold())
        if known is not None and known != int(number, 0):
            yield f"{each.place}: {name} of {attribute} is {known} already; remove the line"


def _of(word: str, statements: Iterable[_Statement]) -> Iterator[_Statement]:
    return (each for each in statements if each.word == word)


def _known(parsed: Any, attribute: Any) -> _Named:
    flags = {"has_tag"} if attribute.has_tag else set()
    if attribute.encrypt:
        flags.add(f"encrypt={attribute.encrypt}")
    vendor = parsed.vendors[attribute.vendor]
    return _Named(attribute.name, vendor, (attribute.code,), attribute.type, frozenset(flags))


def _written(parsed: Any, statements: Iterable[_Statement]) -> Iterator[tuple[str, _Named]]:
    """Every attribute as the file has it, each with its place; pyrad, which read it, keeps the last of a name."""
    around = ""
    for each in statements:
        if each.word == "BEGIN-VENDOR":
            around = each.words[1]
        elif each.word == "END-VENDOR":
            around = ""
        elif each.word == "ATTRIBUTE":
            _, name, number, kind, *more = each.words
            vendor = more[0] if more and more[0] in parsed.vendors.forward else around
            numbers = tuple(_number(part) for part in number.split("."))
            said = ",".join(more).split(",")
            flags, secret = frozenset(flag for flag in said if _FLAG.fullmatch(flag)), "secret" in said
            yield each.place, _Named(name, parsed.vendors[vendor], numbers, kind.partition("[")[0], flags, secret)


def _number(text: str) -> int:
    """As pyrad reads it: 010 is ten."""
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
