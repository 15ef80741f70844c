"""EAP over RADIUS as a NAS has it (RFC 3579, RFC 3580): Access-Requests, and the replies to them, verified."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from bench.soak.octets import (
    EAP_MESSAGE,
    SIGNATURE,
    STATE,
    Attributes,
    attributes_of,
    is_signed,
    packet,
    signature,
)

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11
_USER_NAME, _NAS_IP_ADDRESS, _FRAMED_MTU, _VENDOR_SPECIFIC, _NAS_IDENTIFIER = 1, 4, 12, 26, 32
_CALLED_STATION_ID, _CALLING_STATION_ID, _NAS_PORT_TYPE = 30, 31, 61
_WIRELESS = 19  # of NAS-Port-Type: 802.11
_MICROSOFT, _SEND_KEY, _RECV_KEY = (311).to_bytes(4, "big"), 16, 17  # RFC 2548 §2.4.2, §2.4.3
_LONGEST_VALUE = 253


@dataclass(frozen=True, slots=True)
class Station:
    """Where somebody logs in.  `mtu`: octets, Framed-MTU."""

    calling: bytes = b"02-00-00-00-00-01"
    called: bytes = b"02-00-00-00-00-FF:bench"
    mtu: int = 1400


ANYWHERE = Station()


@dataclass(frozen=True, slots=True)
class Reply:
    """One that was verified.  `eap`: the packet in it; `keys`: MS-MPPE-Recv-Key and -Send-Key."""

    code: int
    attributes: Attributes
    eap: bytes
    state: bytes
    keys: tuple[bytes, bytes] | None


def access_request(
    secret: bytes, identifier: int, name: bytes, eap: bytes, state: bytes, station: Station
) -> bytes:
    """An Access-Request as an access point sends it; `state` is empty in the first."""
    attributes = [
        (_USER_NAME, name),
        (_NAS_IP_ADDRESS, b"\x7f\0\0\1"),
        (_NAS_IDENTIFIER, b"ap"),
        (_CALLED_STATION_ID, station.called),
        (_CALLING_STATION_ID, station.calling),
        (_NAS_PORT_TYPE, _WIRELESS.to_bytes(4, "big")),
        (_FRAMED_MTU, station.mtu.to_bytes(4, "big")),
        *((EAP_MESSAGE, eap[at : at + _LONGEST_VALUE]) for at in range(0, len(eap), _LONGEST_VALUE)),
    ]
    return signed(secret, identifier, [*attributes, *([(STATE, state)] if state else [])])


def signed(secret: bytes, identifier: int, attributes: list[tuple[int, bytes]]) -> bytes:
    """An Access-Request of these, and its Message-Authenticator before them (RFC 3579 §3.2)."""
    authenticator = os.urandom(16)
    zeroed = packet(ACCESS_REQUEST, identifier, authenticator, [(SIGNATURE, bytes(16)), *attributes])
    return packet(ACCESS_REQUEST, identifier, authenticator, [(SIGNATURE, signature(zeroed, secret)), *attributes])


def reply_of(secret: bytes, request: bytes, octets: bytes) -> Reply | None:
    """None unless both its Response Authenticator and its Message-Authenticator say that it answers `request`."""
    attributes = attributes_of(octets)
    if attributes is None or octets[1] != request[1]:
        return None
    length, salt = int.from_bytes(octets[2:4], "big"), request[4:20]
    octets = octets[:length]
    if octets[4:20] != hashlib.md5(octets[:4] + salt + octets[20:] + secret).digest():
        return None
    if not is_signed(octets, secret, salt):
        return None
    eap = b"".join(value for number, value in attributes if number == EAP_MESSAGE)
    state = next((value for number, value in attributes if number == STATE), b"")
    return Reply(octets[0], attributes, eap, state, _keys(secret, salt, attributes))


def _keys(secret: bytes, authenticator: bytes, attributes: Attributes) -> tuple[bytes, bytes] | None:
    hidden = {
        value[4]: value[6 : 4 + value[5]]
        for number, value in attributes
        if number == _VENDOR_SPECIFIC and len(value) > 6 and value.startswith(_MICROSOFT)
    }
    if not {_RECV_KEY, _SEND_KEY} <= hidden.keys():
        return None
    return (
        _revealed(hidden[_RECV_KEY], secret, authenticator),
        _revealed(hidden[_SEND_KEY], secret, authenticator),
    )


def _revealed(value: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """A key as it was before RFC 2548 §2.4.2: `value` is its salt, of two octets, and the blocks."""
    found, last = b"", authenticator + value[:2]
    for at in range(2, len(value), 16):
        block = value[at : at + 16]
        found += bytes(a ^ b for a, b in zip(block, hashlib.md5(secret + last).digest(), strict=False))
        last = block
    return found[1 : 1 + found[0]]
