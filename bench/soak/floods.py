"""Floods, one after another, and how good logins fare meanwhile, beside a quiet run of the same logins."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection

from bench.soak.house import SECRET, UNKNOWN, House, source
from bench.soak.logins import Logins, Taken, access_request
from bench.soak.octets import SIGNATURE, packet, signature
from bench.soak.report import Figure

_DISTINCT = 8192  # packets of a flood, then they come again
_SOCKETS = 32  # each with its own 256 Identifiers
_TICK = 0.005  # seconds between two bursts
_LEAST = 99.0  # of a hundred good logins


@dataclass(frozen=True, slots=True)
class Flood:
    """`host`: where it comes from.  `rate`: datagrams a second, 0 for as many as one core sends."""

    name: str
    host: str
    rate: float
    packets: Callable[[], list[bytes]]
    bounded: bool = True


def floods(rate: float) -> Iterator[Flood]:
    """Each at `rate`; that of verified requests, which cost most, at a tenth of it."""
    broken = source(0)
    yield Flood("unknown source", UNKNOWN, rate, _round_ones)
    yield Flood("bad Message-Authenticator", broken, rate, _badly_signed)
    yield Flood("unsigned under require", broken, rate, _unsigned)
    yield Flood("round ones nobody answers", broken, rate / 10, _round_ones)
    yield Flood("replays of one packet", broken, rate, lambda: _round_ones(1))
    yield Flood("Status-Server", broken, rate, _status_servers)
    yield Flood("unknown source at full speed", UNKNOWN, 0, _round_ones, bounded=False)


def try_floods(house: House, rate: float, logins: float, seconds: float) -> Iterator[Figure]:
    """`rate`: of the floods, `logins`: good ones a second, each for so many `seconds`."""
    quiet = _good(house, logins, seconds)
    yield from _of("quiet", quiet, bounded=True)
    for flood in floods(rate):
        before = house.counted("receive_overflowed"), house.counted("discarded")
        with _flooding(house.port, flood, seconds) as sent:
            taken = _good(house, logins, seconds)
        dropped = house.counted("receive_overflowed") - before[0]
        discarded = house.counted("discarded") - before[1]
        note = f"{discarded} discarded, {dropped} dropped by the kernel"
        yield Figure(f"{flood.name}: sent", round(sent() / seconds), "/s", note=note)
        yield from _of(flood.name, taken, bounded=flood.bounded)


def _of(name: str, taken: Taken, *, bounded: bool) -> Iterator[Figure]:
    tried = len(taken.logins)
    share = 100 * taken.accepted / tried
    failures = "".join(f", {times} {what}" for what, times in taken.failures.items())
    note = f"{taken.accepted} of {tried}, {taken.resent} sent again{failures}"
    yield Figure(f"{name}: logins accepted", round(share, 2), "%", least=_LEAST if bounded else None, note=note)
    yield Figure(f"{name}: a login, p50", round(taken.milliseconds(0.5), 1), "ms")
    yield Figure(f"{name}: a login, p99", round(taken.milliseconds(0.99), 1), "ms")


def _good(house: House, rate: float, seconds: float) -> Taken:
    """Logins of the client whose other source floods: what is a client's is what the two share."""
    logins = Logins(house.port, house.users, rate, seconds, source(1))
    logins.start()
    return logins.taken_in_the_end()


# --- the flood itself, in a process of its own ----------------------------------------------------


@contextmanager
def _flooding(port: int, flood: Flood, seconds: float) -> Iterator[Callable[[], int]]:
    """Gives how many datagrams were sent, once it has ended."""
    fresh = multiprocessing.get_context("spawn")
    ours, theirs = fresh.Pipe()
    arguments = (port, flood.host, flood.packets(), flood.rate, seconds, theirs)
    process = fresh.Process(target=_send, args=arguments)
    process.start()
    ours.recv()  # it is about to begin
    sent = 0
    try:
        yield lambda: sent
        sent = ours.recv()
    finally:
        process.join()


def _send(port: int, host: str, packets: list[bytes], rate: float, seconds: float, told: Connection) -> None:
    sockets = []
    for _ in range(_SOCKETS):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        sockets.append(sock)
    told.send(0)
    began = time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - began) < seconds:
        due = round(passed * rate) if rate else sent + 256
        for number in range(sent, due):
            # A packet always leaves from the same socket: what comes again is the same request.
            which = number % len(packets)
            with suppress(OSError):
                sockets[which % _SOCKETS].send(packets[which])
        sent = due
        if rate:
            time.sleep(_TICK)
    told.send(sent)
    for sock in sockets:
        sock.close()


# --- what it sends --------------------------------------------------------------------------------

_stations = count(1 << 32)


def _round_ones(times: int = _DISTINCT) -> list[bytes]:
    """Right passwords, each for a session of its own."""
    return [
        access_request(number // _SOCKETS & 255, number % 100, b"pw%d" % (number % 100), next(_stations))
        for number in range(times)
    ]


def _badly_signed() -> list[bytes]:
    return [octets[:22] + bytes(16) + octets[38:] for octets in _round_ones()]


def _unsigned() -> list[bytes]:
    return [access_request(number & 255, number % 100, b"pw", number, signed=False) for number in range(_DISTINCT)]


def _status_servers() -> list[bytes]:
    """RFC 5997 §3: nothing but a Message-Authenticator."""
    found = []
    for number in range(_DISTINCT):
        zeroed = packet(12, number & 255, os.urandom(16), [(SIGNATURE, bytes(16))])
        found.append(zeroed[:22] + signature(zeroed, SECRET))
    return found
