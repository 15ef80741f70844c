"""EAP packets (RFC 3748 §4): the supplicant's responses, strictly, and our requests."""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum

from radius_mfa.core.record import record

HEADER = 5  # octets of a request or response: Code, Identifier, Length, Type (RFC 3748 §4.1)
_SHORT = 4  # of a success or failure, which have no Type (RFC 3748 §4.2)


class Code(IntEnum):
    """RFC 3748 §4."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class Type(IntEnum):
    """What a request or response is about (RFC 3748 §5); TLV: the result of a PEAP tunnel ([MS-PEAP] §2.2.8)."""

    IDENTITY = 1
    NAK = 3
    GTC = 6
    TTLS = 21
    PEAP = 25
    TLV = 33


@record(frozen=True, slots=True)
class Response:
    """What a supplicant says: `data` is what follows the Type."""

    identifier: int
    type: int
    data: bytes = field(repr=False)


def read_response(octets: bytes) -> Response | None:
    """The response in `octets`; None where there is none: those are to be met with silence (RFC 3748 §4.1)."""
    length = int.from_bytes(octets[2:4], "big")
    if not HEADER <= length <= len(octets) or octets[0] != Code.RESPONSE:
        return None
    return Response(octets[1], octets[4], octets[HEADER:length])  # what is behind it is padding


def request(identifier: int, kind: int, data: bytes = b"") -> bytes:
    """Something asked of a supplicant."""
    return bytes((Code.REQUEST, identifier)) + (HEADER + len(data)).to_bytes(2, "big") + bytes((kind,)) + data


def success(identifier: int) -> bytes:
    """The end, and it is well (RFC 3748 §4.2); `identifier`: of the response that it answers."""
    return bytes((Code.SUCCESS, identifier, 0, _SHORT))


def failure(identifier: int) -> bytes:
    """The end, and it is not."""
    return bytes((Code.FAILURE, identifier, 0, _SHORT))
