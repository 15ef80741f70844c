"""`otpauth://` addresses, as apps show them in QR codes and other servers export them.

Read strictly, and by ourselves: `pyotp.parse_uri` quotes parts of the address in what it raises, takes a
number in any script, does not part issuer and account at `%3A`, and refuses two spellings of an issuer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from radius_mfa.cli.common import is_one_line
from radius_mfa.factors.totp import DIGITS, PERIOD, read_base32

SCHEME = "otpauth"

_FORM = re.compile(r"otpauth://([^/?#]*)/([^?#]*)\?([^#]*)", re.IGNORECASE)
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KNOWN = frozenset({"secret", "issuer", "algorithm", "digits", "period", "encoder"})
_OTHER_HASHES = frozenset({"md5", "sha224", "sha256", "sha384", "sha512"})


class BadRowError(Exception):
    """Why a row is refused, with nothing of a secret in it."""


@dataclass(frozen=True, slots=True)
class KeyUri:
    """What an address says.  `account`: whose it is; `issuer`: "" for none."""

    account: str
    issuer: str
    secret: bytes = field(repr=False)


def is_key_uri(text: str) -> bool:
    """Whether it wants to be one, of whatever kind."""
    return text.lstrip()[: len(SCHEME)].casefold() == SCHEME


def read_key_uri(text: str) -> KeyUri:
    """The address in `text`.  Raises BadRowError."""
    text = text.strip()
    form = _FORM.fullmatch(text)
    if text.casefold().startswith("otpauth-migration:"):
        raise BadRowError("otpauth-migration holds the tokens of a whole app: export them one by one")
    if form is None or not is_one_line(text):
        raise BadRowError("not an otpauth:// address")
    kind, label, query = form.groups()
    if kind.casefold() == "hotp":
        raise BadRowError("hotp: only tokens that go by the time can be used")
    if kind.casefold() != "totp":
        raise BadRowError("not an otpauth://totp/ address")
    said = _parameters(query)
    if said.get("encoder"):
        raise BadRowError("its codes are written in a way of their own: only plain digits can be used")
    check_form(said.get("digits", ""), said.get("period", ""), said.get("algorithm", ""))
    before, _, account = _decoded(label).rpartition(":")  # the separator may be %3A as well
    if ":" in before:
        raise BadRowError("more than one colon between issuer and account")
    issuer = (said.get("issuer") or before).strip()
    return KeyUri(account.strip(), issuer, read_secret(said.get("secret", "")))


def read_secret(text: str) -> bytes:
    """A seed in base32.  Raises BadRowError."""
    secret = read_base32(text)
    if secret is None:
        raise BadRowError("the secret is not base32 of 80 bits or more")
    return secret


def check_form(digits: str, period: str, algorithm: str) -> None:
    """Make sure that codes of that form can be used; "" is what is usual.  Raises BadRowError.

    Only what is certainly no secret is said again: columns may have been mixed up.
    """
    if (number := _number(digits, "digits")) not in (None, DIGITS):
        raise BadRowError(f"{number} digits: only codes of {DIGITS} can be used")
    if (number := _number(period, "period")) not in (None, PERIOD):
        raise BadRowError(f"{number} s: only codes that change every {PERIOD} s can be used")
    name = algorithm.strip().casefold().replace("-", "").removeprefix("hmac")
    if name in _OTHER_HASHES:
        raise BadRowError(f"{name.upper()}: only SHA1 can be used")
    if name not in ("", "sha1"):
        raise BadRowError("an algorithm that is not known: only SHA1 can be used")


def _number(text: str, what: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise BadRowError(f"{what}: not a number")
    return int(text)


def _parameters(query: str) -> dict[str, str]:
    """Those that matter; apps add others, as pictures."""
    found: dict[str, str] = {}
    for each in query.split("&"):
        name, _, value = each.partition("=")
        name = name.casefold()
        if name not in _KNOWN:
            continue
        if name in found:
            raise BadRowError(f"{name} is there twice")
        found[name] = _decoded(value.replace("+", " "))
    return found


def _decoded(text: str) -> str:
    """Percent-decoded (RFC 3986 §2.1)."""
    try:
        decoded = "" if _STRAY_PERCENT.search(text) else unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        decoded = ""
    if text and (not decoded or not is_one_line(decoded)):
        raise BadRowError("its percent signs stand for nothing that can be read")
    return decoded
