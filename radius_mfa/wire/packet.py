"""Packets to requests, and replies to packets: what RFC 2865, 3579 and 5997 ask, before anybody is looked up.

pyrad is not used on this side.  Its decoder groups attributes by type and checks the first of
several Message-Authenticators only, its passwords lose octets that are no UTF-8, and each packet
costs it five times as much.  What is left is short and stands here; the tests hold it to pyrad.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from radius_mfa.core.messages import Attribute, Code, Reply
from radius_mfa.wire.clients import Client
from radius_mfa.wire.walker import (
    HEADER,
    LONGEST_PACKET,
    LONGEST_VALUE,
    SIGNATURE,
    DiscardReason,
    Frame,
    message_authenticator,
    walk,
    zeroed,
)

LONGEST_REPLY = 3000  # octets of a policy's attributes: 4096 less messages and the Proxy-States of others
_PROMPT = 76  # RFC 2869 §5.10
_SERVED = {int(code): code for code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER)}

# By which somebody can ask to be let in: also ARAP-Password (RFC 2869 §5.4), Digest-Response
# (RFC 5090 §3.1) and MS-CHAP's two responses (RFC 2548 §2.1.3, §2.3.2).  What we do not offer is
# refused with an answer, and so must get past the wire.
_CREDENTIALS = frozenset({Attribute.USER_PASSWORD, Attribute.CHAP_PASSWORD, Attribute.EAP_MESSAGE, 70, 103})
_MS_CHAP = (b"\x00\x00\x01\x37\x01", b"\x00\x00\x01\x37\x19")

# Looked at here, and no business of anybody behind.
_NOT_PASSED_ON = frozenset({Attribute.USER_PASSWORD, Attribute.MESSAGE_AUTHENTICATOR})

# Whoever decides on attributes does not decide on these.
_PLACED_HERE = frozenset({Attribute.STATE, Attribute.PROXY_STATE, Attribute.MESSAGE_AUTHENTICATOR})

# Message-Authenticator as it goes into its own computation (RFC 3579 §3.2).
_ZEROED = bytes((Attribute.MESSAGE_AUTHENTICATOR, 2 + SIGNATURE)) + bytes(SIGNATURE)


class Encoder(Protocol):
    """What we need of a dictionary."""

    def encode(self, name: str, value: str) -> tuple[int, bytes]:
        """The number and the octets of an attribute."""
        ...


@dataclass(frozen=True, slots=True)
class Packet:
    """An Access-Request or Status-Server that may be answered.

    `authenticator`: the Request Authenticator.  `attributes`: raw, in packet order, without
    User-Password and Message-Authenticator.  `password`: what was recovered of User-Password
    (RFC 2865 §5.2), None where there was none or it was malformed.  `secret`: the one it was made
    with, and the reply will be.  `signed`: it carries a Message-Authenticator.  `volunteered`: one that
    no RFC would have demanded, so its sender always does.
    """

    code: Code
    identifier: int
    authenticator: bytes = field(repr=False)
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)
    password: bytes | None = field(repr=False)
    secret: bytes = field(repr=False)
    signed: bool = False
    volunteered: bool = False

    def has(self, number: int) -> bool:
        """Whether there is an attribute `number`."""
        return any(each == number for each, _ in self.attributes)


def decode(octets: bytes, client: Client, *, known_to_sign: bool = False) -> Packet | DiscardReason:
    """The request in `octets`, verified, or why they are met with silence.

    `known_to_sign`: this source has sent a Message-Authenticator of its own accord before; it
    matters under `auto` only.
    """
    frame = walk(octets)
    if isinstance(frame, DiscardReason):
        return frame
    code = _SERVED.get(frame.code)
    if code is None:
        return DiscardReason.CODE_NOT_SERVED
    numbers = frozenset(number for number, _ in frame.attributes)
    credential = _has_credential(frame, numbers)
    signed = Attribute.MESSAGE_AUTHENTICATOR in numbers
    secret: bytes | DiscardReason
    if signed:
        secret = _verify(frame, client.secrets)
    else:
        must = client.message_authenticator == "auto" and known_to_sign
        # Without a Message-Authenticator nothing tells one secret from the other.
        secret = _why_not_unsigned(code, client, numbers, credential, must) or client.secrets[0]
    if isinstance(secret, DiscardReason):
        return secret
    eap = Attribute.EAP_MESSAGE in numbers
    if eap and numbers & {Attribute.USER_PASSWORD, Attribute.CHAP_PASSWORD}:
        return DiscardReason.EAP_WITH_PASSWORD  # RFC 3579 §3.3
    return Packet(
        code,
        frame.identifier,
        frame.authenticator,
        tuple(each for each in frame.attributes if each[0] not in _NOT_PASSED_ON),
        _password(frame, secret),
        secret,
        signed,
        # RFC 3579 §3.2, RFC 5997 §3: EAP and Status-Server must have one, and so prove nothing.
        signed and credential and not eap and code is Code.ACCESS_REQUEST,
    )


def _has_credential(frame: Frame, numbers: frozenset[int]) -> bool:
    if numbers & _CREDENTIALS:
        return True
    return any(n == Attribute.VENDOR_SPECIFIC and v.startswith(_MS_CHAP) for n, v in frame.attributes)


def _why_not_unsigned(
    code: Code, client: Client, numbers: frozenset[int], credential: bool, known_to_sign: bool
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
    signatures = [v for number, v in frame.attributes if number == Attribute.MESSAGE_AUTHENTICATOR]
    if len(signatures) > 1:
        return DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED
    if len(signatures[0]) != SIGNATURE:
        return DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED
    octets = zeroed(frame)
    for secret in secrets:
        if hmac.compare_digest(message_authenticator(octets, secret), signatures[0]):
            return secret
    return DiscardReason.MESSAGE_AUTHENTICATOR_WRONG


def _password(frame: Frame, secret: bytes) -> bytes | None:
    """User-Password as it was before it was hidden (RFC 2865 §5.2).

    None unless there is exactly one (RFC 2865 §5.44) of a possible length.  Padding goes; a NUL
    further in stays.
    """
    hidden = [value for number, value in frame.attributes if number == Attribute.USER_PASSWORD]
    if len(hidden) != 1 or not 16 <= len(hidden[0]) <= 128 or len(hidden[0]) % 16:
        return None
    chain = frame.authenticator + hidden[0]
    pads = b"".join(_md5(secret + chain[at : at + 16]) for at in range(0, len(hidden[0]), 16))
    plain = int.from_bytes(hidden[0], "big") ^ int.from_bytes(pads, "big")
    return plain.to_bytes(len(pads), "big").rstrip(b"\x00")


def _md5(octets: bytes) -> bytes:
    # RFC 2865 knows no other digest; hosts that forbid MD5 for security must let us have it here.
    return hashlib.md5(octets, usedforsecurity=False).digest()


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
    if reply.code is not Code.ACCESS_CHALLENGE:
        given = [each for each in given if each[0] != _PROMPT]  # RFC 2869 §5.10
    if reply.state is not None:
        given.insert(0, (Attribute.STATE, reply.state))
    # RFC 2865 §5.33: unmodified, in order, behind everything of ours.
    given += [each for each in packet.attributes if each[0] == Attribute.PROXY_STATE]
    rest = b"".join(_attribute(number, value) for number, value in given)
    room = LONGEST_PACKET - HEADER - len(_ZEROED) - len(rest)
    if room < 0:
        return None
    # RFC 3579 §2.6.5: beside an EAP-Message, EAP itself says what there is to say.
    messages = b"" if Attribute.EAP_MESSAGE in numbers else _reply_messages(reply.messages, room)
    return _seal(reply.code, packet, messages + rest)


def _seal(code: Code, packet: Packet, attributes: bytes) -> bytes:
    """Header, Message-Authenticator (RFC 3579 §3.2), attributes; Response Authenticator (RFC 2865 §3).

    First, so that nothing an attacker can choose comes before it (BlastRADIUS, CVE-2024-3596).
    """
    length = HEADER + len(_ZEROED) + len(attributes)
    head = bytes((code, packet.identifier)) + length.to_bytes(2, "big")
    sealed = message_authenticator(head + packet.authenticator + _ZEROED + attributes, packet.secret)
    attributes = _ZEROED[:2] + sealed + attributes
    return head + _md5(head + packet.authenticator + attributes + packet.secret) + attributes


def _reply_messages(messages: Sequence[str], room: int) -> bytes:
    """As many Reply-Messages (RFC 2865 §5.18) as fit into `room` octets, in order."""
    found = b""
    for piece in (piece for message in messages for piece in split_text(message)):
        if len(found) + 2 + len(piece) > room:
            break
        found += _attribute(Attribute.REPLY_MESSAGE, piece)
    return found


def split_text(text: str) -> Iterator[bytes]:
    """UTF-8 in pieces of 1 to 253 octets, no code point cut (RFC 2865 §5); nothing of an empty text."""
    octets = text.encode("utf-8", "replace")
    while octets:
        end = LONGEST_VALUE
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # RFC 3629 §3: within a code point
            end -= 1
        yield octets[:end]
        octets = octets[end:]


def _attribute(number: int, value: bytes) -> bytes:
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"attribute {number} is longer than {LONGEST_VALUE} octets")
    return bytes((number, 2 + len(value))) + value
