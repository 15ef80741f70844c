"""What a backup says: lines of JSON, compressed; sealing them is the business of `backup_seal`.

    {"product", "schema", "time", "keys"}      who made it when, of a store of which version; the key file
    {"table", "columns", "octets"}             for each table: the names of its columns, and which hold octets
    [value, ...]                               for each row; octets in base64
    {"rows": {table: number}}                  the end

Nothing of it depends on the engine the store was on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from radius_mfa.core.errors import BackupError, KeyFileError
from radius_mfa.stores.key_file import KeyFile, parse_key_file

BATCH = 500  # rows at a time

_PIECE = 65536  # octets
_LEVEL = 3  # of compression: what comes after takes a third longer and saves a twentieth
_LONGEST = 1 << 20  # octets of a line: no row is anywhere near
_DIGEST = 32  # octets

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What was backed up when.  `product`: the version of radius-mfa; `time`: wall seconds."""

    product: str
    schema: str
    time: float
    keys: KeyFile = field(repr=False)


@dataclass(frozen=True, slots=True)
class TableHead:
    """A table: the names of its columns, and of those that hold octets."""

    name: str
    columns: tuple[str, ...]
    binary: frozenset[str]


class Sink(Protocol):
    """Where a backup is written to; `close` makes it whole."""

    def write(self, some: bytes) -> None: ...

    def close(self) -> None: ...


class BackupWriter:
    """Writes a backup, line by line.  `digest`: of all that was said so far."""

    def __init__(self, sink: Sink, head: Head) -> None:
        self._sink = sink
        self._compressed = zlib.compressobj(_LEVEL)
        self._said = hashlib.blake2b(digest_size=_DIGEST)
        self._rows: dict[str, int] = {}
        self._say({"product": head.product, "schema": head.schema, "time": head.time, "keys": head.keys.text()})

    @property
    def digest(self) -> bytes:
        return self._said.digest()

    def table(self, head: TableHead) -> None:
        """The rows that follow are of this table."""
        self._say({"table": head.name, "columns": head.columns, "octets": sorted(head.binary)})
        self._rows[head.name] = 0

    def rows(self, of: TableHead, rows: Sequence[Sequence[Any]]) -> None:
        places = [place for place, column in enumerate(of.columns) if column in of.binary]
        for row in rows:
            said = list(row)
            for place in places:
                if said[place] is not None:
                    said[place] = base64.b64encode(said[place]).decode()
            self._say(said)
        self._rows[of.name] += len(rows)

    def close(self) -> None:
        """The end: without it a backup is none."""
        self._say({"rows": self._rows})
        self._sink.write(self._compressed.flush())
        self._sink.close()

    def _say(self, what: object) -> None:
        line = json.dumps(what, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._said.update(line)
        self._sink.write(self._compressed.compress(line))


class BackupReader:
    """Reads a backup.  `head` is there at once; `rows`, how many there were by table, and `digest` grow.

    Raises BackupError, from everything.
    """

    def __init__(self, pieces: Iterator[bytes], name: str) -> None:
        """`pieces`: what was written, however cut; `name`: what an error calls the backup."""
        self.rows: dict[str, int] = {}
        self._name = name
        self._said = hashlib.blake2b(digest_size=_DIGEST)
        self._lines = self._split(pieces)
        self.head = self._head(self._next())

    @property
    def digest(self) -> bytes:
        return self._said.digest()

    def batches(self) -> Iterator[tuple[TableHead, list[Row]]]:
        """Some rows of a table at a time; none at all for each table, before the first."""
        said = self._next()
        while isinstance(said, dict) and "table" in said:
            table = self._table(said)
            yield table, []
            rows: list[Row] = []
            while isinstance(said := self._next(), list):
                rows.append(self._row(table, said))
                if len(rows) == BATCH:
                    yield table, self._counted(table, rows)
                    rows = []
            if rows:
                yield table, self._counted(table, rows)
        if said != {"rows": self.rows} or next(self._lines, None) is not None:
            raise self._strange()

    def _counted(self, table: TableHead, rows: list[Row]) -> list[Row]:
        self.rows[table.name] += len(rows)
        return rows

    def _head(self, said: Any) -> Head:
        match said:
            case {
                "product": str(product),
                "schema": str(schema),
                "time": int() | float() as time,
                "keys": str(keys),
            }:
                try:
                    return Head(product, schema, time, parse_key_file(keys, f"{self._name}: its key file"))
                except KeyFileError as wrong:
                    raise BackupError(str(wrong)) from None
        raise self._strange()

    def _table(self, said: Mapping[str, Any]) -> TableHead:
        match said:
            case {"table": str(name), "columns": [*columns], "octets": [*octets]} if name not in self.rows:
                self.rows[name] = 0
                return TableHead(name, tuple(map(str, columns)), frozenset(map(str, octets)))
        raise self._strange()

    def _row(self, table: TableHead, said: list[Any]) -> Row:
        if len(said) != len(table.columns):
            raise self._strange()
        try:
            for place, column in enumerate(table.columns):
                if column in table.binary and said[place] is not None:
                    said[place] = base64.b64decode(said[place], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise self._strange() from None
        return said

    def _next(self) -> Any:
        line = next(self._lines, b"")
        self._said.update(line)
        try:
            return json.loads(line)
        except ValueError:
            raise self._strange() from None

    def _split(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Lines, with their ends; whatever the pieces grow to is never in memory as a whole."""
        held = b""
        for some in self._grown(pieces):
            *lines, held = (held + some).split(b"\n")
            yield from (line + b"\n" for line in lines)
            if len(held) > _LONGEST:
                raise self._strange()
        if held:
            raise self._strange()

    def _grown(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        grower = zlib.decompressobj()
        try:
            for piece in pieces:
                while piece:
                    yield grower.decompress(piece, _PIECE)
                    piece = grower.unconsumed_tail
            yield grower.flush()
        except zlib.error:
            raise self._strange() from None
        if not grower.eof or grower.unused_data:
            raise self._strange()

    def _strange(self) -> BackupError:
        return BackupError(f"{self._name}: was not made by this radius-mfa: it says what nobody understands")
