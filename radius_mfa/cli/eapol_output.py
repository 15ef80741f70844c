"""What eapol_test (wpa_supplicant 2.10) has printed, read leniently: it is meant for people."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address

_PACKET = re.compile(rb"^RADIUS message: code=(\d{1,3}) \((.*?)\) identifier=\d+ length=\d+\n", re.MULTILINE)
_ATTRIBUTE = re.compile(rb"   Attribute (\d{1,3}) \(.*?\) length=(\d{1,3})\n")
_VALUE = b"      Value: "
_KEYS = re.compile(rb"^MPPE keys OK: (\d+)  mismatch: (\d+)$", re.MULTILINE)
_VERSION = re.compile(rb"^SSL: Using TLS version (\S+)$", re.MULTILINE)
_HANDSHAKE = re.compile(rb"^OpenSSL: Handshake finished - resumed=([01])$", re.MULTILINE)
_REFUSED = b"\nrecvmsg[RADIUS]: Connection refused\n"

# Eight digits may be hexadecimal or a number: these it prints as hexadecimal, whatever is in them.
_OPAQUE = frozenset((24, 25, 33, 64, 65, 79, 81))  # State, Class, Proxy-State, Tunnel-…, EAP-Message


@dataclass(frozen=True, slots=True)
class Printed:
    """An attribute of a packet.  `value`: None where eapol_test does not know the number, and prints no value."""

    number: int
    length: int
    value: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Packet:
    """A RADIUS packet that was sent or has come."""

    code: int
    name: str
    attributes: tuple[Printed, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """What there is to know.

    `keys`: how many logins ended with the same MS-MPPE keys on both sides (RFC 2548 §2.4), and how many did not.
    `tls`: the version, empty before there was one.  `handshakes`: of each that ended well whether it took a
    session up again.  `refused`: nobody listens at the server's port.  `printed`: all of it, passwords too.
    """

    packets: tuple[Packet, ...]
    keys: tuple[int, int]
    tls: str
    handshakes: tuple[bool, ...]
    refused: bool
    printed: bytes = field(repr=False)

    @property
    def keys_match(self) -> bool:
        """Whether every login ended with keys, and all of them with the same on both sides."""
        same, other = self.keys
        return same > 0 and not other

    def count(self, code: int) -> int:
        """How many packets of a kind there were, not counting those that were sent again."""
        return sum(packet.code == code for packet in self.packets)


def read(printed: bytes) -> Output:
    """Whatever has been printed, also where it ends in the midst."""
    keys = _KEYS.findall(printed)
    versions = _VERSION.findall(printed)
    return Output(
        packets=_packets(printed),
        keys=(int(keys[-1][0]), int(keys[-1][1])) if keys else (0, 0),
        tls=versions[-1].decode(errors="replace") if versions else "",
        handshakes=tuple(resumed == b"1" for resumed in _HANDSHAKE.findall(printed)),
        refused=_REFUSED in printed,
        printed=printed,
    )


def _packets(printed: bytes) -> tuple[Packet, ...]:
    """By turns, so that no text in an attribute can be taken for the next packet."""
    packets, at = [], 0
    while found := _PACKET.search(printed, at):
        at = found.end()
        attributes = []
        while attribute := _ATTRIBUTE.match(printed, at):
            number, length = int(attribute[1]), int(attribute[2]) - 2
            value, at = _value(printed, attribute.end(), number, length)
            attributes.append(Printed(number, length, value))
        packets.append(Packet(int(found[1]), found[2].decode(errors="replace"), tuple(attributes)))
    return tuple(packets)


def _value(printed: bytes, at: int, number: int, length: int) -> tuple[bytes | None, int]:
    """The octets of a value, if there is one here, and where it ends."""
    if not printed.startswith(_VALUE, at):
        return None, at
    at += len(_VALUE)
    text_end = at + 1 + length
    if length >= 0 and printed[at : at + 1] == b"'" and printed[text_end : text_end + 2] == b"'\n":
        return printed[at + 1 : text_end], text_end + 2
    line, _, _ = printed[at:].partition(b"\n")
    octets = _octets(line.decode(errors="replace"), number, length)
    return octets, min(at + len(line) + 1, len(printed))


def _octets(text: str, number: int, length: int) -> bytes | None:
    if length == 4 and number not in _OPAQUE and re.fullmatch("[0-9]{1,10}", text):
        return int(text).to_bytes(4, "big") if int(text) < 1 << 32 else None
    try:
        octets = ip_address(text).packed if "." in text or ":" in text else bytes.fromhex(text)
    except ValueError:
        return None
    return octets if len(octets) == length else None
