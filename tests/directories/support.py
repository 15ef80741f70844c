"""A directory under test, and LDAP servers that answer as a test says; octets are made by hand here."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.directories.ldap import LdapDirectory, LdapSettings
from radius_mfa.directories.ldap_server import LdapAddress
from tests.peers.ports import free_port
from tests.peers.slapd import Slapd

Play = Callable[[], Coroutine[object, object, None]]
Run = Callable[[Play], None]
Address = tuple[str, int]

BIND, SEARCH, UNBIND = 0x60, 0x63, 0x42
BIND_RESPONSE, ENTRY, DONE, REFERENCE, EXTENDED, INTERMEDIATE = 0x61, 0x64, 0x65, 0x73, 0x78, 0x79


class LoopClock:
    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def soon(seconds: float = 10.0) -> float:
    """A deadline, generous unless the test is about it."""
    return asyncio.get_running_loop().time() + seconds


def nobodies(count: int = 6) -> list[Address]:
    """Servers that refuse at once: between a silent one and the last they leave most of the time to the last."""
    return [("127.0.0.1", free_port())] * count


@asynccontextmanager
async def directory(*servers: Address | LdapAddress | Slapd, **settings: Any) -> AsyncIterator[LdapDirectory]:
    """A directory of the people in `Slapd`, on these servers."""
    addresses = tuple(server.address if isinstance(server, Slapd) else server for server in servers)
    passwords = [server.bind_password for server in servers if isinstance(server, Slapd)]
    usual: dict[str, Any] = {
        "bind_dn": Slapd.bind_dn,
        "bind_password": (passwords or ["service"])[0].encode(),
        "base_dn": Slapd.people,
    }
    servers_ = tuple(each if isinstance(each, LdapAddress) else LdapAddress(*each) for each in addresses)
    under_test = LdapDirectory(LdapSettings(servers=servers_, **{**usual, **settings}), LoopClock())
    try:
        yield under_test
    finally:
        await under_test.close()


async def found(under_test: LdapDirectory, username: str) -> User:
    user = await under_test.find(username, soon())
    assert isinstance(user, User), user
    return user


async def groups_of(under_test: LdapDirectory, username: str) -> frozenset[str]:
    user = await found(under_test, username)
    return (await under_test.with_groups(user, soon())).groups


async def login(under_test: LdapDirectory, username: str, password: str) -> Password | Outcome:
    """What comes of a name and a password."""
    user = await under_test.find(username, soon())
    return user if isinstance(user, Outcome) else await under_test.check_password(user, password.encode(), soon())


# --- octets ---------------------------------------------------------------------------------------


def tlv(tag: int, *values: bytes) -> bytes:
    value = b"".join(values)
    if len(value) < 0x80:
        return bytes((tag, len(value))) + value
    return bytes((tag, 0x84)) + len(value).to_bytes(4, "big") + value


def message(number: int, operation: int, *content: bytes) -> bytes:
    return tlv(0x30, tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")), tlv(operation, *content))


def result(number: int, operation: int, code: int = 0, text: bytes = b"") -> bytes:
    return message(number, operation, tlv(0x0A, bytes((code,))), tlv(0x04), tlv(0x04, text))


def entry(number: int, dn: str, **attributes: bytes) -> bytes:
    listed = (
        tlv(0x30, tlv(0x04, name.encode()), tlv(0x31, tlv(0x04, value))) for name, value in attributes.items()
    )
    return message(number, ENTRY, tlv(0x04, dn.encode()), tlv(0x30, *listed))


_LENGTH = rb"(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)"


def has_successful_bind(octets: bytes | bytearray, number: int) -> bool:
    """Whether a response to bind `number` that says success is in there, octet by octet (RFC 4511 §4.2.2)."""
    parts = (b"\x30", b"\x02", b"\x00{0,3}" + re.escape(bytes((number,))) + b"\x61", b"\x0a", b"\x00+\x04")
    return re.search(_LENGTH.join(parts), octets, re.DOTALL) is not None


# --- servers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A request; `connection`: the how many-th the client made, from 0."""

    number: int
    operation: int
    octets: bytes
    connection: int


Answering = Callable[[Asked], Awaitable[bytes]]


@dataclass
class Peer:
    """A server that answers every request as `answering` says, and then hangs up if it is `curt`.

    `open`: connections now, `most_open`: at once; `farewells`: how many clients have said goodbye.
    """

    answering: Answering
    curt: bool = False
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    farewells: int = 0
    address: Address = ("", 0)

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    async def until(self, so: Callable[[Peer], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: so(self))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self.connections
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self._writers.add(writer)
        try:
            while (asked := await _read(reader, connection)).operation != UNBIND:
                self.asked.append(asked)
                await self._tell()
                writer.write(await self.answering(asked))
                await writer.drain()
                if self.curt:
                    return
            self.farewells += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            self.open -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def peer(answering: Answering, *, curt: bool = False) -> AsyncIterator[Peer]:
    it = Peer(answering, curt)
    handlers: set[asyncio.Task[None]] = set()
    failed: list[BaseException] = []

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.ensure_future(it.serve(reader, writer))
        handlers.add(handler)
        handler.add_done_callback(ended)

    def ended(handler: asyncio.Task[None]) -> None:
        handlers.discard(handler)
        if not handler.cancelled() and (error := handler.exception()) is not None:
            failed.append(error)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    it.address = server.sockets[0].getsockname()[:2]
    try:
        yield it
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
    assert failed == []


async def _read(reader: asyncio.StreamReader, connection: int) -> Asked:
    head = await reader.readexactly(2)
    if head[0] != 0x30:  # a SEQUENCE, which every message is (RFC 4511 §4.1.1)
        raise ConnectionAbortedError("that is no LDAP")
    length = head[1]
    if length & 0x80:
        length = int.from_bytes(await reader.readexactly(length & 0x7F), "big")
    octets = await reader.readexactly(length)
    at = 2 + octets[1]
    return Asked(int.from_bytes(octets[2:at], "big"), octets[at], octets, connection)


def welcoming(answering: Answering) -> Answering:
    """Lets the service bind, and leaves the rest to `answering`."""

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND and Slapd.bind_dn.encode() in asked.octets:
            return result(asked.number, BIND_RESPONSE)
        return await answering(asked)

    return answer


async def silence(asked: Asked) -> bytes:
    return b""


def always(make: Callable[[int], bytes]) -> Answering:
    """The octets that `make` has for the request's number."""

    async def answer(asked: Asked) -> bytes:
        return make(asked.number)

    return answer
