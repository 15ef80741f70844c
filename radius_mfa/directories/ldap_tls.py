"""TLS to a directory (RFC 4513 §3): whom we trust, and in plain words why we do not trust somebody."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from radius_mfa.core.errors import ConfigurationError

# What OpenSSL's checks end with (x509_vfy.h).
_NOT_FOR_THIS_NAME = frozenset({62, 64})  # host name, IP address
_UNKNOWN_SIGNER = frozenset({18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS.  `start`: begun by StartTLS (RFC 4511 §4.14), else from the first octet on."""

    context: ssl.SSLContext
    start: bool = False


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Who is believed: who has a certificate by the authorities in `ca_file` (PEM), else by the system's.

    The file is read here and never again.  Host names are checked, and told to the server (RFC 6066 §3);
    TLS 1.2 is the least.  Raises ConfigurationError.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigurationError(f"ca_file: {ca_file}: no certificates in PEM") from None
    except OSError as error:
        raise ConfigurationError(f"ca_file: {ca_file}: {error.strerror}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def why(error: Exception) -> str:
    """What went wrong in connecting, in one line that says what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        if error.verify_code in _NOT_FOR_THIS_NAME:
            return f"its certificate is not for this name: {said}"
        hint = "; ca_file names the CA" if error.verify_code in _UNKNOWN_SIGNER else ""
        return f"its certificate is not trusted: {said}{hint}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or "the handshake failed"
        return f"no TLS: {reason.replace('_', ' ').lower()}"
    return f"no connection: {str(error) or 'the server hung up'}"
