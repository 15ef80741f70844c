"""Trusted devices: where a user gave a code some days ago, and asked not to be asked again.

What is trusted is a user at a station at a client, or at any client that shares a group with it.  The
password is still asked.  A station is what the NAS says of the device (`core.stations`), so it is
worth what the administrator says it is worth there (`station: mac` or `ip`), and never
anything where it cannot be one device: an address of the NAS's own, one that stands for none or for many,
or one from which more than a few others have logged in within a week.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from radius_mfa.core import stations
from radius_mfa.core.login import Login
from radius_mfa.core.messages import AccessRequest, Attribute, FactorKind, Nas
from radius_mfa.core.ports import Clock, Entropy
from radius_mfa.core.store import LoginStore
from radius_mfa.core.stored import NewDevice

MOST_OTHERS = 3  # users who may share a device with one who trusts it
LOOK_BACK = 7 * 86400.0  # seconds in which others count
_NO_DEVICE = frozenset({"0" * 12, "f" * 12})
_BROADCAST = ip_address("255.255.255.255")


def station_of(request: AccessRequest) -> str | None:
    """The device the request comes from, `mac:…` or `ip:…` in one spelling; None for what cannot be trusted."""
    if request.nas.station == "none":
        return None
    device = stations.device_of(request)
    match request.nas.station:
        case "mac" if isinstance(device, str) and _is_one_device(device, request):
            return f"mac:{device}"
        case "ip" if isinstance(device, IPv4Address | IPv6Address) and _is_one_address(device, request):
            return f"ip:{device}"
    return None


def _is_one_device(mac: str, request: AccessRequest) -> bool:
    if mac in _NO_DEVICE or int(mac[:2], 16) & 1:  # to a group of devices (IEEE 802, the I/G bit)
        return False
    return mac != stations.mac_before_name(request.first(Attribute.CALLED_STATION_ID))


def _is_one_address(address: IPv4Address | IPv6Address, request: AccessRequest) -> bool:
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        return False
    return address != _BROADCAST and address not in _own_addresses(request)


def _own_addresses(request: AccessRequest) -> list[object]:
    """The NAS's, as far as the packet says: where it came from, NAS-IP(v6)-Address, Called-Station-Id."""
    own: list[object] = [stations.address(request.source.rpartition(":")[0].strip("[]"))]
    for number in (Attribute.NAS_IP_ADDRESS, Attribute.NAS_IPV6_ADDRESS):
        value = request.first(number)
        if value is not None and len(value) in (4, 16):
            own.append(stations.address(str(ip_address(value))))
    return [*own, stations.read(request.first(Attribute.CALLED_STATION_ID))]


def scopes_of(nas: Nas) -> tuple[str, ...]:
    """Where trust given at this client holds: in each of its groups, or at itself only."""
    return tuple(f"group:{group}" for group in sorted(nas.groups)) or (f"client:{nas.name}",)


@dataclass(frozen=True, slots=True)
class TrustedDevices:
    """Knows the trusted devices, and says which become so.  `lifetime`: seconds from the code on, not renewed."""

    store: LoginStore
    clock: Clock
    entropy: Entropy
    lifetime: float

    async def knows(self, login: Login, deadline: float) -> bool:
        """Whether no code need be asked: one of a factor that the policy takes was given.  Raises StoreError."""
        station = station_of(login.request) if login.policy and login.policy.trust_device else None
        if station is None or login.policy is None:
            return False
        scopes, factors, now = scopes_of(login.request.nas), login.policy.factors, self.clock.wall()
        trusted = await self.store.is_trusted(login.user_id, station, scopes, factors, now, deadline)
        # A station that others have come to share is one device no more.
        return trusted and not await self._is_shared(login, station, deadline)

    async def asked(self, login: Login, factor: FactorKind, deadline: float) -> NewDevice | str:
        """The device to trust by a code of that factor, or why it is not trusted.  Raises StoreError."""
        if login.policy is None or not login.policy.trust_device:
            return "not trusted: the policy does not allow it"
        station = station_of(login.request)
        if station is None:
            return "not trusted: no station that is worth it"
        if await self._is_shared(login, station, deadline):
            return "not trusted: others have logged in from this station"
        nas, now = login.request.nas, self.clock.wall()
        return NewDevice(
            id=self.entropy.octets(8).hex(),
            user_id=login.user_id,
            station=station,
            scopes=scopes_of(nas),
            client=nas.name,
            factor=factor,
            created=now,
            expires=now + self.lifetime,
        )

    async def _is_shared(self, login: Login, station: str, deadline: float) -> bool:
        """Whether more than a household's number of others log in from there, or trust it, at whichever client."""
        now, most = self.clock.wall(), MOST_OTHERS + 1
        since = now - LOOK_BACK
        return await self.store.others_at(login.user_id, station, since, now, most, deadline) == most
