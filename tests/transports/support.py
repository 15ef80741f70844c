"""A house for RadSec listeners, a NAS that sends any octets at any moment, and TLS in memory."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Self

import structlog
import uvloop
from structlog.testing import LogCapture
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from radius_mfa.transports.radsec import RadsecLimits, RadsecListener, RadsecPorts
from radius_mfa.transports.sockets import open_tcp
from radius_mfa.transports.tls import Files, server_context
from radius_mfa.wire.clients import Client, Clients
from radius_mfa.wire.desk import Link
from tests.peers.certificates import Authority
from tests.wire.support import CountingMeter, make_client

Play = Callable[[], Coroutine[object, object, None]]
Run = Callable[[Play], None]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
uvloop.new_event_loop().close()  # with its first loop libuv opens a pipe that it keeps

CLOSED, CUT, RESET = "closed", "cut", "reset"  # how a connection may end; else the name of an alert
_CUT = "UNEXPECTED_EOF_WHILE_READING"  # in 3.11.2, later an SSLEOFError

LAST = b"\xff\x00\x00\x14" + bytes(16)  # the packet after which the house wants a connection closed

_MOST = 1 << 16
_PATIENCE = 20.0  # seconds that a test may take


# --- loops --------------------------------------------------------------------------------------


@contextmanager
def watched(kind: str) -> Iterator[Run]:
    """Runs plays in a loop of that kind, in which nothing may be raised unseen, and no task or descriptor left."""
    complaints: list[object] = []
    before = descriptors()
    with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))

        async def whole(play: Play) -> None:
            async with asyncio.timeout(_PATIENCE):
                await play()
            assert len(asyncio.all_tasks()) == 1

        yield lambda play: runner.run(whole(play))
    assert complaints == []
    assert descriptors() == before


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


# --- who is certified ---------------------------------------------------------------------------


class Pki:
    """An authority of ours, a server it has certified, and NASes to be certified by it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ours")
        self.server = self.authority.certify("radius.example.org")
        self.context = self.server_context()
        self.vpn = self.nas("vpn.example.org")

    def server_context(self) -> ssl.SSLContext:
        """What a listener speaks."""
        return server_context(Files(self.server, self.server, self.authority.ca_file))

    def nas(self, *names: str) -> ssl.SSLContext:
        """What a NAS speaks whom we have certified for these names."""
        return self.client_context(self.authority.certify("nas", names=names))

    def client_context(
        self, certificate: Path | None, *, alpn: Iterable[str] = (), version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """What a NAS speaks with any certificate, or none.  `version`: the only one."""
        context = ssl.create_default_context(cafile=self.authority.ca_file)
        context.check_hostname = False
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # 3.11.2 takes a cut for a farewell
        if certificate is not None:
            context.load_cert_chain(certificate)
        if alpn:
            context.set_alpn_protocols(alpn)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


# --- the house ----------------------------------------------------------------------------------


class LoopClock:
    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class _NoticedMeter(CountingMeter):
    def __init__(self, notice: Callable[[], None]) -> None:
        super().__init__()
        self._notice = notice

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        super().count(name, amount, **labels)
        self._notice()


class House:
    """Sends back whatever comes, except that `LAST` is a reason to close.

    `room`: whether there is room, of any connection.  `received`: links and packets, in order.  `gone`: links
    that have ended.
    """

    def __init__(self, *clients: Client) -> None:
        self.clients = Clients(clients or (make_client(certificate="vpn.example.org"),))
        self.room = True
        self.received: list[tuple[Link, bytes]] = []
        self.gone: list[Link] = []
        self.meter = _NoticedMeter(self._notice)
        self._capture = LogCapture()
        self._changed = asyncio.Event()
        log: FilteringBoundLogger = structlog.wrap_logger(
            None,
            processors=[self._noticed, self._capture],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        self.ports = RadsecPorts(
            clients=lambda: self.clients,
            has_room_for=self._has_room_for,
            receive=self._receive,
            hang_up=self._hang_up,
            meter=self.meter,
            clock=LoopClock(),
            log=log,
        )

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something that comes with a packet, a count, a line of the log, or the end of a connection."""
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def refused(self, reason: str, times: int = 1) -> None:
        await self.until(lambda: self.meter.counts["radsec_refused", reason] >= times)

    async def closed(self, reason: str, times: int = 1, client: str = "vpn") -> None:
        await self.until(lambda: self.meter.counts["radsec_closed", client, reason] >= times)

    @property
    def packets(self) -> list[bytes]:
        return [octets for _, octets in self.received]

    def said(self, event: str) -> list[EventDict]:
        """The lines of the log about that."""
        return [entry for entry in self._capture.entries if entry["event"] == event]

    def _notice(self) -> None:
        self._changed.set()

    def _noticed(self, _logger: WrappedLogger, _name: str, entry: EventDict) -> EventDict:
        self._notice()
        return entry

    def _has_room_for(self, link: Link) -> bool:
        assert link not in self.gone, "asked about a connection that is no more"
        return self.room

    def _receive(self, link: Link, octets: bytes) -> bool:
        assert link not in self.gone
        self.received.append((link, octets))
        self._notice()
        link.send(octets)
        return octets != LAST

    def _hang_up(self, link: Link) -> None:
        assert link not in self.gone
        self.gone.append(link)
        self._notice()


@asynccontextmanager
async def listening(
    house: House,
    tls: ssl.SSLContext,
    *,
    host: str = "127.0.0.1",
    idle: float = 60.0,
    limits: RadsecLimits | None = None,
) -> AsyncIterator[RadsecListener]:
    """A listener on a free port, closed in the end."""
    listener = RadsecListener(open_tcp(host, 0), tls, idle, house.ports, limits)
    try:
        yield listener
    finally:
        await listener.close()
        await asyncio.sleep(0)  # handshakes that have just failed are counted until the loop has said so
        assert (listener.handshakes, len(listener.connections)) == (0, 0)


# --- TLS in memory ------------------------------------------------------------------------------


class End:
    """One end of TLS, whose octets somebody else carries."""

    def __init__(
        self, context: ssl.SSLContext, *, server: bool = False, session: ssl.SSLSession | None = None
    ) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, session=session)

    def shake(self) -> bool:
        """Go on with the handshake; whether it is over on this side."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def seal(self, octets: bytes) -> bytes:
        """As records."""
        self.tls.write(octets)
        return self.outgoing.read()


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> list[End]:
    """Both ends of a handshake, the server first.  Raises what either raises, ssl.SSLError."""
    ends = [End(server, server=True), End(client, session=session)]
    done = [False, False]
    while not all(done):
        for here, there in ((1, 0), (0, 1)):
            done[here] = ends[here].shake()
            ends[there].incoming.write(ends[here].outgoing.read())
    return ends


# --- a NAS --------------------------------------------------------------------------------------


class Nas:
    """A connection to a listener; what it sends is lost where that has ended it.

    with await Nas.of(listener, context) as nas: ...
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.end = End(context)
        self.sock = sock
        self._unread = b""
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def of(cls, listener: RadsecListener, context: ssl.SSLContext, source: str = "") -> Nas:
        """Whose handshake is over.  Raises OSError."""
        nas = await cls.silent(listener, context, source)
        try:
            await nas.shake()
        except BaseException:
            nas.sock.close()
            raise
        return nas

    @classmethod
    async def silent(cls, listener: RadsecListener, context: ssl.SSLContext, source: str = "") -> Nas:
        """Connected, and nothing said."""
        nas = cls.apart(listener, context, source)
        await nas.connect(listener)
        return nas

    @classmethod
    def apart(cls, listener: RadsecListener, context: ssl.SSLContext, source: str = "") -> Nas:
        """Not yet connected."""
        family = socket.AF_INET6 if ":" in listener.address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        return cls(sock, context)

    async def connect(self, listener: RadsecListener) -> None:
        try:
            await self._loop.sock_connect(self.sock, listener.address)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    async def shake(self) -> None:
        """Finish the handshake.  Raises OSError, of which ssl.SSLError is one."""
        while not self.end.shake():
            await self._carry()
        await self.raw(self.end.outgoing.read())

    async def send(self, *pieces: bytes) -> None:
        """Each in records of its own."""
        await self.raw(b"".join(map(self.end.seal, pieces)))

    async def raw(self, octets: bytes) -> None:
        """Octets as they are."""
        with suppress(ConnectionError):
            await self._loop.sock_sendall(self.sock, octets)

    async def packet(self) -> bytes:
        """The next one that comes.  Raises OSError where none does."""
        while len(self._unread) < 4 or len(self._unread) < int.from_bytes(self._unread[2:4], "big"):
            self._unread += await self._read()
        length = int.from_bytes(self._unread[2:4], "big")
        packet, self._unread = self._unread[:length], self._unread[length:]
        return packet

    async def ask(self, octets: bytes) -> None:
        """Send a packet, and see it come back."""
        await self.send(octets)
        assert await self.packet() == octets

    async def ended(self) -> str:
        """How the listener ends the connection, whatever comes before."""
        try:
            while True:
                await self._read()
        except ssl.SSLZeroReturnError:
            return CLOSED
        except ssl.SSLEOFError:
            return CUT
        except ssl.SSLError as broken:
            return CUT if broken.reason == _CUT else broken.reason or str(broken)
        except ConnectionError:
            return RESET

    async def farewell(self) -> None:
        """Say it (close_notify), and nothing more."""
        with suppress(ssl.SSLWantReadError):
            self.end.tls.unwrap()
        await self.raw(self.end.outgoing.read())

    def reset(self) -> None:
        """Be gone without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    async def _read(self) -> bytes:
        """What is next, at least an octet."""
        while True:
            try:
                octets = self.end.tls.read(_MOST)
            except ssl.SSLWantReadError:
                await self._carry()
                continue
            if not octets:  # a farewell
                raise ssl.SSLZeroReturnError
            return octets

    async def _carry(self) -> None:
        """What is to be sent, and then what has come."""
        await self.raw(self.end.outgoing.read())
        octets = await self._loop.sock_recv(self.sock, _MOST)
        if octets:
            self.end.incoming.write(octets)
        else:
            self.end.incoming.write_eof()


def packet(number: int = 0, length: int = 20) -> bytes:
    """An Access-Request as far as a stream is concerned."""
    return (
        b"\x01"
        + bytes((number % 256,))
        + length.to_bytes(2, "big")
        + number.to_bytes(4, "big")
        + bytes(length - 8)
    )
