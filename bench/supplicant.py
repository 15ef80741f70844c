"""Supplicants and the NAS before them: 802.1X logins over UDP, many at once, or as few packets of one as wanted.

    async with Nas(("127.0.0.1", 1812), secret) as nas:
        outcome = await nas.log_in(Peer(Login(Method.TTLS_PAP, b"u1", (b"pw1,123456",))))

    outcomes = await crowd(address, secret, logins, at_once=32)

None of it is the server's own code, so that the two cannot be wrong together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType

from OpenSSL import SSL

from bench.eap.packets import MalformedError, Packet
from bench.eap.peer import Login, Method, Peer
from bench.eap.radius import (
    ACCESS_ACCEPT,
    ACCESS_CHALLENGE,
    ACCESS_REJECT,
    ACCESS_REQUEST,
    Reply,
    Station,
    access_request,
    reply_of,
    signed,
)

__all__ = [
    "ACCESS_ACCEPT",
    "ACCESS_CHALLENGE",
    "ACCESS_REJECT",
    "ACCESS_REQUEST",
    "Login",
    "MalformedError",
    "Method",
    "Nas",
    "NoReplyError",
    "Outcome",
    "Packet",
    "Peer",
    "Reply",
    "Station",
    "access_request",
    "as_it_is",
    "crowd",
    "leave_half_open",
    "reply_of",
    "signed",
    "station",
]

Address = tuple[str, int]
Bend = Callable[[bytes], bytes]
"""An EAP packet of the peer's to the one that is sent instead."""


class NoReplyError(Exception):
    """None came that answers the request, however often it was sent."""


def as_it_is(eap: bytes) -> bytes:
    """Nothing is bent."""
    return eap


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a login ended.  `reply`: the last, None where none came; `rounds`: requests; `seconds`: of all of it.

    `session`: of TLS, to be taken up again.  `keys_match`: whether an Access-Accept has both of the MSK's halves.
    `failure`: why it is not accepted, in a few words; empty where it is.
    """

    reply: Reply | None
    rounds: int
    resent: int
    seconds: float
    is_resumed: bool
    session: SSL.Session | None
    keys_match: bool
    failure: str

    @property
    def is_accepted(self) -> bool:
        return not self.failure


class Nas(asyncio.DatagramProtocol):
    """One socket of an access point, one request at a time.

    `timeout`: seconds until a request is sent again, `tries` times in all.
    """

    def __init__(
        self,
        address: Address,
        secret: bytes,
        *,
        timeout: float = 3.0,
        tries: int = 4,
    ) -> None:
        self.resent = 0
        self._address = address
        self._secret = secret
        self._timeout = timeout
        self._tries = tries
        self._identifier = 0
        self._request = b""
        self._replied: asyncio.Future[Reply] | None = None

    async def __aenter__(self) -> Nas:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._address)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, _: Address) -> None:
        reply = reply_of(self._secret, self._request, data) if self._request else None
        if reply is not None and self._replied is not None and not self._replied.done():
            self._replied.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the request times out."""

    async def ask(self, login: Login, eap: bytes, state: bytes = b"") -> Reply:
        """One Access-Request with this EAP packet of the login's; `NoReplyError` in the end."""
        self._identifier = (self._identifier + 1) & 255
        return await self.send(
            access_request(self._secret, self._identifier, login.outer, eap, state, login.station)
        )

    async def send(self, request: bytes) -> Reply:
        """Any packet at all, sent until it is answered; `NoReplyError` in the end."""
        self._request = request
        self._replied = asyncio.get_running_loop().create_future()
        for turn in range(self._tries):
            self.resent += turn > 0
            self._transport.sendto(request)
            with suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(self._replied), self._timeout)
        raise NoReplyError(f"no reply to {self._tries} packets")

    async def log_in(self, peer: Peer, bend: Bend = as_it_is) -> Outcome:
        """A whole login; every packet of the peer's goes through `bend`."""
        began, rounds, resent = time.perf_counter(), 0, self.resent
        reply: Reply | None = None
        eap, failure = peer.identity(), ""
        try:
            while eap:
                rounds += 1
                reply = await self.ask(peer.login, bend(eap), reply.state if reply else b"")
                eap = peer.answer(reply.eap) if reply.eap else b""
        except (NoReplyError, MalformedError) as error:
            failure = str(error)
        keys_match = reply is not None and reply.keys == (peer.msk[:32], peer.msk[32:])
        return Outcome(
            reply,
            rounds,
            self.resent - resent,
            time.perf_counter() - began,
            peer.is_resumed,
            peer.session,
            keys_match,
            failure or peer.failure or _why_not(reply, peer, keys_match),
        )


def _why_not(reply: Reply | None, peer: Peer, keys_match: bool) -> str:
    """Why it is not accepted; empty where it is."""
    if reply is None or reply.code != ACCESS_ACCEPT:
        return f"RADIUS code {reply.code if reply else 0}"
    if not peer.is_accepted:
        return "an Access-Accept without EAP-Success"
    return "" if keys_match else "an Access-Accept with other keys"


async def crowd(
    address: Address,
    secret: bytes,
    logins: Iterable[tuple[Login, SSL.Session | None]],
    *,
    at_once: int = 32,
) -> list[Outcome]:
    """All of these, `at_once` of them at a time, each with the TLS session that it has; in their order."""
    waiting = enumerate(logins)
    outcomes: dict[int, Outcome] = {}
    lanes = (_one_after_another(address, secret, waiting, outcomes) for _ in range(at_once))
    await asyncio.gather(*lanes)
    return [outcomes[place] for place in sorted(outcomes)]


async def _one_after_another(
    address: Address,
    secret: bytes,
    waiting: Iterator[tuple[int, tuple[Login, SSL.Session | None]]],
    outcomes: dict[int, Outcome],
) -> None:
    async with Nas(address, secret) as nas:
        for place, (login, session) in waiting:
            outcomes[place] = await nas.log_in(Peer(login, session))


async def leave_half_open(
    address: Address,
    secret: bytes,
    count: int,
    login: Login,
    *,
    at_once: int = 32,
) -> int:
    """Begin so many conversations, each from a station of its own, and leave them after the ClientHello.

    How many the server has answered so far.
    """
    numbers = iter(range(count))

    async def begin() -> int:
        return sum([await _begun(address, secret, replace(login, station=station(each))) for each in numbers])

    return sum(await asyncio.gather(*(begin() for _ in range(min(at_once, count)))))


def station(number: int) -> Station:
    """One of many: with a MAC address of its own."""
    mac = b"-".join(b"%02X" % octet for octet in (2 << 40 | number).to_bytes(6, "big"))
    return replace(Station(), calling=mac)


async def _begun(address: Address, secret: bytes, login: Login) -> bool:
    """Whether the server goes on after the ClientHello."""
    peer = Peer(login)
    async with Nas(address, secret) as nas:
        with suppress(NoReplyError, MalformedError):
            start = await nas.ask(login, peer.identity())
            hello = await nas.ask(login, peer.answer(start.eap), start.state)
            return hello.code == ACCESS_CHALLENGE
    return False
