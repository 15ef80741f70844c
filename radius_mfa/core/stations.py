"""Which device a request says the user sits at: an address or a MAC, in one spelling whatever the NAS's.

It stands in Calling-Station-Id (RFC 2865 §5.31), or in the attribute that the client's profile names.  This is
what is said, not what it is worth: that is for `trust`, and for whoever asks.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from radius_mfa.core.messages import AccessRequest, Attribute

# By pairs, with one separator throughout, or as Cisco writes it.
_MAC = re.compile(r"(?:[0-9a-f]{2}([-:. ]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})")
_PORT = re.compile(r"\[\d{1,5}\]$", re.ASCII)  # strongSwan adds it


def device_of(request: AccessRequest) -> IPv4Address | IPv6Address | str | None:
    """The device: an IP address, or a MAC as 12 hexadecimal digits; None where nothing readable is said."""
    return read(said_of(request))


def said_of(request: AccessRequest) -> bytes | None:
    """What the attribute that the profile names says of the device; where there is none, Calling-Station-Id."""
    vendor, number = request.nas.profile.station
    if vendor:
        found = request.vendor(vendor, number)
        said = found[0] if found else None
    else:
        said = request.first(number)
    return request.first(Attribute.CALLING_STATION_ID) if said is None else said


def read(said: bytes | None) -> IPv4Address | IPv6Address | str | None:
    """The same of a value."""
    text = _text(said)
    return _digits(text) if _MAC.fullmatch(text) else address(_PORT.sub("", text))


def mac_before_name(said: bytes | None) -> str | None:
    """The MAC that a Called-Station-Id begins with, its network's name after it or not (RFC 3580 §3.20)."""
    found = _MAC.match(_text(said))
    return _digits(found[0]) if found else None


def address(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address that `text` is, an IPv4-mapped one as IPv4 (RFC 4291 §2.5.5.2)."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        return None  # of that one link, and whatever the NAS writes there
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _text(said: bytes | None) -> str:
    return (said or b"").decode("ascii", "replace").strip().lower()


def _digits(mac: str) -> str:
    return re.sub(r"[^0-9a-f]", "", mac)
