"""Certificates for servers and clients of the tests, signed by somebody whom nobody else trusts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Purpose = Literal["client", "server"]

_PURPOSES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class Authority:
    """A certificate authority that nobody trusts but who has `ca_file`.

    Each certificate is a file of its own, PEM, which begins with its key.
    """

    def __init__(self, folder: Path, above: Authority | None = None) -> None:
        """`above`: who has signed it; nobody for a root."""
        folder.mkdir()
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"authority {folder.name}")
        self._number = count(1)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = _builder(self._name, self._key.public_key(), -_HOUR, _DAY)
        own = own.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        signed = (above or self)._sign(own)
        self.ca_file.write_bytes(signed)
        # What a peer that knows the root alone has to be told beside a certificate (RFC 8446 §4.4.2).
        self._chain: bytes = signed + above._chain if above else b""

    def intermediate(self, name: str) -> Authority:
        """An authority under this one.  Its certificates come with its own: who trusts this one trusts them."""
        return Authority(self._folder / name, self)

    def certify(
        self,
        host: str,
        *,
        names: Iterable[str] | None = None,
        expired: bool = False,
        early: bool = False,
        days: int = 1,
        purpose: Purpose | None = None,
        chain: bool = True,
    ) -> Path:
        """A certificate with its key, for a host name or an address, which also is its common name.

        `names`: what stands in subjectAltName instead, by what it looks like a name (also with `*`), an address, a
        URI or a mail address; none, and there is no such extension.  `early`: good from tomorrow.  `days`: how
        long it is good.  `purpose`: the only one it is for (RFC 5280 §4.2.1.12).  `chain`: whether an intermediate
        authority's own comes with it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        begins = -2 * _DAY if expired else _DAY if early else -_HOUR
        certificate = _builder(_named(host), key.public_key(), begins, begins + days * _DAY + _HOUR)
        if identities := [_identity(name) for name in ([host] if names is None else names)]:
            certificate = certificate.add_extension(x509.SubjectAlternativeName(identities), False)
        if purpose:
            certificate = certificate.add_extension(x509.ExtendedKeyUsage([_PURPOSES[purpose]]), False)
        file = self._folder / f"{next(self._number)}.pem"
        return _write(file, key, self._sign(certificate) + (self._chain if chain else b""))

    def _sign(self, certificate: x509.CertificateBuilder) -> bytes:
        """PEM."""
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        signed = certificate.issuer_name(self._name).add_extension(issuer, False).sign(self._key, SHA256())
        return signed.public_bytes(Encoding.PEM)


def self_signed(folder: Path, host: str) -> Path:
    """A certificate with its key that nobody but itself stands behind."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(_named(host), key.public_key(), -_HOUR, _DAY).issuer_name(_named(host))
    certificate = certificate.add_extension(x509.SubjectAlternativeName([_identity(host)]), False)
    signed = certificate.sign(key, SHA256()).public_bytes(Encoding.PEM)
    return _write(folder / "self-signed.pem", key, signed)


def _builder(
    name: x509.Name, key: ec.EllipticCurvePublicKey, begins: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    """Good between two times from now."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + begins).not_valid_after(now + ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)


def _named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _identity(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(file: Path, key: ec.EllipticCurvePrivateKey, certificates: bytes) -> Path:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.touch(0o600)
    file.write_bytes(private + certificates)
    return file
