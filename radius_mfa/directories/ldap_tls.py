"""TLS to a directory (RFC 4513 §3), with the server's certificate always verified."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from radius_mfa.core.errors import ConfigurationError

# What OpenSSL says where nobody we know has signed the certificate (x509_vfy.h).
_UNKNOWN_SIGNERS = frozenset({18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS.  `start`: begun by StartTLS (RFC 4511 §4.14), else from the first octet on."""

    context: ssl.SSLContext
    start: bool = False


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Whom we trust: the authorities in `ca_file` (PEM), else the system's.  Raises ConfigurationError.

    Host names are checked, and sent (RFC 6066 §3); TLS 1.2 is the least.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigurationError(f"directory.ldap.ca_file: {ca_file}: no certificate in PEM form") from None
    except OSError as broken:
        raise ConfigurationError(f"directory.ldap.ca_file: {ca_file}: {broken.strerror}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def why(error: Exception) -> str:
    """What went wrong while connecting, in one line that says what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "; ca_file names who signs it" if error.verify_code in _UNKNOWN_SIGNERS else ""
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}{hint}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or "the handshake failed"
        return f"no TLS: {reason.replace('_', ' ').lower()}"
    return f"no connection: {str(error) or 'the server hung up'}"
