"""Certificates for servers of the tests, signed by somebody whom nobody else trusts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority that nobody trusts but who has `ca_file`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {folder.name}")])
        own = self._certificate(self._name, self._key.public_key())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = own.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        self.ca_file.write_bytes(own.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def certify(self, host: str, *, expired: bool = False) -> Path:
        """A certificate with its key, for a host name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        try:
            identity: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            identity = x509.DNSName(host)
        certificate = self._certificate(name, key.public_key(), age=2 if expired else 0).add_extension(
            x509.SubjectAlternativeName([identity]), False
        )
        file = self._folder / f"{host}{'-expired' if expired else ''}.pem"
        file.touch(0o600)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        return file

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, age: int = 0
    ) -> x509.CertificateBuilder:
        """Good for a day, from so many days ago."""
        now = datetime.now(UTC) - timedelta(days=age)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
