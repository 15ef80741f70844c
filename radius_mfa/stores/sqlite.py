"""The store on SQLite: one file for all processes of a machine, or in memory.

There are two connections.  What a login needs runs on the event loop, since each statement takes
microseconds; the loop is never kept waiting: a locked store is tried again after a pause, until the
deadline.  These commits are not synced (after a power cut, what was lost may be replayed for as
long as a code is good).  What must not be lost, and what takes its time, goes to the second
connection, which syncs and waits in a thread of its own; copying the write-ahead log back into the
file, which SQLite would do in the middle of some login's commit, is among that.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from radius_mfa.core.errors import StoreError
from radius_mfa.core.ports import Clock
from radius_mfa.stores.migrate import migrate
from radius_mfa.stores.sql_store import SqlStore
from radius_mfa.stores.sqlite_connection import (
    Held,
    connect,
    is_locked,
    name_of,
    path_of,
    run,
    store_errors,
    transaction,
)
from radius_mfa.stores.sqlite_together import LONGEST_PAUSE, Together
from radius_mfa.stores.work import Work

T = TypeVar("T")

_PATIENCE = 10.0  # seconds the thread waits for a lock
_CHECKPOINT_PATIENCE = 0.05  # seconds a checkpoint may wait, and others for it
_SYNC_TRIES = 20
# Some 17 MB of log.  At 256, about as many pages as SQLite's own 1000, a login costs 1.08 times as much: each time
# the file has to be synced, and whoever writes has to wait a moment.
_COMMITS_PER_CHECKPOINT = 1024


class SqliteStore(SqlStore):
    """`core.store.Store` on SQLite.  Opened after a fork, closed by whoever opened it."""

    def __init__(
        self, name: str, clock: Clock, hot: sqlite3.Connection, durable: sqlite3.Connection, held: Held
    ) -> None:
        self._name = name
        self._clock = clock
        self._hot = hot
        self._durable = durable
        # In memory there is one connection, nothing to sync and nobody to wait for.
        self._thread = None if durable is hot else ThreadPoolExecutor(1, thread_name_prefix="store")
        self._together = Together(hot, name, clock, self._count)
        self._commits = 0
        self._closed = False
        self._held = held

    @classmethod
    def open(cls, url: str, clock: Clock, *, upgrade: bool = False) -> SqliteStore:
        """The store at `url`, `sqlite:////path` or `sqlite://`, in the newest schema version.

        `upgrade`: bring an older one up to date, else it is refused.  Blocks: for opening, before the event
        loop serves.  Raises StoreError.
        """
        name = name_of(url)
        with ExitStack() as on_error, store_errors(name):
            hot = durable = connect(url, wait=_PATIENCE)
            on_error.callback(durable.close)
            held = Held(path_of(url), clock)
            migrate(durable, name, upgrade=upgrade)
            if path_of(url):
                hot = connect(url, wait=_PATIENCE)
                on_error.callback(hot.close)
                _prepare(durable, name, "FULL")
                _prepare(hot, name, "NORMAL")
                hot.execute("PRAGMA busy_timeout = 0")
                hot.execute("PRAGMA wal_autocheckpoint = 0")  # `_checkpoint` does it, in the thread
            on_error.pop_all()
        return cls(name, clock, hot, durable, held)

    def _in_time(
        self, work: Callable[[], Work[T]], alone: str | None, deadline: float, *, synced: bool = False
    ) -> Awaitable[T]:
        if synced:
            return self._by(deadline, self._durably(work, alone))
        self._held.must_be_there()
        return self._together.do(work, deadline, writes=alone is not None)

    async def _durably(self, work: Callable[[], Work[T]], alone: str | None) -> T:
        return await self._in_thread(partial(_do, self._durable, work, alone))

    async def _sync(self, deadline: float) -> None:
        await self._by(deadline, self._in_thread(partial(_sync, self._durable)))

    async def _pause(self) -> None:
        await asyncio.sleep(2 * LONGEST_PAUSE)  # longer than anybody's who waits for the lock

    async def _in_thread(self, do: Callable[[], T]) -> T:
        """What `do` returns, in the thread that may wait for locks and for the disk."""
        if self._closed:
            raise StoreError(f"{self._name}: is closed")
        self._held.must_be_there()
        with store_errors(self._name):
            if self._thread is None:
                return do()
            return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    async def _by(self, deadline: float, doing: Coroutine[Any, Any, T]) -> T:
        """For a login that cannot wait for ever; what is late may be done all the same."""
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                return await asyncio.shield(doing)
        except TimeoutError:
            raise StoreError(f"{self._name}: could not be written in time") from None

    def _count(self, committed: int) -> None:
        self._commits += committed
        if self._thread and not self._closed and self._commits >= _COMMITS_PER_CHECKPOINT:
            self._commits = 0
            self._thread.submit(_checkpoint, self._durable)

    async def close(self) -> None:
        """Finish what the thread has begun, and let go of the file.  A second time is nothing."""
        if self._closed:
            return
        self._closed = True
        self._hot.close()
        if self._thread:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._durable.close)
            self._thread.shutdown()


def _do(connection: sqlite3.Connection, work: Callable[[], Work[T]], alone: str | None) -> T:
    """Do the work, in a transaction unless it only reads."""
    cursor = connection.cursor()
    if alone is None:
        return run(cursor, work())
    with transaction(cursor):
        return run(cursor, work())


def _prepare(connection: sqlite3.Connection, name: str, synchronous: str) -> None:
    if _to_wal(connection) != "wal":
        raise StoreError(f"{name}: its file system cannot keep a write-ahead log; use a local disk")
    connection.execute(f"PRAGMA synchronous = {synchronous}")


def _to_wal(connection: sqlite3.Connection) -> str:
    """The mode there is then.  Of several who open a new file SQLite has none wait here, whatever the timeout."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.Error as error:
            if not is_locked(error) or time.monotonic() >= end:
                raise
            time.sleep(LONGEST_PAUSE)
        else:
            return mode


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Copy the log back into the file: most of it beside the writers, then the rest, and begin it anew.

    Hardly waits for a reader that is in the way, because writers would have to wait with it.  What
    cannot be done now is done the next time.
    """
    _load_schema(connection)
    connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_PATIENCE * 1000:.0f}")
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000:.0f}")


def _sync(connection: sqlite3.Connection) -> None:
    """Bring the log to the disk, whoever wrote it: that is what copying it back begins with.

    What a reader is in the way of is not copied, and may not be synced either: then a commit does it.
    """
    _load_schema(connection)
    for _ in range(_SYNC_TRIES):
        (busy, frames, copied) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if not busy:
            break
        time.sleep(LONGEST_PAUSE)  # another process is at it, and may have begun before
    if busy or copied < frames:
        with transaction(connection.cursor()):
            connection.execute("PRAGMA user_version = 0")  # as it is; written all the same


def _load_schema(connection: sqlite3.Connection) -> None:
    """Where it was not read yet, a checkpoint would begin to, and then find the database in use by itself."""
    connection.execute("SELECT 1 FROM sqlite_master").fetchall()
