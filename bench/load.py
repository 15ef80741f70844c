"""The load: complete two-round logins (password, Access-Challenge, TOTP) from many sockets at once.

A closed loop: each of the sockets has one login going and begins the next when that one has ended.
Every reply is verified, and a login counts when it was accepted.
Lean on purpose, since it shares the machine with what it measures; it uses none of the
project's own code, so that the two cannot be wrong together.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

PERIOD = 30
AT_ONCE = 32
_RESEND = 3.0  # seconds; a NAS with a timeout of 3 s and three retries
_GIVE_UP = 4 * _RESEND
_STATION = b"198.51.100.7"
_EXPECTED = frozenset({(1, 11), (2, 2)})  # the codes: Access-Challenge, then Access-Accept


@dataclass
class Figures:
    """What came of a load.  `failures`: what other logins ended with.

    `rounds`: latencies in seconds, from the first sending of a round to its reply.
    """

    accepted: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    resent: int = 0
    seconds: float = 0.0
    rounds: dict[int, list[float]] = field(default_factory=lambda: {1: [], 2: []})


def seed(number: int) -> bytes:
    """The TOTP seed of user `number`."""
    return hashlib.sha1(b"bench seed %d" % number).digest()


def code(number: int) -> bytes:
    """The TOTP code of user `number` now (RFC 6238 §4, RFC 4226 §5.3)."""
    digest = hmac.digest(seed(number), struct.pack(">Q", int(time.time()) // PERIOD), "sha1")
    at = digest[19] & 15
    return b"%06d" % ((struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000)


def attribute(number: int, value: bytes) -> bytes:
    return bytes((number, len(value) + 2)) + value


def access_request(
    secret: bytes, identifier: int, name: bytes, password: bytes, state: bytes, station: bytes = _STATION
) -> bytes:
    """An Access-Request as a VPN gateway sends it (RFC 2865 §4.1, §5.2; RFC 3579 §3.2)."""
    authenticator = os.urandom(16)
    padded = password.ljust(-(-len(password) // 16) * 16, b"\0")
    hidden, last = b"", authenticator
    for at in range(0, len(padded), 16):
        pad = hashlib.md5(secret + last).digest()
        last = bytes(a ^ b for a, b in zip(padded[at : at + 16], pad, strict=True))
        hidden += last
    rest = attribute(1, name) + attribute(2, hidden) + attribute(4, b"\x7f\0\0\1") + attribute(32, b"vpn")
    rest += attribute(31, station) + (attribute(24, state) if state else b"")
    head = struct.pack(">BBH", 1, identifier, 20 + 18 + len(rest)) + authenticator
    signed = hmac.digest(secret, head + attribute(80, bytes(16)) + rest, "md5")
    return head + attribute(80, signed) + rest


def verified(secret: bytes, request: bytes, reply: bytes) -> bool:
    """Whether `reply` answers `request`: its Response Authenticator says so (RFC 2865 §3)."""
    signed = reply[:4] + request[4:20] + reply[20:] + secret
    return reply[1] == request[1] and reply[4:20] == hashlib.md5(signed).digest()


def state_of(packet: bytes) -> bytes:
    """The State of a reply, empty where there is none."""
    at = 20
    while at + 2 <= len(packet):
        if packet[at] == 24:
            return packet[at + 2 : at + packet[at + 1]]
        at += packet[at + 1]
    return b""


class _Session:
    """One socket of the NAS, one login at a time."""

    def __init__(self, port: int, secret: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.secret = secret
        self.station = _STATION
        self.user = -1
        self.round = 0
        self.identifier = 0
        self.packet = b""
        self.asked = self.sent = 0.0

    def ask(self, round_: int, password: bytes, state: bytes) -> None:
        self.round, self.identifier = round_, (self.identifier + 1) & 255
        name = b"u%d" % self.user
        self.packet = access_request(self.secret, self.identifier, name, password, state, self.station)
        self.asked = time.perf_counter()
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        with suppress(OSError):  # a server that is gone: the login fails in time
            self.socket.send(self.packet)

    def receive(self) -> bytes:
        """The reply to what was asked; empty where something else came."""
        with suppress(OSError):
            reply = self.socket.recv(4096)
            if self.user >= 0 and len(reply) >= 20 and verified(self.secret, self.packet, reply):
                return reply
        return b""


class Load:
    """One login of each of `users`, AT_ONCE of them at a time.

    `opening`: they are left open, once there was a challenge, which counts as accepted then; and each is from a
    station of its own, since the same login again would have the same challenge.
    """

    def __init__(self, port: int, secret: bytes, users: Iterable[int], *, opening: bool = False) -> None:
        self._users = iter(users)
        self._opening = opening
        self._figures = Figures()
        self._sessions = [_Session(port, secret) for _ in range(AT_ONCE)]
        self._busy = self._begun = 0

    def run(self) -> Figures:
        """Run to the end, and close every socket."""
        began = time.perf_counter()
        with selectors.DefaultSelector() as selector:
            for session in self._sessions:
                selector.register(session.socket, selectors.EVENT_READ, session)
                self._busy += self._begin(session)
            looked = began
            while self._busy:
                for key, _ in selector.select(0.1):
                    self._receive(key.data)
                if time.perf_counter() - looked > 0.1:
                    looked = time.perf_counter()
                    self._resend(looked)
        self._figures.seconds = time.perf_counter() - began
        for session in self._sessions:
            session.socket.close()
        return self._figures

    def _begin(self, session: _Session) -> bool:
        session.user = next(self._users, -1)
        if session.user < 0:
            return False
        if self._opening:
            self._begun += 1
            session.station = b"station-%d" % self._begun
        session.ask(1, b"pw%d" % session.user, b"")
        return True

    def _receive(self, session: _Session) -> None:
        reply = session.receive()
        if not reply:
            return
        expected = (session.round, reply[0]) in _EXPECTED
        if expected:
            self._note_latency(session)
        if expected and session.round == 1 and not self._opening:
            session.ask(2, code(session.user), state_of(reply))
            return
        if expected:
            self._figures.accepted += 1
        else:
            self._figures.failures[f"round {session.round}: code {reply[0]}"] += 1
        self._busy -= not self._begin(session)

    def _note_latency(self, session: _Session) -> None:
        self._figures.rounds[session.round].append(time.perf_counter() - session.asked)

    def _resend(self, now: float) -> None:
        for session in self._sessions:
            if session.user < 0 or now - session.sent < _RESEND:
                continue
            if now - session.asked > _GIVE_UP:
                self._figures.failures[f"round {session.round}: no reply"] += 1
                self._busy -= not self._begin(session)
            else:
                self._figures.resent += 1
                session.send()


def refuses(port: int, secret: bytes, user: int) -> bool:
    """Whether neither a wrong password is accepted, nor a wrong code after the right one: not to look is quick.

    A wrong code is answered by a reject, or by another challenge.
    """
    right, wrong = b"pw%d" % user, b"%06d" % ((int(code(user)) + 500_000) % 1_000_000)
    session = _Session(port, secret)
    with session.socket:
        session.socket.settimeout(_RESEND)
        session.user = user
        session.ask(1, b"not " + right, b"")
        if session.receive()[:1] != b"\x03":
            return False
        session.ask(1, right, b"")
        challenge = session.receive()
        session.ask(2, wrong, state_of(challenge))
        return challenge[:1] == b"\x0b" and session.receive()[:1] in (b"\x03", b"\x0b")
