"""Devices that are let in without a code for a while, because somebody said so at a login."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route

_PATH = "/devices"


@dataclass(frozen=True, slots=True)
class Trusted:
    """A device, in all the places where it is trusted.  `client`: where that was asked for."""

    id: str
    station: str
    client: str
    created: float
    expires: float


async def devices_of(it: Context) -> list[Trusted]:
    """Those of the one who makes the visit, the latest first."""
    found = await it.house.store.devices(it.here.user_id, it.house.clock.wall())
    by_id = {
        each.id: Trusted(each.id, _spelled(each.station), each.client, each.created, each.expires)
        for each in sorted(found, key=lambda each: each.expires)
    }
    return sorted(by_id.values(), key=lambda each: -each.created)


def _spelled(station: str) -> str:
    """`mac:…` or `ip:…` of `core.trust`, as people know it from their device."""
    kind, _, device = station.partition(":")
    return ":".join(device[at : at + 2] for at in range(0, len(device), 2)) if kind == "mac" else device


async def overview(it: Context) -> Response:
    """All of them."""
    return it.page("devices.html", devices=await devices_of(it))


async def revoked(it: Context) -> Response:
    """One is asked for a code again."""
    result = await it.house.self_service.revoke_devices(it.here, it.form.get("device", ""))
    return it.go(_PATH, "devices.said_revoked" if result is Result.DONE else "devices.said_gone")


async def all_revoked(it: Context) -> Response:
    """So are all of them."""
    await it.house.self_service.revoke_devices(it.here, None)
    return it.go(_PATH, "devices.said_all_revoked")


ROUTES = (
    Route(_PATH, overview, Needs.FACTOR),
    Route("/devices/revoke", overview, Needs.FACTOR),
    Route("/devices/revoke", revoked, Needs.FACTOR, post=True),
    Route("/devices/revoke-all", overview, Needs.FACTOR),
    Route("/devices/revoke-all", all_revoked, Needs.FACTOR, post=True),
)
