"""Octets to header and attributes, so strictly that nothing after this has to ask about lengths.

What is not exactly a packet is a `DiscardReason`: a RADIUS server answers such octets with silence
(RFC 2865 §3, §5), and counts why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from struct import Struct

from radius_mfa.core.messages import DIFFERS, Attribute

HEAD = Struct("!BBH16s")  # Code, Identifier, Length, Authenticator (RFC 2865 §3)
HEADER = HEAD.size
LONGEST_PACKET = 4096  # RFC 2865 §3
LONGEST_VALUE = 253  # the Length of an attribute is one octet and counts Type and itself (RFC 2865 §5)
SIGNATURE = 16  # octets of HMAC-MD5 in a Message-Authenticator (RFC 3579 §3.2)
ZEROS = bytes(SIGNATURE)  # stand in its place while it is computed
_BEHIND = bytes(256)  # farther than any attribute goes on behind its packet

# An honest Access-Request has some thirty, and one with the longest EAP-Message under fifty.
_MOST_ATTRIBUTES = 200

# As plain numbers: to look up a member of an enumeration takes longer than what is done with it for each packet.
_USER_PASSWORD = int(Attribute.USER_PASSWORD)
_MESSAGE_AUTHENTICATOR = int(Attribute.MESSAGE_AUTHENTICATOR)

# Not a part of what is said of a login; and 0, which is no Type at all.
_UNSAID = frozenset({0, _USER_PASSWORD, _MESSAGE_AUTHENTICATOR, *map(int, DIFFERS)})

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
    of Message-Authenticator begin.  `said`: what `AccessRequest.said` is, the octets of all others but those
    that differ from one sending to the next.
    """

    octets: bytes = field(repr=False)
    code: int
    identifier: int
    authenticator: bytes = field(repr=False)
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)
    passwords: list[bytes] = field(repr=False)
    signed_at: list[int]
    said: bytes = field(repr=False)


def walk(octets: bytes, set_aside: Set[int] = frozenset()) -> Frame | DiscardReason:
    """The frame of one packet, else why there is none.

    `set_aside`: User-Password or Message-Authenticator or both, where `attributes` are to be without them.
    """
    size = len(octets)
    if size < HEADER:
        return DiscardReason.SHORTER_THAN_HEADER
    code, identifier, length, authenticator = HEAD.unpack_from(octets)
    if not HEADER <= length <= LONGEST_PACKET:
        return DiscardReason.LENGTH_OUT_OF_RANGE
    if size != length:
        if size < length:
            return DiscardReason.SHORTER_THAN_LENGTH
        octets = octets[:length]  # what follows is padding (RFC 2865 §3)
    return _cut(octets, code, identifier, authenticator, set_aside)


def _cut(
    octets: bytes, code: int, identifier: int, authenticator: bytes, set_aside: Set[int]
) -> Frame | DiscardReason:
    """What has such a header and Length, at its seams."""
    found: list[tuple[int, bytes]] = []
    passwords: list[bytes] = []
    signed_at: list[int] = []
    said: list[bytes] = []
    # Type, Length, Value until the packet is filled exactly (RFC 2865 §5).  This loop is most of what a packet
    # costs: what can be asked once, behind it, is not asked in it.  Zeros end it, for no Length is one.
    at = unsaid = HEADER
    padded = octets + _BEHIND
    for _ in range(_MOST_ATTRIBUTES):
        value_at = at + 2
        end = at + padded[at + 1]
        if end < value_at:
            break
        number = padded[at]
        if number in _UNSAID:
            said.append(octets[unsaid:at])
            unsaid = end
            if number == _USER_PASSWORD:
                passwords.append(octets[value_at:end])
            elif number == _MESSAGE_AUTHENTICATOR:
                signed_at.append(value_at)
            elif not number:
                break
            if number in set_aside:
                at = end
                continue
        found.append((number, octets[value_at:end]))
        at = end
    if at != len(octets):
        return _what_is_wrong(octets[at:])
    said.append(octets[unsaid:])
    return Frame(octets, code, identifier, authenticator, tuple(found), passwords, signed_at, b"".join(said))


def _what_is_wrong(rest: bytes) -> DiscardReason:
    """With the first attribute of what is left of a packet; nothing is, where the one before goes on behind it."""
    if len(rest) < 2:
        return DiscardReason.ATTRIBUTE_OVERRUN
    if rest[0] == 0:
        return DiscardReason.ATTRIBUTE_TYPE_ZERO
    if rest[1] < 2:
        return DiscardReason.ATTRIBUTE_TOO_SHORT
    return DiscardReason.ATTRIBUTE_OVERRUN if rest[1] > len(rest) else DiscardReason.TOO_MANY_ATTRIBUTES


def message_authenticator(octets: bytes, secret: bytes) -> bytes:
    """HMAC-MD5 over a packet with zeros in its place, keyed with the shared secret (RFC 3579 §3.2)."""
    inner, outer = _pads(secret)
    inside = inner.copy()
    inside.update(octets)
    outside = outer.copy()
    outside.update(inside.digest())
    return outside.digest()


def md5(octets: bytes) -> bytes:
    # RFC 2865 knows no other digest; hosts that forbid MD5 for security must let us have it here.
    return hashlib.md5(octets, usedforsecurity=False).digest()


@lru_cache(maxsize=_SECRETS)
def _pads(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two pads with that key, digested once, which `hmac` does again each time: twice the work."""
    block = (md5(secret) if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    inner, outer = block.translate(_INNER), block.translate(_OUTER)
    return hashlib.md5(inner, usedforsecurity=False), hashlib.md5(outer, usedforsecurity=False)
