"""Memory: what a server grows by over very many requests of every kind, once its tables are as full as they get.

What the tables of a server can hold is bounded by number, by time, or by both.  The warm-up fills them:

- wrong passwords, of nobody: `_NOBODIES` names, more than the shield remembers; of users: each has some;
- challenges and replies to be given again: for as long as a NAS may ask, so a part of a minute fills them;
- lines of the log that were said: more reasons and sources than are remembered;
- sources, clients, outcomes: all there are.

So what grows from there on grows for ever.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from bench.load import code, state_of
from bench.soak.house import GOOD, SECRET, UNKNOWN, UNSIGNED, House, source
from bench.soak.logins import access_request
from bench.soak.octets import SIGNATURE, packet, signature
from bench.soak.report import Figure

_NOBODIES = 20_500
_SOURCES = 200  # of the client `prefix`
_BATCH = 100
_SAMPLES = 20
_PATIENCE = 10.0  # seconds for a sign of life
_CHALLENGE = 11
_KINDS = {
    "login": 30, "half finished": 15, "wrong code": 8, "wrong password": 8, "nobody": 8, "repeated": 10,
    "bad signature": 8, "unsigned": 5, "unknown source": 5, "rubbish": 3,
}  # fmt: skip


def try_memory(house: House, requests: int, warm_up: int, most: float, seed: int) -> Iterator[Figure]:
    """Send `warm_up` requests at least, then so many `requests`, over which it may grow by `most` MB."""
    crowd = _Crowd(house, seed)
    try:
        at_start = house.resident
        crowd.nobodies(min(_NOBODIES, warm_up))
        crowd.send(warm_up)
        series = [house.resident]
        began, before = time.perf_counter(), crowd.sent
        for sample in range(_SAMPLES):
            crowd.send(before + requests * (sample + 1) // _SAMPLES - crowd.sent)
            series.append(house.resident)
        took = time.perf_counter() - began
    finally:
        crowd.close()
    yield Figure("memory at start", round(at_start, 1), "MB")
    yield Figure("memory after the warm-up", round(series[0], 1), "MB", note=f"{before} requests")
    note = f"over {crowd.sent - before} requests, {(crowd.sent - before) / took:.0f}/s; " + ", ".join(
        f"{times} {kind}" for kind, times in crowd.kinds.most_common()
    )
    yield Figure("memory grown", round(series[-1] - series[0], 1), "MB", most=most, note=note)
    yield Figure("memory, the most", round(max(series), 1), "MB", note=" ".join(f"{each:.0f}" for each in series))


class _Nas:
    """A socket of some source, and what was asked through it."""

    def __init__(self, port: int, host: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.identifier = 0
        self.asked: dict[int, tuple[int, str, int]] = {}  # by Identifier: user, kind, station
        self.last = b""

    def next(self) -> int:
        self.identifier = (self.identifier + 1) & 255
        return self.identifier

    def send(self, octets: bytes) -> None:
        with suppress(OSError):
            self.socket.send(octets)


class _Crowd:
    """All NASes there are, good and bad.  `sent`: datagrams so far; `kinds`: of what kind."""

    def __init__(self, house: House, seed: int) -> None:
        self.sent = 0
        self.kinds = Counter[str]()
        self._house = house
        self._random = Random(seed)
        port = house.port
        hosts = [*map(source, range(_SOURCES)), *[GOOD] * 4]
        self._good = [_Nas(port, host) for host in hosts]
        self._loose, self._unknown = _Nas(port, UNSIGNED), _Nas(port, UNKNOWN)
        self._fence = _Nas(port, GOOD)
        self._second = deque[Callable[[], None]]()  # rounds two that are due
        self._station = 0

    def close(self) -> None:
        for nas in (*self._good, self._loose, self._unknown, self._fence):
            nas.socket.close()

    def nobodies(self, most: int) -> None:
        """A wrong password of so many who are not there."""
        for number in range(most):
            self._ask(self._random.choice(self._good), b"nobody-%d" % number, b"wrong")
            if number % _BATCH == _BATCH - 1:
                self._catch_up()
        self._catch_up()

    def send(self, times: int) -> None:
        """So many datagrams at least."""
        until = self.sent + times
        kinds, weights = list(_KINDS), list(_KINDS.values())
        while self.sent < until:
            for kind in self._random.choices(kinds, weights, k=_BATCH):
                self._one(kind)
            while self._second:
                self._second.popleft()()
            self._catch_up()

    def _one(self, kind: str) -> None:
        self.kinds[kind] += 1
        nas = self._random.choice(self._good)
        match kind:
            case "login" | "half finished" | "wrong code":
                user = next(self._house.users)
                self._ask(nas, user, b"pw%d" % user, kind)
            case "wrong password":
                self._ask(nas, next(self._house.users), b"wrong %d" % self._station)
            case "nobody":
                self._ask(nas, b"nobody-%d" % self._random.randrange(10 * _NOBODIES), b"wrong")
            case "repeated":
                self._send(nas, nas.last)
            case _:
                self._bad(kind, nas)

    def _bad(self, kind: str, nas: _Nas) -> None:
        octets = access_request(nas.next(), 1, b"pw1", self._station)
        match kind:
            case "bad signature":
                self._send(nas, octets[:22] + os.urandom(16) + octets[38:])
            case "unsigned":
                self._send(nas, access_request(nas.next(), 1, b"pw1", self._station, signed=False))
            case "unknown source":
                self._send(self._unknown, octets)
            case _:  # of as many sorts as there are reasons to discard
                spoilt = bytearray(octets)
                spoilt[self._random.randrange(1, len(spoilt))] = self._random.randrange(256)
                self._send(nas, bytes(spoilt[: self._random.choice([10, 60, len(spoilt), len(spoilt)])]))

    def _ask(self, nas: _Nas, user: int | bytes, password: bytes, kind: str = "", state: bytes = b"") -> None:
        self._station += 1
        identifier = nas.next()
        nas.last = access_request(identifier, user, password, self._station, state=state)
        nas.asked.pop(identifier, None)
        if isinstance(user, int) and kind in ("login", "wrong code"):
            nas.asked[identifier] = (user, kind, self._station)
        self._send(nas, nas.last)

    def _send(self, nas: _Nas, octets: bytes) -> None:
        nas.send(octets)
        self.sent += 1

    def _catch_up(self) -> None:
        """Until the server has read all that was sent; then take what it has answered by now."""
        zeroed = packet(12, self._fence.next(), os.urandom(16), [(SIGNATURE, bytes(16))])
        self._fence.socket.settimeout(_PATIENCE)
        self._fence.send(zeroed[:22] + signature(zeroed, SECRET))
        self._fence.socket.recv(4096)
        for nas in self._good:
            self._take(nas)

    def _take(self, nas: _Nas) -> None:
        with suppress(OSError):
            while reply := nas.socket.recv(4096):
                asked = nas.asked.pop(reply[1], None)
                if asked is None or reply[0] != _CHALLENGE:
                    continue
                user, kind, _ = asked
                answer = code(user) if kind == "login" else b"000000"
                state = state_of(reply)
                self._second.append(lambda n=nas, u=user, a=answer, s=state: self._ask(n, u, a, "", s))  # type: ignore[misc]
