"""The keys of a configuration, to be looked after while its servers run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from radius_mfa.assembly.backends import SystemClock, store_of
from radius_mfa.config import model
from radius_mfa.stores.key_file import read_key_file
from radius_mfa.stores.rekey import Rekeying


@asynccontextmanager
async def opened_keys(
    configuration: model.Configuration, tell: Callable[[str], None], count: Callable[[int], None]
) -> AsyncIterator[Rekeying]:
    """Key file and store, whether or not they fit each other.  Raises KeyFileError and StoreError."""
    read_key_file(configuration.key_file)  # before a store is made that nobody has a key for
    store = await store_of(configuration, upgrade=False)
    try:
        yield Rekeying(configuration.key_file, store, SystemClock(), tell, count)
    finally:
        await store.close()
