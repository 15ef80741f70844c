"""The first page: all somebody has, at a glance."""

from __future__ import annotations

from starlette.responses import Response

from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.pages import addresses
from radius_mfa.portal.pages.devices import devices_of
from radius_mfa.portal.pages.logins import logins_of
from radius_mfa.portal.pages.recovery_codes import FEW
from radius_mfa.portal.pages.set_up import progress_of
from radius_mfa.portal.pages.tokens import tokens_of

_LOGINS = 3


async def home(it: Context) -> Response:
    """Overview."""
    facts = await it.house.self_service.facts(it.here.user_id)
    waiting = await addresses.waiting(it)
    tokens = await tokens_of(it)
    locked_until = facts.counters.locked_until
    return it.page(
        "home.html",
        facts=facts,
        tokens=[each for each in tokens if each.stage == "good"],
        waiting_tokens=[each for each in tokens if each.stage == "waiting"],
        waiting=waiting if waiting is not None and waiting.good_from else None,
        devices=await devices_of(it),
        logins=await logins_of(it, _LOGINS),
        few=FEW,
        weak=not it.house.self_service.suffices(it.here, facts),
        locked_until=locked_until if locked_until > it.house.clock.wall() else None,
        left=(await progress_of(it)).left,
    )


ROUTES = (Route("/", home, Needs.FACTOR),)
