"""The certificate of 802.1X: a line for each thing that supplicants refuse it for, before they do."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from radius_mfa.config.load import load_usable
from radius_mfa.config.snapshot import frozen, thawed
from tests.config.support import DICTIONARY, SMALL, Folder

TEXT = SMALL + "eap: {certificate: eap.pem, key: eap.key}\n"
HOST = "radius.example.org"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BEGINS, LASTS = -10 * DAY, 90 * DAY
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

FOR_SERVERS = x509.ExtendedKeyUsage([Use.SERVER_AUTH])
CA = (x509.BasicConstraints(True, None),)


@dataclass(frozen=True)
class Holder:
    """Somebody's certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes | None = None) -> bytes:
        hidden = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


def holder(
    name: str = HOST,
    by: Holder | None = None,
    *,
    key: Key | None = None,
    names: Iterable[str] = (HOST,),
    begins: timedelta = BEGINS,
    lasts: timedelta = LASTS,
    more: Sequence[x509.ExtensionType] = (FOR_SERVERS,),
    pss: bool = False,
) -> Holder:
    """`by`: who has signed it; None: itself.  `names`: DNS names and addresses.  `pss`: signed with RSA-PSS."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    starts = datetime.now(UTC) + begins
    builder = x509.CertificateBuilder().subject_name(subject).serial_number(x509.random_serial_number())
    builder = builder.issuer_name(by.certificate.subject if by else subject).public_key(own.public_key())
    builder = builder.not_valid_before(starts).not_valid_after(starts + lasts)
    if identities := [_identity(each) for each in names]:
        builder = builder.add_extension(x509.SubjectAlternativeName(identities), False)
    for each in more:
        builder = builder.add_extension(each, isinstance(each, x509.BasicConstraints))
    signer = by.key if by else own
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256()
    how = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH) if pss else None
    return Holder(builder.sign(signer, digest, rsa_padding=how), own)


def _identity(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def authority(name: str = "Example Root", by: Holder | None = None, lasts: timedelta = LASTS) -> Holder:
    return holder(name, by, names=(), more=CA, lasts=lasts)


def signed_with_sha1(one: Holder, signer: Holder) -> Holder:
    """What `one` has signed itself, signed by another; cryptography makes none such any more."""
    with TemporaryDirectory() as folder:
        ca = f"{folder}/ca.pem"
        Path(ca).write_bytes(signer.key_pem() + signer.pem)
        command = ["openssl", "x509", "-sha1", "-CA", ca, "-CAkey", ca, "-set_serial", "7", "-preserve_dates"]
        made = subprocess.run(command, input=one.pem, capture_output=True, check=True).stdout
    return Holder(x509.load_pem_x509_certificate(made), one.key)


def usage(*, signs: bool) -> x509.KeyUsage:
    """Of a key that may encipher other keys, and perhaps sign (RFC 5280 §4.2.1.3)."""
    return x509.KeyUsage(signs, False, True, False, False, False, False, False, False)


ROOT = authority()


def serve(folder: Folder, *chain: Holder, key: bytes | None = None) -> None:
    folder.write("eap.pem", b"".join(each.pem for each in chain))
    folder.write("eap.key", chain[0].key_pem() if key is None else key)


def refused(folder: Folder, *chain: Holder) -> list[str]:
    """Why that certificate is."""
    serve(folder, *chain)
    said = folder.problems(TEXT, usable=True)
    assert all(each.startswith('14: eap.certificate: "eap.pem" ') for each in said)
    return [each.partition('"eap.pem" ')[2] for each in said]


def warned(folder: Folder, *chain: Holder, text: str = TEXT) -> list[str]:
    serve(folder, *chain)
    found = load_usable(folder.write(folder.file.name, text), {}, DICTIONARY)
    return [each.removeprefix(f"{folder.file}:14: eap.") for each in found.warnings]


class TestWhatIsTaken:
    def test_a_certificate_of_a_root_of_ones_own(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT)) == []

    def test_one_with_the_root_behind_it(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT), ROOT) == []

    def test_one_with_intermediates(self, folder: Folder) -> None:
        upper = authority("Upper", ROOT)
        lower = authority("Lower", upper)
        assert warned(folder, holder(by=lower), lower, upper) == []

    def test_one_that_nobody_but_itself_stands_behind(self, folder: Folder) -> None:
        assert warned(folder, holder()) == []

    @pytest.mark.parametrize(
        "more",
        [
            (x509.ExtendedKeyUsage([Use.ANY_EXTENDED_KEY_USAGE]),),
            (x509.ExtendedKeyUsage([Use.CLIENT_AUTH, Use.SERVER_AUTH]), usage(signs=True)),
            (x509.BasicConstraints(False, None), FOR_SERVERS),
        ],
    )
    def test_one_that_says_what_it_is_for(self, folder: Folder, more: Sequence[x509.ExtensionType]) -> None:
        assert warned(folder, holder(by=ROOT, more=more)) == []

    def test_one_with_an_rsa_key(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT, key=rsa.generate_private_key(65537, 2048))) == []

    def test_one_with_an_exact_name_beside_the_wildcard(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT, names=("*.example.org", HOST, "192.0.2.1"))) == []

    def test_one_whose_root_was_signed_long_ago(self, folder: Folder) -> None:
        """Nobody verifies what a root says of itself (RFC 5280 §6.1)."""
        root = signed_with_sha1(ROOT, ROOT)
        assert refused(folder, holder(by=root), root) == []


class TestWhatSupplicantsRefuse:
    @pytest.mark.parametrize("names", [(), ("192.0.2.1",)], ids=["no name at all", "an address alone"])
    def test_no_dns_name(self, folder: Folder, names: tuple[str, ...]) -> None:
        """A common name is not one (RFC 6125 §6.4.4)."""
        assert refused(folder, holder(by=ROOT, names=names)) == [
            "has no DNS name in its subjectAltName, which supplicants compare; have it made anew with one"
        ]

    def test_an_expired_one(self, folder: Folder) -> None:
        one = holder(by=ROOT, lasts=9 * DAY)
        assert refused(folder, one) == [
            f"expired on {one.certificate.not_valid_after_utc:%Y-%m-%d}; supplicants refuse it"
        ]

    def test_one_that_is_not_valid_yet(self, folder: Folder) -> None:
        one = holder(by=ROOT, begins=2 * HOUR)
        assert refused(folder, one) == [
            f"is not valid before {one.certificate.not_valid_before_utc:%Y-%m-%d}; supplicants refuse it"
        ]

    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
    def test_an_hour_counts_wherever_the_server_stands(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        monkeypatch.setenv("TZ", zone)
        assert refused(folder, holder(by=ROOT, lasts=10 * DAY + HOUR)) == []
        assert len(refused(folder, holder(by=ROOT, lasts=10 * DAY - HOUR))) == 1

    def test_one_for_clients_alone(self, folder: Folder) -> None:
        """RFC 5280 §4.2.1.12."""
        assert refused(folder, holder(by=ROOT, more=[x509.ExtendedKeyUsage([Use.CLIENT_AUTH])])) == [
            "is not for servers: its extendedKeyUsage lacks serverAuth; have it made anew with that"
        ]

    def test_one_whose_key_may_not_sign(self, folder: Folder) -> None:
        """As every key exchange of today has it do (RFC 5280 §4.2.1.3)."""
        assert refused(folder, holder(by=ROOT, more=[FOR_SERVERS, usage(signs=False)])) == [
            "may not sign: its keyUsage lacks digitalSignature; have it made anew with that"
        ]

    def test_a_cas_own(self, folder: Folder) -> None:
        said = [
            "begins with a CA's certificate (CA:TRUE); the server's own has to be the first, and to be no CA's"
        ]
        assert refused(folder, holder(more=CA)) == said

    def test_a_short_rsa_key(self, folder: Folder) -> None:
        """Told in our words, and once, though OpenSSL would refuse it as well."""
        assert refused(folder, holder(by=ROOT, key=rsa.generate_private_key(65537, 1024))) == [
            "has an RSA key of 1024 bits; have it made anew with 2048 or more"
        ]

    def test_a_short_elliptic_key(self, folder: Folder) -> None:
        assert refused(folder, holder(by=ROOT, key=ec.generate_private_key(ec.SECP192R1()))) == [
            "has an EC key of 192 bits; have it made anew with 256 or more"
        ]

    def test_a_signature_that_can_be_forged(self, folder: Folder) -> None:
        upper, one = authority("Upper"), holder()
        said = "a SHA-1 signature, which can be forged; have it signed with SHA-256"
        assert refused(folder, signed_with_sha1(holder(), ROOT)) == [f"has {said}"]
        assert refused(folder, signed_with_sha1(one, one)) == [f"has {said}"]
        for rest in ((), (ROOT,)):
            assert refused(folder, holder(by=upper), signed_with_sha1(upper, ROOT), *rest) == [
                f'has "Upper" in it, with {said}'
            ]

    def test_an_intermediate_of_another_ca(self, folder: Folder) -> None:
        said = [
            f'has "Other" after "{HOST}", which it did not sign; '
            "put each certificate's issuer behind it, and nothing else"
        ]
        assert refused(folder, holder(by=ROOT), authority("Other")) == said

    def test_one_of_the_same_name_and_another_key(self, folder: Folder) -> None:
        assert [each.partition(";")[0] for each in refused(folder, holder(by=ROOT), authority())] == [
            f'has "Example Root" after "{HOST}", which it did not sign'
        ]

    def test_a_chain_in_another_order(self, folder: Folder) -> None:
        lower = authority("Lower", upper := authority("Upper", ROOT))
        assert [each.partition(";")[0] for each in refused(folder, holder(by=lower), upper, lower)] == [
            f'has "Upper" after "{HOST}", which it did not sign'
        ]

    def test_an_expired_intermediate(self, folder: Folder) -> None:
        upper = authority("Upper", ROOT, lasts=DAY)
        ended = f"{upper.certificate.not_valid_after_utc:%Y-%m-%d}"
        assert refused(folder, holder(by=upper), upper) == [
            f'has "Upper" in it, which expired on {ended}; supplicants refuse it'
        ]

    def test_everything_is_told_at_once(self, folder: Folder) -> None:
        one = holder(
            by=ROOT, names=(), lasts=DAY, more=[x509.ExtendedKeyUsage([Use.CLIENT_AUTH]), usage(signs=False)]
        )
        assert len(refused(folder, one)) == 4

    @pytest.mark.parametrize(
        "octets", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    )
    def test_what_is_none(self, folder: Folder, octets: bytes) -> None:
        folder.write("eap.pem", octets)
        folder.write("eap.key", ROOT.key_pem())
        assert folder.problems(TEXT, usable=True) == [
            '14: eap.certificate: "eap.pem" has no certificate in PEM form in it'
        ]

    def test_a_form_that_only_openssl_reads_is_told_how_to_be_another(self, folder: Folder) -> None:
        """`openssl x509 -trustout` writes it; nothing of it would be looked at."""
        own = holder(by=ROOT)
        trusting = ("openssl", "x509", "-trustout")
        trusted = subprocess.run(trusting, input=own.pem, capture_output=True, check=True).stdout
        folder.write("eap.pem", trusted)
        folder.write("eap.key", own.key_pem())
        (line,) = folder.problems(TEXT, usable=True)
        assert line.endswith("has no certificate that begins with BEGIN CERTIFICATE; openssl x509 makes one of it")


class TestKey:
    def test_is_that_of_the_certificate(self, folder: Folder) -> None:
        serve(folder, holder(by=ROOT), key=ROOT.key_pem())
        assert folder.problems(TEXT, usable=True) == ['14: eap.key: "eap.key" is not the key of the certificate']

    def test_is_that_of_the_first_certificate(self, folder: Folder) -> None:
        one = holder(by=ROOT)
        serve(folder, ROOT, one, key=one.key_pem())
        said = folder.problems(TEXT, usable=True)
        assert [each.partition(": ")[2].partition(":")[0] for each in sorted(said)] == [
            "eap.certificate",
            "eap.certificate",
            "eap.key",
        ]

    def test_is_looked_at_beside_a_weak_certificate(self, folder: Folder) -> None:
        serve(folder, signed_with_sha1(holder(), ROOT), key=ROOT.key_pem())
        assert len(folder.problems(TEXT, usable=True)) == 2

    def test_is_not_encrypted(self, folder: Folder) -> None:
        one = holder(by=ROOT)
        serve(folder, one, key=one.key_pem(b"hunter2"))
        assert folder.problems(TEXT, usable=True) == [
            '14: eap.key: "eap.key" is encrypted, and nobody is there to type its password; decrypt it'
        ]

    def test_is_one(self, folder: Folder) -> None:
        serve(folder, holder(by=ROOT), key=b"junk")
        assert folder.problems(TEXT, usable=True) == [
            '14: eap.key: "eap.key" has no private key in PEM form in it'
        ]

    def test_is_closed_to_others(self, folder: Folder) -> None:
        serve(folder, holder(by=ROOT))
        (folder.path / "eap.key").chmod(0o644)
        assert folder.problems(TEXT, usable=True) == [
            '14: eap.key: "eap.key" is open to everyone on this machine; chmod o= it'
        ]


class TestWhatManyRefuse:
    def test_only_a_wildcard(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT, names=["*.example.org"])) == [
            "certificate: has only a name with * in it: many supplicants refuse that, and others cannot pin it"
        ]

    def test_a_long_life(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT, lasts=825 * DAY)) == []
        assert warned(folder, holder(by=ROOT, lasts=900 * DAY)) == [
            "certificate: is valid for 900 days: Apple's supplicants refuse more than 825"
        ]

    def test_an_end_that_is_near(self, folder: Folder) -> None:
        one = holder(by=ROOT, lasts=13 * DAY + HOUR)
        until = f"{one.certificate.not_valid_after_utc:%Y-%m-%d}"
        assert warned(folder, one) == [f"certificate: expires in 3 days, on {until}; renew it and send SIGHUP"]
        assert warned(folder, holder(by=ROOT, lasts=40 * DAY + HOUR)) == []

    def test_that_of_an_intermediate_is_an_end_as_well(self, folder: Folder) -> None:
        upper = authority("Upper", ROOT, lasts=13 * DAY + HOUR)
        (warning,) = warned(folder, holder(by=upper), upper)
        assert warning.startswith("certificate: expires in 3 days")

    def test_no_word_of_what_it_is_for(self, folder: Folder) -> None:
        assert warned(folder, holder(by=ROOT, more=())) == [
            "certificate: has no extendedKeyUsage: Windows and Apple's supplicants want serverAuth there"
        ]

    def test_a_key_or_a_signature_that_few_know(self, folder: Folder) -> None:
        young = holder("Young Root", key=ed25519.Ed25519PrivateKey.generate(), names=(), more=CA)
        old = holder("Old Root", key=rsa.generate_private_key(65537, 2048), names=(), more=CA)
        for kind, one in (
            ("Ed25519", holder(by=ROOT, key=ed25519.Ed25519PrivateKey.generate())),
            ("Ed25519", holder(by=young)),
            ("RSA-PSS", holder(by=old, pss=True)),
        ):
            assert warned(folder, one) == [
                f"certificate: is {kind}, which many supplicants cannot verify; take RSA or ECDSA"
            ]

    def test_tls_of_which_most_know_nothing(self, folder: Folder) -> None:
        text = TEXT.replace("key}", 'key, tls: "1.3"}')
        assert warned(folder, holder(by=ROOT), text=text) == [
            'tls: leaves out most supplicants, which know only 1.2; add "1.2"'
        ]
        assert warned(folder, holder(by=ROOT), text=text.replace('"1.3"', '["1.2", "1.3"]')) == []


@pytest.mark.parametrize(
    ("key", "listed", "said"),
    [
        (
            "methods",
            "[ttls, peap, ttls]",
            '14: eap.methods[2]: "ttls" stands there already, on line 14; change one',
        ),
        ("tls", '["1.2", "1.2"]', '14: eap.tls[1]: "1.2" stands there already, on line 14; change one'),
    ],
)
def test_nothing_stands_in_a_list_twice(folder: Folder, key: str, listed: str, said: str) -> None:
    serve(folder, holder(by=ROOT))
    text = TEXT.replace("eap.key}", f"eap.key, {key}: {listed}}}")
    assert folder.problems(text, usable=True) == [said]


def test_a_server_that_runs_loses_no_worker_because_the_certificate_expires(folder: Folder) -> None:
    """Who takes a place goes on as the others do; what the file says is another matter."""
    serve(folder, holder(by=ROOT))
    octets = frozen(load_usable(folder.write(folder.file.name, TEXT), {}, DICTIONARY))
    serve(folder, holder(by=ROOT, lasts=DAY))
    (warning,) = thawed(octets, DICTIONARY).warnings
    assert "eap.certificate: expired on " in warning
    assert len(folder.problems(TEXT, usable=True)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@example([(15, 128)])  # a serial number below 0, which cryptography warns of in words of its own
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_certificate_with_wrong_octets_is_a_line_and_never_more(
    folder: Folder, wrong: list[tuple[int, int]]
) -> None:
    one = holder(by=ROOT, more=[FOR_SERVERS, usage(signs=True)])
    octets = bytearray(one.certificate.public_bytes(Encoding.DER))
    for place, octet in wrong:
        octets[place % len(octets)] = octet
    folder.write("eap.pem", ssl.DER_cert_to_PEM_cert(bytes(octets)))
    folder.write("eap.key", one.key_pem())
    for each in folder.problems(TEXT, usable=True):
        assert each.startswith("14: eap.")
