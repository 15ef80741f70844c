"""A store as a whole, through SQLAlchemy: read as it was at one moment while others write, or made in one go.

For backups.  What is asked of PostgreSQL is in `postgresql_whole`.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, MetaData, Table, create_engine, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.migrate import VERSION, VERSION_TABLE, is_current
from radius_mfa.stores.schema import metadata
from radius_mfa.stores.sqlite_connection import connect, store_errors

T = TypeVar("T")
Do = Callable[[Connection, str], T]  # the second is what an error calls the store

_PATIENCE = 10.0  # seconds for a lock
_FORMER = frozenset({"message_authenticator_seen"})  # tables that versions before the newest had
_OURS = _FORMER | metadata.tables.keys()


def in_sqlite(path: Path, do: Do[T], *, writes: bool) -> T:
    """What `do` returns, in a transaction; a file that is not there is made where it `writes`.

    Blocks.  Raises StoreError, and what `do` raises: then nothing has changed.
    """
    is_new = not _is_there(path)
    if is_new and not writes:
        raise StoreError(f"{path}: there is no store")
    try:
        return _in_sqlite(path, do, writes)
    except BaseException:
        if is_new:
            _remove_empty(path)
        raise


def _in_sqlite(path: Path, do: Do[T], writes: bool) -> T:
    with store_errors(str(path)), closing(connect(f"sqlite:///{path}", wait=_PATIENCE)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        try:
            with engine.connect() as connection:
                raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                done = do(connection, str(path))
                raw.commit()
                return done
        except DBAPIError as error:
            raise StoreError(f"{path}: {error.orig}") from None


def _is_there(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None


def _remove_empty(path: Path) -> None:
    """What `connect` has made, and nothing came of."""
    with suppress(OSError):
        if not path.lstat().st_size:
            path.unlink()


def version_of(connection: Connection, name: str) -> str:
    """The schema version of the store there, "" where nothing is.  Raises StoreError."""
    tables = inspect(connection).get_table_names()
    version = connection.exec_driver_sql(VERSION).scalar() if VERSION_TABLE in tables else None
    is_current(name, tables, version or "")
    return version or ""


def tables_of(connection: Connection) -> dict[str, Table]:
    """The store's own tables, as they are there, by name."""
    found = inspect(connection)
    return {
        name: Table(name, MetaData(), *(Column(each["name"], each["type"]) for each in found.get_columns(name)))
        for name in sorted(_OURS.intersection(found.get_table_names()))
    }


def batches(connection: Connection, table: Table, most: int) -> Iterator[list[Any]]:
    """All rows, some at a time, in no order."""
    streamed = connection.execute(select(table), execution_options={"yield_per": most})
    for some in streamed.partitions():
        yield [tuple(row) for row in some]


def insert(connection: Connection, table: Table, rows: list[Mapping[str, Any]]) -> None:
    connection.execute(table.insert(), rows)


def count_on(connection: Connection) -> None:
    """Let PostgreSQL number new rows after those that brought their numbers; SQLite does so by itself."""
    if connection.dialect.name != "postgresql":
        return
    for name in tables_of(connection):
        for column in inspect(connection).get_columns(name):
            if "nextval" in str(column["default"]):
                counted = f"pg_get_serial_sequence('{name}', '{column['name']}')"
                connection.exec_driver_sql(f"SELECT setval({counted}, max({column['name']})) FROM {name}")
