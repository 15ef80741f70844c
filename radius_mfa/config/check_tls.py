"""The files that TLS needs, as far as can be found out before anybody connects whether they will do.

Files that cannot be read at all are passed over; the model has reported them.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from radius_mfa.config.document import EACH, Document, KeyPath

_CERTIFICATE, _KEY = "certificate", "key"
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
    if not getattr(ssl, "HAS_PSK", False):
        for path in document.each("clients", EACH, "psk"):
            document.report("needs Python 3.13 or newer", *path)


def _check_authorities(document: Document, path: KeyPath, folder: Path) -> None:
    """Those who sign what others show us."""
    file = _file(document, path, folder)
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
        _report(document, _NONE, *path)


def _check_own(document: Document, path: KeyPath, folder: Path) -> None:
    """The server's own certificate, and its key."""
    certificate, key = (_file(document, (*path, each), folder) for each in (_CERTIFICATE, _KEY))
    if certificate is None:
        return
    own = _first_in(certificate)
    if key is not None:
        _check_together(document, path, certificate, key)
    elif own is None:
        _report(document, _NONE, *path, _CERTIFICATE)
    if own is not None:
        _warn_of_dates(document, own, *path, _CERTIFICATE)


def _check_together(document: Document, path: KeyPath, certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, _refuse_to_tell)
    except _EncryptedKeyError:
        _report(document, "is encrypted, and nobody is there to type its password; decrypt it", *path, _KEY)
    except ssl.SSLError as refused:
        if refused.reason in _OF_ANOTHER:
            _report(document, "is not the key of the certificate", *path, _KEY)
        elif refused.reason is not None:
            why = refused.reason.replace("_", " ").lower()
            _report(document, f"cannot be used: {why}", *path, _CERTIFICATE)
        elif _first_in(certificate) is None:
            _report(document, _NONE, *path, _CERTIFICATE)
        else:
            _report(document, "has no private key in PEM form in it", *path, _KEY)
    except OSError:
        return


class _EncryptedKeyError(Exception):
    """OpenSSL has asked for a password."""


def _refuse_to_tell() -> str:
    """In place of OpenSSL's own prompt, which would wait for ever."""
    raise _EncryptedKeyError


def _first_in(file: Path) -> x509.Certificate | None:
    """The first of the certificates in it: the server's own.  None where one of them is none."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError):
        return None


def _warn_of_dates(document: Document, own: x509.Certificate, *path: str | int) -> None:
    now = datetime.now(UTC)
    if own.not_valid_after_utc < now:
        document.warn(f"expired on {own.not_valid_after_utc:%Y-%m-%d}; clients will refuse it", *path)
    elif own.not_valid_before_utc > now:
        document.warn(f"is not valid before {own.not_valid_before_utc:%Y-%m-%d}; clients will refuse it", *path)


def _file(document: Document, path: KeyPath, folder: Path) -> Path | None:
    """The file that `path` names; None where there is none."""
    written = document.at(path)
    with suppress(OSError, ValueError):
        if isinstance(written, str) and (folder / written).is_file():
            return folder / written
    return None


def _report(document: Document, text: str, *path: str | int) -> None:
    """A problem with the file that `path` names."""
    document.report(f"{document.written(path)} {text}", *path)
