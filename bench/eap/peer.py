"""An EAP peer (RFC 3748): the server's packet in, its own out.  No sockets, so that a test can bend any of them.

    peer = Peer(Login(Method.TTLS_PAP, b"u1", (b"pw1,123456",)))
    response = peer.answer(request)

It speaks EAP-TTLSv0 with PAP or GTC (RFC 5281) and PEAPv0 with GTC ([MS-PEAP]), over TLS 1.2 or 1.3 (RFC 9427).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from OpenSSL import SSL

from bench.eap import packets
from bench.eap.inner import Inner
from bench.eap.packets import MalformedError, Packet
from bench.eap.radius import ANYWHERE, Station
from bench.eap.tls import Tunnel

_PROTECTED_SUCCESS = b"\0"  # RFC 9190 §2.5


class Method(Enum):
    """The outer method's number, and what is spoken inside."""

    TTLS_PAP = (packets.TTLS, "PAP")
    TTLS_GTC = (packets.TTLS, "GTC")
    PEAP_GTC = (packets.PEAP, "GTC")

    @property
    def number(self) -> int:
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in how.  `texts`: the password of PAP, or the answers to GTC's requests in turn.

    `fragment`: octets of the longest EAP packet to send.  `ca_file`: who must have signed the server's
    certificate, None for anybody.  `station`: where.
    """

    method: Method
    name: bytes
    texts: Sequence[bytes]
    outer: bytes = b"anonymous"
    tls: str = "1.2"
    fragment: int = 1400
    ca_file: Path | None = None
    station: Station = ANYWHERE


class Peer:
    """One conversation.  What came of it stays in its fields.

    `is_accepted`: None until Success or Failure came.  `msk`: 64 octets once the tunnel is up.  `inner`: what was
    asked within it.  `is_protected`: whether RFC 9427's success indication came.  `failure`: of TLS, in OpenSSL's
    words.  `session`: once it is over.  `longest`: octets of the longest packet that came.
    """

    def __init__(self, login: Login, session: SSL.Session | None = None) -> None:
        self.is_accepted: bool | None = None
        self.msk = b""
        self.inner = Inner(login.name, login.texts)
        self.is_protected = False
        self.failure = ""
        self.session: SSL.Session | None = None
        self.longest = 0
        self.login = login
        self._tunnel = Tunnel(login.tls, login.ca_file, session)
        self._received = b""
        self._total: int | None = None
        self._sending: Iterator[bytes] = iter(())
        self._is_sending = self._has_begun = False

    @property
    def is_resumed(self) -> bool:
        """Whether the server has taken up the session again."""
        return self._tunnel.is_resumed

    def identity(self, identifier: int = 0) -> bytes:
        """The Response/Identity by which a NAS begins (RFC 3579 §2.1)."""
        return Packet(packets.RESPONSE, identifier, packets.IDENTITY, self.login.outer).octets()

    def answer(self, octets: bytes) -> bytes:
        """The response; empty once it is over.  `MalformedError` where the server is wrong."""
        request = packets.packet_of(octets)
        self.longest = max(self.longest, len(octets))
        if request.code in (packets.SUCCESS, packets.FAILURE):
            self.is_accepted = request.code == packets.SUCCESS
            self.session = self._tunnel.close()
            return b""
        if request.code != packets.REQUEST:
            raise MalformedError(f"EAP code {request.code} to a peer")
        return self._response(request).octets()

    def _response(self, request: Packet) -> Packet:
        method = self.login.method.number
        match request.type:
            case packets.IDENTITY:
                type_, data = packets.IDENTITY, self.login.outer
            case packets.NOTIFICATION:
                type_, data = packets.NOTIFICATION, b""
            case wanted if wanted == method:
                type_, data = method, self._tls(packets.fragment_of(request.data))
            case _:
                type_, data = packets.NAK, bytes((method,))
        return Packet(packets.RESPONSE, request.identifier, type_, data)

    def _tls(self, fragment: packets.Fragment) -> bytes:
        """The type data that answers it."""
        if self._is_sending:
            if fragment.data:
                raise MalformedError("data where a fragment was to be acknowledged")
            return self._next()
        if fragment.flags & packets.MORE and not self._received and fragment.total is None:
            raise MalformedError("the first of several fragments does not say their length")  # RFC 5216 §3.1
        self._total = self._total if fragment.total is None else fragment.total
        self._received += fragment.data
        if fragment.flags & packets.MORE:
            return b"\0"
        received, total = self._received, self._total
        self._received, self._total = b"", None
        if total not in (None, len(received)):
            raise MalformedError(f"a message of {len(received)} octets is said to have {total}")
        if fragment.flags & packets.START:
            received = b""  # what a Start may carry beside is PEAP's own (outer TLVs)
        try:
            self._go_on(received)
        except SSL.Error as error:
            self.failure = str(error)  # and the server gets the alert
        self._sending = iter(packets.fragments(self._tunnel.records(), self.login.fragment))
        return self._next()

    def _next(self) -> bytes:
        data = next(self._sending)
        self._is_sending = bool(data[0] & packets.MORE)
        return data

    def _go_on(self, received: bytes) -> None:
        was_up = self._tunnel.is_up
        data = self._tunnel.take(received)
        if not self._tunnel.is_up:
            return
        if not was_up:
            self.msk = self._tunnel.msk(self.login.method.number)
        if data == _PROTECTED_SUCCESS:
            self.is_protected = True
        elif data:
            is_peap = self.login.method is Method.PEAP_GTC
            self._tunnel.put(self.inner.headless(data) if is_peap else self.inner.avps(data))
        elif self._must_begin(is_new=not was_up, is_empty=not received):
            self._has_begun = True
            self._tunnel.put(self.inner.first(gtc=self.login.method is Method.TTLS_GTC))

    def _must_begin(self, *, is_new: bool, is_empty: bool) -> bool:
        """A TTLS client speaks first; after a resumption only if the server waits for it (RFC 5281 §7.6)."""
        if self._has_begun or self.login.method is Method.PEAP_GTC:
            return False
        return not is_new and is_empty if self.is_resumed else True
