"""A store as a whole, on either engine: as it was at one moment, or all or nothing."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.migrate import NEWEST
from radius_mfa.stores.postgresql_whole import in_postgresql
from radius_mfa.stores.whole import in_sqlite, version_of
from tests.peers.postgresql import shared
from tests.stores.backups import as_a_whole
from tests.stores.schemas import NOTHING, bring_to, opening
from tests.stores.support import TOP, asked
from tests.stores.test_migrate import counters, write

COUNT = "SELECT count(*) FROM user_counters"
WRITE = "INSERT INTO user_counters (user_id, created) VALUES ('u-meanwhile', 1)"


def writing_meanwhile(url: str) -> Callable[[], None]:
    """What writes a row, as a server does."""
    if url.startswith("sqlite"):

        def write_there() -> None:
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0)) as there, there:
                there.execute(WRITE)

        return write_there
    database = url.rpartition("/")[2].partition("?")[0]
    return lambda: [None for _ in shared().execute(WRITE, database)].clear()


@pytest.mark.parametrize("engine", NOTHING)
def test_all_is_read_as_it_was_at_one_moment_and_nobody_has_to_wait(engine: str, tmp_path: Path) -> None:
    url = NOTHING[engine](tmp_path)
    with asked(opening(url, upgrade=True)):  # which lets SQLite's readers and writers be
        pass
    write(url, counters("alice"))
    meanwhile = writing_meanwhile(url)

    def read(there: Connection, name: str) -> list[int | None]:
        assert version_of(there, name) == NEWEST
        seen = [there.exec_driver_sql(COUNT).scalar()]
        meanwhile()
        return [*seen, there.exec_driver_sql(COUNT).scalar()]

    assert as_a_whole(url, read, writes=False) == [1, 1]
    assert as_a_whole(url, lambda there, _: there.exec_driver_sql(COUNT).scalar(), writes=False) == 2


@pytest.mark.parametrize("engine", NOTHING)
def test_what_fails_has_not_happened_and_is_one_line_without_what_was_written(engine: str, tmp_path: Path) -> None:
    url = NOTHING[engine](tmp_path)

    def fail(there: Connection, _: str) -> None:
        there.exec_driver_sql("CREATE TABLE secrets (name TEXT PRIMARY KEY)")
        for _again in range(2):
            there.exec_driver_sql("INSERT INTO secrets VALUES ('hunter2')")

    with pytest.raises(StoreError) as refused:
        as_a_whole(url, fail, writes=True)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert as_a_whole(url, lambda there, _: inspect(there).get_table_names(), writes=True) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from radius_mfa.stores.whole import in_sqlite
def die(there, _):
    there.exec_driver_sql("PRAGMA cache_size = 4")  # so that much of it is in the file by then
    there.exec_driver_sql("CREATE TABLE half (text)")
    for _ in range(100):
        there.exec_driver_sql("INSERT INTO half VALUES (zeroblob(4000))")
    os.kill(os.getpid(), signal.SIGKILL)
in_sqlite(Path(sys.argv[1]), die, writes=True)
"""


def test_of_one_that_is_killed_nothing_is_left_to_be_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    killed = subprocess.run([sys.executable, "-c", KILLED, path], cwd=TOP, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert path.stat().st_size > 100_000
    assert in_sqlite(path, lambda there, _: inspect(there).get_table_names(), writes=True) == []


def test_where_nothing_is_only_a_writer_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with pytest.raises(StoreError, match=f"^{path}: there is no store$"):
        in_sqlite(path, version_of, writes=False)
    with pytest.raises(StoreError, match=r": no such table: nowhere$"):
        in_sqlite(path, lambda there, _: there.exec_driver_sql("SELECT * FROM nowhere"), writes=True)
    assert list(tmp_path.iterdir()) == []
    assert in_sqlite(path, version_of, writes=True) == ""
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_database_that_could_not_hold_every_text_gets_nothing() -> None:
    server = shared()
    server.execute(f"CREATE DATABASE latin OWNER {server.role} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreError, match=r": is a database of encoding LATIN1; it has to be UTF8$"):
        asyncio.run(in_postgresql(server.url("latin"), None, version_of, writes=True))


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    url = shared().url("nowhere", password="hunter2")
    with pytest.raises(StoreError, match=r"^postgresql://127\.0\.0\.1:[0-9]+/nowhere: [^\n]*$") as refused:
        asyncio.run(in_postgresql(url, None, version_of, writes=False))
    assert "hunter2" not in str(refused.value)
    bring_to(f"sqlite:///{tmp_path}/x.db", NEWEST)
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"/x\.db: file is not a database$"):
        in_sqlite(tmp_path / "x.db", version_of, writes=False)
