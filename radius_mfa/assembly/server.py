"""The running server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from socket import socket
from typing import TYPE_CHECKING

import structlog

from radius_mfa import __version__
from radius_mfa.assembly.backends import Backends, Shields, SystemClock, backends_of, open_directory, open_store
from radius_mfa.assembly.expected import expect
from radius_mfa.assembly.lookout import Lookout
from radius_mfa.assembly.mail import open_outbox
from radius_mfa.assembly.privileges import become
from radius_mfa.assembly.rules import clients_of, rules_of, texts_of
from radius_mfa.assembly.upkeep import SourceKeeper, purge
from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.core.conversation import Conversation, Ports
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.ports import Directory
from radius_mfa.core.store import Store
from radius_mfa.directories.chain import OpenDirectory
from radius_mfa.observe.audit import AuditFile, AuditLog
from radius_mfa.observe.health import DIRECTORY, MAIL, PARTS, Health
from radius_mfa.observe.metered import MeteredDirectory, MeteredStore
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.service import Service
from radius_mfa.stores.node import Presence
from radius_mfa.stores.seal import AeadSealer
from radius_mfa.transports.udp import UdpListener, open_socket
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.exchange import Exchange, KnownReplies, Send
from radius_mfa.wire.sources import Sources

if TYPE_CHECKING:
    from radius_mfa.factors.outbox import Outbox
    from radius_mfa.observe.endpoint import MetricsEndpoint

_GRACE = 10.0  # seconds that what is in flight may take to end

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Working:
    """What answers under one configuration; another one takes its place on a reload."""

    exchange: Exchange
    backends: Backends
    outbox: Outbox | None
    audit: AuditFile | AuditLog

    async def finish(self) -> None:
        """End what is in flight, then let go."""
        await self.exchange.drain(_GRACE)
        if self.outbox is not None:
            await self.outbox.close(_GRACE)
        await self.backends.directory.close()
        self.audit.close()


class Server:
    """The running server: its sockets and its store stay, what answers can be exchanged.

    `addresses`: what is listened on.  `dictionary`: the attributes by name.
    """

    def __init__(self, loaded: Loaded, store: Store, sealer: AeadSealer, meter: Counts) -> None:
        clock = SystemClock()
        self._started = self._loaded = loaded
        self._store = store
        self._sealer = sealer
        self._presence = Presence(store, sealer, clock)
        self._meter = meter
        self._health = Health(clock)
        self._logins = MeteredStore(store, clock, meter, self._health)
        self._sources = Sources()
        self._source_keeper = SourceKeeper(self._sources, store, clock)
        self._shields = Shields()
        self._replies: KnownReplies = {}
        self._lookout = Lookout(self._health, self._directory, store, clock)
        self._listeners: list[UdpListener] = []
        self._working: _Working
        self._background: set[asyncio.Task[None]] = set()
        self._endpoint: MetricsEndpoint | None = None
        self.dictionary = Dictionary.shipped()

    @classmethod
    async def start(cls, loaded: Loaded) -> Server:
        """Open everything and listen.  Raises ConfigurationError, KeyFileError, StoreError."""
        async with AsyncExitStack() as stack:
            # Before the store is touched: another server may have the port, and be of an older version.
            sockets, meter = _bound(loaded, stack), Counts()
            endpoint = _metrics_endpoint(loaded, meter, stack)
            become(loaded)
            store, sealer = await open_store(loaded.configuration, stack, upgrade=True)
            server = cls(loaded, store, sealer, meter)
            server._endpoint = endpoint
            server._working = await server._work(loaded)
            stack.push_async_callback(server._working.finish)
            for sock in sockets:
                server._listeners.append(UdpListener(sock, server._receive, server._meter))
            stack.push_async_callback(server._let_go)
            await server._lookout.look()  # so that `ready` is said by one who knows whether it is
            server._begin_upkeep()
            server._show()
            await server._presence.known()
            stack.pop_all()
        where = {"metrics": endpoint.address} if endpoint else {}
        log.info("ready", listen=server.addresses, policies=len(loaded.configuration.policies), **where)
        return server

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [listener.address for listener in self._listeners]

    def reopen_audit(self) -> None:
        """Go on in a new audit file where the old one was rotated away, whatever becomes of a reload."""
        self._working.audit.reopen()

    async def reload(self, loaded: Loaded) -> None:
        """Answer under another configuration from now on; what is in flight ends under the old one.

        Raises as `start` does, and then nothing has changed.
        """
        before, self._working = self._working, await self._work(loaded)
        self._loaded = loaded
        self._expect()
        self._health.failed(DIRECTORY)  # perhaps another one: to be looked at soon
        self._in_background(before.finish())
        for key in ("listen", "storage", "storage_password", "key_file", "metrics", "user"):
            if getattr(loaded.configuration, key) != getattr(self._started.configuration, key):
                log.warning("restart_needed", key=key, note="stays as it was until then")
        log.info("reloaded", policies=len(loaded.configuration.policies))

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, close."""
        await self._working.finish()
        await self._let_go()
        await self._source_keeper.end()
        await self._presence.leave()
        await self._store.close()
        if self._endpoint is not None:
            await asyncio.to_thread(self._endpoint.close)
        log.info("stopped", discarded=self._meter.total("discarded"))

    async def _let_go(self) -> None:
        """Close the listeners, and end what goes on in the background."""
        for listener in self._listeners:
            listener.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _work(self, loaded: Loaded) -> _Working:
        configuration = loaded.configuration
        async with AsyncExitStack() as stack:
            audit = AuditFile(configuration.audit.file) if configuration.audit.file else AuditLog()
            stack.callback(audit.close)
            directory = open_directory(configuration, self._shields)
            stack.push_async_callback(directory.close)
            backends = backends_of(configuration, self._store, self._sealer, directory, self._logins)
            metered = MeteredDirectory(directory, backends.clock, self._meter, self._health)
            texts = texts_of(configuration)
            outbox = None
            if mail := configuration.factors.mail:
                heard = partial(self._health.said, MAIL)
                outbox = open_outbox(mail, configuration.timezone, backends, texts, self._meter, heard)
                stack.push_async_callback(outbox.close, 0)
            conversation = _conversation(configuration, backends, metered, outbox)
            is_ready = self._is_ready if configuration.status_server == "ready" else _always
            clock, meter = backends.clock, self._meter
            service = Service(conversation, texts, audit, clock, backends.entropy, meter, is_ready)
            await self._source_keeper.read()
            exchange = self._exchange(configuration, service, is_ready)
            stack.pop_all()
        return _Working(exchange, backends, outbox, audit)

    def _exchange(
        self, configuration: model.Configuration, service: Service, is_ready: Callable[[], bool]
    ) -> Exchange:
        return Exchange(
            clients_of(configuration),
            service.answer,
            self.dictionary,
            self._meter,
            SystemClock(),
            log,
            sources=self._sources,
            replies=self._replies,
            note=self._source_keeper.note,
            vouches=service.vouches,
            is_ready=is_ready,
            jitter=random.random,
        )

    def _receive(self, octets: bytes, source: tuple[str, int], socket: object, send: Send) -> None:
        self._working.exchange.receive(octets, source, socket, send)

    def _is_ready(self) -> bool:
        return self._health.can_authenticate

    def _begin_upkeep(self) -> None:
        clock = SystemClock()
        self._in_background(purge(self._store, clock, lambda: self._loaded.configuration.audit.retention))
        self._in_background(self._presence.keep())
        self._in_background(self._source_keeper.keep())
        self._in_background(self._lookout.keep_looking())

    def _directory(self) -> OpenDirectory:
        """The one that is asked now; another one after a reload."""
        return self._working.backends.directory

    def _expect(self) -> None:
        """Show what will be counted as 0 until it is."""
        names = [":".join(map(str, address)) for address in self.addresses]
        expect(self._meter, self._loaded.configuration, names)

    def _show(self) -> None:
        """Let the metrics have what is so at the moment; what answers may be another by then."""
        self._expect()
        watch, health = self._meter.watch, self._health
        watch("info", lambda: {(__version__,): 1})
        watch("up", lambda: {(part,): health.works(part) for part in PARTS})
        watch("directory_server_up", lambda: {(n,): up for n, up in self._directory().servers_up().items()})
        watch("in_flight", lambda: {(): self._working.exchange.in_flight})
        watch("held", lambda: {(): self._working.exchange.held})

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _bound(loaded: Loaded, stack: AsyncExitStack) -> list[socket]:
    """A socket for each listener, closed should the start fail.  Raises ConfigurationError."""
    sockets = []
    for number, listener in enumerate(loaded.configuration.listen):
        assert listener.udp is not None  # the others are refused when loading
        host, port = listener.udp.host, listener.udp.port
        try:
            sock = open_socket(host, port)
        except OSError as broken:
            text = f"cannot listen on {host} port {port}: {broken.strerror}"
            raise ConfigurationError(loaded.places.cite(text, "listen", number, "udp")) from None
        stack.callback(sock.close)
        sockets.append(sock)
    return sockets


def _metrics_endpoint(loaded: Loaded, meter: Counts, stack: AsyncExitStack) -> MetricsEndpoint | None:
    """Where the metrics are fetched; closed should the start fail.  Raises ConfigurationError."""
    if loaded.configuration.metrics is None:
        return None
    from radius_mfa.observe.endpoint import MetricsEndpoint

    listen = loaded.configuration.metrics.listen
    try:
        endpoint = MetricsEndpoint(listen.host, listen.port, meter)
    except OSError as broken:
        text = f"cannot listen on {listen.host} port {listen.port}: {broken.strerror}"
        raise ConfigurationError(loaded.places.cite(text, "metrics", "listen")) from None
    stack.callback(endpoint.close)
    return endpoint


def _always() -> bool:
    return True


def _conversation(
    configuration: model.Configuration, backends: Backends, directory: Directory, outbox: Outbox | None
) -> Conversation:
    mailing = None
    if outbox is not None and backends.mailed is not None:
        mailing = Mailing(backends.mailed, outbox, backends.logins, backends.clock, backends.entropy)
    ports = Ports(
        directory,
        backends.logins,
        backends.factors,
        backends.sealer,
        backends.clock,
        backends.entropy,
        backends.trusted,
        mailing,
    )
    return Conversation(ports, rules_of(configuration))
