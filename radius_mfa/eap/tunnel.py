"""TLS over memory: the server's side of a tunnel (RFC 5281 §7, RFC 9427), by OpenSSL.

Python's own `ssl` gives no keying material (RFC 5705), which the NAS has to be sent.

A session that is taken up again is known by its master secret, which OpenSSL has as soon as it has read the first
message of the supplicant; it tells nothing else of it.  That it is taken up does not say what it is worth:
`eap.sessions`.  Those of TLS 1.2 are in OpenSSL's own memory; one whose connection is not said to be shut down in
good order is forgotten.  Of TLS 1.3 it would keep one of every handshake, for strangers to fill that memory with;
where 1.3 is spoken sessions are in tickets instead, whose key ends with this process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from radius_mfa.core.record import record
from radius_mfa.eap.packet import Type

_Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
# Of TLS 1.2, with forward secrecy; CBC for supplicants that know nothing newer.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!PSK"
_LONGEST_READ = 16_384  # octets: a record (RFC 8446 §5.1)
_MSK = 64  # octets (RFC 3748 §7.10), of the 128 that are derived
_DERIVED = 128
# What keys are derived with: TLS 1.2 of TTLS (RFC 5281 §8), of PEAP ([MS-PEAP] §3.1.5.5.1); TLS 1.3 of both
# (RFC 9427 §2.1).
_LABELS = {Type.TTLS: b"ttls keying material", Type.PEAP: b"client EAP encryption"}
_LABEL, _METHOD_ID = b"EXPORTER_EAP_TLS_Key_Material", b"EXPORTER_EAP_TLS_Method-Id"


class TunnelError(Exception):
    """Why there is no tunnel, or no more: in a few words, of OpenSSL's own where it has some."""


@record(frozen=True, slots=True)
class Keys:
    """What a finished tunnel gives: the MSK, and the Session-Id as EAP-Key-Name has it (RFC 5247 §1.4)."""

    msk: bytes = field(repr=False)
    name: bytes = field(repr=False)


class Terms:
    """What tunnels are made with, and the sessions that may be taken up again under it.

    `certificate`: a PEM file with our certificate and those between it and the root; `key`: its key; `versions`:
    of "1.2" and "1.3"; `lifetime`: seconds for which OpenSSL keeps a session, 0: it keeps none.  Raises
    TunnelError.
    """

    def __init__(self, certificate: Path, key: Path, versions: Collection[str], lifetime: float) -> None:
        self._context, self._forgetful = _context(versions), _context(versions)
        self._forgetful.set_options(SSL.OP_NO_TICKET)
        if not lifetime or "1.3" not in versions:
            self._context.set_options(SSL.OP_NO_TICKET)
        if lifetime:
            self._context.set_timeout(int(lifetime))
            self._context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
        own = _read_key(key)
        for context in (self._context, self._forgetful):
            try:
                context.use_certificate_chain_file(str(certificate))
                context.use_privatekey(own)
                context.check_privatekey()
            except SSL.Error as refused:
                raise TunnelError(_in_words(refused)) from None

    def tunnel(self, *, anew: bool = False) -> Tunnel:
        """A new one, of which nothing was said yet.  `anew`: no session is taken up, whatever is asked for."""
        connection = SSL.Connection(self._forgetful if anew else self._context, None)
        connection.set_accept_state()
        return Tunnel(connection)


def _context(versions: Collection[str]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    numbers = sorted(_VERSIONS[each] for each in versions)
    context.set_min_proto_version(numbers[0])
    context.set_max_proto_version(numbers[-1])
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_CIPHERS)
    context.set_session_id(b"radius-mfa")
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def _read_key(file: Path) -> _Key:
    """Raises TunnelError; OpenSSL by itself would ask whoever sits at the terminal for a passphrase."""
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except OSError as missing:
        raise TunnelError(f"{file}: {missing.strerror}") from None
    except TypeError:
        raise TunnelError("the key has a passphrase: store it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TunnelError("the key is none in PEM") from None
    if not isinstance(key, _Key):
        raise TunnelError("the key is neither RSA nor of an elliptic curve")
    return key


class Tunnel:
    """One TLS connection.

    `is_open`: the handshake is over.  `taken_up`: the name of the session that it takes up again, if it does.
    """

    def __init__(self, connection: SSL.Connection) -> None:
        self._tls = connection
        self._was_asked = False
        self.is_open = False
        self.taken_up: bytes | None = None

    def take(self, octets: bytes) -> None:
        """A whole message of the supplicant's.  Raises TunnelError; there may be an alert to send even so."""
        if octets:
            self._tls.bio_write(octets)
        if self.is_open:
            return
        try:
            self._tls.do_handshake()
            self.is_open = True
        except SSL.WantReadError:
            # Over TLS 1.2 there would be a secret in the middle of any handshake, over 1.3 only of such a one.
            if not self._was_asked or self.is_tls13:
                self.taken_up = self._session()
            self._was_asked = True
        except SSL.Error as failed:
            raise TunnelError(_in_words(failed)) from None

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        found = b""
        while True:
            try:
                found += self._tls.bio_read(_LONGEST_READ)
            except SSL.WantReadError:
                return found

    def read(self) -> bytes:
        """What was said within.  Raises TunnelError."""
        found = b""
        while len(found) <= _LONGEST_READ:
            try:
                found += self._tls.recv(_LONGEST_READ)
            except SSL.WantReadError:
                return found
            except SSL.ZeroReturnError:
                raise TunnelError("the supplicant has closed the tunnel") from None
            except SSL.Error as failed:
                raise TunnelError(_in_words(failed)) from None
        raise TunnelError("more than a record at once")

    def write(self, octets: bytes) -> None:
        """Say something within; `outgoing` has it then."""
        self._tls.sendall(octets)

    @property
    def is_tls13(self) -> bool:
        return self._tls.get_protocol_version() == SSL.TLS1_3_VERSION

    def keys(self, kind: Type) -> Keys:
        """Of a finished tunnel of that method."""
        tls, context = self._tls, bytes((kind,))
        if self.is_tls13:
            derived = tls.export_keying_material(_LABEL, _DERIVED, context)
            name = tls.export_keying_material(_METHOD_ID, _MSK, context)
        else:
            derived = tls.export_keying_material(_LABELS[kind], _DERIVED)
            name = (tls.client_random() or b"") + (tls.server_random() or b"")
        return Keys(derived[:_MSK], context + name)

    def keep(self) -> bytes:
        """Let the session be taken up again, by that name."""
        self._tls.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
        name = self._session()
        assert name is not None  # the handshake is over
        return name

    def _session(self) -> bytes | None:
        """The name of the session, as far as there is one yet."""
        try:
            secret = self._tls.master_key()
        except SSL.Error:
            return None
        return hashlib.sha256(secret).digest() if secret else None


def _in_words(failed: SSL.Error) -> str:
    """OpenSSL's reason, the last one; an alert of the supplicant's is called one."""
    reasons = [str(reason) for queue in failed.args if isinstance(queue, list) for *_, reason in queue]
    words = "".join(reasons[-1:]).replace("_", " ").lower() or "no TLS"
    _, alert, said = words.rpartition("alert ")
    return f"the supplicant says: {said}" if alert else words
