"""Packets to requests, and replies to packets: what RFC 2865, 3579 and 5997 ask, before anybody is looked up.

pyrad is not used on this side.  Its decoder groups attributes by type and checks the first of
several Message-Authenticators only, its passwords lose octets that are no UTF-8, and each packet
costs it five times as much.  What is left is short and stands here; the tests hold it to pyrad.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Protocol

from radius_mfa.core.messages import Attribute, Code, Reply
from radius_mfa.wire.clients import Client
from radius_mfa.wire.walker import (
    HEAD,
    HEADER,
    LONGEST_PACKET,
    LONGEST_VALUE,
    SIGNATURE,
    ZEROS,
    DiscardReason,
    Frame,
    md5,
    message_authenticator,
    walk,
)

LONGEST_REPLY = 3000  # octets of a policy's attributes: 4096 less messages and the Proxy-States of others
_SERVED = {int(code): code for code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER)}

_ACCESS_REQUEST, _ACCESS_CHALLENGE = Code.ACCESS_REQUEST, Code.ACCESS_CHALLENGE

# As plain numbers: see `walker`.
_CHAP_PASSWORD = int(Attribute.CHAP_PASSWORD)
_REPLY_MESSAGE = int(Attribute.REPLY_MESSAGE)
_STATE = int(Attribute.STATE)
_PROXY_STATE = int(Attribute.PROXY_STATE)
_EAP_MESSAGE = int(Attribute.EAP_MESSAGE)
_PROMPT = 76  # RFC 2869 §5.10

# By which somebody can ask to be let in, if not by User-Password: also ARAP-Password (RFC 2869 §5.4),
# Digest-Response (RFC 5090 §3.1) and MS-CHAP's two responses (RFC 2548 §2.1.3, §2.3.2).  What we do not
# offer is refused with an answer, and so must get past the wire.
_CREDENTIALS = frozenset({_CHAP_PASSWORD, _EAP_MESSAGE, 70, 103})
_MS_CHAP = (b"\x00\x00\x01\x37\x01", b"\x00\x00\x01\x37\x19")

# Looked at here, and no business of anybody behind.
_NOT_PASSED_ON = frozenset({int(Attribute.USER_PASSWORD), int(Attribute.MESSAGE_AUTHENTICATOR)})

# Of a hidden User-Password: blocks as long as a digest, at most 128 octets (RFC 2865 §5.2).
_HIDDEN_BLOCK = 16
_HIDDEN_LENGTHS = frozenset(range(_HIDDEN_BLOCK, 128 + 1, _HIDDEN_BLOCK))
_number = int.from_bytes  # its octets from the most significant one on

# Whoever decides on attributes does not decide on these.
_PLACED_HERE = frozenset({_STATE, _PROXY_STATE, int(Attribute.MESSAGE_AUTHENTICATOR)})

# Message-Authenticator as it goes into its own computation (RFC 3579 §3.2).
_SIGNATURE_LENGTH = 2 + SIGNATURE
_SEALED_HEAD = bytes((Attribute.MESSAGE_AUTHENTICATOR, _SIGNATURE_LENGTH))
_ZEROED = _SEALED_HEAD + ZEROS
_SIGNED = HEADER + len(_ZEROED)  # octets of a reply without anything else
_ROOM = LONGEST_PACKET - _SIGNED


class Encoder(Protocol):
    """What we need of a dictionary."""

    def encode(self, name: str, value: str) -> tuple[int, bytes]:
        """The number and the octets of an attribute."""
        ...


# Not frozen, like `Frame`.
@dataclass(slots=True)
class Packet:
    """An Access-Request or Status-Server that may be answered.

    `authenticator`: the Request Authenticator.  `attributes`: raw, in packet order, without
    User-Password and Message-Authenticator; `numbers`: which there are.  `password`: what was recovered
    of User-Password (RFC 2865 §5.2), None where there was none or it was malformed.  `secret`: the one it
    was made with, and the reply will be.  `signed`: it carries a Message-Authenticator.  `volunteered`:
    one that no RFC would have demanded, so its sender always does.  `said`: as `Frame` has it.
    """

    code: Code
    identifier: int
    authenticator: bytes = field(repr=False)
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)
    numbers: Set[int] = field(repr=False)
    password: bytes | None = field(repr=False)
    secret: bytes = field(repr=False)
    signed: bool
    volunteered: bool
    said: bytes = field(repr=False)

    def has(self, number: int) -> bool:
        """Whether there is an attribute `number`."""
        return number in self.numbers


def decode(octets: bytes, client: Client, *, known_to_sign: bool = False) -> Packet | DiscardReason:
    """The request in `octets`, verified, or why they are met with silence.

    `known_to_sign`: this source has sent a Message-Authenticator of its own accord before; it
    matters under `auto` only.
    """
    frame = walk(octets, _NOT_PASSED_ON)
    if not isinstance(frame, Frame):
        return frame
    code = _SERVED.get(frame.code)
    if code is None:
        return DiscardReason.CODE_NOT_SERVED
    salt, attributes, passwords = frame.authenticator, frame.attributes, frame.passwords
    numbers = dict(attributes).keys()
    eap = _EAP_MESSAGE in numbers
    credential = True if passwords else _has_another_credential(attributes, numbers)
    if frame.signed_at:
        secret = _verify(frame.octets, frame.signed_at, client.secrets)
        # RFC 3579 §3.2, RFC 5997 §3: EAP and Status-Server must have one, and so prove nothing.
        signed, volunteered = True, credential and not eap and code is _ACCESS_REQUEST
    else:
        must = known_to_sign and client.message_authenticator == "auto"
        # Without a Message-Authenticator nothing tells one secret from the other.
        secret = _why_not_unsigned(code, client, numbers, credential, must) or client.secrets[0]
        signed, volunteered = False, False
    if not isinstance(secret, bytes):
        return secret
    if eap and (passwords or _CHAP_PASSWORD in numbers):
        return DiscardReason.EAP_WITH_PASSWORD  # RFC 3579 §3.3
    password = _password(passwords[0], salt, secret) if len(passwords) == 1 else None
    return Packet(
        code, frame.identifier, salt, attributes, numbers, password, secret, signed, volunteered, frame.said
    )


def _has_another_credential(attributes: tuple[tuple[int, bytes], ...], numbers: Set[int]) -> bool:
    """Another one than User-Password."""
    if not _CREDENTIALS.isdisjoint(numbers):
        return True
    return any(n == Attribute.VENDOR_SPECIFIC and v.startswith(_MS_CHAP) for n, v in attributes)


def _why_not_unsigned(
    code: Code, client: Client, numbers: Set[int], credential: bool, known_to_sign: bool
) -> DiscardReason | None:
    """What forbids this request to come without a Message-Authenticator, if anything does."""
    if client.message_authenticator == "require":
        return DiscardReason.MESSAGE_AUTHENTICATOR_REQUIRED
    if code is Code.STATUS_SERVER:  # RFC 5997 §3
        return DiscardReason.STATUS_SERVER_UNSIGNED
    if Attribute.EAP_MESSAGE in numbers:  # RFC 3579 §3.2
        return DiscardReason.EAP_UNSIGNED
    if known_to_sign:
        return DiscardReason.MESSAGE_AUTHENTICATOR_DOWNGRADED
    if client.message_authenticator == "optional":  # RFC 6614 §3.4: TLS has verified every octet
        return None if credential else DiscardReason.NO_CREDENTIAL
    if Attribute.PROXY_STATE in numbers:  # where BlastRADIUS puts its collision (CVE-2024-3596)
        return DiscardReason.PROXY_STATE_UNSIGNED
    return None if credential else DiscardReason.NO_CREDENTIAL


def _verify(octets: bytes, signed_at: Sequence[int], secrets: Sequence[bytes]) -> bytes | DiscardReason:
    """The secret that the Message-Authenticator was made with, zeros in its place (RFC 3579 §3.2)."""
    if len(signed_at) > 1:
        return DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED
    at = signed_at[0]
    if octets[at - 1] != _SIGNATURE_LENGTH:
        return DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED
    end = at + SIGNATURE
    signature, unsigned = octets[at:end], octets[:at] + ZEROS + octets[end:]
    for secret in secrets:
        if compare_digest(message_authenticator(unsigned, secret), signature):
            return secret
    return DiscardReason.MESSAGE_AUTHENTICATOR_WRONG


def _password(hidden: bytes, authenticator: bytes, secret: bytes) -> bytes | None:
    """The one User-Password (RFC 2865 §5.44) as it was before it was hidden (RFC 2865 §5.2).

    None unless it has a possible length.  Padding goes; a NUL further in stays.
    """
    length = len(hidden)
    if length not in _HIDDEN_LENGTHS:
        return None
    pads = md5(secret + authenticator)
    if length > _HIDDEN_BLOCK:
        for at in range(_HIDDEN_BLOCK, length, _HIDDEN_BLOCK):
            pads += md5(secret + hidden[at - _HIDDEN_BLOCK : at])
    return (_number(hidden) ^ _number(pads)).to_bytes(length, "big").rstrip(b"\x00")


# --- replies ------------------------------------------------------------------------------------


def encode(reply: Reply, packet: Packet, encoder: Encoder) -> bytes | None:
    """The octets that answer `packet`: Message-Authenticator first, Proxy-State last.

    Reply-Messages that do not fit are left out; None where the rest alone is longer than a packet
    may be.  A reply without State and attributes always fits: it is no longer than the request
    was.  Raises ValueError where an attribute cannot be put on the wire, and what `encoder` raises.
    """
    rest, has_eap = _given(reply, encoder) if reply.attributes else (b"", False)
    if reply.state is not None:
        rest = _attribute(_STATE, reply.state) + rest
    if _PROXY_STATE in packet.numbers:
        # RFC 2865 §5.33: unmodified, in order, behind everything of ours.
        rest += b"".join([_attribute(*each) for each in packet.attributes if each[0] == _PROXY_STATE])
    room = _ROOM - len(rest)
    if room < 0:
        return None
    # RFC 3579 §2.6.5: beside an EAP-Message, EAP itself says what there is to say.
    if reply.messages and not has_eap:
        rest = _reply_messages(reply.messages, room) + rest
    return _seal(reply.code, packet, rest)


def _given(reply: Reply, encoder: Encoder) -> tuple[bytes, bool]:
    """The octets of a policy's attributes, and whether there is an EAP-Message."""
    given, has_eap = b"", False
    for each in reply.attributes:
        number, value = encoder.encode(each.name, each.value)
        if number in _PLACED_HERE:
            raise ValueError(f"attribute {number} is not a policy's to give")
        if number == _EAP_MESSAGE:
            has_eap = True
        if number != _PROMPT or reply.code is _ACCESS_CHALLENGE:  # RFC 2869 §5.10
            given += _attribute(number, value)
    return given, has_eap


def _seal(code: Code, packet: Packet, attributes: bytes) -> bytes:
    """Header, Message-Authenticator (RFC 3579 §3.2), attributes; Response Authenticator (RFC 2865 §3).

    First, so that nothing an attacker can choose comes before it (BlastRADIUS, CVE-2024-3596).
    """
    secret = packet.secret
    asked = HEAD.pack(code, packet.identifier, _SIGNED + len(attributes), packet.authenticator)
    sealed = message_authenticator(asked + _ZEROED + attributes, secret)
    attributes = _SEALED_HEAD + sealed + attributes
    return asked[:4] + md5(asked + attributes + secret) + attributes


def _reply_messages(messages: Sequence[str], room: int) -> bytes:
    """As many Reply-Messages (RFC 2865 §5.18) as fit into `room` octets, in order."""
    found = b""
    for message in messages:
        for piece in split_text(message):
            if len(found) + 2 + len(piece) > room:
                return found
            found += _attribute(_REPLY_MESSAGE, piece)
    return found


def split_text(text: str) -> list[bytes]:
    """UTF-8 in pieces of 1 to 253 octets, no code point cut (RFC 2865 §5); nothing of an empty text."""
    octets, pieces = text.encode("utf-8", "replace"), []
    while len(octets) > LONGEST_VALUE:
        end = LONGEST_VALUE
        while octets[end] & 0xC0 == 0x80:  # RFC 3629 §3: within a code point
            end -= 1
        pieces.append(octets[:end])
        octets = octets[end:]
    return [*pieces, octets] if octets else pieces


def _attribute(number: int, value: bytes) -> bytes:
    length = len(value)
    if length > LONGEST_VALUE:
        raise ValueError(f"attribute {number} is longer than {LONGEST_VALUE} octets")
    return bytes((number, 2 + length)) + value
