"""As `whole`, on PostgreSQL."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.postgresql_migrate import ALONE, must_be_utf8
from radius_mfa.stores.postgresql_pool import ERRORS, PATIENCE, Connection, Place, words
from radius_mfa.stores.whole import Do

T = TypeVar("T")

# The file that is written or read meanwhile may be on a disk that stands still for a while.
_NO_HURRY = "SET LOCAL idle_in_transaction_session_timeout = 0"


async def in_postgresql(url: str, password: str | None, do: Do[T], *, writes: bool) -> T:
    """What `do` returns, in a transaction.  Raises StoreError, and what `do` raises: then nothing has changed."""
    place = Place(url, password)

    async def creator(*_: Any) -> Connection:
        return await place.connect(PATIENCE)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    # Who writes has to see what was done before it had the lock; who reads, all as it was at one moment.
    how = "READ COMMITTED" if writes else "REPEATABLE READ"
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level=how, postgresql_readonly=not writes)
            async with connection.begin():
                await connection.exec_driver_sql(_NO_HURRY)
                if writes:
                    await connection.exec_driver_sql(ALONE)
                    await connection.run_sync(must_be_utf8, str(place))
                return await connection.run_sync(do, str(place))
    except DBAPIError as error:
        # Without the cause: SQLAlchemy's text has the statement in it, and PostgreSQL's DETAIL may have a row.
        cause = error.orig.__cause__ if error.orig else None
        raise StoreError(f"{place}: {words(cause or error)}") from None
    except ERRORS as error:
        raise StoreError(f"{place}: {words(error)}") from None
    finally:
        await engine.dispose()
