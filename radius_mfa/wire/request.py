"""The NAS's side of the wire, for our own test client: one Access-Request, and what is to be thought of a reply.

This side is pyrad's: nobody waits for its microseconds, and so the server's own codec meets a
foreign one wherever the two are tried together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pyrad.packet import AuthPacket

from radius_mfa.core.messages import Attribute, Code
from radius_mfa.wire.walker import DiscardReason, walk

_REPLIES = {int(code): code for code in (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE)}


class ReplyRefusal(StrEnum):
    """Why octets are no reply to our request."""

    MALFORMED = "malformed"
    CODE_UNEXPECTED = "code_unexpected"
    IDENTIFIER_OF_ANOTHER = "identifier_of_another"
    NO_MESSAGE_AUTHENTICATOR = "no_message_authenticator"
    FORGED = "forged"  # made without this secret, or for another request


@dataclass(frozen=True, slots=True)
class ServerReply:
    """A verified reply; `attributes` raw, in packet order, Message-Authenticator included."""

    code: Code
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)


def access_request(
    *,
    identifier: int,
    authenticator: bytes,
    secret: bytes,
    user_name: bytes,
    password: bytes,
    nas_identifier: bytes,
    state: bytes | None = None,
) -> bytes:
    """An Access-Request with User-Password hidden (RFC 2865 §5.2) and Message-Authenticator first.

    `authenticator`: 16 octets that nobody can guess and that never come again (RFC 2865 §3).
    Raises ValueError for a password over 128 octets, or any other value over 253.
    """
    packet = AuthPacket(id=identifier, secret=secret, authenticator=authenticator, message_authenticator=True)
    packet[int(Attribute.USER_NAME)] = [user_name]
    packet[int(Attribute.USER_PASSWORD)] = [packet.PwCrypt(password)]
    packet[int(Attribute.NAS_IDENTIFIER)] = [nas_identifier]
    if state is not None:
        packet[int(Attribute.STATE)] = [state]
    return bytes(packet.RequestPacket())


def read_reply(octets: bytes, request: bytes, secret: bytes) -> ServerReply | ReplyRefusal:
    """The reply to `request` (as `access_request` made it), or why these octets are none.

    Message-Authenticator is demanded, and Proxy-State we have not sent is a forgery (CVE-2024-3596).
    """
    frame = walk(octets)
    if isinstance(frame, DiscardReason):
        return ReplyRefusal.MALFORMED
    code = _REPLIES.get(frame.code)
    if code is None:
        return ReplyRefusal.CODE_UNEXPECTED
    if frame.identifier != request[1]:
        return ReplyRefusal.IDENTIFIER_OF_ANOTHER
    # pyrad looks at the first of several only.
    if sum(number == Attribute.MESSAGE_AUTHENTICATOR for number, _ in frame.attributes) != 1:
        return ReplyRefusal.NO_MESSAGE_AUTHENTICATOR
    asked = AuthPacket(packet=request, secret=secret)
    if not asked.VerifyReply(AuthPacket(packet=frame.octets, secret=secret), enforce_ma=True):
        return ReplyRefusal.FORGED
    return ServerReply(code, frame.attributes)
