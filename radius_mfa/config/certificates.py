"""The certificates that we show, as their files have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from warnings import catch_warnings, simplefilter

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from radius_mfa.config.model import Configuration
from radius_mfa.core.printing import printable

Kind = TypeVar("Kind", bound=x509.ExtensionType)

DAY = 86400.0  # seconds
SOON = 30  # days before its end from which a certificate is warned of

# What malformed ones are met with; cryptography's own are no ValueError.
UNREADABLE = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def chain_in(file: Path) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file, the server's own first.  Empty where one of them is none."""
    try:
        with leniently():
            return tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, *UNREADABLE):
        return ()


@contextmanager
def leniently() -> Iterator[None]:
    """Keep cryptography from telling of what it will not read in times to come, in lines of its own."""
    with catch_warnings():
        simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def served(configuration: Configuration) -> dict[str, Path]:
    """The files of all that we show, by who shows it: `eap`, `radsec 0.0.0.0:2083`, `portal`."""
    files = {"eap": configuration.eap.certificate} if configuration.eap else {}
    if configuration.portal is not None and configuration.portal.certificate is not None:
        files["portal"] = configuration.portal.certificate
    for each in configuration.listen:
        if each.certificate is not None:
            files[f"radsec {each.radsec}"] = each.certificate
    return files


def ends_of(configuration: Configuration) -> dict[str, float]:
    """Until when each of them is valid, in seconds since 1970.  Those that cannot be read are left out."""
    chains = {name: chain_in(file) for name, file in served(configuration).items()}
    return {name: end_of(chain).timestamp() for name, chain in chains.items() if chain}


def end_of(chain: Sequence[x509.Certificate]) -> datetime:
    """Until when it is of use: one in it that has expired leaves nothing of the others."""
    return min(each.not_valid_after_utc for each in chain)


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Those in its subjectAltName (RFC 5280 §4.2.1.6); nobody looks at its common name any more."""
    names = extension(certificate, x509.SubjectAlternativeName)
    return () if names is None else tuple(names.get_values_for_type(x509.DNSName))


def extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    """What it says of that kind; None where it says nothing.  Raises what is in UNREADABLE."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def common_name(name: x509.Name) -> str:
    """The name in a line for people: what is called common in it, or all of it."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[-1].value) if common else name.rfc4514_string()


def to_be_pinned(file: Path) -> str:
    """What supplicants have to be told of the certificate in `file`, one that can be served, in a line."""
    chain = chain_in(file)
    names, issuer, end = dns_names(chain[0]), common_name(chain[-1].issuer), end_of(chain)
    until = f"valid until {end:%Y-%m-%d} ({days_left(end.timestamp(), datetime.now(UTC).timestamp())} days)"
    # Whether that is a root only its own certificate says, which is not there.
    is_alone = len(chain) == 1 and chain[0].issuer != chain[0].subject
    doubt = " (your root, or else its certificate is missing in the file)" if is_alone else ""
    return printable(f"supplicants pin {', '.join(names)}, issued by {issuer}{doubt}; {until}")


def days_left(end: float, now: float) -> int:
    """Whole days from `now` to `end`, both in seconds since 1970; less than 0 once it is over."""
    return int((end - now) // DAY)
