"""Whether the portal lives and is ready, told at an address of its own.

Where browsers come in strangers may have taken every connection there is: whoever asks there whether to start the
portal anew would be told by them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from socket import socket

from radius_mfa.assembly.upkeep import keep_doing
from radius_mfa.core.visits import PORTAL
from radius_mfa.observe.endpoint import MetricsEndpoint
from radius_mfa.observe.vitals import BEAT_EVERY, Vitals

Unready = Callable[[], Awaitable[tuple[str, ...]]]


class PortalVitals(Vitals):
    """`unready`: what does not work, looked at in `loop`, for which `patience` seconds are waited.

    Asked in any other thread than the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, unready: Unready, patience: float = 2.5) -> None:
        super().__init__(PORTAL, dict)
        self._loop = loop
        self._look = unready
        self._patience = patience

    def unready(self) -> tuple[str, ...]:
        """Why browsers are not to be sent here now."""
        return super().unready() or self._broken()

    def _broken(self) -> tuple[str, ...]:
        async def look() -> tuple[str, ...]:
            return await self._look()

        looking = asyncio.run_coroutine_threadsafe(look(), self._loop)
        try:
            return tuple(f"{part}: it does not work" for part in looking.result(self._patience))
        except (TimeoutError, CancelledError):
            looking.cancel()
            return (f"{PORTAL}: it does not answer",)


@asynccontextmanager
async def health_told(sock: socket | None, unready: Unready) -> AsyncIterator[Vitals]:
    """Answer at a listening socket, if there is one, while this is entered; the stage is set by others."""
    vitals = PortalVitals(asyncio.get_running_loop(), unready)
    if sock is None:
        yield vitals
        return
    beating = asyncio.get_running_loop().create_task(keep_doing(vitals.beat, BEAT_EVERY))
    endpoint = MetricsEndpoint(sock, None, vitals)
    try:
        yield vitals
    finally:
        await asyncio.to_thread(endpoint.close)
        beating.cancel()
