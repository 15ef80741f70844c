"""What a process stands on for as long as it runs, whatever its configuration becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from radius_mfa.assembly.backends import SystemClock, open_store
from radius_mfa.config.load import Loaded
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import Store
from radius_mfa.observe.health import Health
from radius_mfa.observe.metrics import Counts
from radius_mfa.stores.node import Presence
from radius_mfa.stores.seal import AeadSealer

GRACE = 10.0  # seconds that what is in flight may take to end, when a process or a configuration does


class Tasks:
    """What goes on in the background until it is cancelled."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def cancel(self) -> None:
        """End them all."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Footing:
    """Store and seal, what others see of us, what is counted and known; `tasks`: what goes on beside."""

    store: Store
    sealer: AeadSealer
    presence: Presence
    clock: Clock
    meter: Counts
    health: Health
    tasks: Tasks = field(default_factory=Tasks)

    @classmethod
    async def open(cls, loaded: Loaded, stack: AsyncExitStack, process: str = "", *, upgrade: bool) -> Footing:
        """Closed with `stack`.  `upgrade`: bring the store to its schema.  Raises KeyFileError, StoreError.

        `process`: which one of a server with several.
        """
        clock = SystemClock()
        store, sealer = await open_store(loaded.configuration, stack, upgrade=upgrade)
        return cls(store, sealer, Presence(store, sealer, clock, process), clock, Counts(), Health(clock))

    async def close(self) -> None:
        """The last of it."""
        await self.tasks.cancel()
        await self.presence.leave()
        await self.store.close()
