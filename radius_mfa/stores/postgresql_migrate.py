"""As `migrate`, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.migrate import VERSION, VERSION_TABLE, failed, is_current, may_upgrade, run_missing
from radius_mfa.stores.postgresql_pool import Connection, Place, words

if TYPE_CHECKING:
    from sqlalchemy import Connection as SyncConnection
    from sqlalchemy.ext.asyncio import AsyncConnection

_ENCODING = "SELECT current_setting('server_encoding')"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
# Those who migrate do it one after the other.  No name of other work is of this length.
ALONE = "SELECT pg_advisory_xact_lock(7305)"
_PATIENCE = 10.0  # seconds a query may take that only looks


async def migrate(connection: Connection, place: Place, *, upgrade: bool) -> None:
    """Bring the store to the newest version; an empty one is made.

    `connection` is to look by; what has to be done is done on another.  `upgrade`: whether an older store may
    be brought up to date.  Raises StoreError, and what asyncpg raises.
    """
    if not await _is_current(connection, str(place)):
        await _upgrade(place, upgrade)


async def look(connection: Connection, name: str) -> dict[bytes, bytes] | None:
    """The key proofs of the store, None for one of an older version or an empty one; nothing is changed.

    Raises as `migrate`.
    """
    if not await _is_current(connection, name):
        return None
    rows = await connection.fetch("SELECT key_id, proof FROM key_check", timeout=_PATIENCE)
    return {row[0]: row[1] for row in rows}


async def _is_current(connection: Connection, name: str) -> bool:
    _check_encoding(await connection.fetchval(_ENCODING, timeout=_PATIENCE), name)
    tables = {row[0] for row in await connection.fetch(_TABLES, timeout=_PATIENCE)}
    version = await connection.fetchval(VERSION, timeout=_PATIENCE) if VERSION_TABLE in tables else None
    return is_current(name, tables, version or "")


def must_be_utf8(connection: SyncConnection, name: str) -> None:
    """Raises StoreError where the database there could not hold every text."""
    _check_encoding(connection.exec_driver_sql(_ENCODING).scalar(), name)


def _check_encoding(encoding: object, name: str) -> None:
    if encoding != "UTF8":
        raise StoreError(f"{name}: is a database of encoding {encoding}; it has to be UTF8")


async def _upgrade(place: Place, upgrade: bool) -> None:
    """Run the missing versions in one transaction: all of them or none."""
    from sqlalchemy import NullPool
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    async def creator(*_: Any) -> Connection:
        return await place.connect(_PATIENCE)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(ALONE)
            await _upgrade_under_lock(connection, str(place), upgrade)
    except DBAPIError as error:
        # Without the cause: SQLAlchemy's text has the statement in it, and PostgreSQL's DETAIL may have a row.
        cause = error.orig.__cause__ if error.orig else None
        raise failed(str(place), words(cause or error)) from None
    finally:
        await engine.dispose()


async def _upgrade_under_lock(connection: AsyncConnection, name: str, upgrade: bool) -> None:
    """Looked at again: another process may have been quicker."""
    tables = {row[0] for row in await connection.exec_driver_sql(_TABLES)}
    version = (await connection.exec_driver_sql(VERSION)).scalar() if VERSION_TABLE in tables else None
    if not is_current(name, tables, version or ""):
        may_upgrade(name, version or "", upgrade=upgrade)
        await connection.run_sync(run_missing)
