"""How values are written: the octets of each type (RFC 2865 §5, RFC 3162 §2, RFC 8044 §3), and their text.

Integers are not among these: their text depends on the attribute's named values.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import NamedTuple

from pyrad import tools


class Format(NamedTuple):
    """One type.  `encode` and `decode` raise ValueError; `expected`: what a value is, to say when it is not."""

    encode: Callable[[str], bytes]
    decode: Callable[[bytes], str]
    expected: str


def hexadecimal(octets: bytes) -> str:
    """`0x…`, as octets are written in the YAML too."""
    return "0x" + octets.hex()


def _octets(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text[:2] in ("0x", "0X") else text.encode()


def _readable(octets: bytes) -> str:
    """UTF-8 with control and format characters escaped: what a packet says cannot steer a terminal."""
    return "".join(map(_harmless, octets.decode()))


def _harmless(character: str) -> str:
    # The ideographic space is a separator as any other, and common in Japanese text.
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def _ipv4_address(text: str) -> bytes:
    return IPv4Address(text).packed


def _ipv6_address(text: str) -> bytes:
    if "%" in text:
        raise ValueError("a zone means nothing to the other end")
    return IPv6Address(text).packed


def _ipv6_prefix(text: str) -> bytes:
    """An octet of zero, the length, the prefix (RFC 3162 §2.3)."""
    if "%" in text or "/" not in text:
        raise ValueError("a zone, or no length")
    prefix = IPv6Network(text)
    return bytes((0, prefix.prefixlen)) + prefix.network_address.packed


def _date(text: str) -> bytes:
    if text.isascii() and text.isdecimal():
        seconds = int(text)
    else:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("noon, but whose?")
        seconds = int(moment.timestamp())
    if not 0 <= seconds < 1 << 32:
        raise ValueError("four octets cannot hold it")
    return seconds.to_bytes(4, "big")


def _moment(octets: bytes) -> str:
    if len(octets) != 4:
        raise ValueError("a date has four octets")
    return datetime.fromtimestamp(int.from_bytes(octets, "big"), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FORMATS = {
    "string": Format(str.encode, _readable, "text that UTF-8 can hold"),
    "octets": Format(_octets, hexadecimal, "text, or 0x and pairs of hexadecimal digits"),
    "ipaddr": Format(_ipv4_address, lambda octets: str(IPv4Address(octets)), "an IPv4 address"),
    "ipv6addr": Format(_ipv6_address, lambda octets: str(IPv6Address(octets)), "an IPv6 address"),
    "ipv6prefix": Format(
        _ipv6_prefix, tools.DecodeIPv6Prefix, "an IPv6 prefix with its length, such as 2001:db8::/64"
    ),
    "ifid": Format(tools.EncodeIfId, tools.DecodeIfId, "an interface id such as 211:22ff:fe33:4455"),
    "ether": Format(tools.EncodeEther, tools.DecodeEther, "a MAC address"),
    "date": Format(_date, _moment, "a time such as 2030-01-31T12:00:00Z, offset included, before 2106-02-07"),
}

# Octets of the integers.
WIDTHS = {"byte": 1, "short": 2, "integer": 4, "integer64": 8}
