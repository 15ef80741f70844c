"""A NAS's way to a server over TLS (RFC 6614, RFC 6613): one connection, and one packet after the other on it.

TCP sends again by itself, and so a packet is sent once (RFC 6613 §2.6.1).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

from radius_mfa.cli.over_udp import address_of, unreachable
from radius_mfa.cli.rounds import NoReplyError
from radius_mfa.cli.tls_context import in_words
from radius_mfa.wire.request import ReplyRefusal, ServerReply, read_reply
from radius_mfa.wire.walker import HEADER, LONGEST_PACKET

SECRET = b"radsec"  # RFC 6614 §2.3: everybody's, for TLS does what it was for

# What OpenSSL's checks of a certificate end with (x509_vfy.h), where another option may be the answer.
_HINTS = {
    **dict.fromkeys((62, 64), "; --server-name names the server"),  # host name, IP address
    **dict.fromkeys((18, 19, 20, 21), "; --ca names the CA"),  # an unknown signer
}
# What makes a server that does not know us end the connection, in the handshake or, in TLS 1.3, right after it.
_STRANGER = "is this certificate signed by the server's client_ca, and its name that of a client?"
_STRANGER_BY_PSK = "is this identity that of a client of the server's, and the key the same on both sides?"
_OTHER_ALERTS = ("protocol version", "no application protocol")  # which are about something else


@dataclass(frozen=True, slots=True)
class Target:
    """The server to connect to.  `name`: what its certificate must say; None: a PSK proves it instead."""

    server: tuple[str, int]
    context: ssl.SSLContext
    name: str | None

    @property
    def address(self) -> str:
        return address_of(self.server)

    def can_be_named(self) -> bool:
        """Whether a certificate can say `name`, and a client ask for it (RFC 6066 §3)."""
        try:
            self.context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=self.name)
        except ValueError:
            return False
        return True

    def ended(self, broken: OSError, *, known: bool) -> NoReplyError:
        """How the connection ended, in words.  `known`: whether the server had answered us before."""
        said = in_words(broken)
        _, alert, name = said.partition(" alert ")
        if isinstance(broken, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
            wrong = "the server has closed the connection"
        elif alert:
            wrong = f"the server refuses us: {name}"
        else:
            return NoReplyError(f"{self.address}: no TLS: {said}")
        doubt = _STRANGER if self.name else _STRANGER_BY_PSK
        more = "" if known or name in _OTHER_ALERTS else f": {doubt}"
        return NoReplyError(f"{self.address}: {wrong}{more}")


@dataclass
class OverTls:
    """A connection that stands.  `patience`: seconds a reply may take.  `replied`: whether there was any yet."""

    target: Target
    tls: ssl.SSLSocket
    secret: bytes = field(repr=False)
    patience: float
    replied: bool = False

    def exchange(self, request: bytes) -> ServerReply:
        """The verified reply to a request.  Raises NoReplyError."""
        try:
            self.tls.settimeout(self.patience)
            with suppress(ConnectionError, ssl.SSLEOFError):  # closed already: reading says why
                self.tls.sendall(request)
            octets = self._packet(monotonic() + self.patience)
        except TimeoutError:
            doubt = "" if self.replied else ": is the secret the same on both sides?"
            raise NoReplyError(f"{self.target.address}: no reply in {self.patience:g} s{doubt}") from None
        except OSError as broken:
            raise self.target.ended(broken, known=self.replied) from None
        reply = read_reply(octets, request, self.secret)
        if isinstance(reply, ReplyRefusal):
            wrong = f"the reply cannot be trusted: {reply.replace('_', ' ')}"
            raise NoReplyError(f"{self.target.address}: {wrong}")
        self.replied = True
        return reply

    def _packet(self, deadline: float) -> bytes:
        """The next packet of the stream, as its Length has it (RFC 6613 §2.1); else a header that is none."""
        packet = self._octets(HEADER, deadline)
        length = int.from_bytes(packet[2:4], "big")
        if not HEADER <= length <= LONGEST_PACKET:
            return packet
        return packet + self._octets(length - HEADER, deadline)

    def _octets(self, count: int, deadline: float) -> bytes:
        found = b""
        while len(found) < count:
            self.tls.settimeout(max(deadline - monotonic(), 0.001))
            more = self.tls.recv(count - len(found))
            if not more:
                raise ConnectionError
            found += more
        return found


@contextmanager
def connected(target: Target, secret: bytes, patience: float, show: Callable[[str], None]) -> Iterator[OverTls]:
    """A connection to the server, its kind shown in a line; closed at the end.  Raises NoReplyError.

    `patience`: seconds that each of TCP, the handshake and a reply may take.
    """
    try:
        tcp = socket.create_connection(target.server, patience)
    except TimeoutError:
        raise NoReplyError(f"{target.address}: no connection in {patience:g} s") from None
    except (OSError, UnicodeError) as broken:
        raise unreachable(target.server, broken) from None
    with tcp, _handshake(target, tcp, patience) as tls:
        version, (cipher, *_) = tls.version(), tls.cipher() or ("",)
        alpn = tls.selected_alpn_protocol() or "no ALPN"
        show(f"{version} {cipher}, {alpn}, with {target.name or 'a shared key'}")
        try:
            yield OverTls(target, tls, secret, patience)
        finally:
            with suppress(OSError):  # close_notify is sent, and the server's not waited for
                tls.settimeout(0)
                tls.unwrap()


def _handshake(target: Target, tcp: socket.socket, patience: float) -> ssl.SSLSocket:
    try:
        return target.context.wrap_socket(tcp, server_hostname=target.name)
    except TimeoutError:
        raise NoReplyError(f"{target.address}: no TLS handshake in {patience:g} s") from None
    except ssl.SSLCertVerificationError as untrusted:
        hint = _HINTS.get(untrusted.verify_code, "")
        wrong = f"its certificate is not trusted: {untrusted.verify_message.rstrip('.')}{hint}"
        if target.name is None:
            wrong = f"it shows a certificate instead: {_STRANGER_BY_PSK}"
        raise NoReplyError(f"{target.address}: {wrong}") from None
    except OSError as broken:
        raise target.ended(broken, known=False) from None
