"""The portal's web server: uvicorn, in a loop and with a socket that are ours, and with an end to all waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from socket import socket
from ssl import SSLContext
from typing import Any, cast

import h11
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger()

_LONGEST_HEAD = 32 * 1024  # octets, cookies included
_KEPT_ALIVE = 20  # seconds that a browser's connection may be idle
_GRACE = 10  # seconds that what is in flight may take, in the end
_PAUSE = 1.0  # seconds until somebody is let in again, once there was no descriptor left

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Limits:
    """What nobody is waited for beyond.

    `patience`, `unread`, `handshake`: seconds for a whole request to arrive, for an answer to be fetched, for TLS
    to begin.  `most`: connections and requests at once; whoever comes then is told to try again (503), or not even
    that when there are twice as many.  `handshakes`: those of TLS at once; one more ends the oldest, for those of
    browsers take no time.  `queued`: requests that may be sent ahead of the answers, which no browser does.
    """

    patience: float = 20.0
    unread: float = 20.0
    handshake: float = 10.0
    most: int = 1000
    handshakes: int = 1000
    queued: int = 16


class _Strict(h11.Connection):
    """Takes no request whose end could be told in two ways (RFC 9112 §6.1, §6.3): a proxy might take the other."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version != b"1.1"):
                raise h11.RemoteProtocolError("Transfer-Encoding beside Content-Length, or in HTTP/1.0")
        return event


class _Impatient(H11Protocol):
    """Hangs up on whoever sends a request too slowly, or fetches no answer: uvicorn itself would wait for ever."""

    def __init__(self, limits: Limits, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Strict(h11.SERVER, _LONGEST_HEAD)
        self._limits = limits
        self._sending: asyncio.TimerHandle | None = None  # what they send has to be there by then
        self._fetching: asyncio.TimerHandle | None = None  # and what they are sent has to be gone
        self._queued = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sends = cast(asyncio.Transport, transport)  # as of any TCP connection
        super().connection_made(sends)
        sends.set_write_buffer_limits(high=1, low=0)  # so that it is known of any octet whether it has left
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # of which nobody would read the answer
        self._queued = 0
        super().data_received(data)
        if self._sending is None:
            self._wait()  # the next one has begun
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._wait_no_more()

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state is h11.SEND_BODY and self._sending is None:
            self._wait()  # for the rest of what has come with the request before
        self._end_soon_if_closing()

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            self._queued += 1
            if self._queued > self._limits.queued:
                self.transport.close()
        super().on_response_complete()
        self._end_soon_if_closing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._end_soon_if_closing()

    def eof_received(self) -> None:
        self._end_soon()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_soon()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing() and self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        if self._fetching is not None:
            self._fetching.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._sending = self.loop.call_later(self._limits.patience, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _end_soon_if_closing(self) -> None:
        """A transport that is closed lives until all it has been given is fetched, or nobody would ever end it."""
        if self.transport.is_closing():
            self._end_soon()

    def _end_soon(self) -> None:
        if self._fetching is None:
            self._fetching = self.loop.call_later(self._limits.unread, self.transport.abort)


class _Server(uvicorn.Server):
    """Lets people in by itself, for uvicorn's way knows no end to a handshake; leaves signals to the process."""

    def __init__(self, config: uvicorn.Config, sock: socket, tls: SSLContext | None, limits: Limits) -> None:
        super().__init__(config)
        self.servers = []  # none of asyncio's
        self.listens = asyncio.Event()
        self._sock = sock
        self._limits = limits
        self._tls: dict[str, Any] = {}
        if tls is not None:
            ends = dict.fromkeys(("ssl_handshake_timeout", "ssl_shutdown_timeout"), limits.handshake)
            self._tls = {"ssl": tls, **ends}
        self._begun: dict[asyncio.Task[None], None] = {}  # handshakes, the oldest first

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        del sockets  # there is but ours
        self._accepting = asyncio.get_running_loop().create_task(self._accept())
        self.started = True
        self.listens.set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        for task in (self._accepting, *self._begun):
            task.cancel()
        await asyncio.wait((self._accepting, *self._begun))
        self._sock.close()
        await super().shutdown(sockets)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._sock)
            except ConnectionError:
                continue  # they have thought better of it
            except OSError as broken:
                log.warning("portal_accepts_nobody", error=str(broken))
                await asyncio.sleep(_PAUSE)
                continue
            if len(self.server_state.connections) >= 2 * self._limits.most:
                connection.close()
            else:
                self._begin(connection)
            await asyncio.sleep(0)  # the others have their turn, however many wait here

    def _begin(self, connection: socket) -> None:
        if len(self._begun) >= self._limits.handshakes:
            oldest = next(iter(self._begun))
            del self._begun[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._connected(connection))
        self._begun[task] = None
        task.add_done_callback(lambda done: self._begun.pop(done, None))

    async def _connected(self, connection: socket) -> None:
        with suppress(OSError):  # who speaks no TLS, or has gone
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection, **self._tls)

    def _protocol(self) -> _Impatient:
        return _Impatient(self._limits, self.config, self.server_state, {})


_USUAL = Limits()


@asynccontextmanager
async def served(
    app: ASGIApp, sock: socket, tls: SSLContext | None, proxies: Networks, limits: Limits = _USUAL
) -> AsyncIterator[None]:
    """`app`, at a listening socket, for as long as this is entered; what is in flight is finished then.

    `tls`: made by us, and not by uvicorn of two files: versions and ciphers are those of all our TLS.
    `proxies`: whose X-Forwarded-For and -Proto are believed.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=_written(proxies),
        limit_concurrency=limits.most,
        timeout_keep_alive=_KEPT_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    server = _Server(config, sock, tls, limits)
    serving = asyncio.get_running_loop().create_task(server.serve())
    listens = asyncio.get_running_loop().create_task(server.listens.wait())
    try:
        await asyncio.wait((serving, listens), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # which raises what went wrong
        yield
    finally:
        listens.cancel()
        server.should_exit = True
        await serving


def _written(proxies: Networks) -> list[str]:
    """Those of IPv4 as they are seen at a socket for both as well (RFC 4291 §2.5.5.2)."""
    mapped = [f"::ffff:{each.network_address}/{96 + each.prefixlen}" for each in proxies if each.version == 4]
    return [*map(str, proxies), *mapped]
