"""What values under `policies` may be, and what they become; see `values` for how they say what is wrong."""

from __future__ import annotations

import re
from datetime import date

from radius_mfa.config import values
from radius_mfa.config.forms import Form, written
from radius_mfa.config.values import Network

# Pairs, Cisco's fours, or bare digits; a * stands for the rest.
_HEX = "[0-9A-Fa-f]"
_MAC = (
    rf"(?:{_HEX}{{2}}-){{5}}{_HEX}{{2}}|(?:{_HEX}{{2}}:){{5}}{_HEX}{{2}}|(?:{_HEX}{{4}}\.){{2}}{_HEX}{{4}}|{_HEX}{{12}}"
    rf"|(?:(?:{_HEX}{{2}}-){{1,5}}|(?:{_HEX}{{2}}:){{1,5}}|(?:{_HEX}{{4}}\.){{1,2}}|{_HEX}{{6,11}})\*"
)
_STATION = rf" *(?:{_MAC}) *|{_HEX}*[:.][0-9A-Fa-f:.]*(?:/[0-9.]+)?"  # or an address, or a prefix
_ALLOWED = "allow_until +([0-9]{4}-[0-9]{2}-[0-9]{2})"


@written(
    Form(
        says="an address, a prefix or a MAC: 192.0.2.0/24, 00-11-22-33-44-55, 00-11-22-*",
        pattern=_STATION,
        digits=True,
    )
)
def station(text: str) -> Network | str:
    """An address or prefix, or the hexadecimal digits of a MAC in lower case: 12, or those it begins with."""
    lower = text.strip().lower()
    if re.fullmatch(_MAC, lower):
        return re.sub("[^0-9a-f]", "", lower)
    try:
        if "%" not in text:  # a zone is the gateway's own affair
            return values.network(text)
    except ValueError as wrong:
        if "beyond the prefix" in str(wrong):
            raise
    raise ValueError(
        "must be an address, a prefix (192.0.2.0/24) or a MAC (00-11-22-33-44-55, 00-11-22-*), not {it}"
    )


@written(Form(says="reject, or allow_until 2027-03-31", pattern=f"reject|{_ALLOWED}"))
def unenrolled(text: str) -> date | None:
    """`reject`, or the last day of `allow_until 2027-03-31`."""
    if text == "reject":
        return None
    found = re.fullmatch(_ALLOWED, text, re.ASCII)
    try:
        if found:
            return date.fromisoformat(found[1])
    except ValueError:
        raise ValueError("{it}: there is no such day") from None
    raise ValueError("must be reject, or allow_until and a day, as allow_until 2027-03-31, not {it}")


@written(Form(lone=True))
def by_group(value: object) -> object:
    """Values by group; what is no mapping is everybody's."""
    if not isinstance(value, dict):
        return {"": value}
    if not value:
        raise ValueError("must not be empty; give it a value, or values by group")
    return value


def conditions(value: object) -> object:
    """A mapping under `all`, `any` or `not`: an empty one would hold of everybody."""
    if value == {}:
        raise ValueError("must not be empty; name a condition, or remove it")
    return value
