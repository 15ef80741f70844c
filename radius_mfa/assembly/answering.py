"""What answers: under one configuration, and, for as long as a process runs, under one after another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from socket import socket
from ssl import SSLContext

import structlog

from radius_mfa.assembly.backends import (
    Backends,
    Shields,
    TellWrong,
    audit_of,
    backends_of,
    open_directory,
)
from radius_mfa.assembly.collector import spare_the_collector
from radius_mfa.assembly.expected import expect
from radius_mfa.assembly.footing import GRACE, Footing
from radius_mfa.assembly.listening import Opened, context_of, kind_of
from radius_mfa.assembly.lookout import Lookout
from radius_mfa.assembly.reload import Prepared
from radius_mfa.assembly.rules import clients_of, dictionary_of, rules_of, texts_of
from radius_mfa.assembly.supplicants import EapServing
from radius_mfa.assembly.upkeep import ADD_UP_EVERY, SourceKeeper, keep_doing
from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.config.values import Endpoint
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import AccessRequest, Nas, Reply
from radius_mfa.core.ports import Directory, Mailer
from radius_mfa.core.rules import Rules
from radius_mfa.core.world import Ports
from radius_mfa.directories.chain import OpenDirectory
from radius_mfa.observe.audit import Audit
from radius_mfa.observe.health import DIRECTORY, PARTS
from radius_mfa.observe.metered import MeteredDirectory, MeteredStore
from radius_mfa.service.service import Service
from radius_mfa.stores.entropy import SystemEntropy
from radius_mfa.transports.radsec import RadsecListener, RadsecPorts
from radius_mfa.transports.udp import UdpListener
from radius_mfa.wire.clients import Clients
from radius_mfa.wire.desk import KnownReplies, Link, Send
from radius_mfa.wire.exchange import Answer, Exchange
from radius_mfa.wire.sources import Sources

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process that answers asks of the other processes of its server, or of itself where it is alone.

    `over`: has a request answered where it belongs.  `tell_signer`: of a client and a source of it that has sent
    its first Message-Authenticator.  `number`: which of the workers it is.
    """

    mailer: Mailer
    tell_wrong: TellWrong
    tell_signer: Callable[[str, str], None]
    over: Callable[[Answer], Answer]
    number: int = 0


class Working:
    """What answers under one configuration; another takes its place on a reload."""

    def __init__(
        self,
        clients: Clients,
        service: Service,
        exchange: Exchange,
        backends: Backends,
        audit: Audit,
        contexts: dict[int, SSLContext],
        is_ready: Callable[[], bool],
    ) -> None:
        """`contexts`: what each RadSec listener speaks, by its number.  `is_ready`: what Status-Server is told."""
        self.clients = clients
        self.exchange = exchange
        self.backends = backends
        self.audit = audit
        self.contexts = contexts
        self.is_ready = is_ready
        self._service = service
        self._answering = 0
        self._idle = asyncio.Event()

    async def answer(self, request: AccessRequest) -> Reply | None:
        """As the service does, whoever has received the request: this outlives it."""
        self._answering += 1
        try:
            return await self._service.answer(request)
        finally:
            self._answering -= 1
            self._idle.set()

    async def finish(self) -> None:
        """End what is in flight, then let go."""
        try:
            await self.exchange.drain(GRACE)
            async with asyncio.timeout(GRACE):
                while self._answering:  # what other workers have received
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("drain_cut_short", answering=self._answering)
        finally:
            await self.backends.directory.close()
            self.audit.close()


class Answering:
    """The sockets of a process, and what answers behind them: those stay, this can be exchanged."""

    def __init__(self, footing: Footing, surroundings: Surroundings) -> None:
        self._footing = footing
        self._surroundings = surroundings
        self._logins = MeteredStore(footing.store, footing.clock, footing.meter, footing.health)
        self.sources = Sources()
        self.source_keeper = SourceKeeper(self.sources, footing.store, footing.clock)
        self.shields = Shields(surroundings.tell_wrong)
        self._eap = EapServing(footing.clock, SystemEntropy(), footing.meter, surroundings.number)
        self.udp: list[UdpListener] = []
        self.radsec: dict[int, RadsecListener] = {}
        self._replies: KnownReplies = {}
        self._endpoints: dict[int, Endpoint] = {}  # of the RadSec listeners, as they are configured
        self._lookout = Lookout(footing.health, self._directory, footing.store, footing.clock)
        self._working: Working
        self._ending: dict[asyncio.Task[None], Working] = {}  # those whose last requests are being answered

    async def start(self, loaded: Loaded, listeners: Sequence[Opened], worker: int = 0) -> None:
        """Listen.  `worker`: which of a UDP port's sockets is ours.  Raises ConfigurationError, StoreError."""
        self._working, self._replies = await self._make(loaded)
        # First: what has waited at a socket is read at once, and Status-Server is lost on who does not know yet.
        await self._lookout.look()
        for number, opened in enumerate(listeners):
            written = loaded.configuration.listen[number]
            if opened.kind == "udp":
                self.udp.append(self.listener_on(opened.sockets[worker]))
            else:
                context, sock = self._working.contexts[number], opened.sockets[0]
                self._endpoints[number] = kind_of(written)[1]
                self.radsec[number] = RadsecListener(sock, context, written.idle_timeout, self._radsec_ports())
        tasks = self._footing.tasks
        tasks.begin(self.source_keeper.keep())
        tasks.begin(self._lookout.keep_looking())
        tasks.begin(keep_doing(self._footing.meter.add_up, ADD_UP_EVERY))
        self._show(loaded.configuration)
        spare_the_collector()

    async def prepare(self, loaded: Loaded) -> Prepared:
        """What would answer under another configuration.  Raises as `start` does; nothing has changed then."""
        working, replies = await self._make(loaded)
        places = {each.radsec: at for at, each in enumerate(loaded.configuration.listen) if each.radsec}

        def commit() -> None:
            before, self._working, self._replies = self._working, working, replies
            for number, listener in self.radsec.items():
                at = places.get(self._endpoints[number])
                if at is not None:
                    listener.tls = working.contexts[at]
                    listener.idle = loaded.configuration.listen[at].idle_timeout
                listener.review()
            self._expect(loaded.configuration)
            self._footing.health.failed(DIRECTORY)  # perhaps another one: to be looked at soon
            self._finish(before)
            spare_the_collector()

        return Prepared(commit, working.finish)

    def reopen_audit(self) -> None:
        """Go on in a new audit file where the old one was rotated away, whatever becomes of a reload."""
        self._working.audit.reopen()

    async def answer(self, request: AccessRequest) -> Reply | None:
        """Here, whoever's the request is."""
        return await self._working.answer(request)

    def nas(self, name: str) -> Nas | None:
        """The client of that name."""
        client = self._working.clients.called(name)
        return None if client is None else client.nas

    def is_ready(self) -> bool:
        """Whether those who look are to find us there (RFC 5997 §4.2)."""
        return self._working.is_ready()

    def saw(self, client: str, host: str, signed: bool) -> None:
        """Another than our listeners has received and verified a request."""
        if self.sources.saw(client, host, self._footing.clock.wall(), signed):
            self._note(client, host)

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, close."""
        for radsec in self.radsec.values():
            radsec.stop_accepting()
        await asyncio.gather(self._working.finish(), *self._ending)
        for radsec in self.radsec.values():
            await radsec.close()
        for udp in self.udp:
            udp.close()
        await self.source_keeper.end()

    # --- what listeners ask ---------------------------------------------------------------------

    def listener_on(self, sock: socket) -> UdpListener:
        """Reads that socket, which may be another worker's."""
        return UdpListener(sock, self._receive, self._footing.meter, lambda: self._working.exchange.in_flight)

    def _receive(self, octets: bytes, source: tuple[str, int], socket: object, send: Send) -> None:
        self._working.exchange.receive(octets, source, socket, send)

    def _radsec_ports(self) -> RadsecPorts:
        return RadsecPorts(
            clients=lambda: self._working.clients,
            has_room_for=lambda link: self._working.exchange.has_room_for(link),
            receive=self._receive_over,
            hang_up=self._hang_up,
            meter=self._footing.meter,
            clock=self._footing.clock,
            log=log,
        )

    def _receive_over(self, link: Link, octets: bytes) -> bool:
        return self._working.exchange.receive_over(link, octets)

    def _hang_up(self, link: Link) -> None:
        for working in (self._working, *self._ending.values()):
            working.exchange.hang_up(link)

    # --- one configuration ----------------------------------------------------------------------

    async def _make(self, loaded: Loaded) -> tuple[Working, KnownReplies]:
        """All of it, and what has been answered so far, as it will know it."""
        configuration, footing, dictionary = loaded.configuration, self._footing, dictionary_of(loaded)
        async with AsyncExitStack() as stack:
            clients = clients_of(configuration)
            listeners = enumerate(configuration.listen)
            contexts = {at: context_of(loaded, at, clients) for at, each in listeners if each.radsec}
            soon = asyncio.get_running_loop().call_soon
            audit = audit_of(loaded, soon, footing.meter)
            stack.callback(audit.close)
            directory = open_directory(configuration, self.shields)
            stack.push_async_callback(directory.close)
            backends = backends_of(configuration, footing.store, footing.sealer, directory, self._logins)
            metered = MeteredDirectory(directory, footing.clock, footing.meter, footing.health)
            rules = rules_of(configuration, dictionary)
            conversation = conversation_of(rules, backends, metered, self._surroundings.mailer)
            is_ready = self._is_ready if configuration.status_server == "ready" else _always
            texts, eap = texts_of(configuration), self._eap.under(loaded, footing.sealer)
            clock, entropy = footing.clock, backends.entropy
            service = Service(conversation, texts, audit, clock, entropy, footing.meter, is_ready, eap)
            await self.source_keeper.read()
            stack.pop_all()
        replies = dict(self._replies)
        exchange = Exchange(
            clients,
            self._surroundings.over(service.answer),
            dictionary,
            footing.meter,
            footing.clock,
            log,
            sources=self.sources,
            replies=replies,
            note=self._note,
            vouches=service.vouches,
            is_ready=is_ready,
            jitter=random.random,
        )
        return Working(clients, service, exchange, backends, audit, contexts, is_ready), replies

    def _note(self, client: str, source: str) -> None:
        self.source_keeper.note()
        self._surroundings.tell_signer(client, source)

    def _finish(self, working: Working) -> None:
        task = asyncio.get_running_loop().create_task(working.finish())
        self._ending[task] = working
        task.add_done_callback(self._ending.pop)

    def _is_ready(self) -> bool:
        return self._footing.health.can_authenticate

    def _directory(self) -> OpenDirectory:
        """The one that is asked now; another one after a reload."""
        return self._working.backends.directory

    # --- what is shown --------------------------------------------------------------------------

    def _expect(self, configuration: model.Configuration) -> None:
        """Show what will be counted as 0 until it is."""
        expect(self._footing.meter, configuration, [":".join(map(str, each.address)) for each in self.udp])

    def _show(self, configuration: model.Configuration) -> None:
        """Let the metrics have what is so at the moment; what answers may be another by then."""
        self._expect(configuration)
        watch, health = self._footing.meter.watch, self._footing.health
        watch("up", lambda: {(part,): health.works(part) for part in PARTS})
        watch("directory_server_up", lambda: {(n,): up for n, up in self._directory().servers_up().items()})
        watch("in_flight", lambda: {(): self._working.exchange.in_flight})
        watch("held", lambda: {(): self._working.exchange.held})
        watch("connections", self._connections)
        watch("eap_conversations", lambda: {(): self._eap.conversations})
        watch("handshakes", lambda: {(): sum(each.handshakes for each in self.radsec.values())})

    def _connections(self) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {
            (client.nas.name,): 0 for client in self._working.clients if client.radsec
        }
        for listener in self.radsec.values():
            for name, number in listener.counted().items():
                found[name,] = found.get((name,), 0) + number
        return found


def conversation_of(rules: Rules, backends: Backends, directory: Directory, mailer: Mailer) -> Conversation:
    """The login, with what it asks of the world."""
    mailing = None
    if backends.mailed is not None:
        mailing = Mailing(backends.mailed, mailer, backends.logins, backends.clock, backends.entropy)
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
    return Conversation(ports, rules)


def _always() -> bool:
    return True
