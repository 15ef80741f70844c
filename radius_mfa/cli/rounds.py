"""The NAS's side of a login, for `login` and `demo`: ask, wait, show every packet."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import click

from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.core.messages import Attribute, Code
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.request import ReplyRefusal, ServerReply, access_request, read_reply
from radius_mfa.wire.walker import Frame, walk

_LONGEST = 4096
_NAMES = {
    Code.ACCESS_REQUEST: "Access-Request",
    Code.ACCESS_ACCEPT: "Access-Accept",
    Code.ACCESS_REJECT: "Access-Reject",
    Code.ACCESS_CHALLENGE: "Access-Challenge",
}


class NoReplyError(RadiusMfaError):
    """The server did not answer."""


@dataclass(frozen=True)
class Rounds:
    """Logs in as a NAS does.  `timeout`: seconds a try, of which there are `tries`, the same packet each time."""

    server: tuple[str, int]
    secret: bytes = field(repr=False)
    dictionary: Dictionary
    show: Callable[[str], None] = click.echo
    timeout: float = 5.0
    tries: int = 3

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
                secret=self.secret,
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
        reply = self._exchange(request)
        self._packet("←", reply.code, reply.attributes)
        return reply

    def _exchange(self, request: bytes) -> ServerReply:
        with socket.socket(self._family, socket.SOCK_DGRAM) as nas:
            nas.settimeout(self.timeout)
            try:
                nas.connect(self.server)
            except OSError as broken:
                raise NoReplyError(f"{self._address}: {broken.strerror}") from None
            refused: ReplyRefusal | None = None
            for _ in range(self.tries):
                try:
                    nas.send(request)
                    reply = read_reply(nas.recv(_LONGEST), request, self.secret)
                except TimeoutError:
                    continue
                except OSError as broken:
                    raise NoReplyError(f"{self._address}: {broken.strerror}") from None
                if isinstance(reply, ServerReply):
                    return reply
                refused = reply
        if refused:
            raise NoReplyError(f"{self._address}: the reply cannot be trusted: {refused.replace('_', ' ')}")
        raise NoReplyError(
            f"{self._address}: no reply in {self.tries} tries of {self.timeout:g} s:"
            " is this address among the server's clients, and the secret the same on both sides?"
        )

    @cached_property
    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET

    @property
    def _address(self) -> str:
        host, port = self.server
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _packet(self, direction: str, code: Code, attributes: tuple[tuple[int, bytes], ...]) -> None:
        self.show(f"{direction} {_NAMES[code]}")
        for number, value in attributes:
            name, text = self.dictionary.show(number, value)
            self.show(f"    {name} = {text}")


def _first(reply: ServerReply, number: int) -> bytes | None:
    return next((value for each, value in reply.attributes if each == number), None)
