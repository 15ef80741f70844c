"""E-mail addresses that a code may be sent to, or come from."""

from __future__ import annotations

import re
import unicodedata

_LONGEST_ADDRESS, _LONGEST_LOCAL_PART = 254, 64  # octets (RFC 5321 §4.5.3.1)
# RFC 5322 §3.2.3 without what some servers take for a route, a file or a command: % ! / | and backquote.
_ATOM = r"[A-Za-z0-9#$&'*+=?^_{}~-]+"
_LOCAL_PART = re.compile(rf"(?!-){_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")


def readable_address(text: str) -> str | None:
    """The address that mail is sent to, its domain in ASCII; None for what is no address to send a code to.

    Space around it is nothing, and full-width characters are what they stand for.

    What comes out is a local part of plain atoms, one `@`, and a domain name of two labels or more,
    254 octets at the most: nothing in it can end or begin anything in a header or a command.
    """
    text = unicodedata.normalize("NFKC", text.strip())
    local_part, at, domain = text.partition("@")
    if len(text) > _LONGEST_ADDRESS or not at or not _LOCAL_PART.fullmatch(local_part):
        return None
    ascii_domain = _in_ascii(domain)
    if ascii_domain is None or len(local_part) > _LONGEST_LOCAL_PART:
        return None
    address = f"{local_part}@{ascii_domain}"
    return address if len(address) <= _LONGEST_ADDRESS else None


def _in_ascii(domain: str) -> str | None:
    """The domain as DNS has it.  None where it is none, or where the encoding would make it another one.

    Python's encoding is that of 2003 (RFC 3490), which takes `ß` for `ss`; such a name can be given
    in its `xn--` form.
    """
    encoded = domain.lower()
    if not domain.isascii():
        try:
            encoded = domain.encode("idna").decode("ascii").lower()
            meant = encoded.encode("ascii").decode("idna")
        except UnicodeError:
            return None
        if meant != unicodedata.normalize("NFC", domain.lower()):
            return None
    return encoded if _DOMAIN.fullmatch(encoded) else None


def readable_domain(text: str) -> str | None:
    """A domain of addresses, or one that domains end with, in ASCII; None for what is none.

    An `@` or a dot before it is nothing.
    """
    found = _in_ascii(f"mail.{text.strip().removeprefix('@').removeprefix('.')}")
    return found and found.removeprefix("mail.")


def is_below(address: str, domain: str) -> bool:
    """Whether a readable address is at a readable domain, or at a name below it."""
    at = address.rpartition("@")[2]
    return at == domain or at.endswith(f".{domain}")
