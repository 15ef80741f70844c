"""A policy's condition on an attribute of the request: the text of the YAML into a test of octets."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from radius_mfa.core.messages import Attribute
from radius_mfa.wire.dictionary import Definition, Dictionary, DictionaryError, attribute_of, octets_of

Test = Callable[[bytes], bool]
"""Whether a value of the attribute, as it came, will do."""

_ADDRESS_LENGTHS = {"ipaddr": 4, "ipv6addr": 16}
_PREFIX_LENGTH = 18


def attribute_test(dictionary: Dictionary, name: str, written: str) -> Test:
    """Whether a value of the attribute `name` is what is `written`.

    A text may have `*` in it, for anything or nothing; an address may be a prefix; a number may be a named value.
    A tag in front of the value is passed over (RFC 2868 §3).  Raises DictionaryError.
    """
    definition = _looked_at(dictionary, name)
    if definition.kind in _ADDRESS_LENGTHS and "/" in written:
        return _within(definition, written)
    if definition.kind == "string" and "*" in written:
        pattern = _pattern(definition, written)
        return lambda value: pattern.fullmatch(definition.parted(value)[1]) is not None
    wanted = octets_of(definition, written)
    if definition.kind == "ipv6prefix":
        return lambda value: _whole_prefix(value) == wanted
    return lambda value: definition.parted(value)[1] == wanted


def sent(dictionary: Dictionary, name: str, written: str) -> tuple[int, bytes]:
    """The attribute `name` of a request as a client sends it, number and octets.  Raises DictionaryError."""
    definition = _looked_at(dictionary, name)
    # No tag, and yet its octet (RFC 3580 §3.31).
    return attribute_of(definition, bytes(definition.tagged) + octets_of(definition, written))


def _looked_at(dictionary: Dictionary, name: str) -> Definition:
    definition = dictionary.definition(name)
    if definition.secret or definition.is_the_servers:
        raise DictionaryError(f"{definition.name} is nothing that a policy may look at")
    if not definition.vendor and definition.number == Attribute.USER_NAME:
        # In whatever spelling the user likes: case, spaces, realms.
        raise DictionaryError("User-Name is nothing that a policy may look at; take user or realm")
    return definition


def _pattern(definition: Definition, written: str) -> re.Pattern[bytes]:
    """Each part is looked for once, from where the one before it ends: nobody sends a value that takes long."""
    try:
        first, *middle, last = (re.escape(part.encode()) for part in written.split("*"))
    except UnicodeEncodeError:
        raise DictionaryError(f"{definition.name}: is not text that UTF-8 can hold") from None
    parts = (b"(?>.*?" + part + b")" for part in middle if part)
    return re.compile(first + b"".join(parts) + b".*" + last, re.DOTALL)


def _whole_prefix(value: bytes) -> bytes:
    """What a NAS may leave out of a prefix is zero (RFC 3162 §2.3)."""
    return value.ljust(_PREFIX_LENGTH, b"\0") if len(value) > 1 else value


def _within(definition: Definition, written: str) -> Test:
    network = _network(definition, written)
    length = _ADDRESS_LENGTHS[definition.kind]
    return lambda value: len(value) == length and ip_address(value) in network


def _network(definition: Definition, written: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(written, strict=False)
        if "%" in written:
            raise ValueError("a zone means nothing to the other end")
    except ValueError:
        raise DictionaryError(f"{definition.name}: {written!r} is no address or prefix") from None
    if network.max_prefixlen != 8 * _ADDRESS_LENGTHS[definition.kind]:
        raise DictionaryError(f"{definition.name}: {written!r} is not of IPv{4 if network.version == 6 else 6}")
    if ip_address(written.partition("/")[0]) != network.network_address:
        beyond = f"{written!r} has bits set beyond the prefix; write {network}, or the address alone"
        raise DictionaryError(f"{definition.name}: {beyond}")
    return network
