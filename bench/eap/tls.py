"""The supplicant's end of the tunnel: OpenSSL over memory, octets in and out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from OpenSSL import SSL, crypto

from bench.eap.packets import PEAP, TTLS

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_LABELS = {TTLS: b"ttls keying material", PEAP: b"client EAP encryption"}  # RFC 5281 §8, [MS-PEAP] §3.1.5.7
_LABEL_1_3 = b"EXPORTER_EAP_TLS_Key_Material"  # RFC 9427 §2.1
_KEYING_MATERIAL = 128
_READ = 16_384  # the longest record (RFC 8446 §5.1)


class Tunnel:
    """A TLS client.  `ca_file`: who must have signed the server's certificate; `session`: to be taken up again."""

    def __init__(self, version: str, ca_file: Path | None, session: SSL.Session | None = None) -> None:
        self.has_seen_certificate = False
        self.is_up = False
        self._connection = SSL.Connection(_context(version, ca_file))
        self._connection.set_app_data(self)
        self._connection.set_connect_state()
        if session is not None:
            self._connection.set_session(session)

    @property
    def is_resumed(self) -> bool:
        """Once it is up: a server shows no certificate for a session that it has taken up again."""
        return self.is_up and not self.has_seen_certificate

    def take(self, records: bytes) -> bytes:
        """Go on with these; what they had for the application.  SSL.Error where OpenSSL refuses them."""
        if records:
            self._connection.bio_write(records)
        try:
            if not self.is_up:
                self._connection.do_handshake()
                self.is_up = True
            return self._read()
        except SSL.WantReadError:
            return b""

    def _read(self) -> bytes:
        found = b""
        try:
            while True:
                found += self._connection.recv(_READ)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return found

    def put(self, data: bytes) -> None:
        """Application data."""
        self._connection.sendall(data)

    def records(self) -> bytes:
        """What is to be sent."""
        found = b""
        try:
            while True:
                found += self._connection.bio_read(_READ)
        except SSL.WantReadError:
            return found

    def msk(self, method: int) -> bytes:
        """The 64 octets, once it is up; `method`: EAP's number of it."""
        if self._connection.get_protocol_version_name() == "TLSv1.3":
            label, context = _LABEL_1_3, bytes((method,))
        else:
            label, context = _LABELS[method], None
        return self._connection.export_keying_material(label, _KEYING_MATERIAL, context)[:64]

    def close(self) -> SSL.Session | None:
        """The session, to be taken up again: with TLS 1.3 it has come after the handshake."""
        # One that is freed without this is, to OpenSSL, not to be resumed (RFC 2246 §7.2.1 said so).
        self._connection.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
        return self._connection.get_session() if self.is_up else None


@lru_cache
def _context(version: str, ca_file: Path | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_VERSIONS[version])
    context.set_max_proto_version(_VERSIONS[version])
    if ca_file is not None:
        context.load_verify_locations(str(ca_file))
    trusting = ca_file is None

    def verified(connection: SSL.Connection, _: crypto.X509, __: int, ___: int, ok: int) -> bool:
        tunnel = connection.get_app_data()
        assert isinstance(tunnel, Tunnel)
        tunnel.has_seen_certificate = True
        return trusting or bool(ok)

    context.set_verify(SSL.VERIFY_PEER, verified)
    return context
