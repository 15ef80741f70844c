"""RADIUS over TLS (RFC 6614): connections instead of datagrams, whose client has proved who it is.

A stranger gets as far as a handshake and no further, and there is room for few of those: where it is used up,
the oldest is cut, since whoever means it is through in a moment.  On a connection packets follow each other
without a seam, so that whatever is not exactly a packet ends it (RFC 6613 §2.6.4).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from structlog.typing import FilteringBoundLogger

from radius_mfa.core.ports import Clock, Meter
from radius_mfa.core.seldom import Seldom
from radius_mfa.transports.radsec_connection import Connection
from radius_mfa.transports.tls import HandshakeError, Peer, why
from radius_mfa.wire.clients import Clients, Stranger, unmapped
from radius_mfa.wire.desk import Link
from radius_mfa.wire.room import Room

_LONGEST_NAMES = 200  # characters of a certificate's names in the log
_MOST_LINES = 128  # of the log in a minute, about one client or about strangers
_AT_ONCE = 16  # connections that are accepted before others have their turn
_WATCH_EVERY = 0.5  # seconds between two looks at who is too slow
_BREATH = 1.0  # seconds without accepting, where there was no descriptor left
_FAREWELL = 2.0  # seconds
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class RadsecLimits:
    """Of one listener in one process.

    `connections`: in all, and of a client.  `handshakes`: under way at once; `handshake`: seconds for one.
    `packet`: seconds from the first octet of a packet to its last, and for somebody to take what was sent.
    """

    connections: int = 2048
    connections_of_client: int = 256
    handshakes: int = 128
    handshake: float = 5.0
    packet: float = 10.0


@dataclass(frozen=True, slots=True)
class RadsecPorts:
    """What a listener asks of the house.

    `clients`: those of now.  `has_room_for`, `receive` (`receive_over`) and `hang_up` are the exchange's; of the
    last also those hear that are ending.
    """

    clients: Callable[[], Clients]
    has_room_for: Callable[[Link], bool]
    receive: Callable[[Link, bytes], bool] = field(repr=False)
    hang_up: Callable[[Link], None]
    meter: Meter
    clock: Clock
    log: FilteringBoundLogger


class RadsecListener:
    """Accepts on a listening socket, which is its own from now on, in the running event loop.

    `tls` and `idle` may be set to others: whoever is connected stays, whoever comes speaks the new.
    """

    def __init__(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext,
        idle: float,
        ports: RadsecPorts,
        limits: RadsecLimits | None = None,
    ) -> None:
        """`idle`: seconds without a packet after which a connection is closed."""
        self.tls = tls
        self.idle = idle
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self.connections: dict[Connection, None] = {}
        self._sock = sock
        self._ports = ports
        self._limits = limits or RadsecLimits()
        self.patience = self._limits.packet
        self._handshakes: dict[asyncio.Task[None], tuple[str, Connection]] = {}  # by age
        self._of_source = Room(self._limits.handshakes, shared=True)
        self._lines: dict[str, Seldom] = {}  # by client, those about strangers under ""
        self._loop = asyncio.get_running_loop()
        self._accepting = True
        self._loop.add_reader(sock, self._accept)
        self._watching = self._loop.call_later(_WATCH_EVERY, self._watch)

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._handshakes)

    def counted(self) -> Counter[str]:
        """Connections by client."""
        return Counter(each.client for each in self.connections)

    def review(self) -> None:
        """Close what would not be let in any more: the configuration is another."""
        clients = self._ports.clients()
        for each in list(self.connections):
            each.review(clients)

    def stop_accepting(self) -> None:
        """Nobody new; whoever is connected stays."""
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._sock)
            self._sock.close()
        for task, (_, connection) in self._handshakes.items():
            if not connection.is_through:
                task.cancel()

    async def close(self) -> None:
        """Say farewell to everybody, and wait a moment for it to arrive."""
        self.stop_accepting()
        self._watching.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        if ending := [each.end("stopping") for each in list(self.connections)]:
            await asyncio.wait(ending, timeout=_FAREWELL)
        for each in list(self.connections):
            each.abort()

    # --- strangers ------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, source = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as broken:
                if broken.errno in _SCARCE:
                    self._hold_breath(broken)
                    return
                continue  # that one has gone already (accept(2))
            self._greet(sock, source[:2])

    def _hold_breath(self, broken: OSError) -> None:
        """Without a descriptor the socket would stay readable, and the loop do nothing but look at it."""
        self._say(self._ports.log.error, "accept_failed", error=broken.strerror or "")
        self._loop.remove_reader(self._sock)
        self._loop.call_later(_BREATH, self._go_on)

    def _go_on(self) -> None:
        if self._accepting:
            self._loop.add_reader(self._sock, self._accept)

    def _greet(self, sock: socket.socket, source: tuple[str, int]) -> None:
        """Begin a handshake; where there is no room for one more, in place of the oldest."""
        sock.setblocking(False)
        if len(self.connections) >= self._limits.connections:
            self._refuse("too_many_connections", source)
            sock.close()
            return
        whose = _neighbourhood(source[0])
        if not self._of_source.is_left(whose):
            is_full = len(self._of_source) >= self._limits.handshakes
            self._cut(next(task for task, (who, _) in self._handshakes.items() if is_full or who == whose))
        self._of_source.take(whose)
        connection = Connection(self, source)
        task = self._loop.create_task(self._shake_hands(sock, connection))
        self._handshakes[task] = whose, connection
        task.add_done_callback(partial(self._done, sock, connection))

    def _cut(self, task: asyncio.Task[None]) -> None:
        _, connection = self._handshakes[task]
        if not connection.is_through:  # a moment ago, of which its task has not heard
            task.cancel()
        self._end_handshake(task)

    def _end_handshake(self, task: asyncio.Task[None]) -> None:
        whose, _ = self._handshakes.pop(task, ("", None))
        if whose:
            self._of_source.give_back(whose)

    def _done(self, sock: socket.socket, connection: Connection, task: asyncio.Task[None]) -> None:
        self._end_handshake(task)
        if task.cancelled() and not connection.is_through:  # also before it had begun
            self._refuse("handshake_cut", connection.source)
            sock.close()

    async def _shake_hands(self, sock: socket.socket, connection: Connection) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # The loop closes its own when a handshake fails; the alert goes out of this one.
            with sock.dup() as ours:
                try:
                    await self._loop.connect_accepted_socket(
                        lambda: connection,
                        sock,
                        ssl=self.tls,
                        ssl_handshake_timeout=self._limits.handshake,
                        ssl_shutdown_timeout=_FAREWELL,
                    )
                except HandshakeError as broken:
                    with suppress(OSError):
                        ours.send(broken.alert)
                    raise
        except (OSError, TimeoutError) as broken:  # of which SSLError is one
            self._refuse("handshake_failed", connection.source, detail=why(broken))
            sock.close()

    # --- what a connection asks of its host -----------------------------------------------------

    def welcome(self, peer: Peer, version: str, source: tuple[str, int]) -> str | None:
        """The name of the client who has come through the handshake; None, and said, where it is none."""
        client = peer.found_among(self._ports.clients(), source[0])
        names = str(peer)[:_LONGEST_NAMES]
        if isinstance(client, Stranger):
            self._refuse(client.value, source, names=names)
            return None
        name = client.nas.name
        if self.counted()[name] >= self._limits.connections_of_client:
            self._refuse("too_many_of_client", source, client=name)
            return None
        say = self._ports.log.info
        self._say(say, "radsec_connected", client=name, source=source[0], names=names, tls=version)
        return name

    def has_room_for(self, link: Link) -> bool:
        """Whether one more packet would be taken now."""
        return self._ports.has_room_for(link)

    def receive(self, link: Link, octets: bytes) -> bool:
        """A packet; False where the connection has to end with it."""
        return self._ports.receive(link, octets)

    def farewell(self, connection: Connection, link: Link, reason: str) -> None:
        """A connection has ended."""
        self._ports.hang_up(link)
        self._ports.meter.count("radsec_closed", client=link.client, reason=reason)
        source = connection.source[0]
        self._say(self._ports.log.info, "radsec_closed", client=link.client, source=source, reason=reason)

    # --- who is too slow, and what is said -------------------------------------------------------

    def _watch(self) -> None:
        now = self._loop.time()
        for each in list(self.connections):
            each.look(now)
        self._watching = self._loop.call_later(_WATCH_EVERY, self._watch)

    def _refuse(self, reason: str, source: tuple[str, int], **details: str) -> None:
        self._ports.meter.count("radsec_refused", reason=reason)
        self._say(self._ports.log.warning, "radsec_refused", reason=reason, source=source[0], **details)

    def _say(self, say: Callable[..., object], event: str, **details: str) -> None:
        """In the log, where there is room for it: strangers can make lines."""
        what = (event, *details.values())
        lines = self._lines.setdefault(details.get("client", ""), Seldom(_MOST_LINES))
        if lines.may_say(what, self._ports.clock.monotonic()):
            say(event, **details)


def _neighbourhood(host: str) -> str:
    """Whose handshakes are counted together: an IPv4 address, or the /64 that somebody has all of."""
    address = unmapped(host)
    if address is None or address.version == 4:
        return str(address or host)
    return str(int(address) >> 64)
