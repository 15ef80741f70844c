"""Files for TLS that can be read, and yet not be used."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from radius_mfa.config.load import load_usable
from tests.config.support import DICTIONARY, SMALL, Folder, ldap, radsec, two_clients
from tests.peers.certificates import Authority

NONE = "has no certificate in PEM form in it"
JUNK = ["", "junk", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def authority(folder: Folder) -> Authority:
    """Whose `ca.pem` is beside the configuration."""
    made = Authority(folder.path / "ours")
    folder.write("ca.pem", made.ca_file.read_bytes())
    return made


@pytest.fixture
def server(folder: Folder, authority: Authority) -> Path:
    """A certificate with its key: `server.pem`."""
    return folder.write("server.pem", authority.certify("radius.example.org").read_bytes())


def pem(key: PrivateKeyTypes, password: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(password) if password else NoEncryption())


class TestAuthorities:
    @pytest.mark.parametrize("content", [*JUNK, BROKEN])
    def test_without_a_certificate_are_found_out_before_the_server_starts(
        self, folder: Folder, content: str
    ) -> None:
        folder.write("ca.pem", content)
        wrong = f'"ca.pem" {NONE}'
        text = ldap("start_tls: true", "ca_file: ca.pem")
        assert folder.problems(text, usable=True) == [f"14: directory.ldap.ca_file: {wrong}"]
        text = SMALL + "factors: {mail: {smtp: smtp://m, sender: a@example.org, ca_file: ca.pem}}\n"
        assert folder.problems(text, usable=True) == [f"14: factors.mail.ca_file: {wrong}"]

    @pytest.mark.parametrize("content", [*JUNK, BROKEN])
    @pytest.mark.usefixtures("server")
    def test_of_clients_likewise(self, folder: Folder, content: str) -> None:
        folder.write("other.pem", content)
        assert folder.problems(radsec(client_ca="other.pem"), usable=True) == [
            f'2: listen[0].client_ca: "other.pem" {NONE}'
        ]

    @pytest.mark.usefixtures("server")
    def test_are_not_who_has_been_revoked(self, folder: Folder, authority: Authority) -> None:
        """OpenSSL reads a list of the revoked (RFC 5280 §5) from the same file without complaint."""
        ca = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
        builder = x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
        builder = builder.last_update(ca.not_valid_before_utc).next_update(ca.not_valid_after_utc)
        revoked = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)
        folder.write("revoked.pem", revoked)
        assert folder.problems(radsec(client_ca="revoked.pem"), usable=True) == [
            f'2: listen[0].client_ca: "revoked.pem" {NONE}'
        ]
        folder.write("revoked.pem", authority.ca_file.read_bytes() + revoked)
        assert folder.problems(radsec(client_ca="revoked.pem"), usable=True) == []

    def test_with_one_are_as_they_should_be(self, folder: Folder, authority: Authority) -> None:
        text = ldap("start_tls: true", f"ca_file: {authority.ca_file}")
        assert folder.problems(text, usable=True) == []


class TestOwnCertificate:
    @pytest.mark.usefixtures("server")
    def test_with_its_key_in_the_same_file_is_as_it_should_be(self, folder: Folder) -> None:
        assert folder.problems(radsec(), usable=True) == []
        assert load_usable(folder.file, {}, DICTIONARY).warnings == ()

    def test_with_its_key_in_another_is_too(self, folder: Folder, server: Path) -> None:
        key, _, certificate = server.read_text().partition("-----END PRIVATE KEY-----\n")
        folder.write("server.pem", certificate)
        folder.write("server.key", f"{key}-----END PRIVATE KEY-----\n")
        assert folder.problems(radsec(key="server.key"), usable=True) == []

    @pytest.mark.usefixtures("server")
    def test_is_one(self, folder: Folder) -> None:
        for content in (*JUNK, (folder.path / "ca.pem").read_text() + BROKEN):
            folder.write("other.pem", content)
            problem = f'2: listen[0].certificate: "other.pem" {NONE}'
            assert folder.problems(radsec("other.pem"), usable=True) == [problem]

    @pytest.mark.usefixtures("authority")
    def test_is_one_whatever_the_key(self, folder: Folder) -> None:
        folder.write("server.pem", "junk")
        folder.write("open.key", "junk", 0o644)
        for key, wrong in (
            ("open.key", "is open to everyone on this machine; chmod o= it"),
            ("nowhere.key", "cannot be read: No such file or directory"),
        ):
            assert sorted(folder.problems(radsec(key=key), usable=True)) == [
                f'2: listen[0].certificate: "server.pem" {NONE}',
                f'2: listen[0].key: "{key}" {wrong}',
            ]

    @pytest.mark.usefixtures("server")
    def test_has_a_key(self, folder: Folder) -> None:
        for content in JUNK:
            folder.write("server.key", content)
            assert folder.problems(radsec(key="server.key"), usable=True) == [
                '2: listen[0].key: "server.key" has no private key in PEM form in it'
            ]

    @pytest.mark.usefixtures("server")
    def test_has_its_own_key(self, folder: Folder) -> None:
        """Of another kind, or of the same."""
        for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
            folder.write("server.key", pem(key))
            assert folder.problems(radsec(key="server.key"), usable=True) == [
                '2: listen[0].key: "server.key" is not the key of the certificate'
            ]

    @pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_has_a_key_that_nobody_is_asked_a_password_for(
        self, folder: Folder, server: Path, form: PrivateFormat
    ) -> None:
        folder.write("server.key", pem(load_pem_private_key(server.read_bytes(), None), b"hunter2", form))
        assert folder.problems(radsec(key="server.key"), usable=True) == [
            '2: listen[0].key: "server.key" is encrypted, and nobody is there to type its password; decrypt it'
        ]

    @pytest.mark.usefixtures("authority")
    def test_that_openssl_will_not_serve_with_is_refused_with_its_reason(self, folder: Folder) -> None:
        key = rsa.generate_private_key(65537, 1024)
        ca = x509.load_pem_x509_certificate((folder.path / "ca.pem").read_bytes())
        builder = x509.CertificateBuilder().subject_name(ca.subject).issuer_name(ca.subject)
        builder = builder.public_key(key.public_key()).serial_number(1)
        builder = builder.not_valid_before(ca.not_valid_before_utc).not_valid_after(ca.not_valid_after_utc)
        folder.write("server.pem", builder.sign(key, SHA256()).public_bytes(Encoding.PEM) + pem(key))
        assert folder.problems(radsec(), usable=True) == [
            '2: listen[0].certificate: "server.pem" cannot be used: ee key too small'
        ]

    @pytest.mark.parametrize(("expired", "words"), [(True, "expired on 2"), (False, "is not valid before 2")])
    def test_that_is_not_good_today_is_warned_of(
        self, folder: Folder, authority: Authority, expired: bool, words: str
    ) -> None:
        """Another machine's clock, or a renewal at hand, may make it right; no login here depends on it."""
        file = authority.certify("radius.example.org", expired=expired, early=not expired)
        folder.write("server.pem", file.read_bytes())
        folder.write(folder.file.name, radsec())
        (warning,) = load_usable(folder.file, {}, DICTIONARY).warnings
        assert warning.startswith(f"{folder.file}:2: listen[0].certificate: {words}")
        assert warning.endswith("; clients will refuse it")

    def test_is_looked_at_with_everything_else(self, folder: Folder) -> None:
        """What cannot even be read is the model's to tell, and told once."""
        for name in ("server.pem", "server.key"):
            folder.write(name, "junk")
        text = radsec(key="server.key", client_ca="nowhere.pem") + "wrokers: 1\n"
        assert sorted(folder.problems(text, usable=True)) == [
            "15: wrokers: unknown key; did you mean workers?",
            f'2: listen[0].certificate: "server.pem" {NONE}',
            '2: listen[0].client_ca: "nowhere.pem" cannot be read: No such file or directory',
        ]

    def test_is_nothing_to_a_listener_that_is_not_radsec(self, folder: Folder) -> None:
        folder.write("junk.pem", "junk")
        text = SMALL.replace("udp: 127.0.0.1:1812", "{udp: 127.0.0.1:1812, certificate: junk.pem}")
        assert folder.problems(text, usable=True) == [
            "2: listen[0].certificate: belongs to radsec, not to udp; remove it"
        ]


def test_keys_in_place_of_certificates_need_a_python_that_has_them(folder: Folder) -> None:
    psk = "{identity: gw, key: 00112233445566778899aabbccddeeff}"
    found = folder.problems(two_clients(f"  - {{name: gw, psk: {psk}}}\n"), usable=True)
    has_them = sys.version_info >= (3, 13) and bool(getattr(ssl, "HAS_PSK", False))
    assert found == ([] if has_them else ["7: clients[1].psk: needs Python 3.13 or newer"])
