"""Where stores are on the PostgreSQL that a test run shares: a database for each test."""

from __future__ import annotations

import asyncio
from functools import cache

from radius_mfa.stores.postgresql import PostgresqlStore
from radius_mfa.stores.schema import metadata
from tests.adapters import FixedClock
from tests.peers.postgresql import Postgresql, shared

_EMPTY = f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"
_lent: set[str] = set()


def new_url() -> str:
    """Of a store with nothing in it.  To be asked outside any event loop."""
    server = shared()
    return server.url(_emptied(server) or _copied(server))


def _emptied(server: Postgresql) -> str | None:
    """A database of a test that is over: to make another takes ten times as long."""
    free = _lent - server.in_use() if _lent else set()
    if not free:
        return None
    name = min(free)
    server.execute(_EMPTY, name)
    return name


def _copied(server: Postgresql) -> str:
    name = server.new_database(made(server))
    _lent.add(name)
    return name


@cache
def made(server: Postgresql) -> str:
    """The database that is copied, made as a server makes it."""
    name = server.new_database()

    async def make() -> None:
        store = await PostgresqlStore.open(server.url(name), None, FixedClock())
        await store.close()

    asyncio.run(make())
    return name
