"""What a client of ours shows over TLS, and whom it believes (RFC 6614 §2.3): certificate, key, CA; or a PSK."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any, NoReturn

from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.transports.tls import ALPN

# With an ephemeral key, so that who learns the PSK later reads nothing of today.
# Of TLS 1.2, that is; in TLS 1.3 there always is one.
_PSK_CIPHERS = "kECDHEPSK:kDHEPSK:!eNULL"

# A key of another kind than the certificate's is, to OpenSSL, one without a certificate.
_OF_ANOTHER = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")

_SAID = re.compile(r"\[[^]]*\] (.*?)(?: \(_ssl\.c:\d+\))?")


class TlsFileError(RadiusMfaError):
    """A certificate, a key or a CA cannot be used."""


def by_certificate(certificate: Path, key: Path | None, ca: Path) -> ssl.SSLContext:
    """For a client with this certificate, and a server with one that `ca` has signed.

    All are PEM; without `key`, the certificate's file has the key in it.  Raises TlsFileError.
    """
    context = _context()
    _load_certificates(context, "--ca", ca)
    must_have_certificates("--certificate", certificate)
    option, keys = ("--key", key) if key else ("--certificate", certificate)
    _must_be_readable(option, keys)

    def no_password() -> NoReturn:  # in place of OpenSSL, which would ask whoever sits there
        raise TlsFileError(f"{option} {keys}: the key is encrypted; give one that is not")

    try:
        context.load_cert_chain(certificate, keys, no_password)
    except OSError as broken:
        reason = getattr(broken, "reason", None)
        if reason in _OF_ANOTHER:
            wrong = f"{option} {keys}: not the key of this certificate"
        elif reason is None:  # of OpenSSL's reader of PEM, whose own reason does not come through
            wrong = f"{option} {keys}: no private key in PEM" + ("" if key else "; --key names its file")
        else:
            wrong = f"--certificate {certificate}: {in_words(broken)}"
        raise TlsFileError(wrong) from None
    return context


def by_psk(identity: str, key: bytes) -> ssl.SSLContext:
    """For a client and a server that both have `key` (RFC 9813).  Only where `transports.tls.HAS_PSK`."""
    context = _context()
    context.check_hostname = False  # there is no name in a key;
    context.verify_mode = ssl.CERT_REQUIRED  # and a server that shows a certificate instead finds nobody trusted
    context.set_ciphers(_PSK_CIPHERS)

    def ours(_hint: str | None) -> tuple[str, bytes]:
        return identity, key

    setter: Any = context  # Python 3.11 has no such method
    setter.set_psk_client_callback(ours)
    return context


def must_have_certificates(option: str, file: Path) -> None:
    """Certificates in PEM, for a program that says less of a file it cannot use.  Raises TlsFileError."""
    _load_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), option, file)


def in_words(broken: OSError) -> str:
    """What the system or OpenSSL says of an error, without where in Python that was."""
    text = broken.strerror or type(broken).__name__
    found = _SAID.fullmatch(text)
    return found[1].lower() if found else text


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.set_alpn_protocols([ALPN])
    return context


def _load_certificates(context: ssl.SSLContext, option: str, file: Path) -> None:
    _must_be_readable(option, file)
    try:
        context.load_verify_locations(file)
        empty = not context.cert_store_stats()["x509"]  # revocation lists alone are read without complaint
    except OSError:  # an ssl.SSLError is one
        empty = True
    if empty:
        raise TlsFileError(f"{option} {file}: no certificate in PEM")


def _must_be_readable(option: str, file: Path) -> None:
    """OpenSSL, given two files, does not say which of them it could not read."""
    try:
        file.read_bytes()
    except OSError as error:
        raise TlsFileError(f"{option} {file}: {error.strerror}") from None
