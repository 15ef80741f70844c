"""Packets to requests, and replies to packets: what RFC 2865, 3579 and 5997 ask, before anybody is looked up.

pyrad is not used on this side.  Its decoder groups attributes by type and checks the first of
several Message-Authenticators only, its passwords lose octets that are no UTF-8, and each packet
costs it five times as much.  What is left is short and stands here; the tests hold it to pyrad.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import Protocol, TypeVar

from radius_mfa.core.messages import AccessRequest, Attribute, Code, Reply
from radius_mfa.wire.clients import Client
from radius_mfa.wire.mppe import mppe_keys
from radius_mfa.wire.walker import (
    HEAD,
    HEADER,
    LONGEST_PACKET,
    LONGEST_VALUE,
    SIGNATURE,
    ZEROS,
    Attributes,
    DiscardReason,
    cut,
    md5,
    message_authenticator,
)

# Octets of a policy's attributes: 4096 less messages, or EAP-Success, its keys and their name, and the user's (RFC
# 4372), and the Proxy-States of others.  Beside a long EAP packet, in an Access-Challenge, there are none.
LONGEST_REPLY = 3000

# As plain numbers: see `walker`.
_ACCESS_REQUEST, _STATUS_SERVER = int(Code.ACCESS_REQUEST), int(Code.STATUS_SERVER)
_SERVED = frozenset({_ACCESS_REQUEST, _STATUS_SERVER})
_ACCESS_ACCEPT, _ACCESS_CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_CHALLENGE
_CHAP_PASSWORD = int(Attribute.CHAP_PASSWORD)
_REPLY_MESSAGE = int(Attribute.REPLY_MESSAGE)
_STATE = int(Attribute.STATE)
_PROXY_STATE = int(Attribute.PROXY_STATE)
_EAP_MESSAGE = int(Attribute.EAP_MESSAGE)
_EAP_KEY_NAME = int(Attribute.EAP_KEY_NAME)
_PROMPT = 76  # RFC 2869 §5.10
_TEXTS = 256  # Reply-Messages whose octets are kept: most users are asked in the same words

# By which somebody can ask to be let in, if not by User-Password: also ARAP-Password (RFC 2869 §5.4),
# Digest-Response (RFC 5090 §3.1) and MS-CHAP's two responses (RFC 2548 §2.1.3, §2.3.2).  What we do not
# offer is refused with an answer, and so must get past the wire.
_CREDENTIALS = frozenset({_CHAP_PASSWORD, _EAP_MESSAGE, 70, 103})
_MS_CHAP = (b"\x00\x00\x01\x37\x01", b"\x00\x00\x01\x37\x19")

# Of a hidden User-Password: blocks as long as a digest, at most 128 octets (RFC 2865 §5.2).
_HIDDEN_BLOCK = 16
_HIDDEN_LENGTHS = frozenset(range(_HIDDEN_BLOCK, 128 + 1, _HIDDEN_BLOCK))
_number = int.from_bytes  # its octets from the most significant one on

# Whoever decides on attributes does not decide on these.
_PLACED_HERE = frozenset({_STATE, _PROXY_STATE, _EAP_MESSAGE, _EAP_KEY_NAME, int(Attribute.MESSAGE_AUTHENTICATOR)})

# An EAP packet's Code, Identifier and Length (RFC 3748 §4), and all that EAP-Failure has (§4.2).
_EAP_HEADER = 4
_EAP_FAILURE = 4

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


class Packet:
    """An Access-Request or Status-Server that may be answered.

    `authenticator`: the Request Authenticator.  `secret`: the one it was made with, and the reply will be.
    `signs`: whether its sender is one that always sends Message-Authenticator; None: some RFC demands it of this
    request, whoever sends it.  `request`: what is to be decided on.
    """

    # Whoever takes it further keeps what belongs to it in a subclass: one thing for each packet, and not two.
    __slots__ = ("authenticator", "code", "identifier", "request", "secret", "signs")

    code: int
    identifier: int
    authenticator: bytes
    secret: bytes
    signs: bool | None
    request: AccessRequest


P = TypeVar("P", bound=Packet)

Signs = Callable[[str, str], bool] | None
"""Whether a client's source has sent a Message-Authenticator of its own accord before; it matters under `auto`."""


def decode(
    octets: bytes, client: Client, source: tuple[str, int], arrived: float, made: type[P], known: Signs = None
) -> P | DiscardReason:
    """The request in `octets`, verified, as one `made` of it; or why they are met with silence.

    `source`: address and port; `arrived`: monotonic seconds; `known`: to sign.
    """
    found = cut(octets)
    if isinstance(found, DiscardReason):
        return found
    octets, code, identifier, salt, (attributes, firsts, passwords, signed_at, said) = found
    if code not in _SERVED:
        return DiscardReason.CODE_NOT_SERVED
    eap = _EAP_MESSAGE in firsts
    credential = True if passwords else _has_another_credential(attributes, firsts)
    if signed_at:
        secret = _verify(octets, signed_at, client.secrets)
        # RFC 3579 §3.2, RFC 5997 §3: EAP and Status-Server must have one, and so prove nothing.
        signs = True if credential and not eap and code == _ACCESS_REQUEST else None
    else:
        # Without a Message-Authenticator nothing tells one secret from the other.
        secret = _why_not_unsigned(code, client, firsts, credential, source[0], known) or client.secrets[0]
        signs = False
    if not isinstance(secret, bytes):
        return secret
    if eap and (passwords or _CHAP_PASSWORD in firsts):
        return DiscardReason.EAP_WITH_PASSWORD  # RFC 3579 §3.3
    password = _password(passwords[0], salt, secret) if len(passwords) == 1 else None
    packet = made()
    packet.code, packet.identifier, packet.authenticator = code, identifier, salt
    packet.secret, packet.signs = secret, signs
    host, port = source
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    packet.request = AccessRequest(client.nas, attributes, password, text, arrived, (said, firsts))
    return packet


def _has_another_credential(attributes: Attributes, numbers: Collection[int]) -> bool:
    """Another one than User-Password."""
    if not _CREDENTIALS.isdisjoint(numbers):
        return True
    return any(n == Attribute.VENDOR_SPECIFIC and v.startswith(_MS_CHAP) for n, v in attributes)


def _why_not_unsigned(
    code: int,
    client: Client,
    numbers: Collection[int],
    credential: bool,
    host: str,
    known: Signs,
) -> DiscardReason | None:
    """What forbids this request to come without a Message-Authenticator, if anything does."""
    if client.message_authenticator == "require":
        return DiscardReason.MESSAGE_AUTHENTICATOR_REQUIRED
    if code == _STATUS_SERVER:  # RFC 5997 §3
        return DiscardReason.STATUS_SERVER_UNSIGNED
    if Attribute.EAP_MESSAGE in numbers:  # RFC 3579 §3.2
        return DiscardReason.EAP_UNSIGNED
    if client.message_authenticator == "auto" and known and known(client.nas.name, host):
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
    pads = md5(secret + authenticator).digest()
    if length > _HIDDEN_BLOCK:
        for at in range(_HIDDEN_BLOCK, length, _HIDDEN_BLOCK):
            pads += md5(secret + hidden[at - _HIDDEN_BLOCK : at]).digest()
    return (_number(hidden) ^ _number(pads)).to_bytes(length, "big").rstrip(b"\x00")


# --- replies ------------------------------------------------------------------------------------


def encode(reply: Reply, packet: Packet, encoder: Encoder) -> bytes | None:
    """The octets that answer `packet`: Message-Authenticator first, Proxy-State last.

    Reply-Messages that do not fit are left out; None where the rest alone is longer than a packet
    may be.  `bare_reject`, and any reply with a Code alone, always fits: it is no longer than the request
    was.  Raises ValueError where an attribute cannot be put on the wire, and what `encoder` raises.
    """
    rest, messages = _given(reply, encoder) if reply.attributes else b"", reply.messages
    if reply.state is not None:
        rest = _attribute(_STATE, reply.state) + rest
    if packet.request.first(_PROXY_STATE) is not None:
        # RFC 2865 §5.33: unmodified, in order, behind everything of ours.
        rest += b"".join([_attribute(_PROXY_STATE, each) for each in packet.request.all(_PROXY_STATE)])
    if reply.eap:
        # RFC 3579 §2.6.5: beside an EAP-Message, EAP itself says what there is to say.
        rest, messages = _eap(reply, packet) + rest, ()
    room = _ROOM - len(rest)
    if room < 0:
        return None
    if messages:
        rest = _reply_messages(messages, room) + rest
    return _seal(reply.code, packet, rest)


def bare_reject(request: AccessRequest) -> Reply:
    """An Access-Reject that says nothing; of EAP, in EAP too (RFC 3579 §2.6.3), where it can be read."""
    eap = request.eap
    if eap is None or len(eap) < _EAP_HEADER:
        return Reply(Code.ACCESS_REJECT)
    # RFC 3748 §4.2: the Identifier is that of the response.
    return Reply(Code.ACCESS_REJECT, eap=bytes((_EAP_FAILURE, eap[1], 0, _EAP_HEADER)))


def _eap(reply: Reply, packet: Packet) -> bytes:
    """EAP-Messages one behind the other (RFC 3579 §3.1); in an Access-Accept also what the NAS gets of it."""
    eap = reply.eap
    pieces = [eap[at : at + LONGEST_VALUE] for at in range(0, len(eap), LONGEST_VALUE)]
    found = b"".join([_attribute(_EAP_MESSAGE, piece) for piece in pieces])
    if reply.code is not _ACCESS_ACCEPT:
        return found
    if reply.msk:
        for number, value in mppe_keys(reply.msk, packet.secret, packet.authenticator):
            found += _attribute(number, value)
    # RFC 7268 §2.2: a NAS that wants it has sent one of a single NUL, and any other is nothing.
    if reply.key_name and packet.request.first(_EAP_KEY_NAME) == b"\0":
        found += _attribute(_EAP_KEY_NAME, reply.key_name)
    return found


def _given(reply: Reply, encoder: Encoder) -> bytes:
    """The octets of a policy's attributes."""
    given = b""
    for each in reply.attributes:
        number, value = encoder.encode(each.name, each.value)
        if number in _PLACED_HERE:
            raise ValueError(f"attribute {number} is not a policy's to give")
        # RFC 2869 §5.10: it is about the Reply-Message of a challenge, and beside EAP there is none.
        if number != _PROMPT or (reply.code is _ACCESS_CHALLENGE and not reply.eap):
            given += _attribute(number, value)
    return given


def _seal(code: Code, packet: Packet, attributes: bytes) -> bytes:
    """Header, Message-Authenticator (RFC 3579 §3.2), attributes; Response Authenticator (RFC 2865 §3).

    First, so that nothing an attacker can choose comes before it (BlastRADIUS, CVE-2024-3596).
    """
    secret = packet.secret
    asked = HEAD.pack(code, packet.identifier, _SIGNED + len(attributes), packet.authenticator)
    attributes = _SEALED_HEAD + message_authenticator(asked + _ZEROED + attributes, secret) + attributes
    return asked[:4] + md5(asked + attributes + secret).digest() + attributes


def _reply_messages(messages: Sequence[str], room: int) -> bytes:
    """As many Reply-Messages (RFC 2865 §5.18) as fit into `room` octets, in order."""
    found = b""
    for message in messages:
        for piece in _reply_message(message):
            if len(found) + len(piece) > room:
                return found
            found += piece
    return found


@lru_cache(maxsize=_TEXTS)
def _reply_message(text: str) -> tuple[bytes, ...]:
    return tuple([_attribute(_REPLY_MESSAGE, piece) for piece in split_text(text)])


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
