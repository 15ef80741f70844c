"""`radius-mfa token`."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import config_option, load_configuration, look_up, refuse, run

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.core.enrolment import Seed

_HEADER = ["username", "secret"]
_AT_ONCE = 500  # rows a transaction
_LOOKUPS = 32  # names looked up at the same time
_PATIENCE = 30.0  # seconds a look-up may take


_Problem = tuple[int, str]
"""The line of a row that is not imported, and why."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    username: str
    secret: bytes = field(repr=False)


@click.group(no_args_is_help=False)
@config_option
def token() -> None:
    """TOTP tokens in bulk."""


@token.command("import")
@config_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Take the names for directory ids; look nothing up.")
def import_(file: Path, offline: bool) -> None:
    """Import TOTP tokens from FILE: CSV with the header `username,secret`, the secret in base32.

    They are taken as confirmed.  A bad row is named by its line and the good ones are kept; then
    the exit status is 1.
    """
    run(_import(file, offline))


async def _import(file: Path, offline: bool) -> None:
    from radius_mfa.assembly.backends import opened

    problems: list[_Problem] = []
    added = 0
    async with opened(load_configuration()) as backends:
        rows = list(_read(file, problems))
        with click.progressbar(length=len(rows), label="importing", hidden=not rows) as bar:
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                added += await _add(backends, some, offline, problems)
                bar.update(len(some))
    for line, text in sorted(problems):
        click.echo(f"{file}:{line}: {text}", err=True)
    click.echo(f"{added} imported, {len(problems)} refused")
    if problems:
        refuse(f"{file}: {len(problems)} rows were not imported, see above")


def _read(file: Path, problems: list[_Problem]) -> Iterator[_Row]:
    """The good rows of the file; what is wrong with the others goes to `problems`, never a secret with it."""
    from radius_mfa.core import usernames
    from radius_mfa.factors.totp import read_base32

    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            if next(reader, None) != _HEADER:
                refuse(f"{file}:1: the first line must be {','.join(_HEADER)}")
            for row in reader:
                if not row:
                    continue
                if len(row) != len(_HEADER):
                    problems.append((reader.line_num, f"{len(row)} fields instead of {len(_HEADER)}"))
                elif (username := usernames.read(row[0].encode())) is None:
                    problems.append((reader.line_num, "no user name, or none that can be read"))
                elif (secret := read_base32(row[1])) is None:
                    problems.append((reader.line_num, "the secret is not base32 of 80 bits or more"))
                else:
                    yield _Row(reader.line_num, username, secret)
    except (OSError, UnicodeDecodeError, csv.Error) as broken:
        reason = broken.strerror if isinstance(broken, OSError) else "not a CSV file in UTF-8"
        refuse(f"{file}: {reason}")


async def _add(backends: Backends, rows: list[_Row], offline: bool, problems: list[_Problem]) -> int:
    """Look the names up, add the tokens in one transaction; how many were new."""
    looking = asyncio.Semaphore(_LOOKUPS)

    async def seed_of(row: _Row) -> Seed | str:
        from radius_mfa.core.enrolment import Seed
        from radius_mfa.core.errors import DirectoryError
        from radius_mfa.core.messages import User

        if offline:
            return Seed(row.username, "", row.secret)
        async with looking:
            try:
                found = await look_up(backends.directory, row.username, backends.soon(_PATIENCE))
            except DirectoryError as broken:
                return str(broken)
        if isinstance(found, User):
            return Seed(found.id, found.username, row.secret)
        return found.value.replace("_", " ")

    found = await asyncio.gather(*(seed_of(row) for row in rows))
    good = [(row, seed) for row, seed in zip(rows, found, strict=True) if not isinstance(seed, str)]
    for row, reason in zip(rows, found, strict=True):
        if isinstance(reason, str):
            problems.append((row.line, f"{row.username}: {reason}"))
    added = await backends.enrolment.add([seed for _, seed in good], confirmed=True)
    for (row, _), new in zip(good, added, strict=True):
        if not new:
            problems.append((row.line, f"{row.username}: has this secret already"))
    return sum(added)
