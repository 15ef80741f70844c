"""Good logins at a steady rate, as NASes send them: another try after 3 s, four in all, the same octets.

An open loop: a login begins when its time has come, however the others fare.  So what a flood or an outage costs
shows in how many are answered and when, and not in fewer that are tried.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from statistics import median

from bench.load import code, state_of, verified
from bench.soak.house import GOOD, RETRIES, SECRET, TIMEOUT
from bench.soak.octets import SIGNATURE, hidden, packet, padded, signature

_USER_NAME, _USER_PASSWORD, _STATE, CALLING_STATION_ID = 1, 2, 24, 31
_ACCEPT, _CHALLENGE = 2, 11
_GLANCE = 0.01  # seconds between two looks at what has to be sent


def access_request(
    identifier: int,
    user: int | bytes,
    password: bytes,
    station: int = 0,
    *,
    state: bytes = b"",
    secret: bytes = SECRET,
    signed: bool = True,
) -> bytes:
    """As a VPN gateway sends it (RFC 2865 §4.1), Message-Authenticator first (RFC 3579 §3.2).

    `user`: a number of ours, or any name; `station` makes it a session of its own.
    """
    authenticator = os.urandom(16)
    attributes = [
        (SIGNATURE, bytes(16)),
        (_USER_NAME, b"u%d" % user if isinstance(user, int) else user),
        (_USER_PASSWORD, hidden(padded(password), secret, authenticator)),
        (CALLING_STATION_ID, b"%d" % station),
        *([(_STATE, state)] if state else []),
    ]
    if not signed:
        return packet(1, identifier, authenticator, attributes[1:])
    zeroed = packet(1, identifier, authenticator, attributes)
    return zeroed[:22] + signature(zeroed, secret) + zeroed[38:]


@dataclass(slots=True)
class Login:
    """One login.  `began`, `ended`: `time.perf_counter`; `result`: "accepted", or what became of it."""

    began: float
    ended: float = 0.0
    result: str = ""

    @property
    def accepted(self) -> bool:
        return self.result == "accepted"


@dataclass
class Taken:
    """What came of them.  `resent`: datagrams sent again."""

    logins: list[Login] = field(default_factory=list)
    resent: int = 0

    @property
    def accepted(self) -> int:
        return sum(login.accepted for login in self.logins)

    @property
    def failures(self) -> Counter[str]:
        return Counter(login.result for login in self.logins if not login.accepted)

    def milliseconds(self, share: float) -> float:
        """So long, or less, took that share of the accepted ones, from beginning to end."""
        took = sorted(login.ended - login.began for login in self.logins if login.accepted)
        if share == 0.5 and took:
            return median(took) * 1000
        return took[min(int(len(took) * share), len(took) - 1)] * 1000 if took else float("nan")


class _Session:
    """A socket of the NAS; one login at a time."""

    def __init__(self, port: int, host: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.identifier = 0
        self.login: Login | None = None

    def begin(self, user: int, station: int) -> Login:
        self.user, self.station, self.round = user, station, 1
        self.login = Login(time.perf_counter())
        self._ask(b"pw%d" % user, b"")
        return self.login

    def answer(self, state: bytes) -> None:
        self.round = 2
        self._ask(code(self.user), state)

    def _ask(self, password: bytes, state: bytes) -> None:
        self.identifier = (self.identifier + 1) & 255
        self.packet = access_request(self.identifier, self.user, password, self.station, state=state)
        self.tries = 0
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.tries += 1
        with suppress(OSError):  # a server that is gone
            self.socket.send(self.packet)

    def receive(self) -> bytes:
        """The reply to what was asked; empty where something else came."""
        with suppress(OSError):
            reply = self.socket.recv(4096)
            if self.login and len(reply) >= 20 and verified(SECRET, self.packet, reply):
                return reply
        return b""

    def end(self, result: str) -> None:
        assert self.login is not None
        self.login.ended, self.login.result = time.perf_counter(), result
        self.login = None


class Logins(threading.Thread):
    """Begins `rate` logins a second, and waits for all to end.  `taken`: what came of them.

    For `seconds`, or until it is told that it is `enough`.
    """

    def __init__(
        self, port: int, users: Iterator[int], rate: float, seconds: float = inf, host: str = GOOD
    ) -> None:
        super().__init__(daemon=True)  # who was to say that it is enough may have failed
        self.taken = Taken()
        self._port = port
        self._users = users
        self._rate = rate
        self._seconds = seconds
        self._ends = inf
        self._host = host
        self._selector = selectors.DefaultSelector()
        self._free: deque[_Session] = deque()
        self._busy: set[_Session] = set()

    def run(self) -> None:
        began = time.perf_counter()
        begun, due = 0, began
        while due < (ends := min(self._ends, began + self._seconds)) or self._busy:
            now = time.perf_counter()
            while due <= now and due < ends:
                self._begin(begun)
                begun += 1
                due = began + begun / self._rate
            for key, _ in self._selector.select(_GLANCE):
                self._receive(key.data)
            self._resend()
        for session in self._free:
            session.socket.close()
        self._selector.close()

    def enough(self) -> None:
        """No login begins any more but those whose time has come."""
        self._ends = time.perf_counter()

    def taken_in_the_end(self) -> Taken:
        self.join()
        return self.taken

    def _begin(self, station: int) -> None:
        if not self._free:
            session = _Session(self._port, self._host)
            self._selector.register(session.socket, selectors.EVENT_READ, session)
            self._free.append(session)
        session = self._free.popleft()
        self._busy.add(session)
        self.taken.logins.append(session.begin(next(self._users), station))

    def _receive(self, session: _Session) -> None:
        reply = session.receive()
        if not reply:
            return
        if (session.round, reply[0]) == (1, _CHALLENGE):
            session.answer(state_of(reply))
        elif (session.round, reply[0]) == (2, _ACCEPT):
            self._end(session, "accepted")
        else:
            self._end(session, f"round {session.round}: code {reply[0]}")

    def _resend(self) -> None:
        now = time.perf_counter()
        for session in [each for each in self._busy if now - each.sent >= TIMEOUT]:
            if session.tries > RETRIES:
                self._end(session, f"round {session.round}: no reply")
            else:
                self.taken.resent += 1
                session.send()

    def _end(self, session: _Session, result: str) -> None:
        session.end(result)
        self._busy.remove(session)
        self._free.append(session)
