"""Octets to header and attributes, so strictly that nothing after this has to ask about lengths.

What is not exactly a packet is a `DiscardReason`: a RADIUS server answers such octets with silence
(RFC 2865 §3, §5), and counts why.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum

from radius_mfa.core.messages import Attribute

HEADER = 20  # Code, Identifier, Length, Authenticator (RFC 2865 §3)
LONGEST_PACKET = 4096  # RFC 2865 §3
LONGEST_VALUE = 253  # the Length of an attribute is one octet and counts Type and itself (RFC 2865 §5)
SIGNATURE = 16  # octets of HMAC-MD5 in a Message-Authenticator (RFC 3579 §3.2)

# An honest Access-Request has some thirty, and one with the longest EAP-Message under fifty.
_MOST_ATTRIBUTES = 200


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


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet cut at its seams and not looked into.

    `octets`: the packet without the padding that may follow it.  `attributes`: numbers and values
    in packet order.
    """

    octets: bytes = field(repr=False)
    code: int
    identifier: int
    authenticator: bytes = field(repr=False)
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)


def walk(octets: bytes) -> Frame | DiscardReason:
    """The frame of one packet, else why there is none."""
    if len(octets) < HEADER:
        return DiscardReason.SHORTER_THAN_HEADER
    length = int.from_bytes(octets[2:4], "big")
    if not HEADER <= length <= LONGEST_PACKET:
        return DiscardReason.LENGTH_OUT_OF_RANGE
    if len(octets) < length:
        return DiscardReason.SHORTER_THAN_LENGTH
    octets = octets[:length]  # what follows is padding (RFC 2865 §3)
    attributes = _attributes(octets)
    if isinstance(attributes, DiscardReason):
        return attributes
    return Frame(octets, octets[0], octets[1], octets[4:HEADER], attributes)


def _attributes(octets: bytes) -> tuple[tuple[int, bytes], ...] | DiscardReason:
    """Type, Length, Value until the packet is filled exactly (RFC 2865 §5)."""
    found: list[tuple[int, bytes]] = []
    at, end = HEADER, len(octets)
    while at < end:
        if at + 2 > end:
            return DiscardReason.ATTRIBUTE_OVERRUN
        number, length = octets[at], octets[at + 1]
        if number == 0:
            return DiscardReason.ATTRIBUTE_TYPE_ZERO
        if length < 2:
            return DiscardReason.ATTRIBUTE_TOO_SHORT
        if at + length > end:
            return DiscardReason.ATTRIBUTE_OVERRUN
        if len(found) == _MOST_ATTRIBUTES:
            return DiscardReason.TOO_MANY_ATTRIBUTES
        found.append((number, octets[at + 2 : at + length]))
        at += length
    return tuple(found)


def zeroed(frame: Frame) -> bytes:
    """The packet with zeros in place of its Message-Authenticator, as that is computed (RFC 3579 §3.2).

    The frame has exactly one, of the right length.
    """
    numbers = [number for number, _ in frame.attributes]
    before = frame.attributes[: numbers.index(Attribute.MESSAGE_AUTHENTICATOR)]
    at = HEADER + sum(2 + len(value) for _, value in before) + 2
    return frame.octets[:at] + bytes(SIGNATURE) + frame.octets[at + SIGNATURE :]


def message_authenticator(octets: bytes, secret: bytes) -> bytes:
    """HMAC-MD5 over a zeroed packet, keyed with the shared secret (RFC 3579 §3.2)."""
    return hmac.digest(secret, octets, "md5")
