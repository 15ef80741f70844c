"""The NAS's side of a login, for `login` and `demo`: ask, show every packet, ask again; over any transport."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import click

from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.core.messages import Attribute, Code
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.request import ServerReply, access_request
from radius_mfa.wire.walker import Frame, walk

_NAMES = {
    Code.ACCESS_REQUEST: "Access-Request",
    Code.ACCESS_ACCEPT: "Access-Accept",
    Code.ACCESS_REJECT: "Access-Reject",
    Code.ACCESS_CHALLENGE: "Access-Challenge",
}


class NoReplyError(RadiusMfaError):
    """The server could not be reached, or did not answer."""


class Transport(Protocol):
    """The way to a server.  `secret`: what passwords are hidden with, and replies signed."""

    @property
    def secret(self) -> bytes: ...

    def exchange(self, request: bytes) -> ServerReply:
        """The verified reply to an Access-Request, waited for.  Raises NoReplyError."""
        ...


@dataclass(frozen=True)
class Rounds:
    """Logs in as a NAS does."""

    transport: Transport
    dictionary: Dictionary
    show: Callable[[str], None] = click.echo

    def login(self, username: str, password: str, answer: Callable[[str], str | None]) -> Code:
        """A whole login.  `answer` is given each prompt and says what the user types; None ends it there."""
        typed: str | None = password
        state = None
        while True:
            reply = self._round(username, typed or "", state)
            if reply.code is not Code.ACCESS_CHALLENGE:
                return reply.code
            state = _first(reply, Attribute.STATE)
            prompt = (_first(reply, Attribute.REPLY_MESSAGE) or b"").decode(errors="replace")
            typed = answer(prompt)
            if typed is None:
                return reply.code

    def _round(self, username: str, typed: str, state: bytes | None) -> ServerReply:
        try:
            request = access_request(
                identifier=os.urandom(1)[0],
                authenticator=os.urandom(16),
                secret=self.transport.secret,
                user_name=username.encode(),
                password=typed.encode(),
                nas_identifier=b"radius-mfa login",
                state=state,
            )
        except ValueError:
            raise click.UsageError("the user name may have 253 octets, the password 128 (RFC 2865 §5.2)") from None
        sent = walk(request)
        assert isinstance(sent, Frame)  # we have just made it
        self._packet("→", Code.ACCESS_REQUEST, sent.attributes)
        reply = self.transport.exchange(request)
        self._packet("←", reply.code, reply.attributes)
        return reply

    def _packet(self, direction: str, code: Code, attributes: tuple[tuple[int, bytes], ...]) -> None:
        self.show(f"{direction} {_NAMES[code]}")
        for number, value in attributes:
            name, text = self.dictionary.show(number, value)
            self.show(f"    {name} = {text}")


def _first(reply: ServerReply, number: int) -> bytes | None:
    return next((value for each, value in reply.attributes if each == number), None)
