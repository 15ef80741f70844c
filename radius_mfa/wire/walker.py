"""Octets to header and attributes, so strictly that nothing after this has to ask about lengths.

What is not exactly a packet is a `DiscardReason`: a RADIUS server answers such octets with silence
(RFC 2865 §3, §5), and counts why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from struct import Struct
from typing import TYPE_CHECKING

from radius_mfa.core.messages import DIFFERS, Attribute

if TYPE_CHECKING:
    from hashlib import _Hash

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

# Looked at by the wire, and no business of anybody behind it; nor is more than that said of a login.
_SET_ASIDE = frozenset({_USER_PASSWORD, _MESSAGE_AUTHENTICATOR})
_UNSAID = _SET_ASIDE | frozenset(map(int, DIFFERS))

# HMAC (RFC 2104 §2): the key, filled up to a block of the digest, with one pad inside and the other outside.
_BLOCK = 64
_INNER = bytes(octet ^ 0x36 for octet in range(256))
_OUTER = bytes(octet ^ 0x5C for octet in range(256))
_SECRETS = 16_384  # that are ready to sign at once: more than there are clients

# RFC 2865 knows no other digest; hosts that forbid MD5 for security must let us have it here.  Python's own, where
# it was built with one, takes two thirds of the time of OpenSSL's, which is made for more octets than these.
md5: Callable[[bytes], _Hash] = (
    import_module("_md5").md5
    if find_spec("_md5")
    else partial(import_module("hashlib").md5, usedforsecurity=False)
)


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


Attributes = tuple[tuple[int, bytes], ...]
"""Numbers and values in packet order."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet cut at its seams and not looked into.

    `octets`: the packet without the padding that may follow it.
    """

    octets: bytes = field(repr=False)
    code: int
    identifier: int
    attributes: Attributes = field(repr=False)


Pieces = tuple[Attributes, dict[int, bytes], list[bytes], list[int], bytes]
"""What is left of the attributes, cut at their seams.  No record: it is taken apart at once.

`attributes`: those but User-Password and Message-Authenticator; `firsts`: the first value of each of them.
`passwords`: the values of User-Password; `signed_at`: where in the packet those of Message-Authenticator begin.
`said`: what `AccessRequest.said` is.
"""


def walk(octets: bytes) -> Frame | DiscardReason:
    """The frame of one packet, else why there is none."""
    found = cut(octets)
    if isinstance(found, DiscardReason):
        return found
    packet, code, identifier, _, _ = found
    return Frame(packet, code, identifier, _in_order(packet))


def _in_order(octets: bytes) -> Attributes:
    """All attributes of what is a packet, without padding: numbers and values."""
    found = []
    at = HEADER
    while at < len(octets):
        end = at + octets[at + 1]
        found.append((octets[at], octets[at + 2 : end]))
        at = end
    return tuple(found)


def cut(octets: bytes) -> tuple[bytes, int, int, bytes, Pieces] | DiscardReason:
    """One packet without what follows it, its Code, Identifier, Authenticator and pieces; else why it is none."""
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
    pieces = _pieces(octets)
    if pieces is None:
        return _what_is_wrong(octets)
    return octets, code, identifier, authenticator, pieces


def _pieces(octets: bytes) -> Pieces | None:
    """What is behind the header of a packet; None where something is wrong."""
    found: dict[int, bytes] = {}
    passwords: list[bytes] = []
    signed_at: list[int] = []
    said: list[bytes] = []
    # Type, Length, Value until the packet is filled exactly (RFC 2865 §5).  This loop is most of what a packet
    # costs: what can be asked once, behind it, is not asked in it.  Zeros end it, for no Length is one.
    at = unsaid = HEADER
    padded = octets + _BEHIND
    for count in range(_MOST_ATTRIBUTES + 1):
        value_at = at + 2
        end = at + padded[at + 1]
        if end < value_at:
            seen = count
            break
        number = padded[at]
        if number in _UNSAID:
            said.append(octets[unsaid:at])
            unsaid = end
            if number == _USER_PASSWORD:
                passwords.append(octets[value_at:end])
                at = end
                continue
            if number == _MESSAGE_AUTHENTICATOR:
                signed_at.append(value_at)
                at = end
                continue
        found[number] = octets[value_at:end]
        at = end
    else:
        return None
    if at != len(octets) or 0 in found:
        return None
    said.append(octets[unsaid:])
    attributes = tuple(found.items())
    if len(attributes) + len(passwords) + len(signed_at) != seen:  # some number came twice
        attributes = tuple([each for each in _in_order(octets) if each[0] not in _SET_ASIDE])
        found = dict(reversed(attributes))
    return attributes, found, passwords, signed_at, b"".join(said)


def _what_is_wrong(octets: bytes) -> DiscardReason:
    """With the first attribute that is wrong; with none, where the one before goes on behind the packet."""
    at = HEADER
    for _ in range(_MOST_ATTRIBUTES + 1):
        left = len(octets) - at
        if left < 2:
            return DiscardReason.ATTRIBUTE_OVERRUN
        number, length = octets[at], octets[at + 1]
        if number == 0:
            return DiscardReason.ATTRIBUTE_TYPE_ZERO
        if length < 2:
            return DiscardReason.ATTRIBUTE_TOO_SHORT
        if length > left:
            return DiscardReason.ATTRIBUTE_OVERRUN
        at += length
    return DiscardReason.TOO_MANY_ATTRIBUTES


def message_authenticator(octets: bytes, secret: bytes) -> bytes:
    """HMAC-MD5 over a packet with zeros in its place, keyed with the shared secret (RFC 3579 §3.2)."""
    inner, outer = _pads(secret)
    inside, outside = inner.copy(), outer.copy()
    inside.update(octets)
    outside.update(inside.digest())
    return outside.digest()


@lru_cache(maxsize=_SECRETS)
def _pads(secret: bytes) -> tuple[_Hash, _Hash]:
    """The two pads with that key, digested once, which `hmac` does again each time: twice the work."""
    block = (md5(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return md5(block.translate(_INNER)), md5(block.translate(_OUTER))
