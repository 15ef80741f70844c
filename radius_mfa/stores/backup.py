"""A backup: the whole store and the key file, in one sealed file, which is there once it was read back.

Logins go on meanwhile: what is in it is how the store was at one moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, LargeBinary, Table

from radius_mfa.core.errors import BackupError, KeyFileError
from radius_mfa.core.store import SealedRow
from radius_mfa.stores.backup_file import BATCH, BackupReader, BackupWriter, Head, Sink, TableHead
from radius_mfa.stores.key_file import KeyFile, read_key_file
from radius_mfa.stores.key_work import LASTING, PLACES
from radius_mfa.stores.naming import take_name
from radius_mfa.stores.seal import AeadSealer, check_opens
from radius_mfa.stores.whole import batches, tables_of, version_of

_PURPOSE_OF = {table: purpose for purpose, (table, _) in PLACES.items()}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds.  `rows`: how many, by table; `sealed`: how many secrets open under its keys.

    `closed`: those that do not, and never did, each named; `digest`: of all that it says.
    """

    head: Head
    rows: Mapping[str, int]
    sealed: int
    closed: Sequence[str]
    digest: bytes = field(repr=False)


# --- making one -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up, but for the store itself.  `product`: our version; `time`: wall seconds."""

    key_file: Path
    product: str
    time: float

    def keys(self) -> KeyFile:
        """Raises KeyFileError."""
        return read_key_file(self.key_file)


def write_store(connection: Connection, name: str, *, source: Source, keys: KeyFile, sink: Sink) -> bytes:
    """Write all that is there, and the keys; its digest.  The connection shows one moment.

    `name`: what an error calls the store; `keys`: those of before that moment.  Raises KeyFileError,
    StoreError and BackupError.
    """
    version = version_of(connection, name)
    if not version:
        raise BackupError(f"{name}: there is no store")
    tables = tables_of(connection)
    # Only now is it known what is in the store; a key that was in the file before and after it, was so then.
    _must_fit(connection, tables["key_check"], source, keys)
    writer = BackupWriter(sink, Head(source.product, version, source.time, keys))
    for table in tables.values():
        head = _head_of(table)
        writer.table(head)
        for rows in batches(connection, table, BATCH):
            writer.rows(head, rows)
    writer.close()
    return writer.digest


def _must_fit(connection: Connection, proofs: Table, source: Source, keys: KeyFile) -> None:
    rows = [row for some in batches(connection, proofs, BATCH) for row in some]
    if source.keys() != keys:
        raise BackupError(f"{source.key_file}: was changed just now; run it again")
    try:
        check_opens({bytes(key_id): bytes(proof) for key_id, proof in rows}, AeadSealer(keys))
    except KeyFileError as wrong:
        raise KeyFileError(f"{source.key_file}: {wrong}") from None


def _head_of(table: Table) -> TableHead:
    octets = frozenset(column.name for column in table.columns if isinstance(column.type, LargeBinary))
    return TableHead(table.name, tuple(column.name for column in table.columns), octets)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file for its owner alone, there under its name once all in here has worked; never in place of another.

    What is in here has to `settle` it and read it again.  Raises BackupError.
    """
    if os.path.isdir(path):
        raise BackupError(f"{path}: is a folder; name a file in it")
    if os.path.lexists(path):
        raise _there(path)
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w+b") as file:
                yield file
            take_name(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except FileExistsError:
        raise _there(path) from None
    except FileNotFoundError:
        raise BackupError(f"{path}: its folder does not exist") from None
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}; nothing was kept") from None


def settle(file: BinaryIO) -> None:
    """Bring it to the disk, from where it will be read the next time.  Raises OSError."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    file.seek(0)


def _there(path: Path) -> BackupError:
    return BackupError(f"{path}: is there already, and is not replaced")


# --- reading one ------------------------------------------------------------------------------------


def contents_of(pieces: Iterator[bytes], name: str) -> Contents:
    """Read all of it, and open every secret with the keys that are in it.  Raises BackupError."""
    reader = BackupReader(pieces, name)
    sealer = AeadSealer(reader.head.keys)
    sealed, closed = 0, list[str]()
    for table, rows in reader.batches():
        for secret in _secrets(table, rows):
            if sealer.open(secret.purpose, secret.octets, secret.user_id, secret.id) is not None:
                sealed += 1
            elif secret.purpose in LASTING:
                closed.append(f"{secret.purpose} {secret.id} of {secret.user_id}")
    return Contents(reader.head, reader.rows, sealed, closed, reader.digest)


def _secrets(table: TableHead, rows: Sequence[Sequence[Any]]) -> Iterator[SealedRow]:
    if table.name not in _PURPOSE_OF:
        return
    purpose = _PURPOSE_OF[table.name]
    places = [table.columns.index(column) for column in ("user_id", "id", PLACES[purpose][1])]
    for row in rows:
        user_id, row_id, octets = (row[place] for place in places)
        yield SealedRow(purpose, user_id, row_id, octets)
