"""The files that TLS needs, as far as can be found out before anybody connects whether they will do.

Files that cannot be read at all are passed over; the model has reported them.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from radius_mfa.config.certificates import chain_in
from radius_mfa.config.document import EACH, Document, KeyPath

CERTIFICATE, KEY = "certificate", "key"
_NONE = "has no certificate in PEM form in it"
# A key of another kind than the certificate's is, to OpenSSL, one without a certificate.
_OF_ANOTHER = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


def check_tls(document: Document, folder: Path) -> None:
    """Report what TLS cannot be spoken with; warn of a certificate that no client will take."""
    _check_authorities(document, ("directory", "ldap", "ca_file"), folder)
    _check_authorities(document, ("factors", "mail", "ca_file"), folder)
    for path in document.each("listen", EACH):
        if document.has(*path, "radsec"):
            _check_own(document, path, folder)
            _check_authorities(document, (*path, "client_ca"), folder)
    _check_own(document, ("portal",), folder)
    if not getattr(ssl, "HAS_PSK", False):
        for path in document.each("clients", EACH, "psk"):
            document.report("needs Python 3.13 or newer", *path)


def _check_authorities(document: Document, path: KeyPath, folder: Path) -> None:
    """Those who sign what others show us."""
    file = file_at(document, path, folder)
    if file is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(file)
        empty = not context.cert_store_stats()["x509"]  # revocation lists alone are read without complaint
    except ssl.SSLError:
        empty = True
    except OSError:
        return
    if empty:
        report_of_file(document, _NONE, *path)


def _check_own(document: Document, path: KeyPath, folder: Path) -> None:
    """The server's own certificate, and its key."""
    chain = check_pair(document, path, folder, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    if chain:
        _warn_of_dates(document, chain[0], *path, CERTIFICATE)


def check_pair(
    document: Document, path: KeyPath, folder: Path, context: ssl.SSLContext
) -> tuple[x509.Certificate, ...]:
    """Report a certificate and a key that `context` does not take; the certificates there are, our own first."""
    certificate, key = (file_at(document, (*path, each), folder) for each in (CERTIFICATE, KEY))
    if certificate is None:
        return ()
    chain = chain_in(certificate)
    if key is not None:
        _check_together(document, path, certificate, key, context)
    elif not chain:
        report_of_file(document, _NONE, *path, CERTIFICATE)
    return chain


def _check_together(
    document: Document, path: KeyPath, certificate: Path, key: Path, context: ssl.SSLContext
) -> None:
    try:
        context.load_cert_chain(certificate, key, _refuse_to_tell)
    except _EncryptedKeyError:
        report_of_file(document, "is encrypted, and nobody is there to type its password; decrypt it", *path, KEY)
    except ssl.SSLError as refused:
        if refused.reason in _OF_ANOTHER:
            report_of_file(document, "is not the key of the certificate", *path, KEY)
        elif refused.reason is not None:
            why = refused.reason.replace("_", " ").lower()
            report_of_file(document, f"cannot be used: {why}", *path, CERTIFICATE)
        elif not chain_in(certificate):
            report_of_file(document, _NONE, *path, CERTIFICATE)
        else:
            report_of_file(document, "has no private key in PEM form in it", *path, KEY)
    except OSError:
        return


class _EncryptedKeyError(Exception):
    """OpenSSL has asked for a password."""


def _refuse_to_tell() -> str:
    """In place of OpenSSL's own prompt, which would wait for ever."""
    raise _EncryptedKeyError


def _warn_of_dates(document: Document, own: x509.Certificate, *path: str | int) -> None:
    now = datetime.now(UTC)
    if own.not_valid_after_utc < now:
        document.warn(f"expired on {own.not_valid_after_utc:%Y-%m-%d}; clients will refuse it", *path)
    elif own.not_valid_before_utc > now:
        document.warn(f"is not valid before {own.not_valid_before_utc:%Y-%m-%d}; clients will refuse it", *path)


def file_at(document: Document, path: KeyPath, folder: Path) -> Path | None:
    """The file that `path` names; None where there is none."""
    written = document.at(path)
    with suppress(OSError, ValueError):
        if isinstance(written, str) and (folder / written).is_file():
            return folder / written
    return None


def report_of_file(document: Document, text: str, *path: str | int) -> None:
    """A problem with the file that `path` names."""
    document.report(f"{document.written(path)} {text}", *path)
