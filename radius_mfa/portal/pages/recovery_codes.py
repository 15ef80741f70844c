"""Recovery codes: how many are left, and new ones in place of them."""

from __future__ import annotations

from starlette.responses import Response

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.pages.results import problem_of, status_of

FEW = 3  # so many left, and somebody should print new ones
_PATH = "/recovery-codes"


async def overview(it: Context) -> Response:
    """How many are left."""
    return await _page(it)


async def _page(it: Context, status: int = 200, **values: object) -> Response:
    facts = await it.house.self_service.facts(it.here.user_id)
    shown: dict[str, object] = {
        "left": facts.recovery_left,
        "few": FEW,
        "weak": not it.house.self_service.suffices(it.here, facts),
        "serves": FactorKind.RECOVERY_CODES in it.house.settings.served,
        "codes": None,
        "problem": None,
    }
    return it.page("recovery_codes.html", status, **shown | values)


async def new_codes(it: Context) -> list[str] | Result:
    """New codes; ALREADY where that very form has made some, which a reload must not replace."""
    once, value = it.house.once, it.form.get("once", "")
    if not once.take(value):
        return Result.ALREADY
    made = await it.house.self_service.new_recovery_codes(it.here)
    if isinstance(made, Result):
        once.give_back(value)
    return made


async def made(it: Context) -> Response:
    """They are shown now, and never again."""
    codes = await new_codes(it)
    if codes is Result.ALREADY:
        return await _page(it, 403, problem=it.t("codes.made_already"))
    if codes is Result.AGAIN:
        return it.again(_PATH)
    if isinstance(codes, Result):
        return await _page(it, status_of(codes), problem=problem_of(it, "codes", codes))
    return await _page(it, codes=codes)


ROUTES = (Route(_PATH, overview, Needs.FACTOR), Route(_PATH, made, Needs.FACTOR, post=True))
