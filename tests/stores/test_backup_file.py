"""What a backup says, line by line, and what is none."""

from __future__ import annotations

import json
import math
import tracemalloc
import zlib
from typing import Any

import pytest

from radius_mfa.core.errors import BackupError
from radius_mfa.stores.backup_file import BackupReader, BackupWriter, Head, TableHead
from radius_mfa.stores.key_file import KeyFile

HEAD = Head("1.2.3", "0008", 1_790_000_000.25, KeyFile.new())
TABLE = TableHead("table", ("name", "octets", "number"), frozenset({"octets"}))
ROWS = [
    ("a\nb", b"\x00\xff", 1.5),
    ("日本", None, -math.inf),
    ("", b"", True),
    ("\x00\u2028", bytes(range(256)), None),
]
SAID: dict[str, Any] = {"product": "1", "schema": "0008", "time": 1, "keys": HEAD.keys.text()}
NAMED = {"table": "t", "columns": ["a", "b"], "octets": ["b"]}
STRANGE = "^there: was not made by this radius-mfa: it says what nobody understands$"


def written(*lines: object, compress: bool = True, after: bytes = b"") -> bytes:
    """Whatever somebody says who knows the passphrase."""
    octets = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    return (zlib.compress(octets) if compress else octets) + after


def reader_of(octets: bytes, cut: int = 65536) -> BackupReader:
    return BackupReader((octets[at : at + cut] for at in range(0, len(octets), cut)), "there")


def read(octets: bytes) -> None:
    for _ in reader_of(octets).batches():
        pass


class Whole(list[bytes]):
    """What was written, once it is closed."""

    write = list[bytes].append
    octets = b""

    def close(self) -> None:
        self.octets = b"".join(self)


def test_what_is_written_is_read_whatever_the_values_are() -> None:
    sink = Whole()
    writer = BackupWriter(sink, HEAD)
    writer.table(TABLE)
    writer.rows(TABLE, ROWS)
    many = [(str(number), None, number) for number in range(1200)]
    writer.rows(TABLE, many)
    writer.table(TableHead("empty", ("a",), frozenset()))
    writer.close()

    reader = reader_of(sink.octets, 7)
    assert reader.head == HEAD
    said = list(reader.batches())
    assert [(table.name, len(rows)) for table, rows in said] == [
        ("table", 0),
        ("table", 500),
        ("table", 500),
        ("table", 204),
        ("empty", 0),
    ]
    assert [tuple(row) for table, rows in said for row in rows] == [*ROWS, *many]
    assert {table for table, _ in said} == {TABLE, TableHead("empty", ("a",), frozenset())}
    assert reader.rows == {"table": 1204, "empty": 0}
    assert reader.digest == writer.digest
    assert HEAD.keys.primary.secret.hex() not in repr(HEAD)


@pytest.mark.parametrize(
    "octets",
    [
        written(b""),
        written(b"not compressed", compress=False),
        written(b"{}\n"),
        written(SAID),
        written({**SAID, "time": "noon"}, {"rows": {}}),
        written({**SAID, "keys": 7}, {"rows": {}}),
        written(SAID, {"rows": {}}, {"rows": {}}),
        written(SAID, {"rows": {}}, after=b"x"),
        written(SAID, b'{"rows": {}}'),
        written(SAID, NAMED, ["a", None]),
        written(SAID, NAMED, ["a", None], {"rows": {"t": 2}}),
        written(SAID, NAMED, ["a"], {"rows": {"t": 1}}),
        written(SAID, NAMED, ["a", "not base64"], {"rows": {"t": 1}}),
        written(SAID, NAMED, ["a", 7], {"rows": {"t": 1}}),
        written(SAID, NAMED, NAMED, {"rows": {"t": 0}}),
        written(SAID, ["a", None], {"rows": {}}),
    ],
)
def test_what_says_something_else_is_refused(octets: bytes) -> None:
    with pytest.raises(BackupError, match=STRANGE):
        read(octets)


def test_a_key_file_that_is_none_is_refused_without_what_it_says() -> None:
    with pytest.raises(BackupError, match=r"^there: its key file:1: not a key; [^\n]*$") as refused:
        read(written({**SAID, "keys": "7e4ced54 primary hunter2\n"}, {"rows": {}}))
    assert "hunter2" not in str(refused.value)


def test_a_line_without_an_end_is_not_read_into_memory() -> None:
    """A hundred megabytes of nothing are a hundred kilobytes when they are compressed."""
    bomb = written(b"[" + bytes(100_000_000))
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(BackupError, match=STRANGE):
            read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
