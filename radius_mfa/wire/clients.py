"""Whose octets these are: of a datagram the source address alone says, and the longest prefix wins (RFC 2865 §3);
of a connection the certificate or key that was proved.

NAS-IP-Address and NAS-Identifier never choose a client: whoever sends them may write what he likes.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import Nas

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses, written as IPv6 (RFC 4291 §2.5.5.2)


@dataclass(frozen=True, slots=True)
class Client:
    """A NAS with what only the wire needs: where it sends from, and what it shares with us.

    `networks`: where its datagrams come from.  `secrets`: one, or two while one is being replaced.
    `message_authenticator`: whether a request must carry one: always, from its first one on (per source
    address), only where the RFCs say, or, over TLS, only where EAP and Status-Server want it.  `certificate`:
    the SAN that names it over TLS; `psk`: identity and key that do; `radsec_networks`: where its connections
    come from, () for anywhere.
    """

    nas: Nas
    networks: tuple[Network, ...]
    secrets: tuple[bytes, ...] = field(repr=False)
    message_authenticator: Literal["require", "auto", "off", "optional"]
    certificate: str | None = None
    psk: tuple[str, bytes] | None = field(default=None, repr=False)
    radsec_networks: tuple[Network, ...] = ()

    @property
    def radsec(self) -> bool:
        """Whether it may come over TLS."""
        return self.certificate is not None or self.psk is not None


class Stranger(StrEnum):
    """Why whoever has connected over TLS is none of our clients; the value is what log and metrics call it."""

    NAMELESS = "certificate_without_name"
    UNKNOWN = "unknown_name"
    AMBIGUOUS = "names_two_clients"
    ELSEWHERE = "address_not_of_client"


class Clients:
    """All clients, by source address: one dictionary a prefix length, whatever their number; over TLS by name."""

    def __init__(self, clients: Iterable[Client]) -> None:
        """Raises ConfigurationError where two clients have the same prefix."""
        self._clients = tuple(clients)
        self._by_name = {each.nas.name: each for each in self._clients}
        self._certified = {each.certificate: each for each in self._clients if each.certificate is not None}
        self._psks = {each.psk[0]: each for each in self._clients if each.psk is not None}
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

    def called(self, name: str) -> Client | None:
        """The client that the configuration calls so."""
        return self._by_name.get(name)

    def certified(self, names: Collection[str], address: str) -> Client | Stranger:
        """The one client whom a verified certificate names, by one of its SANs exactly (RFC 6614 §2.3).

        `names`: its dNSNames in lower case and its iPAddresses as `ipaddress` writes them.  A wildcard is a name
        like any other, and so nobody's.  That its authority is ours admits nobody.
        """
        if not names:
            return Stranger.NAMELESS
        found = {name: self._certified[name] for name in names if name in self._certified}
        if len(found) > 1:
            return Stranger.AMBIGUOUS
        return _from_there(next(iter(found.values()), None), address)

    def with_psk(self, identity: str, address: str) -> Client | Stranger:
        """The client who has proved that it has the key of that identity."""
        return _from_there(self._psks.get(identity), address)

    @property
    def psks(self) -> dict[str, bytes]:
        """Keys by identity."""
        return {each.psk[0]: each.psk[1] for each in self._psks.values() if each.psk is not None}


def _from_there(client: Client | None, address: str) -> Client | Stranger:
    if client is None:
        return Stranger.UNKNOWN
    if client.radsec_networks:
        source = unmapped(address)
        if source is None or not any(source in network for network in client.radsec_networks):
            return Stranger.ELSEWHERE
    return client


def unmapped(address: str) -> IPv4Address | IPv6Address | None:
    """The address that a socket spells so, without a zone; an IPv4-mapped one is an IPv4 one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


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
