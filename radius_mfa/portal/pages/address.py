"""The notification address: see, change, confirm."""

from __future__ import annotations

from starlette.responses import Response

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.pages import addresses
from radius_mfa.portal.pages.results import problem_of, status_of

_SHOWN, _NEW, _CODE = "/address", "/address/new", "/address/code"


async def overview(it: Context) -> Response:
    """The one there is, and one that is to become it."""
    facts = await it.house.self_service.facts(it.here.user_id)
    serves = FactorKind.MAIL in it.house.settings.served
    return it.page("address.html", facts=facts, waiting=await addresses.waiting(it), serves=serves)


async def new(it: Context) -> Response:
    """For another one."""
    return await _new(it)


async def _new(it: Context, status: int = 200, problem: object = None) -> Response:
    facts = await it.house.self_service.facts(it.here.user_id)
    wait = it.house.settings.wait
    counts_from = (
        it.house.clock.wall() + wait if wait and not it.house.self_service.suffices(it.here, facts) else None
    )
    values = {"address": it.form.get("address", ""), "problem": problem, "counts_from": counts_from}
    return it.page("address_new.html", status, **values)


async def given(it: Context) -> Response:
    """Mail a code there."""
    return await _sent(it, await addresses.propose(it, it.form.get("address", "")))


async def again(it: Context) -> Response:
    """Mail another one."""
    return await _sent(it, await addresses.propose_again(it))


async def _sent(it: Context, result: Result) -> Response:
    if result is Result.SENT:
        return it.go(_CODE, "address.said_sent")
    if result is Result.AGAIN:
        return it.again(_NEW)
    if result is Result.GONE:
        return it.go(_SHOWN, "address.said_gone")
    return await _new(it, status_of(result), problem_of(it, "address", result))


async def code(it: Context) -> Response:
    """For the code that was mailed."""
    return await _code(it)


async def _code(it: Context, status: int = 200, problem: object = None) -> Response:
    proposal = await addresses.unconfirmed(it)
    if proposal is None:
        return it.go(_SHOWN)
    return it.page("address_code.html", status, proposal=proposal, problem=problem)


async def confirmed(it: Context) -> Response:
    """The code that was mailed."""
    result = await addresses.confirm(it)
    if result in (Result.DONE, Result.WAITING, Result.GONE):
        return it.go(_SHOWN, f"address.said_{result.value}")
    if result is Result.AGAIN:
        return it.again(_CODE)
    return await _code(it, status_of(result), problem_of(it, "address", result))


async def cancelled(it: Context) -> Response:
    """It is not to become the address."""
    result = await it.house.self_service.cancel_address(it.here)
    return it.go(_SHOWN, "address.said_cancelled" if result is Result.DONE else "address.said_gone")


ROUTES = (
    Route(_SHOWN, overview, Needs.FACTOR),
    Route(_NEW, new, Needs.FRESH),
    Route(_NEW, given, Needs.FACTOR, post=True),
    Route(_CODE, code, Needs.FACTOR),
    Route(_CODE, confirmed, Needs.FACTOR, post=True),
    Route("/address/again", code, Needs.FACTOR),
    Route("/address/again", again, Needs.FACTOR, post=True),
    Route("/address/cancel", overview, Needs.FACTOR),
    Route("/address/cancel", cancelled, Needs.FACTOR, post=True),
)
