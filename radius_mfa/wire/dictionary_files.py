"""The files of a dictionary, in FreeRADIUS's format: what pyrad makes of them, and what it would pass over.

To pyrad a word it does not know is a remark.  In a file of an administrator's that is a slip of the pen, or
BEGIN-TLV, without which the numbers after it mean other attributes.  Nor may such a file give another meaning to
what is shipped, for by those names the server itself writes.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrad import dictfile
from pyrad import dictionary as pyrad_dictionary

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.wire.values import FORMATS, WIDTHS

_STATEMENTS = ("ATTRIBUTE", "VALUE", "VENDOR", "BEGIN-VENDOR", "END-VENDOR")
_LARGEST_VENDOR = (1 << 24) - 1  # RFC 2865 §5.26: the first of the four octets is 0

# What it would warn of on stderr is said here.
logging.getLogger("pyrad").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Parsed:
    """`attributes`: pyrad's, each with its vendor's number.  `unserved`: names by the file that has them."""

    attributes: tuple[tuple[Any, int], ...]
    unserved: dict[Path, tuple[str, ...]]


def parse(top: Path, more: Sequence[Path] = ()) -> Parsed:
    """All of `top`, which is ours, and of `more` files, which are the administrator's.

    What is not served is an error in ours, and left out of theirs.  Raises ConfigurationError, FILE:LINE: what.
    """
    parsed = pyrad_dictionary.Dictionary()
    _read(parsed, top, {})
    if unusable := _unserved(parsed):
        raise ConfigurationError(
            *(f"{top}: {name}: neither its type nor its number is served" for name in unusable)
        )
    unserved = {file: _add(parsed, file) for file in more}
    attributes = tuple((each, parsed.vendors[each.vendor]) for each in parsed.attributes.values())
    return Parsed(attributes, unserved)


def _read(parsed: Any, file: Path, folders: dict[str, Path]) -> None:
    """`folders`: where the files are that it includes, by their names alone, which is all that pyrad says."""
    try:
        parsed.ReadDictionary(str(file))
    except pyrad_dictionary.ParseError as error:
        place = folders.get(error.file, file.parent) / error.file
        raise ConfigurationError(f"{place}:{error.line}: {error.msg}") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.filename}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: cannot be read: it, or a file that it includes, is not UTF-8") from None


def _unserved(parsed: Any) -> list[str]:
    attributes = parsed.attributes.values()
    return sorted(parsed.skipped_attributes | {each.name for each in attributes if not _usable(each)})


def _usable(attribute: Any) -> bool:
    kind = attribute.type in WIDTHS or attribute.type in FORMATS
    return kind and 0 < attribute.code < 256 and attribute.parent is None


# --- the administrator's ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Statement:
    """`place`: FILE:LINE."""

    place: str
    folder: Path
    file: str
    words: list[str]


def _add(parsed: Any, file: Path) -> tuple[str, ...]:
    """Read `file` into `parsed`; the names of what is not served, which is left out."""
    statements = _statements(file)
    known = {name.casefold(): _meaning(parsed, each) for name, each in parsed.attributes.items()}
    vendors = dict(parsed.vendors.forward)
    _refuse(_misspelt(statements))
    _read(parsed, file, {each.file: each.folder for each in statements})
    _refuse(_wrong_vendors(parsed, vendors, statements))
    unserved = tuple(_unserved(parsed))
    parsed.skipped_attributes.clear()
    for name in unserved:
        parsed.attributes.pop(name, None)
    _refuse(_wrong_attributes(parsed, known, statements, unserved))
    return unserved


def _statements(file: Path) -> list[_Statement]:
    """All that is in the file and in those that it includes."""
    found: list[_Statement] = []
    reader = None
    try:
        reader = dictfile.DictFile(str(file))
        found.extend(
            _Statement(_at(reader, file), Path(reader.stack[-1].dir), reader.File(), words)
            for line in reader
            if (words := line.partition("#")[0].split())
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


def _refuse(problems: Iterable[str]) -> None:
    if found := tuple(problems):
        raise ConfigurationError(*found)


def _misspelt(statements: Iterable[_Statement]) -> Iterator[str]:
    for each in statements:
        word = each.words[0].upper()
        if word == "BEGIN-TLV":
            yield f"{each.place}: attributes within attributes are not served; remove all up to END-TLV"
        elif word not in (*_STATEMENTS, "END-TLV"):
            near = difflib.get_close_matches(word, _STATEMENTS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"here can stand {', '.join(_STATEMENTS)}, $INCLUDE"
            yield f"{each.place}: unknown statement {each.words[0][:40]!r}; {hint}"


def _wrong_vendors(parsed: Any, known: dict[str, int], statements: Iterable[_Statement]) -> Iterator[str]:
    for each in _named("VENDOR", statements):
        name = each.words[1]
        number = parsed.vendors[name]
        if known.get(name, number) != number:
            yield f"{each.place}: vendor {name} is {known[name]} already; remove the line, or take another name"
        elif not 0 < number <= _LARGEST_VENDOR:
            yield f"{each.place}: the number of a vendor is from 1 to {_LARGEST_VENDOR} (RFC 2865 §5.26)"


def _wrong_attributes(
    parsed: Any,
    known: dict[str, tuple[int, int, str]],
    statements: Sequence[_Statement],
    unserved: Sequence[str],
) -> Iterator[str]:
    for each in _named("ATTRIBUTE", statements):
        name = each.words[1]
        before = known.get(name.casefold())
        if before is not None and (name in unserved or before != _meaning(parsed, parsed.attributes[name])):
            yield f"{each.place}: {name} is another attribute already; remove the line, or take another name"
    for each in _named("VALUE", statements):
        name = each.words[1]
        if name not in parsed.attributes and name not in unserved:
            near = difflib.get_close_matches(name, parsed.attributes, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{each.place}: a value of {name}, which is no attribute{hint}"


def _named(word: str, statements: Iterable[_Statement]) -> Iterator[_Statement]:
    return (each for each in statements if each.words[0].upper() == word)


def _meaning(parsed: Any, attribute: Any) -> tuple[int, int, str]:
    """Vendor, number and type."""
    return parsed.vendors[attribute.vendor], attribute.code, attribute.type
