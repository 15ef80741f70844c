"""Backups without their seal, which takes its time: what is said, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, inspect

from radius_mfa.stores.backup import Contents, Source, contents_of, write_store
from radius_mfa.stores.key_file import KeyFile, create_key_file
from radius_mfa.stores.postgresql_whole import in_postgresql
from radius_mfa.stores.restore import Rules, fill
from radius_mfa.stores.seal import AeadSealer, proof_of
from radius_mfa.stores.whole import Do, batches, in_sqlite, tables_of
from tests.adapters import NOON
from tests.stores.schemas import through

T = TypeVar("T")

KEYS = KeyFile.new()
SEALER = AeadSealer(KEYS)
STEP = int(NOON // 30) + 2
AHEAD = 10  # steps that a device may have been found to be ahead since
PROOF = ("key_check", {"key_id": KEYS.primary.id, "proof": proof_of(KEYS.primary)})


class Said(list[bytes]):
    """A backup."""

    write = list[bytes].append

    def close(self) -> None:
        """It is whole."""

    def pieces(self) -> Iterator[bytes]:
        return iter(self)

    def contents(self) -> Contents:
        return contents_of(self.pieces(), "there")


def backed_up(url: str, folder: Path) -> Said:
    """What a backup of the store at `url` says; its key file is made in `folder`."""
    key = folder / "key"
    if not key.exists():
        create_key_file(key, KEYS)
    said = Said()
    source = Source(key, "1.2.3", NOON)
    as_a_whole(url, partial(write_store, source=source, keys=KEYS, sink=said), writes=False)
    return said


def restored(
    said: Said, url: str, *, keep_recovery_codes: bool = False, contents: Contents | None = None
) -> dict[str, int]:
    """Make it the store at `url`, the day after; how much was ended.  `contents`: what it was taken to hold."""
    rules = Rules(NOON + 86400, STEP + 2880, AHEAD, keep_recovery_codes)
    filling = partial(fill, pieces=said.pieces(), contents=contents or said.contents(), rules=rules)
    return dict(as_a_whole(url, filling, writes=True))


def as_a_whole(url: str, do: Do[T], *, writes: bool) -> T:
    """As `whole` does it.  To be asked outside any event loop."""
    if url.startswith("sqlite"):
        return in_sqlite(Path(url.removeprefix("sqlite:///")), do, writes=writes)
    return asyncio.run(in_postgresql(url, None, do, writes=writes))


def rows_at(url: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a store, by table, in an order of their own."""

    def read(there: Connection) -> dict[str, list[dict[str, Any]]]:
        return {
            name: sorted(
                (
                    dict(zip(table.columns.keys(), row, strict=True))
                    for some in batches(there, table, 100)
                    for row in some
                ),
                key=repr,
            )
            for name, table in tables_of(there).items()
        }

    return through(url, read)


def table_names(url: str) -> list[str]:
    return through(url, lambda there: inspect(there).get_table_names())
