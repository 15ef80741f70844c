"""Databases of either engine through SQLAlchemy: what is in them, and as older servers have left them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from radius_mfa.stores.migrate import SCRIPTS
from radius_mfa.stores.postgresql import PostgresqlStore
from radius_mfa.stores.sqlite import SqliteStore
from tests.peers.postgresql import shared
from tests.stores.support import Opened

T = TypeVar("T")

# An empty database of each engine; `folder` is the test's own.
NOTHING: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:///{folder}/100% new.db",
    "postgresql": lambda _: shared().url(shared().new_database()),
}


def opening(url: str, *, upgrade: bool) -> Opened:
    """What opens the store there."""
    if url.startswith("sqlite"):
        return lambda clock: SqliteStore.open(url, clock, upgrade=upgrade)
    return lambda clock: PostgresqlStore.open(url, None, clock, upgrade=upgrade)


def through(url: str, do: Callable[[Connection], T]) -> T:
    """What `do` returns, done in a transaction.  To be asked outside any event loop."""
    if url.startswith("sqlite"):
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            return do(connection)

    async def there() -> T:
        engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg", query={}), poolclass=NullPool
        )
        async with engine.begin() as connection:
            return await connection.run_sync(do)

    return asyncio.run(there())


def bring_to(url: str, revision: str) -> None:
    """As the server that knew no later version has done it."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    through(url, upgrade)


def mark(url: str, version: str) -> None:
    """Let the store say that it is of that version."""
    through(
        url, lambda connection: connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
    )
