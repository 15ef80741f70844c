"""EAP and what it carries, as octets: packets, TLS fragments, AVPs and TLVs, with none of the server's code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

REQUEST, RESPONSE, SUCCESS, FAILURE = 1, 2, 3, 4
IDENTITY, NOTIFICATION, NAK, GTC, TTLS, PEAP, TLV = 1, 2, 3, 6, 21, 25, 33
LENGTH, MORE, START = 0x80, 0x40, 0x20  # the flags of EAP-TLS (RFC 5216 §3.1)

_USER_NAME, _USER_PASSWORD, _EAP_MESSAGE = 1, 2, 79
_MANDATORY, _VENDOR = 0x40, 0x80  # RFC 5281 §10.1

# EAP-TLV's Result, mandatory, which stands alone in its packet ([MS-PEAP] §2.2.8.1.2).
_RESULT = b"\x80\x03\x00\x02"


class MalformedError(ValueError):
    """What came is not what the RFC says; in a few words."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One of EAP (RFC 3748 §4).  `type` is 0 where there is none, as in Success and Failure."""

    code: int
    identifier: int
    type: int = 0
    data: bytes = b""

    def octets(self) -> bytes:
        body = bytes((self.type,)) + self.data if self.type else b""
        return bytes((self.code, self.identifier)) + (4 + len(body)).to_bytes(2, "big") + body


def packet_of(octets: bytes) -> Packet:
    """`MalformedError` where it is none, or is followed by anything."""
    if len(octets) < 4 or int.from_bytes(octets[2:4], "big") != len(octets):
        raise MalformedError(f"no EAP packet: {octets.hex()}")
    code, identifier = octets[:2]
    if code in (SUCCESS, FAILURE) and len(octets) == 4:
        return Packet(code, identifier)
    if code in (REQUEST, RESPONSE) and len(octets) > 4:
        return Packet(code, identifier, octets[4], octets[5:])
    raise MalformedError(f"no EAP packet: {octets.hex()}")


@dataclass(frozen=True, slots=True)
class Fragment:
    """Of a TLS message (RFC 5216 §3.1).  `total`: octets of the whole, where the packet says so."""

    flags: int
    total: int | None
    data: bytes


def fragment_of(data: bytes) -> Fragment:
    """The type data of an EAP-TTLS or PEAP packet."""
    if not data:
        raise MalformedError("no flags")
    if not data[0] & LENGTH:
        return Fragment(data[0], None, data[1:])
    if len(data) < 5:
        raise MalformedError("the L flag without a length")
    return Fragment(data[0], int.from_bytes(data[1:5], "big"), data[5:])


def fragments(message: bytes, room: int) -> list[bytes]:
    """Type data of packets of at most `room` octets that carry it; the first of several says its length."""
    if len(message) + 6 <= room:
        return [b"\0" + message]
    first, rest = room - 10, room - 6
    ends = [0, *range(first, len(message), rest), len(message)]
    pieces = [message[at:end] for at, end in pairwise(ends)]
    *others, last = pieces[1:]
    head = bytes((LENGTH | MORE,)) + len(message).to_bytes(4, "big") + pieces[0]
    return [head, *(bytes((MORE,)) + each for each in others), b"\0" + last]


def avp(code: int, value: bytes, flags: int = _MANDATORY) -> bytes:
    """One of Diameter's, padded to four octets (RFC 5281 §10.1)."""
    head = code.to_bytes(4, "big") + bytes((flags,)) + (8 + len(value)).to_bytes(3, "big")
    return head + value + bytes(-len(value) % 4)


def pap(name: bytes, password: bytes) -> bytes:
    """The AVPs of PAP; the password with NULs to a multiple of 16 (RFC 5281 §11.2.5)."""
    padded = password.ljust(-(-len(password) // 16) * 16, b"\0")
    return avp(_USER_NAME, name) + avp(_USER_PASSWORD, padded)


def eap_message(packet: bytes) -> bytes:
    """An inner EAP packet (RFC 5281 §11.2.1)."""
    return avp(_EAP_MESSAGE, packet)


def avps(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each that is of no vendor."""
    while octets:
        length = int.from_bytes(octets[5:8], "big")
        if not 8 <= length <= len(octets):
            raise MalformedError(f"no AVP: {octets.hex()}")
        code, flags = int.from_bytes(octets[:4], "big"), octets[4]
        head = 12 if flags & _VENDOR else 8
        if not flags & _VENDOR:
            yield code, octets[head:length]
        octets = octets[length + -length % 4 :]


def inner_packet(octets: bytes) -> bytes:
    """What the EAP-Message AVPs hold together; empty where there is none."""
    return b"".join(value for code, value in avps(octets) if code == _EAP_MESSAGE)


def result(packet: Packet) -> bool:
    """Whether an EAP-TLV says success; `MalformedError` where it says nothing of it."""
    if packet.data[:4] != _RESULT or packet.data[4:] not in (b"\0\1", b"\0\2"):
        raise MalformedError(f"no Result TLV: {packet.data.hex()}")
    return packet.data[4:] == b"\0\1"


def acknowledged(identifier: int, success: bool) -> Packet:
    """The response that a Result TLV has."""
    return Packet(RESPONSE, identifier, TLV, _RESULT + (b"\0\1" if success else b"\0\2"))
