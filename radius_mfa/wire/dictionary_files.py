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
from dataclasses import dataclass, replace
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
    """

    attributes: tuple[tuple[Any, int], ...]
    unserved: dict[Path, dict[str, str]]


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
    unserved = {file: _add(parsed, file) for file in more}
    attributes = tuple((each, parsed.vendors[each.vendor]) for each in parsed.attributes.values())
    return Parsed(attributes, unserved)


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
    """

    name: str
    vendor: int
    numbers: tuple[int, ...]
    kind: str
    flags: frozenset[str] = frozenset()


# Absent from what is shipped, for it has no value of its own (RFC 2865 §5.26).
_VENDOR_SPECIFIC = _Named("Vendor-Specific", 0, (26,), "vsa")


def _add(parsed: Any, file: Path) -> dict[str, str]:
    """Read `file` into `parsed`; the names and places of what is not served, which is left out."""
    statements = _statements(file)
    before, vendors = dict(parsed.attributes), dict(parsed.vendors.forward)
    known = [_VENDOR_SPECIFIC, *(_known(parsed, each) for each in before.values())]
    _refuse(_misspelt(file, statements))
    _read(parsed, statements)
    _refuse(_wrong_vendors(parsed, vendors, statements))
    unserved = _unserved(parsed)
    parsed.skipped_attributes.clear()
    for name in unserved:
        parsed.attributes.pop(name, None)
    _refuse(_wrong_attributes(known, list(_written(parsed, statements)), unserved))
    _refuse(_wrong_values(parsed, statements, unserved))
    _keep_values(before, parsed)
    places = {each.words[1]: each.place for each in _of("ATTRIBUTE", statements)}
    return {name: places[name] for name in unserved}


def _keep_values(before: Mapping[str, Any], parsed: Any) -> None:
    """To pyrad an attribute that is said again is a new one, without the named values that it had."""
    for name, attribute in before.items():
        values = parsed.attributes[name].values
        for each, octets in attribute.values.forward.items():
            if not values.HasForward(each):
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
    """A name has one meaning, and what is served has one name: by number it is shown, and sent."""
    by_name = {each.name.casefold(): each for each in known}
    by_number = {(each.vendor, each.numbers): each.name for each in by_name.values()}
    for place, each in written:
        before = by_name.setdefault(each.name.casefold(), each)
        if replace(before, name=each.name) != each:
            yield f"{place}: {each.name} is another attribute already; remove the line, or take another name"
        elif each.name not in unserved:
            other = by_number.setdefault((each.vendor, each.numbers), each.name)
            if other.casefold() != each.name.casefold():
                hint = "remove the line" if each.vendor else "is BEGIN-VENDOR missing?"
                yield f"{place}: number {each.numbers[0]} is {other} already; {hint}"


def _wrong_values(parsed: Any, statements: Iterable[_Statement], unserved: Sequence[str]) -> Iterator[str]:
    for each in _of("VALUE", statements):
        name = each.words[1]
        if name not in parsed.attributes and name not in unserved:
            near = difflib.get_close_matches(name, parsed.attributes, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{each.place}: a value of {name}, which is no attribute{hint}"


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
            flags = frozenset(flag for flag in ",".join(more).split(",") if _FLAG.fullmatch(flag))
            yield each.place, _Named(name, parsed.vendors[vendor], numbers, kind.partition("[")[0], flags)


def _number(text: str) -> int:
    """As pyrad reads it: 010 is ten."""
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
