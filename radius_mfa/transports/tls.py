"""TLS as RADIUS asks for it: both sides prove who they are (RFC 6614 §2.3), by certificate or by a shared key."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from radius_mfa.wire.clients import Client, Clients, Stranger

ALPN = "radius/1.0"  # RFC 9765: RADIUS as it always was

HAS_PSK: bool = getattr(ssl, "HAS_PSK", False) and hasattr(ssl.SSLContext, "set_psk_server_callback")


@dataclass(frozen=True, slots=True)
class Files:
    """Our certificate with its chain, its key, and the authorities that NASes' certificates come from."""

    certificate: Path
    key: Path
    client_ca: Path


class HandshakeError(ssl.SSLError):
    """`alert`: what the peer should be sent: an event loop closes a failed connection without a word."""

    alert = b""


class _Handshaking(ssl.SSLObject):
    """Remembers by which identity its peer has proved itself: OpenSSL asks for a key without saying for whom."""

    psk_identity: str | None = None
    outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        context = self.context
        if isinstance(context, _Context):
            context.current = self
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as broken:
            failed = HandshakeError(why(broken))
            failed.alert = self.outgoing.read() if self.outgoing is not None else b""
            raise failed from broken


class _Context(ssl.SSLContext):
    current: _Handshaking | None = None

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *more: Any, **named: Any
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *more, **named)
        if isinstance(made, _Handshaking):
            made.outgoing = outgoing
        return made


@dataclass(frozen=True, slots=True)
class Peer:
    """As whom somebody has proved to be: by the SANs of a certificate, or by the identity of a shared key."""

    names: frozenset[str]
    identity: str | None

    @classmethod
    def of(cls, tls: ssl.SSLObject) -> Peer:
        """Who is at the other end of a finished handshake."""
        identity = tls.psk_identity if isinstance(tls, _Handshaking) else None
        try:
            certificate = tls.getpeercert()
        except ValueError:  # names that are no UTF-8: it has none, then
            certificate = None
        return cls(names_in(certificate), identity)

    def __str__(self) -> str:
        return ", ".join(sorted(self.names)) if self.identity is None else self.identity

    def found_among(self, clients: Clients, address: str) -> Client | Stranger:
        """The client that it is, or why it is none."""
        if self.identity is not None:
            return clients.with_psk(self.identity, address)
        return clients.certified(self.names, address)


def server_context(proof: Files | Mapping[str, bytes]) -> ssl.SSLContext:
    """What a listener speaks, to clients with a certificate or to those with one of these keys, by identity.

    One or the other: over TLS 1.3 OpenSSL takes no key where it has a certificate to show.  Raises OSError, of
    which ssl.SSLError is one.
    """
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Handshaking
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # No renegotiation; no tickets: whoever comes again proves anew who it is, and so is gone when it is removed.
    # A session of TLS 1.2 may be taken up by its number (RFC 5246 §7.3), under this context only, which Python
    # cannot forbid; whose it is, is looked up all the same.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN])
    if isinstance(proof, Files):
        context.load_cert_chain(proof.certificate, proof.key, password=_no_passphrase)
        context.load_verify_locations(cafile=proof.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # an intermediate may be trusted
    else:
        context.set_ciphers("kECDHEPSK:kDHEPSK:!eNULL")  # of TLS 1.2, and with forward secrecy
        _take_psks(context, proof)
    return context


def web_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What browsers are spoken to with.  Raises OSError, of which ssl.SSLError is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    certify(context, certificate, key)
    return context


def certify(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Show this certificate from the next connection on.  Raises as `web_context`."""
    context.load_cert_chain(certificate, key, password=_no_passphrase)


def _no_passphrase() -> str:
    """OpenSSL would ask whoever sits at the terminal."""
    raise ssl.SSLError("the key is encrypted")


def _take_psks(context: _Context, psks: Mapping[str, bytes]) -> None:
    def key_of(identity: str | None) -> bytes:
        """No octets: there is no such identity, and the handshake fails."""
        key = psks.get(identity or "", b"")
        if context.current is not None:
            context.current.psk_identity = identity if key else None
        return key

    setter: Any = context
    setter.set_psk_server_callback(key_of, "radius-mfa")


def names_in(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """The dNSNames, in lower case, and iPAddresses of a verified certificate, as `getpeercert` has it."""
    found = set()
    for kind, value in (certificate or {}).get("subjectAltName", ()):
        address = _address(value.strip())
        if kind == "IP Address" and address is not None:
            found.add(address)
        # One that reads as an address would do for that, one with a KELVIN SIGN for one with a k.
        elif kind == "DNS" and address is None and value.isascii():
            found.add(value.lower())
    return frozenset(found)


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def why(broken: BaseException) -> str:
    """In a few words, of OpenSSL's own, why a handshake has failed."""
    if isinstance(broken, HandshakeError):
        return str(broken.args[0])
    if isinstance(broken, ssl.SSLCertVerificationError):
        return broken.verify_message
    if isinstance(broken, ssl.SSLError):  # Python has no names for the newest of OpenSSL's reasons
        words = getattr(broken, "reason", None) or broken.strerror or "".join(map(str, broken.args))
        return (words or type(broken).__name__).lower().replace("_", " ")
    if isinstance(broken, TimeoutError | ConnectionAbortedError):  # the second is an event loop's
        return "took too long"
    if isinstance(broken, ConnectionError):
        return "closed in the middle"
    return type(broken).__name__
