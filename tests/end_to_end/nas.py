"""NASes of the tests: octets made by hand over a socket, and two clients that none of us wrote.

All send as a NAS does: the same packet again where no reply comes.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from pyrad.client import Client
from pyrad.dictionary import Dictionary

from tests.peers.radclient import radclient
from tests.wire.support import hide, request

USER_NAME, USER_PASSWORD, REPLY_MESSAGE, STATE, CLASS, PROXY_STATE = 1, 2, 18, 24, 25, 33
CALLING_STATION_ID, ACCT_SESSION_ID, MESSAGE_AUTHENTICATOR = 31, 44, 80
STATUS_SERVER = 12  # a Code (RFC 5997 §4.1)
ACCEPT, REJECT, CHALLENGE = "Access-Accept", "Access-Reject", "Access-Challenge"
CODES = {2: ACCEPT, 3: REJECT, 11: CHALLENGE}

# Seconds a try may take, longer than a loaded machine makes anything wait, and how many there are.
_TRY, _TRIES = 3.0, 4


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that its receiver has verified.  `values`: attributes by name, as the receiver shows them."""

    code: str
    state: bytes
    message: str
    values: tuple[tuple[str, str], ...]


class ForeignNas(Protocol):
    """A client that none of us wrote."""

    def ask(self, name: str, password: str, state: bytes = b"") -> Reply: ...


@dataclass(frozen=True, slots=True)
class Radclient:
    """Debian's radclient."""

    port: int
    secret: str
    source: str = "127.0.0.1"

    def ask(self, name: str, password: str, state: bytes = b"") -> Reply:
        attributes = [
            "Message-Authenticator = 0x00",
            f'User-Name = "{name}"',
            f'User-Password = "{password}"',
            f"Packet-Src-IP-Address = {self.source}",
        ]
        if state:
            attributes.append(f"State = 0x{state.hex()}")
        got = radclient(self.port, self.secret, *attributes, retries=_TRIES)
        assert got.code, got.output
        assert got.attributes[0][0] == "Message-Authenticator"
        state = bytes.fromhex(got.first("State").removeprefix("0x"))
        return Reply(got.code, state, got.first("Reply-Message"), got.attributes)


_DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 string
ATTRIBUTE Filter-Id 11 string
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE State 24 octets
ATTRIBUTE Class 25 octets
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE Message-Authenticator 80 octets
VENDOR Fortinet 12356
BEGIN-VENDOR Fortinet
ATTRIBUTE Fortinet-Group-Name 1 string
END-VENDOR Fortinet
"""


@lru_cache
def _dictionary() -> Dictionary:
    return Dictionary(io.StringIO(_DICTIONARY))


@dataclass(frozen=True, slots=True)
class Pyrad:
    """pyrad's client; it takes no reply without a Message-Authenticator."""

    port: int
    secret: str
    source: str = "127.0.0.1"

    def ask(self, name: str, password: str, state: bytes = b"") -> Reply:
        client = Client(
            "127.0.0.1",
            authport=self.port,
            secret=self.secret.encode(),
            dict=_dictionary(),
            retries=_TRIES,
            timeout=_TRY,
            enforce_ma=True,
        )
        client.bind((self.source, 0))
        try:
            packet = client.CreateAuthPacket(User_Name=name)
            packet["User-Password"] = packet.PwCrypt(password)
            if state:
                packet["State"] = state
            reply = client.SendPacket(packet)
        finally:
            client._CloseSocket()  # it has no public way to
        assert reply.raw_packet[20] == MESSAGE_AUTHENTICATOR
        names = reply.keys()
        values = tuple((name, _shown(value)) for name in names for value in reply[name])
        state = reply["State"][0] if "State" in names else b""
        message = reply["Reply-Message"][0] if "Reply-Message" in names else ""
        return Reply(CODES[reply.code], state, message, values)


def _shown(value: object) -> str:
    """As radclient writes it."""
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply in octets, verified by hand; `octets` as they came."""

    code: str
    attributes: tuple[tuple[int, bytes], ...]
    octets: bytes

    def first(self, number: int) -> bytes:
        return next((value for each, value in self.attributes if each == number), b"")

    @property
    def state(self) -> bytes:
        return self.first(STATE)

    @property
    def message(self) -> str:
        return self.first(REPLY_MESSAGE).decode()


class ByHand(ABC):
    """Packets made by hand, and replies verified so, whatever they go over."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._identifier = os.urandom(1)[0]

    def packet(
        self, name: bytes, password: bytes, *extra: tuple[int, bytes], state: bytes = b"", sign: bool = True
    ) -> bytes:
        """An Access-Request, Message-Authenticator first unless not to `sign` (RFC 3579 §3.2)."""
        salt = os.urandom(16)
        attributes = [(USER_NAME, name), (USER_PASSWORD, hide(password, self._secret, salt)), *extra]
        if state:
            attributes.append((STATE, state))
        return self.raw(attributes, salt=salt, sign=sign)

    def raw(
        self, attributes: list[tuple[int, bytes]], *, code: int = 1, salt: bytes = b"", sign: bool = True
    ) -> bytes:
        """Any packet under the next Identifier."""
        self._identifier = (self._identifier + 1) % 256
        salt = salt or os.urandom(16)
        signing = self._secret if sign else None
        return request(attributes, code=code, identifier=self._identifier, salt=salt, sign=signing)

    def ask(self, name: str, password: str, *extra: tuple[int, bytes], state: bytes = b"") -> RawReply:
        """One round."""
        return self.exchange(self.packet(name.encode(), password.encode(), *extra, state=state))

    def exchange(self, packet: bytes) -> RawReply:
        """Send until there is a reply, and verify that."""
        return self.exchange_all([packet])[0]

    @abstractmethod
    def exchange_all(self, packets: Sequence[bytes]) -> list[RawReply]:
        """Send all of them, and verify the replies, which come in any order; 256 at most."""

    def read(self, octets: bytes, packet: bytes) -> RawReply:
        """A reply to `packet`, verified (RFC 2865 §3, RFC 3579 §3.2)."""
        assert octets[1] == packet[1]
        assert len(octets) == int.from_bytes(octets[2:4], "big")
        salt, secret = packet[4:20], self._secret
        assert octets[4:20] == hashlib.md5(octets[:4] + salt + octets[20:] + secret).digest()
        # First of all, so that nothing chosen by a stranger comes before it (CVE-2024-3596).
        assert octets[20:22] == bytes((MESSAGE_AUTHENTICATOR, 18))
        zeroed = octets[:4] + salt + octets[20:22] + bytes(16) + octets[38:]
        assert octets[22:38] == hmac.digest(secret, zeroed, "md5")
        return RawReply(CODES[octets[0]], tuple(walked(octets[20:])), octets)


class RawNas(ByHand):
    """A socket of a NAS, and packets made by hand."""

    def __init__(self, server: tuple[str, int], secret: bytes, source: str) -> None:
        super().__init__(secret)
        self.socket = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(server)
        self.socket.settimeout(_TRY)

    def exchange_all(self, packets: Sequence[bytes]) -> list[RawReply]:
        """Send all of them, again where there is no reply, and verify what comes; 256 at most."""
        waiting = {packet[1]: packet for packet in packets}
        assert len(waiting) == len(packets)
        replies: dict[int, RawReply] = {}
        for _ in range(_TRIES):
            for packet in waiting.values():
                self.socket.send(packet)
            while waiting:
                try:
                    octets = self.socket.recv(4096)
                except TimeoutError:
                    break
                if octets[1] in waiting:
                    replies[octets[1]] = self.read(octets, waiting.pop(octets[1]))
        assert not waiting, f"the server did not answer {len(waiting)} of {len(packets)}"
        return [replies[packet[1]] for packet in packets]

    def received(self) -> list[bytes]:
        """What has come by now."""
        found = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.socket.recv(4096))
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(_TRY)


def walked(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Attributes, of octets that are nothing else."""
    while octets:
        yield octets[0], octets[2 : octets[1]]
        octets = octets[octets[1] :]


@contextmanager
def raw_nas(port: int, secret: str, source: str = "127.0.0.1") -> Iterator[RawNas]:
    host = "::1" if ":" in source else "127.0.0.1"
    nas = RawNas((host, port), secret.encode(), source)
    try:
        yield nas
    finally:
        nas.socket.close()
