"""A NAS of the tests that speaks RADIUS over TLS (RFC 6614), on a blocking socket and with any octets.

What it is sent on one connection, over TCP and so without sending anything twice (RFC 6613 §2.6.1):

    with RadSecNas(server.addresses[0], Tls(authority.ca_file, certificate)) as nas:
        reply = nas.ask("alice", "sesame")
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

from tests.end_to_end.nas import ByHand, RawReply

SECRET = b"radsec"  # RFC 6614 §2.3
CLOSED, CUT, RESET = "closed", "cut", "reset"  # how a server may end a connection; else the name of its alert

_PATIENCE = 20.0  # seconds that a reply, or the end of the connection, is waited for
_HEADER = 4  # octets that say how long a packet is (RFC 2865 §3)
_MOST = 1 << 16


class EndedError(ConnectionError):
    """The server has ended the connection; `how`, see `RadSecNas.closed`."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass(frozen=True, slots=True)
class Tls:
    """How a NAS speaks TLS: whom it trusts, as whom it shows itself, and with what.

    `certificate`: PEM with its chain, and its key unless that is in `key`; None: it shows none.  `name`: what the
    server's certificate has to be for, else the address that is connected to.  `version`: the only one.
    """

    ca_file: Path
    certificate: Path | None = None
    key: Path | None = None
    alpn: tuple[str, ...] = ()
    version: ssl.TLSVersion | None = None
    ciphers: str = ""
    name: str = ""

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # 3.11.2 takes a cut for a farewell
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        if self.alpn:
            context.set_alpn_protocols(self.alpn)
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        if self.version is not None:
            context.minimum_version = context.maximum_version = self.version
        return context


class RadSecNas(ByHand):
    """A connection, whose handshake is over.

    `cipher`, `version`: as OpenSSL calls them.  `alpn`: the protocol that the server has chosen, "" for none.
    `unread`: what has come and was not taken by `receive`.
    """

    def __init__(self, server: tuple[str, int], tls: Tls, source: str = "") -> None:
        """Raises OSError, of which ssl.SSLError is one, where there is no server or it refuses in the handshake.

        With TLS 1.3 it may refuse a certificate afterwards (RFC 8446 §2): `closed` says so, `refusal` both.
        """
        super().__init__(SECRET)
        self.unread = b""
        connection = socket.create_connection(server, _PATIENCE, (source, 0) if source else None)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pieces go as they are sent
            # A connection that ends without a farewell is told from one that ends with it.
            self.socket = tls.context().wrap_socket(
                connection, server_hostname=tls.name or server[0], suppress_ragged_eofs=False
            )
        except BaseException:
            connection.close()
            raise
        chosen = self.socket.cipher()
        self.cipher = chosen[0] if chosen else ""
        self.version = self.socket.version() or ""
        self.alpn = self.socket.selected_alpn_protocol() or ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # --- packets --------------------------------------------------------------------------------

    def exchange_all(self, packets: Sequence[bytes]) -> list[RawReply]:
        """Send all of them once, and verify the replies, which come in any order; 256 at most."""
        waiting = {packet[1]: packet for packet in packets}
        assert len(waiting) == len(packets)
        self.send(*packets)
        replies: dict[int, RawReply] = {}
        while waiting:
            octets = self.receive()
            replies[octets[1]] = self.read(octets, waiting.pop(octets[1]))
        return [replies[packet[1]] for packet in packets]

    def send(self, *pieces: bytes) -> None:
        """Any octets, each piece in records of its own.

        What a server does not take that has ended the connection is lost, and `closed` says how it ended.
        Raises TimeoutError where it is too slow.
        """
        with suppress(ConnectionError, ssl.SSLError):
            for piece in pieces:
                self.socket.sendall(piece)

    def receive(self, within: float = _PATIENCE) -> bytes:
        """The next packet as it came; raises TimeoutError, and EndedError where there is none."""
        end = monotonic() + within
        while len(self.unread) < self._length():
            self._fill(end)
        length = self._length()
        packet, self.unread = self.unread[:length], self.unread[length:]
        return packet

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long, and the connection stays."""
        try:
            self._fill(monotonic() + seconds)
        except TimeoutError:
            return True
        except EndedError:
            pass
        return False

    # --- the end --------------------------------------------------------------------------------

    def closed(self, within: float = _PATIENCE) -> str:
        """Wait for the server to end the connection, and say how; what comes before is in `unread`.

        CLOSED: with a farewell (close_notify).  CUT: without one.  RESET.  Else the alert, such as
        `TLSV13_ALERT_CERTIFICATE_REQUIRED`.  Raises TimeoutError.
        """
        end = monotonic() + within
        try:
            while True:
                self._fill(end)
        except EndedError as ended:
            return ended.how

    def farewell(self) -> str:
        """Say that nothing more comes from here (RFC 8446 §6.1), and how the server ends the connection then."""
        try:
            self.socket.unwrap()
        except TimeoutError:
            raise
        except OSError as broken:
            return _how(broken)
        return CLOSED

    def reset(self) -> None:
        """Be gone without a word, as a machine that lost its power and came back."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _length(self) -> int:
        """How many octets the packet has that begins in `unread`, as far as is known."""
        if len(self.unread) < _HEADER:
            return _HEADER
        return max(_HEADER, int.from_bytes(self.unread[2:_HEADER], "big"))

    def _fill(self, end: float) -> None:
        """Take what comes until then."""
        self.socket.settimeout(max(0.001, end - monotonic()))
        try:
            octets = self.socket.recv(_MOST)
        except TimeoutError:
            raise
        except OSError as broken:
            raise EndedError(_how(broken)) from broken
        finally:
            self.socket.settimeout(_PATIENCE)
        if not octets:
            raise EndedError(CLOSED)
        self.unread += octets


def refusal(server: tuple[str, int], tls: Tls, source: str = "") -> str:
    """How a server ends a connection that it refuses, in the handshake or after it, see `RadSecNas.closed`."""
    try:
        nas = RadSecNas(server, tls, source)
    except (ssl.SSLCertVerificationError, TimeoutError):
        raise  # it is not the server who refuses
    except OSError as broken:
        return _how(broken)
    with nas:
        return nas.closed()


def _how(broken: OSError) -> str:
    if isinstance(broken, ssl.SSLEOFError):
        return CUT
    if isinstance(broken, ssl.SSLZeroReturnError):
        return CLOSED
    if isinstance(broken, ssl.SSLError):
        # It has no name for the newer alerts, only "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)".
        words = str(broken).removeprefix("[SSL] ").partition(" (")[0]
        if broken.reason == "UNEXPECTED_EOF_WHILE_READING":  # in 3.11.2, later an SSLEOFError
            return CUT
        return broken.reason or words.upper().replace(" ", "_")
    if isinstance(broken, ConnectionResetError | BrokenPipeError):
        return RESET
    raise broken
