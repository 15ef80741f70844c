"""Brings a store to the newest schema version, and refuses one from the future.

Usually there is nothing to do, and two queries find that out: alembic and SQLAlchemy, half a second
of imports, come in only when a version is missing.  What is asked of PostgreSQL is in `postgresql_migrate`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.sqlite_connection import store_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWEST = "0008"
SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
VERSION = f"SELECT version_num FROM {VERSION_TABLE}"


def is_current(name: str, tables: Collection[str], version: str) -> bool:
    """Whether no version is missing.  `tables`: what is there; `version`: what VERSION says, "" for nothing.

    Raises StoreError for a database of something else and for a store from the future.
    """
    if not tables:
        return False
    if VERSION_TABLE not in tables:
        raise StoreError(f"{name}: is a database of something else")
    if version > NEWEST:
        raise StoreError(f"{name}: was made by a newer radius-mfa (schema {version}; this one knows {NEWEST})")
    return version == NEWEST


def may_upgrade(name: str, version: str, *, upgrade: bool) -> None:
    """Raises StoreError where an older store is there, and it is not for us to bring it up to date.

    A server does that, since it stops other versions from being at the store meanwhile; what is made of
    nothing is in nobody's way.
    """
    if version and not upgrade:
        raise StoreError(
            f"{name}: is of an older version (schema {version}; this one has {NEWEST}): "
            "start the server once, `radius-mfa serve` brings it up to date"
        )


def run_missing(connection: Connection, to: str = "head") -> None:
    """Run the versions that are missing, up to that one, in the transaction that is open on the connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def failed(name: str, why: object) -> StoreError:
    """What is raised where the missing versions could not be run."""
    return StoreError(f"{name}: cannot be brought to schema {NEWEST}: {why}")


# --- SQLite -----------------------------------------------------------------------------------------


def migrate(connection: sqlite3.Connection, name: str, *, upgrade: bool) -> None:
    """Bring the store to the newest version; an empty one is made.  Blocks.  Raises StoreError.

    `connection` is in autocommit mode; `name` is what an error calls the store; `upgrade`: whether an older
    one may be brought up to date.
    """
    with store_errors(name):
        if not is_current(name, *_there(connection)):
            _upgrade(connection, name, upgrade)


def look(path: Path) -> dict[bytes, bytes] | None:
    """The key proofs of the store in `path`, None for one of an older version; nothing is changed.

    Raises StoreError.
    """
    name = str(path)
    with store_errors(name), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        if not is_current(name, *_there(connection)):
            return None
        return dict(connection.execute("SELECT key_id, proof FROM key_check").fetchall())


def _there(connection: sqlite3.Connection) -> tuple[set[str], str]:
    """The tables there are, and the version."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    row = connection.execute(VERSION).fetchone() if VERSION_TABLE in tables else None
    return tables, row[0] if row else ""


def _upgrade(connection: sqlite3.Connection, name: str, upgrade: bool) -> None:
    """Run the missing versions in one transaction: all of them or none."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as opened:
            connection.execute("BEGIN IMMEDIATE")
            # Looked at again under the lock: another process may have been quicker.
            tables, version = _there(connection)
            if not is_current(name, tables, version):
                may_upgrade(name, version, upgrade=upgrade)
                run_missing(opened)
            connection.commit()
    except DBAPIError as error:
        raise failed(name, error.orig) from error
