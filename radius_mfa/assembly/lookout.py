"""Looks whether directory and store work: a server at rest is to know whether it could answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from radius_mfa.core.errors import BackendError, RadiusMfaError
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import Node, Store
from radius_mfa.directories.chain import OpenDirectory
from radius_mfa.observe.health import DIRECTORY, STORE, Health

_GLANCE = 0.5  # seconds between two thoughts whether to look
_PATIENCE = 2.0  # seconds that a look may take
NOBODY = "radius-mfa-looks-whether-you-answer"  # nobody's name
_NO_NODE = Node("look", "", (), 0.0)  # of a time so long ago that nobody takes it for a server

log = structlog.get_logger()


class Lookout:
    """Finds out whether directory and store work, and lets `health` know.

    `directory`: the one that is asked now.  Looks at both at once: neither waits because of the other.
    """

    def __init__(self, health: Health, directory: Callable[[], OpenDirectory], store: Store, clock: Clock) -> None:
        self._health = health
        self._directory = directory
        self._store = store
        self._clock = clock
        self._asks = {DIRECTORY: self._ask_directory, STORE: self._ask_store}
        self._down: set[str] = set()

    async def look(self) -> None:
        """Once at each, for `_PATIENCE` seconds at most."""
        await asyncio.gather(*map(self._look_at, self._asks))

    async def look_where_due(self) -> None:
        """The same where nobody has looked lately, and where something is wrong."""
        await asyncio.gather(*(self._look_at(part) for part in self._asks if self._health.is_due(part)))

    async def keep_looking(self) -> None:
        """Whenever it is due, for ever."""
        await asyncio.gather(*map(self._keep_looking_at, self._asks))

    async def _keep_looking_at(self, part: str) -> None:
        while True:
            await asyncio.sleep(_GLANCE)
            if self._health.is_due(part):
                await self._look_at(part)

    async def _look_at(self, part: str) -> None:
        began = self._health.look_begins(part)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._asks[part](began + _PATIENCE)
        except Exception as broken:  # whatever it is: nobody looks again once this has ended
            if not self._health.answered_since(part, began):
                self._says_no(part, broken)
            return
        self._health.said(part, works=True)
        if part in self._down:
            self._down.remove(part)
            log.warning("works_again", part=part)

    def _says_no(self, part: str, broken: Exception) -> None:
        self._health.said(part, works=False)
        if part not in self._down:
            self._down.add(part)
            why = "no answer in time" if isinstance(broken, TimeoutError) else type(broken).__name__
            log.error("does_not_work", part=part, error=str(broken) if isinstance(broken, RadiusMfaError) else why)

    async def _ask_directory(self, deadline: float) -> None:
        asked = self._directory()
        try:
            await asked.find(NOBODY, deadline)
        except BackendError:
            if self._directory() is asked:
                raise
            await self._directory().find(NOBODY, deadline)  # a reload has closed the one before

    async def _ask_store(self, deadline: float) -> None:
        """Read and write: one that is full, or a standby, can only be read."""
        await self._store.facts("", deadline)
        await self._store.note_node(_NO_NODE)
