"""The running server where it is one process: `workers: 1`."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from radius_mfa import __version__
from radius_mfa.assembly.answering import Answering, Surroundings
from radius_mfa.assembly.backends import tell_nobody
from radius_mfa.assembly.background import Background
from radius_mfa.assembly.footing import Footing
from radius_mfa.assembly.listening import Sockets, open_metrics, open_sockets
from radius_mfa.assembly.privileges import become
from radius_mfa.assembly.reload import News, read
from radius_mfa.config.load import Loaded
from radius_mfa.core.messages import AccessRequest, Nas, Reply
from radius_mfa.core.ports import Clock, Meter
from radius_mfa.observe.health import DIRECTORY, STORE
from radius_mfa.observe.vitals import Stage, Vitals
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
            return await cls._open(loaded, sockets, stack)

    @classmethod
    async def start_within(cls, loaded: Loaded, process: str) -> Server:
        """Open everything, as a part of another process, which listens and has become whom it wants to be.

        Raises as `start` does.
        """
        async with AsyncExitStack() as stack:
            return await cls._open(loaded, Sockets((), open_metrics(loaded, stack)), stack, process)

    @classmethod
    async def _open(cls, loaded: Loaded, sockets: Sockets, stack: AsyncExitStack, process: str = "") -> Server:
        footing = await Footing.open(loaded, stack, process, upgrade=True)
        stack.push_async_callback(footing.tasks.cancel)
        server = cls(loaded, sockets, footing)
        await server._begin(loaded, sockets, stack, process or "server")
        stack.pop_all()
        where = {"metrics": sockets.metrics.getsockname()[:2]} if sockets.metrics else {}
        log.info("ready", listen=server.addresses, policies=len(loaded.configuration.policies), **where)
        return server

    async def _begin(self, loaded: Loaded, sockets: Sockets, stack: AsyncExitStack, process: str) -> None:
        footing = self._footing
        footing.meter.watch("info", lambda: {(__version__,): 1})
        footing.meter.watch_process(process)
        self._vitals = Vitals(process, lambda: {part: footing.health.works(part) for part in (DIRECTORY, STORE)})
        await self._background.start(loaded, sockets.metrics, footing.meter, self._vitals)
        stack.push_async_callback(self._background.stop)
        await self._answering.start(loaded, sockets.listeners)
        stack.push_async_callback(self._answering.stop)
        footing.tasks.begin(footing.presence.keep())
        await footing.presence.known()
        self._vitals.stage = Stage.SERVING

    # --- what another server's process asks, of which this is a part --------------------------------

    @property
    def meter(self) -> Meter:
        return self._footing.meter

    @property
    def clock(self) -> Clock:
        return self._footing.clock

    def nas(self, name: str) -> Nas | None:
        """The client of that name."""
        return self._answering.nas(name)

    async def answer(self, request: AccessRequest) -> Reply | None:
        """Decide on what others have received."""
        return await self._answering.answer(request)

    def is_ready(self) -> bool:
        """Whether those who look are to find us there."""
        return self._answering.is_ready()

    def saw(self, client: str, host: str, signed: bool) -> None:
        """A request of that client and address has come, signed or not."""
        self._answering.saw(client, host, signed)

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Have it go on beside, until the server stops."""
        self._footing.tasks.begin(work)

    # --- from start to stop -------------------------------------------------------------------------

    def reopen_audit(self) -> None:
        """Go on in a new audit file where the old one was rotated away, whatever becomes of a reload."""
        self._answering.reopen_audit()

    async def reload(self, path: Path) -> News:
        """Answer under what the file has become; what is in flight ends under what it was.

        Raises as `start` does, and then nothing has changed.
        """
        try:
            news = read(path, self._started, self._loaded)
            answering = await self._answering.prepare(news.loaded)
        except BaseException:
            self._background.refused()
            raise
        try:
            background = await self._background.prepare(news.loaded)
        except BaseException:
            self._background.refused()
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
        self._vitals.stage = Stage.STOPPING
        await self._answering.stop()
        await self._background.stop()
        await self._footing.close()
        log.info("stopped", discarded=self._footing.meter.total("discarded"))


def _here(answer: Answer) -> Answer:
    """There is no other worker whose a request could be."""
    return answer


def _tell_nobody_of_signer(_client: str, _source: str) -> None:
    """Nor one that has to know."""
