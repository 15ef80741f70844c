"""The running server where it is one process: `workers: 1`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from radius_mfa import __version__
from radius_mfa.assembly.answering import Answering, Surroundings
from radius_mfa.assembly.backends import tell_nobody
from radius_mfa.assembly.background import Background
from radius_mfa.assembly.footing import Footing
from radius_mfa.assembly.listening import Sockets, open_sockets
from radius_mfa.assembly.privileges import become
from radius_mfa.assembly.reload import News, read
from radius_mfa.config.load import Loaded
from radius_mfa.wire.exchange import Answer

log = structlog.get_logger()


class Server:
    """`addresses`: what is listened on, in the order of the YAML."""

    def __init__(self, loaded: Loaded, sockets: Sockets, footing: Footing) -> None:
        self._started = self._loaded = loaded
        self._footing = footing
        self._background = Background(footing)
        alone = Surroundings(self._background, tell_nobody, _tell_nobody_of_signer, _here)
        self._answering = Answering(footing, alone)
        self.addresses = sockets.addresses

    @classmethod
    async def start(cls, loaded: Loaded) -> Server:
        """Open everything and listen.  Raises ConfigurationError, KeyFileError, StoreError."""
        async with AsyncExitStack() as stack:
            # Before the store is touched: another server may have the port, and be of an older version.
            sockets = open_sockets(loaded, stack)
            become(loaded)
            footing = await Footing.open(loaded, stack, upgrade=True)
            stack.push_async_callback(footing.tasks.cancel)
            server = cls(loaded, sockets, footing)
            await server._begin(loaded, sockets, stack)
            stack.pop_all()
        where = {"metrics": sockets.metrics.getsockname()[:2]} if sockets.metrics else {}
        log.info("ready", listen=server.addresses, policies=len(loaded.configuration.policies), **where)
        return server

    async def _begin(self, loaded: Loaded, sockets: Sockets, stack: AsyncExitStack) -> None:
        footing = self._footing
        footing.meter.watch("info", lambda: {(__version__,): 1})
        footing.meter.watch_process("server")
        self._background.start(loaded, sockets.metrics, footing.meter)
        stack.push_async_callback(self._background.stop)
        await self._answering.start(loaded, sockets.listeners)
        stack.push_async_callback(self._answering.stop)
        footing.tasks.begin(footing.presence.keep())
        await footing.presence.known()

    def reopen_audit(self) -> None:
        """Go on in a new audit file where the old one was rotated away, whatever becomes of a reload."""
        self._answering.reopen_audit()

    async def reload(self, path: Path) -> News:
        """Answer under what the file has become; what is in flight ends under what it was.

        Raises as `start` does, and then nothing has changed.
        """
        news = read(path, self._started, self._loaded)
        answering = await self._answering.prepare(news.loaded)
        try:
            background = await self._background.prepare(news.loaded)
        except BaseException:
            await answering.abandon()
            raise
        answering.commit()
        background.commit()
        self._loaded = news.loaded
        for key in news.restart:
            log.warning("restart_needed", key=key, note="stays as it was until then")
        log.info("reloaded", policies=len(news.loaded.configuration.policies), changes=news.changes)
        return news

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, close."""
        await self._answering.stop()
        await self._background.stop()
        await self._footing.close()
        log.info("stopped", discarded=self._footing.meter.total("discarded"))


def _here(answer: Answer) -> Answer:
    """There is no other worker whose a request could be."""
    return answer


def _tell_nobody_of_signer(_client: str, _source: str) -> None:
    """Nor one that has to know."""
