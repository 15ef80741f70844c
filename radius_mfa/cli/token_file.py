"""Files of TOTP tokens: read a line at a time, so that what is wrong with one harms no other.

The first line says which kind it is:

- `otpauth://` addresses, one a line;
- CSV with `username`, `secret` and, where wanted, `label`, `digits`, `period`, `algorithm`; the secret is
  base32 or such an address;
- CSV with `SEALED`, as `token export` writes it.

A row is a line: no field has a line end in it, since a quote that nobody closes would swallow all that follows.
"""

from __future__ import annotations

import base64
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import BinaryIO

from radius_mfa.cli.common import is_one_line
from radius_mfa.cli.token_uri import (
    BadRowError,
    check_form,
    is_key_uri,
    read_key_uri,
    read_secret,
)
from radius_mfa.core import usernames

PLAIN = ("username", "secret", "label")
SEALED = ("user_id", "username", "label", "confirmed", "drift", "last_step", "id", "sealed")
YES, NO = "true", "false"
LONGEST_LABEL = 64  # characters
LONGEST_ID = 64  # octets, as of every id of a directory

_NEEDED = frozenset({"username", "secret"})
_OPTIONAL = frozenset({"label", "digits", "period", "algorithm"})
_LONGEST = 64 * 1024  # octets of a line
_USUAL = frozenset({10, 20})  # octets of a seed
_MOST_DRIFT = 240  # steps
_CUT = "the file ends within this row, it seems: complete it, or put a line end behind it"
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)


class NoTokenFileError(Exception):
    """Why nothing of the file can be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """A token that somebody else's server has had.  `username`: as it is written."""

    line: int
    username: str
    label: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A token that was exported here.  `said`: every field but `sealed`, which is sealed with them."""

    line: int
    user_id: str
    username: str
    label: str
    confirmed: bool
    drift: int
    last_step: int
    said: tuple[str, ...]
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is not imported.  `username`: whose it would be, "" where that cannot be told."""

    line: int
    text: str
    username: str = ""

    def __str__(self) -> str:
        return f"{self.username}: {self.text}" if self.username else self.text


Line = Row | ExportedRow | Problem
_Parse = Callable[[int, str], Row | ExportedRow | None]


@dataclass(frozen=True, slots=True)
class _Raw:
    """`octets`: without the line end, None where there are too many; `ended`: whether there was one."""

    number: int
    octets: bytes | None = field(repr=False)
    ended: bool


def read(file: BinaryIO) -> Iterator[Line]:
    """What each line comes to, but for empty ones.  Raises NoTokenFileError, about line 1."""
    lines = _lines(file)
    first = next(lines, _Raw(1, b"", True))
    try:
        text = _text(first)
    except BadRowError as bad:
        raise NoTokenFileError(str(bad)) from None
    if is_key_uri(text):
        yield from _read(chain([first], lines), _read_uri)
    else:
        columns = _columns(text)
        parse = partial(_read_sealed if "sealed" in columns else _read_row, columns)
        yield from _read(lines, parse, name_is_last=columns[-1] == "username")


def _read(lines: Iterator[_Raw], parse: _Parse, *, name_is_last: bool = False) -> Iterator[Line]:
    longest = 0
    for line in lines:
        try:
            row = parse(line.number, _text(line))
            if isinstance(row, Row):
                if not line.ended and (name_is_last or _is_cut(row.secret, longest)):
                    raise BadRowError(_CUT)
                longest = max(longest, len(row.secret))
        except BadRowError as bad:
            yield Problem(line.number, str(bad))
        else:
            if row is not None:
                yield row


def _is_cut(secret: bytes, longest: int) -> bool:
    """Whether it may be half a secret: shorter than others of the file, and of a length that is not usual."""
    return len(secret) < longest and len(secret) not in _USUAL


def _lines(file: BinaryIO) -> Iterator[_Raw]:
    number = 0
    while octets := file.readline(_LONGEST):
        number += 1
        part = octets
        while not part.endswith(b"\n") and (part := file.readline(_LONGEST)):
            octets = b""  # too long: read to its end, and kept no longer
        whole = octets.removeprefix(b"\xef\xbb\xbf") if number == 1 else octets
        kept = whole.removesuffix(b"\n").removesuffix(b"\r") if octets else None
        yield _Raw(number, kept, part.endswith(b"\n"))


def _text(line: _Raw) -> str:
    if line.octets is None:
        raise BadRowError(f"a line of more than {_LONGEST} octets")
    if 0 in line.octets:
        raise BadRowError("a NUL in it: the file is damaged, or not in UTF-8")
    try:
        return line.octets.decode()
    except UnicodeDecodeError:
        raise BadRowError("not in UTF-8") from None


# --- otpauth:// -----------------------------------------------------------------------------------


def _read_uri(number: int, text: str) -> Row | None:
    if not text.strip():
        return None
    uri = read_key_uri(text)
    return Row(number, _username(uri.account), _label(uri.issuer), uri.secret)


# --- CSV ------------------------------------------------------------------------------------------


def _columns(header: str) -> Sequence[str]:
    """What the fields of the rows below are.  Raises NoTokenFileError."""
    try:
        columns = [each.strip().casefold() for each in _fields(header)]
    except BadRowError:
        columns = []
    names = set(columns)
    if names == set(SEALED) and len(columns) == len(names):
        return columns
    if not names >= _NEEDED:
        raise NoTokenFileError("the first line must be username,secret")
    if names - _NEEDED - _OPTIONAL:
        may = ", ".join(sorted(_OPTIONAL))
        raise NoTokenFileError(f"a column that is not known: beside username and secret there may be {may}")
    if len(columns) != len(names):
        raise NoTokenFileError("a column that is there twice")
    return columns


def _read_row(columns: Sequence[str], number: int, text: str) -> Row | None:
    said = _named(columns, text)
    if said is None:
        return None
    username = _username(said["username"])
    check_form(said.get("digits", ""), said.get("period", ""), said.get("algorithm", ""))
    label, secret = _label(said.get("label", "")), said["secret"]
    if not is_key_uri(secret):
        return Row(number, username, label, read_secret(secret))
    uri = read_key_uri(secret)
    return Row(number, username, label or _label(uri.issuer), uri.secret)


def _read_sealed(columns: Sequence[str], number: int, text: str) -> ExportedRow | None:
    said = _named(columns, text)
    if said is None:
        return None
    user_id, token_id = said["user_id"], said["id"]
    if not 1 <= len(user_id.encode()) <= LONGEST_ID or not token_id or not is_one_line(user_id + token_id):
        raise BadRowError("no user_id or id, or none that can be read")
    if said["confirmed"] not in (YES, NO):
        raise BadRowError(f"confirmed: must be {YES} or {NO}")
    drift = _integer(said["drift"], "drift", -_MOST_DRIFT, _MOST_DRIFT)
    try:
        sealed = base64.b64decode(said["sealed"], validate=True)
    except ValueError:
        raise BadRowError("sealed: not base64") from None
    return ExportedRow(
        line=number,
        user_id=user_id,
        username=_username(said["username"]) if said["username"] else "",
        label=_label(said["label"]),
        confirmed=said["confirmed"] == YES,
        drift=drift,
        last_step=_integer(said["last_step"], "last_step", 0, 2**32),
        said=tuple(said[column] for column in SEALED[:-1]),
        sealed=sealed,
    )


def _named(columns: Sequence[str], text: str) -> dict[str, str] | None:
    """The fields of a row by their columns; None for an empty line."""
    if not text.strip():
        return None
    fields = _fields(text)
    if len(fields) != len(columns):
        raise BadRowError(f"{len(fields)} field{'' if len(fields) == 1 else 's'} instead of {len(columns)}")
    return dict(zip(columns, fields, strict=True))


def _fields(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise BadRowError("a quote that is not closed in its line") from None
        raise BadRowError("not a row of CSV") from None


# --- fields ---------------------------------------------------------------------------------------


def _username(text: str) -> str:
    name = usernames.read(text.encode())
    if name is None:
        raise BadRowError("no user name, or none that can be read")
    return name


def _label(text: str) -> str:
    if not is_one_line(text) or len(text) > LONGEST_LABEL:
        raise BadRowError(f"a label that is not one line of {LONGEST_LABEL} characters at most")
    return text.strip()


def _integer(text: str, what: str, least: int, most: int) -> int:
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or not least <= number <= most:
        raise BadRowError(f"{what}: not a number from {least} to {most}")
    return number
