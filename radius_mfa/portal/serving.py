"""The portal's web server: uvicorn, in a loop and with a socket that are ours, and with an end to all waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from socket import socket
from ssl import SSLContext
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_LONGEST_HEAD = 32 * 1024  # octets, cookies included
_KEPT_ALIVE = 20  # seconds that a browser's connection may be idle
_GRACE = 10  # seconds that what is in flight may take, in the end
_MOST = 1000  # connections and requests at once; whoever comes then is told to try again (503)
PATIENCE = 20.0  # seconds that a whole request may take to arrive

Networks = Sequence[IPv4Network | IPv6Network]


class _Impatient(H11Protocol):
    """Hangs up on whoever sends a request, or half of one, too slowly: uvicorn itself would wait for ever."""

    def __init__(self, patience: float, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is None:
            self._wait()  # the next one has begun
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._patience, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listens.set()


@asynccontextmanager
async def served(
    app: ASGIApp, sock: socket, tls: SSLContext | None, proxies: Networks, patience: float = PATIENCE
) -> AsyncIterator[None]:
    """`app`, at a listening socket, for as long as this is entered; what is in flight is finished then.

    `proxies`: whose X-Forwarded-For and -Proto are believed.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        http=partial(_Impatient, patience),  # type: ignore[arg-type]  # it is only ever called
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=_written(proxies),
        limit_concurrency=_MOST,
        timeout_keep_alive=_KEPT_ALIVE,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    config.load()
    config.ssl = tls  # made by us, and not by uvicorn of two files: versions and ciphers are those of all our TLS
    server = _Server(config)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
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
