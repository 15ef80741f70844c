"""A NAS's way to a server over UDP (RFC 2865 §3): a datagram, and the same again where nothing comes."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from radius_mfa.cli.rounds import NoReplyError
from radius_mfa.wire.request import ReplyRefusal, ServerReply, read_reply
from radius_mfa.wire.walker import LONGEST_PACKET


def address_of(server: tuple[str, int]) -> str:
    """HOST:PORT, as it is written."""
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unreachable(server: tuple[str, int], broken: OSError | UnicodeError) -> NoReplyError:
    """Why there is no way there; UnicodeError is what Python has for a name that no DNS could know."""
    why = "not a host name" if isinstance(broken, UnicodeError) else broken.strerror
    return NoReplyError(f"{address_of(server)}: {why}")


@dataclass(frozen=True)
class OverUdp:
    """`timeout`: seconds a try, of which there are `tries`, the same packet each time."""

    server: tuple[str, int]
    secret: bytes = field(repr=False)
    timeout: float = 5.0
    tries: int = 3

    def exchange(self, request: bytes) -> ServerReply:
        """The verified reply to a request.  Raises NoReplyError."""
        try:
            return self._exchange(request)
        except (OSError, UnicodeError) as broken:
            raise unreachable(self.server, broken) from None

    def _exchange(self, request: bytes) -> ServerReply:
        refused: ReplyRefusal | None = None
        family = socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET
        address = socket.getaddrinfo(*self.server, family, socket.SOCK_DGRAM)[0][4]
        with socket.socket(family, socket.SOCK_DGRAM) as nas:
            nas.settimeout(self.timeout)
            nas.connect(address)
            for _ in range(self.tries):
                try:
                    nas.send(request)
                    reply = read_reply(nas.recv(LONGEST_PACKET), request, self.secret)
                except TimeoutError:
                    continue
                if isinstance(reply, ServerReply):
                    return reply
                refused = reply
        if refused:
            wrong = f"the reply cannot be trusted: {refused.replace('_', ' ')}"
        else:
            wrong = (
                f"no reply in {self.tries} tries of {self.timeout:g} s:"
                " is this address among the server's clients, and the secret the same on both sides?"
            )
        raise NoReplyError(f"{address_of(self.server)}: {wrong}")
