"""RADIUS over UDP on Linux: one socket, read in batches; each reply leaves from the address that was asked.

A socket bound to every address must be told from which of them to answer, or a NAS would drop the
reply; the kernel says with each datagram where it was sent to (IP_PKTINFO, ip(7) and ipv6(7)).  Of one that is
bound to a single address nothing of the kind is read or told: it can answer from no other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Hashable
from functools import partial
from ipaddress import ip_address

from radius_mfa.core.ports import Meter
from radius_mfa.transports.sockets import IP_PKTINFO, dropped
from radius_mfa.wire.desk import Send

Receive = Callable[[bytes, tuple[str, int], Hashable, Send], None]
"""`Exchange.receive`: octets, source, what tells our sockets apart, how to reply."""

# What a packet may have; whatever follows it is padding (RFC 2865 §3), and may be cut off.
_LONGEST_DATAGRAM = 4096

# Datagrams read at a wake-up: enough to be worth it, few enough that others have their turn.
_BATCH = 32
# Turns of the loop that a datagram waits while others are being answered: what those have begun goes on first, and
# more comes meanwhile, which costs less in a row.  At 32 at once a tenth; more turns gain nothing.
_TURNS = 4

_IN_PKTINFO = struct.Struct("=I4s4s")  # interface, local address, header's destination
_IN6_PKTINFO = struct.Struct("=16sI")  # header's destination, interface
_ANCILLARY = socket.CMSG_SPACE(_IN_PKTINFO.size) + socket.CMSG_SPACE(_IN6_PKTINFO.size)

Ancillary = list[tuple[int, int, bytes]]
Destination = tuple[str, int] | tuple[str, int, int, int]


class UdpListener:
    """Reads a socket of `transports.sockets`, which is its own from now on, in the running event loop.

    `in_flight`: how many requests are being answered.  `dropped`: datagrams the kernel had no room for, as far
    as it has said.
    """

    def __init__(
        self, sock: socket.socket, receive: Receive, meter: Meter, in_flight: Callable[[], int] = lambda: 0
    ) -> None:
        self._sock = sock
        self._receive = receive
        self._in_flight = in_flight
        self._meter = meter
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self._name = ":".join(map(str, self.address))
        self._has_one_address = not ip_address(self.address[0]).is_unspecified
        self._heed([])
        self.dropped = dropped(sock)
        self._loop = asyncio.get_running_loop()
        self._unsent: list[tuple[bytes, Ancillary, Destination]] = []
        self._turn: asyncio.Handle | None = None  # the next one, while datagrams wait
        self._loop.add_reader(sock, self._look)

    def pause(self) -> None:
        """Receive nothing more, until `resume`; what is asked already is answered."""
        self._loop.remove_reader(self._sock)
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def resume(self) -> None:
        """Receive again."""
        self._loop.add_reader(self._sock, self._look)

    def close(self) -> None:
        """Send what is to be sent, and receive and send nothing more."""
        self._send_all()
        self.pause()
        self._sock.close()

    def _look(self) -> None:
        """There is something to read: at once where nobody else is being answered."""
        if self._turn is None:
            self._wait(_TURNS)

    def _wait(self, turns: int) -> None:
        """So many more at most, then read."""
        if turns and self._in_flight():
            self._turn = self._loop.call_soon(self._wait, turns - 1)
        else:
            self._turn = None
            self._read()

    def _read(self) -> None:
        self._count_drops()
        sock, receive, has_one_address = self._sock, self._receive, self._has_one_address
        for _ in range(_BATCH):
            try:
                if has_one_address:
                    octets, source = sock.recvfrom(_LONGEST_DATAGRAM)
                else:
                    octets, ancillary, _, source = sock.recvmsg(_LONGEST_DATAGRAM, _ANCILLARY)
                    if ancillary != self._heeded:
                        self._heed(ancillary)
            except BlockingIOError:
                return
            receive(octets, source[:2], self._asked, partial(self._send, source, self._origin))

    def _send(self, destination: Destination, origin: Ancillary, octets: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._send_all)
        self._unsent.append((octets, origin, destination))

    def _send_all(self) -> None:
        """What one turn of the loop has to send, in a row: whoever receives is woken once and not for each."""
        unsent, self._unsent = self._unsent, []
        for octets, origin, destination in unsent:
            try:
                if origin:
                    self._sock.sendmsg((octets,), origin, 0, destination)
                else:
                    self._sock.sendto(octets, destination)
            except OSError:  # no room, no route, or closed: the NAS asks again
                self._meter.count("send_failed", listener=self._name)

    def _heed(self, ancillary: Ancillary) -> None:
        """What the kernel says with a datagram: mostly the same as with the one before."""
        self._heeded = ancillary
        self._origin = _origin(ancillary)
        # The same NAS may ask two addresses of ours, also through one socket: each has its own duplicates.
        address = b"".join([data for _, _, data in self._origin]) or self.address[0].encode()
        self._asked = self.address[1].to_bytes(2, "big") + address

    def _count_drops(self) -> None:
        """Once for all that is read in a row: to be told with each datagram (SO_RXQ_OVFL) costs more."""
        now = dropped(self._sock)
        if now != self.dropped:  # the kernel counts in 32 bits
            self._meter.count("receive_overflowed", (now - self.dropped) % 2**32, listener=self._name)
            self.dropped = now


def _origin(ancillary: Ancillary) -> Ancillary:
    """What makes a reply leave from the address its request was sent to; the route chooses the interface."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            _, local, _ = _IN_PKTINFO.unpack(data)
            return [(level, kind, _IN_PKTINFO.pack(0, local, bytes(4)))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            local, _ = _IN6_PKTINFO.unpack(data)
            return [(level, kind, _IN6_PKTINFO.pack(local, 0))]
    return []
