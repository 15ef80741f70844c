"""Packets to requests, and replies to packets: what RFC 2865, 3579 and 5997 ask, before anybody is looked up.

pyrad is not used on this side.  Its decoder groups attributes by type and checks the first of
several Message-Authenticators only, its passwords lose octets that are no UTF-8, and each packet
costs it five times as much.  What is left is short and stands here; the tests hold it to pyrad.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from radius_mfa.core.messages import Attribute, Code, Reply
from radius_mfa.wire.clients import Client
from radius_mfa.wire.walker import (
    HEAD,
    HEADER,
    LONGEST_PACKET,
    LONGEST_VALUE,
    SIGNATURE,
    DiscardReason,
    Frame,
    md5,
    message_authenticator,
    walk,
    zeroed,
)

LONGEST_REPLY = 3000  # octets of a policy's attributes: 4096 less messages and the Proxy-States of others
_SERVED = {int(code): code for code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER)}

# As plain numbers, for `walker` says why.
_REPLY_MESSAGE = int(Attribute.REPLY_MESSAGE)
_STATE = int(Attribute.STATE)
_PROXY_STATE = int(Attribute.PROXY_STATE)
_EAP_MESSAGE = int(Attribute.EAP_MESSAGE)
_PROMPT = 76  # RFC 2869 §5.10

# By which somebody can ask to be let in, if not by User-Password: also ARAP-Password (RFC 2869 §5.4),
# Digest-Response (RFC 5090 §3.1) and MS-CHAP's two responses (RFC 2548 §2.1.3, §2.3.2).  What we do not
# offer is refused with an answer, and so must get past the wire.
_CREDENTIALS = frozenset({int(Attribute.CHAP_PASSWORD), _EAP_MESSAGE, 70, 103})
_MS_CHAP = (b"\x00\x00\x01\x37\x01", b"\x00\x00\x01\x37\x19")

# Looked at here, and no business of anybody behind.
_NOT_PASSED_ON = frozenset({int(Attribute.USER_PASSWORD), int(Attribute.MESSAGE_AUTHENTICATOR)})

# Whoever decides on attributes does not decide on these.
_PLACED_HERE = frozenset({_STATE, _PROXY_STATE, int(Attribute.MESSAGE_AUTHENTICATOR)})

# Message-Authenticator as it goes into its own computation (RFC 3579 §3.2).
_ZEROED = bytes((Attribute.MESSAGE_AUTHENTICATOR, 2 + SIGNATURE)) + bytes(SIGNATURE)
_SIGNED = HEADER + len(_ZEROED)  # octets of a reply without anything else


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
    one that no RFC would have demanded, so its sender always does.
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

    def has(self, number: int) -> bool:
        """Whether there is an attribute `number`."""
        return number in self.numbers


def decode(octets: bytes, client: Client, *, known_to_sign: bool = False) -> Packet | DiscardReason:
    """The request in `octets`, verified, or why they are met with silence.

    `known_to_sign`: this source has sent a Message-Authenticator of its own accord before; it
    matters under `auto` only.
    """
    frame = walk(octets)
    if not isinstance(frame, Frame):
        return frame
    code = _SERVED.get(frame.code)
    if code is None:
        return DiscardReason.CODE_NOT_SERVED
    attributes = tuple([each for each in frame.attributes if each[0] not in _NOT_PASSED_ON])
    numbers = {number for number, _ in attributes}
    credential = bool(frame.passwords) or _has_another_credential(attributes, numbers)
    signed = bool(frame.signed_at)
    if signed:
        secret = _verify(frame, client.secrets)
    else:
        must = client.message_authenticator == "auto" and known_to_sign
        # Without a Message-Authenticator nothing tells one secret from the other.
        secret = _why_not_unsigned(code, client, numbers, credential, must) or client.secrets[0]
    if not isinstance(secret, bytes):
        return secret
    eap = _EAP_MESSAGE in numbers
    if eap and (frame.passwords or Attribute.CHAP_PASSWORD in numbers):
        return DiscardReason.EAP_WITH_PASSWORD  # RFC 3579 §3.3
    return Packet(
        code,
        frame.identifier,
        frame.authenticator,
        attributes,
        numbers,
        _password(frame, secret),
        secret,
        signed,
        # RFC 3579 §3.2, RFC 5997 §3: EAP and Status-Server must have one, and so prove nothing.
        signed and credential and not eap and code is Code.ACCESS_REQUEST,
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


def _verify(frame: Frame, secrets: Sequence[bytes]) -> bytes | DiscardReason:
    """The secret that the Message-Authenticator was made with (RFC 3579 §3.2)."""
    if len(frame.signed_at) > 1:
        return DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED
    at = frame.signed_at[0]
    if frame.octets[at - 1] != 2 + SIGNATURE:
        return DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED
    octets, signature = zeroed(frame), frame.octets[at : at + SIGNATURE]
    for secret in secrets:
        if hmac.compare_digest(message_authenticator(octets, secret), signature):
            return secret
    return DiscardReason.MESSAGE_AUTHENTICATOR_WRONG


def _password(frame: Frame, secret: bytes) -> bytes | None:
    """User-Password as it was before it was hidden (RFC 2865 §5.2).

    None unless there is exactly one (RFC 2865 §5.44) of a possible length.  Padding goes; a NUL
    further in stays.
    """
    if len(frame.passwords) != 1:
        return None
    hidden = frame.passwords[0]
    length = len(hidden)
    if not 16 <= length <= 128 or length % 16:
        return None
    pads = md5(secret + frame.authenticator)
    for at in range(16, length, 16):
        pads += md5(secret + hidden[at - 16 : at])
    plain = int.from_bytes(hidden, "big") ^ int.from_bytes(pads, "big")
    return plain.to_bytes(length, "big").rstrip(b"\x00")


# --- replies ------------------------------------------------------------------------------------


def encode(reply: Reply, packet: Packet, encoder: Encoder) -> bytes | None:
    """The octets that answer `packet`: Message-Authenticator first, Proxy-State last.

    Reply-Messages that do not fit are left out; None where the rest alone is longer than a packet
    may be.  A reply without State and attributes always fits: it is no longer than the request
    was.  Raises ValueError where an attribute cannot be put on the wire, and what `encoder` raises.
    """
    given = [encoder.encode(each.name, each.value) for each in reply.attributes]
    numbers = {number for number, _ in given}
    if misplaced := numbers & _PLACED_HERE:
        raise ValueError(f"attribute {min(misplaced)} is not a policy's to give")
    if _PROMPT in numbers and reply.code is not Code.ACCESS_CHALLENGE:
        given = [each for each in given if each[0] != _PROMPT]  # RFC 2869 §5.10
    if reply.state is not None:
        given.insert(0, (_STATE, reply.state))
    if _PROXY_STATE in packet.numbers:
        # RFC 2865 §5.33: unmodified, in order, behind everything of ours.
        given += [each for each in packet.attributes if each[0] == _PROXY_STATE]
    rest = b"".join([_attribute(number, value) for number, value in given])
    room = LONGEST_PACKET - _SIGNED - len(rest)
    if room < 0:
        return None
    # RFC 3579 §2.6.5: beside an EAP-Message, EAP itself says what there is to say.
    if reply.messages and _EAP_MESSAGE not in numbers:
        rest = _reply_messages(reply.messages, room) + rest
    return _seal(reply.code, packet, rest)


def _seal(code: Code, packet: Packet, attributes: bytes) -> bytes:
    """Header, Message-Authenticator (RFC 3579 §3.2), attributes; Response Authenticator (RFC 2865 §3).

    First, so that nothing an attacker can choose comes before it (BlastRADIUS, CVE-2024-3596).
    """
    asked = HEAD.pack(code, packet.identifier, _SIGNED + len(attributes), packet.authenticator)
    sealed = message_authenticator(asked + _ZEROED + attributes, packet.secret)
    attributes = _ZEROED[:2] + sealed + attributes
    return asked[:4] + md5(asked + attributes + packet.secret) + attributes


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
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"attribute {number} is longer than {LONGEST_VALUE} octets")
    return bytes((number, 2 + len(value))) + value
