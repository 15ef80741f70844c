"""Whose octets these are: the source address alone says, and the longest prefix wins (RFC 2865 §3).

NAS-IP-Address and NAS-Identifier never choose a client: whoever sends them may write what he likes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import Nas

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses, written as IPv6 (RFC 4291 §2.5.5.2)


@dataclass(frozen=True, slots=True)
class Client:
    """A NAS with what only the wire needs: where it sends from, and what it shares with us.

    `secrets`: one, or two while one is being replaced.  `message_authenticator`: whether a request
    must carry one: always, from its first one on (per source address), or only where the RFCs say.
    """

    nas: Nas
    networks: tuple[Network, ...]
    secrets: tuple[bytes, ...] = field(repr=False)
    message_authenticator: Literal["require", "auto", "off"]


class Clients:
    """All clients, found by source address; one dictionary a prefix length, whatever their number."""

    def __init__(self, clients: Iterable[Client]) -> None:
        """Raises ConfigurationError where two clients have the same prefix."""
        self._clients = tuple(clients)
        tables: dict[int, dict[int, dict[int, Client]]] = {32: {}, 128: {}}
        for client in self._clients:
            for bits, shift, prefix in map(_place, client.networks):
                other = tables[bits].setdefault(shift, {}).setdefault(prefix, client)
                if other is not client:
                    names = f"{other.nas.name} and {client.nas.name}"
                    raise ConfigurationError(f"clients {names} have the same address")
        self._ipv4 = sorted(tables[32].items())
        self._ipv6 = sorted(tables[128].items())

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients)

    def find(self, address: str) -> Client | None:
        """The client with the longest prefix around `address` (as a socket spells it), or None."""
        tables, number = self._ipv4, _number(address, socket.AF_INET)
        if number is None:
            tables, number = self._ipv6, _number(address.partition("%")[0], socket.AF_INET6)
            if number is None:
                return None
            if number >> 32 == 0xFFFF:
                tables, number = self._ipv4, number & 0xFFFF_FFFF
        for shift, clients in tables:  # the fewest host bits first: the longest prefix
            client = clients.get(number >> shift)
            if client is not None:
                return client
        return None


def _place(network: Network) -> tuple[int, int, int]:
    """Address bits, host bits, and the prefix as a number; an IPv4-mapped prefix is an IPv4 one."""
    shift = network.max_prefixlen - network.prefixlen
    prefix = int(network.network_address)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return 32, shift, (prefix & 0xFFFF_FFFF) >> shift
    return network.max_prefixlen, shift, prefix >> shift


def _number(address: str, family: socket.AddressFamily) -> int | None:
    try:
        return int.from_bytes(socket.inet_pton(family, address), "big")
    except (OSError, ValueError):  # ValueError: a NUL in the text
        return None
