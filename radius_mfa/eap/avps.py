"""The attribute-value pairs inside a TTLS tunnel, which have the form of Diameter's (RFC 5281 §10)."""

from __future__ import annotations

from dataclasses import field

from radius_mfa.core.record import record

_HEAD, _VENDOR = 8, 4  # octets
_HAS_VENDOR, _MANDATORY = 0x80, 0x40
_MOST = 64


@record(frozen=True, slots=True)
class Avp:
    """One pair.  `vendor`: 0 for RADIUS's own attributes.  `mandatory`: who does not know it may not go on."""

    vendor: int
    code: int
    mandatory: bool
    data: bytes = field(repr=False)


def read_avps(octets: bytes) -> list[Avp] | None:
    """All of them; None where they do not fill `octets` exactly, but for the last one's padding."""
    found: list[Avp] = []
    at, end = 0, len(octets)
    while at < end:
        head = octets[at : at + _HEAD]
        if len(head) < _HEAD or len(found) == _MOST:
            return None
        flags, length = head[4], int.from_bytes(head[5:], "big")
        begin = at + _HEAD + (_VENDOR if flags & _HAS_VENDOR else 0)
        if at + length < begin or at + length > end:
            return None
        vendor = int.from_bytes(octets[at + _HEAD : begin], "big")
        code = int.from_bytes(head[:4], "big")
        found.append(Avp(vendor, code, bool(flags & _MANDATORY), octets[begin : at + length]))
        at += length + -length % 4  # RFC 5281 §10.2
    return found


def avp(code: int, data: bytes) -> bytes:
    """One of RADIUS's own, mandatory, with its padding."""
    length = _HEAD + len(data)
    return code.to_bytes(4, "big") + bytes((_MANDATORY,)) + length.to_bytes(3, "big") + data + bytes(-length % 4)
