"""Opening a SQLite store, its transactions, and its errors in our words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from radius_mfa.core.errors import StoreError
from radius_mfa.core.ports import Clock
from radius_mfa.stores.ownership import give_to_owner_of_folder, mode_of_new
from radius_mfa.stores.work import Chain, Rows, Statement, Work

T = TypeVar("T")

MEMORY = "sqlite://"
_FILE = "sqlite:///"  # and then an absolute path, so four slashes in all

_LOOK_EVERY = 1.0  # seconds
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY = 0xFF  # an extended result code has the primary one in its low octet


def path_of(url: str) -> Path | None:
    """The file a `sqlite:` URL names, None for a store in memory.  Raises StoreError."""
    if url == MEMORY:
        return None
    path = Path(url.removeprefix(_FILE))
    if not url.startswith(_FILE) or not path.is_absolute():
        raise StoreError(f"{url}: a SQLite store is sqlite:////path/of/the/file, with four slashes, or sqlite://")
    return path


def name_of(url: str) -> str:
    """What an error calls the store."""
    return str(path_of(url) or url)


def connect(url: str, *, wait: float) -> sqlite3.Connection:
    """A connection in autocommit mode that blocks its thread for up to `wait` seconds on a lock.

    A file that does not exist is made, for its owner alone, or in a shared folder for its group; SQLite gives the
    files beside it the same mode.
    May be used from any one thread at a time.  Raises StoreError.
    """
    path = path_of(url)
    if path is None:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make_or_look(path)
    with store_errors(str(path)):
        connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
        ((_, _, opened),) = connection.execute("PRAGMA database_list").fetchall()
    # Nothing was read or written yet; SQLite has followed a link that came in the meantime.
    if os.path.realpath(opened) != os.path.join(os.path.realpath(path.parent), path.name):
        connection.close()
        raise _is_link(path)
    return connection


def _make_or_look(path: Path) -> None:
    """Make a file that does not exist, and see whether one that does is a file of ours.  Raises StoreError.

    A link is none: whoever may write in the folder could have root write elsewhere.
    """
    try:
        # One that exists is left to SQLite: to open and close it here would drop every lock this process
        # has on it (POSIX advisory locks), and the next process to leave would take the log away from under us.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner_of_folder(descriptor, path)
            os.fchmod(descriptor, mode_of_new(path, 0o600))
        finally:
            os.close(descriptor)
    except FileExistsError:
        if path.is_symlink():
            raise _is_link(path) from None
        if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
            raise StoreError(f"{path}: is not a file that can be read and written") from None
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StoreError(f"{path}: SQLite needs files beside it, and its folder cannot be written") from None
    except FileNotFoundError:
        raise StoreError(f"{path}: its folder does not exist") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None


def _is_link(path: Path) -> StoreError:
    return StoreError(f"{path}: is a symbolic link; write the path that it leads to")


class Held:
    """The file that is open, of which it is known whether its path still leads to it.

    One that was moved away could be restored in its place, and codes would work at both.  `path`: None in memory.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._file = self._seen()
        self._looked = clock.monotonic()
        if path is not None and self._file is None:  # or nothing there would be as it was for ever
            raise self._was_moved()
        self._is_there = True

    def must_be_there(self) -> None:
        """Looks once a second.  Raises StoreError."""
        if self._path is None:
            return
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._is_there = self._seen() == self._file
        if not self._is_there:
            raise self._was_moved()

    def _was_moved(self) -> StoreError:
        return StoreError(f"{self._path}: was moved or deleted while it is open; restart whoever has it open")

    def _seen(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


@contextmanager
def transaction(cursor: sqlite3.Cursor, *, writes: bool = True) -> Iterator[None]:
    """All or nothing, alone: the write lock is taken at once, so nothing read here can have changed.

    Where nothing `writes` nobody is waited for, and all is read as it was at one time.
    """
    cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
        cursor.execute("COMMIT")
    finally:
        if cursor.connection.in_transaction:
            cursor.execute("ROLLBACK")


@contextmanager
def store_errors(name: str) -> Iterator[None]:
    """Whatever SQLite raises in here is a StoreError of one line."""
    try:
        yield
    except sqlite3.Error as error:
        raise broken(name, error) from error


def broken(name: str, error: sqlite3.Error) -> StoreError:
    """The StoreError for an error of SQLite, whose texts name tables and columns but never a value."""
    return StoreError(f"{name}: {error}")


def is_locked(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the lock, so that trying again may help."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _BUSY


def run(cursor: sqlite3.Cursor, work: Work[T]) -> T:
    """Give each statement its rows; a transaction has the only lock there is, so nobody is alone otherwise."""
    send = work.send
    try:
        statement, parameters = next(work)
        while True:
            statement, parameters = send(rows(cursor, statement, parameters))
    except StopIteration as done:
        result: T = done.value
        return result


def rows(cursor: sqlite3.Cursor, statement: Statement | Chain, parameters: tuple[Any, ...]) -> Rows:
    """Those of the statement, or one for each of the chain's that was done."""
    if isinstance(statement, Statement):
        return cursor.execute(statement.sqlite, parameters).fetchall()
    done = []
    for text, own in statement.sqlite:
        if cursor.execute(text, parameters[own]).rowcount < 1:
            break
        done.append((1,))
    return done
