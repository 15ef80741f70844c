"""Brings a store to the newest schema version, and refuses one from the future.

Usually there is nothing to do, and two queries find that out: alembic and SQLAlchemy, half a second
of imports, come in only when a version is missing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.sqlite_connection import store_errors

NEWEST = "0002"
SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring the store to the newest version; an empty one is made.  Blocks.  Raises StoreError.

    `connection` is in autocommit mode; `name` is what an error calls the store.
    """
    with store_errors(name):
        if not _is_current(connection, name):
            _upgrade(connection, name)


def look(path: Path) -> dict[bytes, bytes] | None:
    """The key proofs of the store in `path`, None for one of an older version; nothing is changed.

    Raises StoreError.
    """
    name = str(path)
    with store_errors(name), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        if not _is_current(connection, name):
            return None
        return dict(connection.execute("SELECT key_id, proof FROM key_check").fetchall())


def _is_current(connection: sqlite3.Connection, name: str) -> bool:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return False
    if "alembic_version" not in tables:
        raise StoreError(f"{name}: is a database of something else")
    (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    if version > NEWEST:
        raise StoreError(f"{name}: was made by a newer radius-mfa (schema {version}; this one knows {NEWEST})")
    return bool(version == NEWEST)


def _upgrade(connection: sqlite3.Connection, name: str) -> None:
    """Run the missing versions in one transaction: all of them or none."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as config.attributes["connection"]:
            connection.execute("BEGIN IMMEDIATE")
            # Looked at again under the lock: another process may have been quicker.
            if not _is_current(connection, name):
                command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        raise StoreError(f"{name}: cannot be brought to schema {NEWEST}: {error.orig}") from error
