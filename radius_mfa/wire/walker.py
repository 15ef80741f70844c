"""Octets to header and attributes, so strictly that nothing after this has to ask about lengths.

What is not exactly a packet is a `DiscardReason`: a RADIUS server answers such octets with silence
(RFC 2865 §3, §5), and counts why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from struct import Struct

from radius_mfa.core.messages import Attribute

HEAD = Struct("!BBH16s")  # Code, Identifier, Length, Authenticator (RFC 2865 §3)
HEADER = HEAD.size
LONGEST_PACKET = 4096  # RFC 2865 §3
LONGEST_VALUE = 253  # the Length of an attribute is one octet and counts Type and itself (RFC 2865 §5)
SIGNATURE = 16  # octets of HMAC-MD5 in a Message-Authenticator (RFC 3579 §3.2)

# An honest Access-Request has some thirty, and one with the longest EAP-Message under fifty.
_MOST_ATTRIBUTES = 200

# As plain numbers: to look up a member of an enumeration takes longer than what is done with it for each packet.
_USER_PASSWORD = int(Attribute.USER_PASSWORD)
_MESSAGE_AUTHENTICATOR = int(Attribute.MESSAGE_AUTHENTICATOR)

# HMAC (RFC 2104 §2): the key, filled up to a block of the digest, with one pad inside and the other outside.
_BLOCK = 64
_INNER = bytes(octet ^ 0x36 for octet in range(256))
_OUTER = bytes(octet ^ 0x5C for octet in range(256))
_SECRETS = 16_384  # that are ready to sign at once: more than there are clients


class DiscardReason(StrEnum):
    """Why octets, or the request they were, are not answered; the value is what log and metrics call it."""

    # The datagram.
    UNKNOWN_SOURCE = "unknown_source"
    SHORTER_THAN_HEADER = "shorter_than_header"
    SHORTER_THAN_LENGTH = "shorter_than_length"
    LENGTH_OUT_OF_RANGE = "length_out_of_range"
    CODE_NOT_SERVED = "code_not_served"

    # Its attributes.
    ATTRIBUTE_TYPE_ZERO = "attribute_type_zero"
    ATTRIBUTE_TOO_SHORT = "attribute_too_short"
    ATTRIBUTE_OVERRUN = "attribute_overrun"
    TOO_MANY_ATTRIBUTES = "too_many_attributes"
    EAP_WITH_PASSWORD = "eap_with_password"

    # Message-Authenticator: there, and wrong.
    MESSAGE_AUTHENTICATOR_DUPLICATED = "message_authenticator_duplicated"
    MESSAGE_AUTHENTICATOR_MALFORMED = "message_authenticator_malformed"
    MESSAGE_AUTHENTICATOR_WRONG = "message_authenticator_wrong"

    # Message-Authenticator: not there, and needed.
    MESSAGE_AUTHENTICATOR_REQUIRED = "message_authenticator_required"
    MESSAGE_AUTHENTICATOR_DOWNGRADED = "message_authenticator_downgraded"
    STATUS_SERVER_UNSIGNED = "status_server_without_message_authenticator"
    EAP_UNSIGNED = "eap_without_message_authenticator"
    PROXY_STATE_UNSIGNED = "proxy_state_without_message_authenticator"
    NO_CREDENTIAL = "no_credential"

    # A good request, all the same.
    NOT_READY = "not_ready"
    DUPLICATE_IN_FLIGHT = "duplicate_in_flight"
    SUPERSEDED = "superseded"
    CLIENT_BUSY = "client_busy"
    SERVER_BUSY = "server_busy"
    CLOSING = "closing"
    TOO_MANY_HELD = "too_many_held"
    WITHHELD = "withheld"
    ANSWER_FAILED = "answer_failed"
    CONNECTION_CLOSED = "connection_closed"


# Not frozen, which would cost four times as much to make: there is one for each packet.
@dataclass(slots=True)
class Frame:
    """A packet cut at its seams and not looked into.

    `octets`: the packet without the padding that may follow it.  `attributes`: numbers and values
    in packet order.  `passwords`: the values of User-Password; `signed_at`: where in `octets` those
    of Message-Authenticator begin.
    """

    octets: bytes = field(repr=False)
    code: int
    identifier: int
    authenticator: bytes = field(repr=False)
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)
    passwords: list[bytes] = field(repr=False)
    signed_at: list[int]


def walk(octets: bytes) -> Frame | DiscardReason:
    """The frame of one packet, else why there is none."""
    if len(octets) < HEADER:
        return DiscardReason.SHORTER_THAN_HEADER
    code, identifier, length, authenticator = HEAD.unpack_from(octets)
    if not HEADER <= length <= LONGEST_PACKET:
        return DiscardReason.LENGTH_OUT_OF_RANGE
    if len(octets) < length:
        return DiscardReason.SHORTER_THAN_LENGTH
    octets = octets[:length]  # what follows is padding (RFC 2865 §3)
    found: list[tuple[int, bytes]] = []
    passwords: list[bytes] = []
    signed_at: list[int] = []
    # Type, Length, Value until the packet is filled exactly (RFC 2865 §5).
    at = HEADER
    while at < length - 1:
        number, end = octets[at], at + octets[at + 1]
        if number == 0 or end < at + 2 or end > length or len(found) == _MOST_ATTRIBUTES:
            return _what_is_wrong(number, end - at, length - at)
        value = octets[at + 2 : end]
        found.append((number, value))
        if number == _USER_PASSWORD:
            passwords.append(value)
        elif number == _MESSAGE_AUTHENTICATOR:
            signed_at.append(at + 2)
        at = end
    if at != length:
        return DiscardReason.ATTRIBUTE_OVERRUN
    return Frame(octets, code, identifier, authenticator, tuple(found), passwords, signed_at)


def _what_is_wrong(number: int, length: int, left: int) -> DiscardReason:
    """With an attribute of that Type and Length, where there are `left` octets of the packet."""
    if number == 0:
        return DiscardReason.ATTRIBUTE_TYPE_ZERO
    if length < 2:
        return DiscardReason.ATTRIBUTE_TOO_SHORT
    return DiscardReason.ATTRIBUTE_OVERRUN if length > left else DiscardReason.TOO_MANY_ATTRIBUTES


def zeroed(frame: Frame) -> bytes:
    """The packet with zeros in place of its Message-Authenticator, as that is computed (RFC 3579 §3.2).

    The frame has exactly one, of the right length.
    """
    (at,) = frame.signed_at
    return frame.octets[:at] + bytes(SIGNATURE) + frame.octets[at + SIGNATURE :]


def message_authenticator(octets: bytes, secret: bytes) -> bytes:
    """HMAC-MD5 over a zeroed packet, keyed with the shared secret (RFC 3579 §3.2)."""
    return _signer(secret)(octets)


def md5(octets: bytes) -> bytes:
    # RFC 2865 knows no other digest; hosts that forbid MD5 for security must let us have it here.
    return hashlib.md5(octets, usedforsecurity=False).digest()


@lru_cache(maxsize=_SECRETS)
def _signer(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC-MD5 with that key.  The pads are digested once, which `hmac` does again each time: twice the work."""
    block = (md5(secret) if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    inner = hashlib.md5(block.translate(_INNER), usedforsecurity=False)
    outer = hashlib.md5(block.translate(_OUTER), usedforsecurity=False)

    def sign(octets: bytes) -> bytes:
        inside, outside = inner.copy(), outer.copy()
        inside.update(octets)
        outside.update(inside.digest())
        return outside.digest()

    return sign
