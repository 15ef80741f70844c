"""The certificate of 802.1X: whether supplicants will take it.

A gateway's administrator can look at what a gateway says; of a supplicant that refuses a certificate nothing is
seen here but a conversation that is not gone on with.  So what they refuse is refused before.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from radius_mfa.config.certificates import (
    SOON,
    UNREADABLE,
    chain_in,
    common_name,
    days_left,
    dns_names,
    end_of,
    extension,
    leniently,
)
from radius_mfa.config.check_tls import CERTIFICATE, check_pair, file_at, report_of_file
from radius_mfa.config.document import Document, quoted
from radius_mfa.config.model import Eap

_EAP = "eap"
_LONGEST = 825  # days; Apple refuses longer ones that were issued since July 2019
_SHORTEST_RSA, _SHORTEST_EC = 2048, 224  # bits: 112 of security, OpenSSL's level 2
_FORGEABLE = (MD5, SHA1)
_FOR_SERVERS = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
# Of keys and of signatures: these have the same numbers.
_SELDOM_KNOWN = {
    SignatureAlgorithmOID.RSASSA_PSS: "RSA-PSS",
    SignatureAlgorithmOID.ED25519: "Ed25519",
    SignatureAlgorithmOID.ED448: "Ed448",
}


def check_eap(document: Document) -> None:
    """Report what is in a list twice."""
    for key in ("methods", "tls"):
        document.unique(document.texts(_EAP, key), "stands there already")


def warn_of_eap(document: Document, eap: Eap) -> None:
    """Note what leaves most people out."""
    if "1.2" not in eap.tls:
        document.warn('leaves out most supplicants, which know only 1.2; add "1.2"', _EAP, "tls")


def check_eap_files(document: Document, folder: Path, *, in_force: bool) -> None:
    """Report a certificate that supplicants refuse, and a key that is not its own; warn of what many refuse.

    `in_force`: it may be served already; that its time has run out is a warning then.
    """
    file = file_at(document, (_EAP, CERTIFICATE), folder)
    chain = () if file is None else chain_in(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with leniently():
            weak, dates = list(_weak(chain)), list(_dates(chain))
            flaws = [*weak, *(each for own in chain[:1] for each in _flaws(own)), *_out_of_order(chain)]
            doubts = [each for own in chain[:1] for each in (*_doubts(own), *_soon(chain))]
    except UNREADABLE:
        weak, dates, flaws, doubts = [], [], ["has a certificate that cannot be read; have it made anew"], []
    if weak:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or OpenSSL would say so again, in fewer words
    before = len(document.problems)
    check_pair(document, (_EAP,), folder, context)
    if file is not None and not chain and not flaws and len(document.problems) == before:  # OpenSSL reads more
        flaws = ["has no certificate that begins with BEGIN CERTIFICATE; openssl x509 makes one of it"]
    for text in (*flaws, *(() if in_force else dates)):
        report_of_file(document, text, _EAP, CERTIFICATE)
    for text in (*(dates if in_force else ()), *doubts):
        document.warn(text, _EAP, CERTIFICATE)


# --- what supplicants refuse --------------------------------------------------------------------


def _flaws(own: x509.Certificate) -> Iterator[str]:
    """Of the server's own certificate (RFC 5216 §5.3, RFC 5280 §4.2.1)."""
    constraints = extension(own, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        yield "begins with a CA's certificate (CA:TRUE); the server's own has to be the first, and to be no CA's"
        return
    if not dns_names(own):
        yield "has no DNS name in its subjectAltName, which supplicants compare; have it made anew with one"
    uses = extension(own, x509.ExtendedKeyUsage)
    if uses is not None and not _FOR_SERVERS & set(uses):
        yield "is not for servers: its extendedKeyUsage lacks serverAuth; have it made anew with that"
    usage = extension(own, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield "may not sign: its keyUsage lacks digitalSignature; have it made anew with that"


def _weak(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Keys too short, and digests that can be forged; a root's own signature is nothing that anybody looks at."""
    for at, each in enumerate(chain):
        try:
            key, digest = each.public_key(), each.signature_hash_algorithm
        except UnsupportedAlgorithm:
            continue  # of a kind that is not known here; what it is worth is OpenSSL's to say
        whose = f"has {_named(each)} in it, with" if at else "has"
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
            yield f"{whose} an RSA key of {key.key_size} bits; have it made anew with 2048 or more"
        elif isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _SHORTEST_EC:
            yield f"{whose} an EC key of {key.key_size} bits; have it made anew with 256 or more"
        if isinstance(digest, _FORGEABLE) and not (at and _signed_by(each, each)):
            name = "an MD5" if isinstance(digest, MD5) else "a SHA-1"
            yield f"{whose} {name} signature, which can be forged; have it signed with SHA-256"


def _out_of_order(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Each is to be signed by the one after it (RFC 5246 §7.4.2); the first that is not."""
    for each, above in pairwise(chain):
        if not _signed_by(each, above):
            names = f"{_named(above)} after {_named(each)}"
            yield f"has {names}, which it did not sign; put each certificate's issuer behind it, and nothing else"
            return


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if isinstance(certificate.signature_hash_algorithm, _FORGEABLE):  # which cryptography verifies no more
            return certificate.issuer == issuer.subject
        certificate.verify_directly_issued_by(issuer)
    except UnsupportedAlgorithm:
        return True  # as far as anybody here can tell
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _dates(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    now = datetime.now(UTC)
    for at, each in enumerate(chain):
        which = f"has {_named(each)} in it, which " if at else ""
        if each.not_valid_after_utc < now:
            yield f"{which}expired on {each.not_valid_after_utc:%Y-%m-%d}; supplicants refuse it"
        elif each.not_valid_before_utc > now:
            yield f"{which}is not valid before {each.not_valid_before_utc:%Y-%m-%d}; supplicants refuse it"


def _named(certificate: x509.Certificate) -> str:
    return quoted(common_name(certificate.subject))


# --- what many of them refuse -------------------------------------------------------------------


def _doubts(own: x509.Certificate) -> Iterator[str]:
    names = dns_names(own)
    if names and all("*" in name for name in names):
        yield "has only a name with * in it: many supplicants refuse that, and others cannot pin it"
    lifetime = own.not_valid_after_utc - own.not_valid_before_utc
    if lifetime.days > _LONGEST:
        yield f"is valid for {lifetime.days} days: Apple's supplicants refuse more than {_LONGEST}"
    if extension(own, x509.ExtendedKeyUsage) is None:
        yield "has no extendedKeyUsage: Windows and Apple's supplicants want serverAuth there"
    for algorithm in (own.public_key_algorithm_oid, own.signature_algorithm_oid):
        if algorithm in _SELDOM_KNOWN:
            yield f"is {_SELDOM_KNOWN[algorithm]}, which many supplicants cannot verify; take RSA or ECDSA"
            return


def _soon(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """The first of them to expire ends it."""
    ends = end_of(chain)
    days = days_left(ends.timestamp(), datetime.now(UTC).timestamp())
    if 0 <= days < SOON:
        yield f"expires in {days} days, on {ends:%Y-%m-%d}; renew it and send SIGHUP"
