"""One connection of RADIUS over TLS (RFC 6614), from the end of its handshake to its own."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Protocol, cast

from radius_mfa.transports.tls import Peer
from radius_mfa.wire.clients import Clients, Stranger
from radius_mfa.wire.desk import Link
from radius_mfa.wire.walker import HEADER, LONGEST_PACKET

_LENGTH = slice(2, 4)  # where a packet says how long it is (RFC 2865 §3)
_AT_ONCE = 16  # packets of one connection, before others have their turn
_FULL = 0.02  # seconds until it is seen whether there is room for what somebody asks
_UNSENT = 256 * 1024  # octets of replies that somebody may leave unread


class Host(Protocol):
    """Whose connection it is: the listener."""

    idle: float
    patience: float
    connections: dict[Connection, None]

    def welcome(self, peer: Peer, version: str, source: tuple[str, int]) -> str | None: ...
    def has_room_for(self, link: Link) -> bool: ...
    def receive(self, link: Link, octets: bytes) -> bool: ...
    def farewell(self, connection: Connection, link: Link, reason: str) -> None: ...


@dataclass(slots=True)
class _Times:
    """Of the loop.  `heard`: the last octets, either way.  `begun`: the packet that is not whole yet began.
    `stuck`: since when nobody takes what we send, None while somebody does.
    """

    heard: float
    begun: float = 0.0
    stuck: float | None = None


class Connection(asyncio.Protocol):
    """`client`: whose it is, "" for nobody of ours, which is closed at once.

    `is_through`: whether the handshake is over.
    """

    def __init__(self, host: Host, source: tuple[str, int]) -> None:
        self.client = ""
        self.source = source
        self.is_through = False
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._times = _Times(self._loop.time())
        self._transport: asyncio.Transport
        self._peer: Peer
        self._link: Link
        self._buffer = bytearray()
        self._is_held = False  # whether nothing is read of it for now
        self._again: asyncio.TimerHandle | None = None  # when that is looked at again
        self._reason = "closed_by_peer"
        self._gone: asyncio.Future[None] = self._loop.create_future()

    # --- what asyncio calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.is_through = True
        self._transport = cast(asyncio.Transport, transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        self._peer = Peer.of(tls)
        client = self._host.welcome(self._peer, tls.version() or "", self.source)
        if client is None:
            # Without a farewell: OpenSSL would keep the session, with the whole certificate, to be taken up again.
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=_UNSENT)
        self._link = Link(client, self.source, self._send)
        self.client = client
        self._host.connections[self] = None

    def data_received(self, data: bytes) -> None:
        if not self.client or self._transport.is_closing():
            return
        self._times.heard = self._loop.time()
        if not self._buffer:
            self._times.begun = self._times.heard
        self._buffer += data
        if not self._is_held:
            self._read()

    def pause_writing(self) -> None:
        """Nobody takes what we send: then nothing more is read, until they do, or for too long."""
        self._times.stuck = self._loop.time()
        self._hold()

    def resume_writing(self) -> None:
        self._times.stuck = None
        self._read()

    def connection_lost(self, _broken: Exception | None) -> None:
        self._look_no_more()
        if self.client:
            del self._host.connections[self]
            self._host.farewell(self, self._link, self._reason)
        if not self._gone.done():
            self._gone.set_result(None)

    # --- packets --------------------------------------------------------------------------------

    def _read(self) -> None:
        """What packets there are, a few at a time, and as long as there is room for them."""
        self._look_no_more()
        for _ in range(_AT_ONCE):
            if self._times.stuck is not None:
                return
            if self._link_is_full():
                self._look_again(_FULL)
                return
            packet = None if self._transport.is_closing() else self._next()
            if packet is None:
                self._let_go()
                return
            if not self._host.receive(self._link, packet):
                self.end("malformed")
                return
        self._look_again(0.0)

    def _look_again(self, seconds: float) -> None:
        """Read nothing until then."""
        self._hold()
        self._again = self._loop.call_later(seconds, self._read)

    def _look_no_more(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _link_is_full(self) -> bool:
        return bool(self._buffer) and not self._host.has_room_for(self._link)

    def _next(self) -> bytes | None:
        """The next packet, None until all of it is there; one of an impossible length ends the connection."""
        buffer = self._buffer
        if len(buffer) < _LENGTH.stop:
            return None
        length = int.from_bytes(buffer[_LENGTH], "big")
        if not HEADER <= length <= LONGEST_PACKET:
            self.end("malformed")
            return None
        if len(buffer) < length:
            return None
        packet = bytes(buffer[:length])
        del buffer[:length]
        self._times.begun = self._loop.time()
        return packet

    def _hold(self) -> None:
        if not self._is_held:
            self._is_held = True
            self._transport.pause_reading()

    def _let_go(self) -> None:
        if self._is_held and self._times.stuck is None and not self._transport.is_closing():
            self._is_held = False
            self._times.begun = self._loop.time()  # the rest could not come meanwhile
            self._transport.resume_reading()

    def _send(self, octets: bytes) -> None:
        if not self._transport.is_closing():
            self._times.heard = self._loop.time()
            self._transport.write(octets)

    # --- its end --------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End the connection if it is idle, or too slow."""
        times, patience = self._times, self._host.patience
        if times.stuck is not None and now - times.stuck > patience:
            self._reason = "does_not_read"
            self.abort()
        elif self._buffer and not self._is_held and now - times.begun > patience:
            self.end("packet_took_too_long")
        elif now - times.heard > self._host.idle and not self._link.replies.is_awaited:
            self.end("idle")

    def review(self, clients: Clients) -> None:
        """End the connection if it would not be let in today."""
        client = self._peer.found_among(clients, self.source[0])
        if isinstance(client, Stranger) or client.nas.name != self.client:
            self.end("client_removed")

    def end(self, reason: str) -> asyncio.Future[None]:
        """Say farewell, for that reason; done when the connection is gone."""
        if not self._transport.is_closing():
            self._reason = reason
            self._buffer.clear()
            # Where reading is paused the loop has not heard that the peer has gone, and would wait for ever.
            self._transport.resume_reading()
            self._transport.close()
        return self._gone

    def abort(self) -> None:
        """End it now, whatever is on its way."""
        self._transport.abort()
