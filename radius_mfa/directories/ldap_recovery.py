"""Servers that have failed: put last, looked at in the background, and put back once they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories.ldap_messages import SUCCESS
from radius_mfa.directories.ldap_server import LdapServer

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds between two looks
_PATIENCE = 3.0  # seconds for a server to answer when it is looked at

log = structlog.get_logger()


class Recovery:
    """Remembers which of `servers` are down.  `request`: an encoded search, of which any answer will do."""

    def __init__(self, servers: Sequence[LdapServer], request: bytes) -> None:
        self._alone = len(servers) == 1
        self._request = request
        self._looking: dict[LdapServer, asyncio.Task[None]] = {}

    def failed(self, server: LdapServer, why: str) -> None:
        """It did not answer as it must.  Where there is no other one to ask, that changes nothing."""
        if server.down or self._alone:
            return
        server.down = True
        log.warning("directory_server_down", server=server.name, why=why)
        self._looking[server] = asyncio.get_running_loop().create_task(self._look(server))

    async def close(self) -> None:
        """Look at nothing any more."""
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _look(self, server: LdapServer) -> None:
        pause = _FIRST_PAUSE
        await asyncio.sleep(pause)
        while not await self._answers(server):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        server.down = False
        del self._looking[server]
        log.warning("directory_server_up", server=server.name)

    async def _answers(self, server: LdapServer) -> bool:
        """Whether it lets the service in and answers a search, in good time."""
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await server.search(self._request)
        except (TimeoutError, DirectoryError):
            return False
        return answer.result.code == SUCCESS
