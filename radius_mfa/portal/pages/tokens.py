"""The authenticator apps somebody has: see, add, call otherwise, test, remove."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.responses import Response

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.portal_store import TokenDetails
from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.pages import apps
from radius_mfa.portal.pages.clock import clock_of
from radius_mfa.portal.pages.results import problem_of, status_of

_ALL, _NEW, _NEW_APP = "/tokens", "/tokens/new", "/tokens/new/app"


@dataclass(frozen=True, slots=True)
class Shown:
    """A token as the list has it.  `stage`: good, waiting, or open where no code of it was ever seen."""

    id: str
    label: str
    created: float
    last_success: float | None
    good_from: float
    stage: str


async def tokens_of(it: Context) -> list[Shown]:
    """Those of the one who makes the visit, the oldest first."""
    return [_shown(it, each) for each in await it.house.store.token_details(it.here.user_id)]


def _shown(it: Context, details: TokenDetails) -> Shown:
    stage = "good" if details.confirmed else "waiting" if details.good_from else "open"
    label = details.label or str(it.t("tokens.unnamed"))
    return Shown(details.id, label, details.created, details.last_success, details.good_from, stage)


async def overview(it: Context) -> Response:
    """All of them."""
    serves = FactorKind.TOTP in it.house.settings.served
    return it.page("tokens.html", tokens=await tokens_of(it), serves=serves)


# --- another one ------------------------------------------------------------------------------------


async def new(it: Context) -> Response:
    """The clock first, and what is needed."""
    if FactorKind.TOTP not in it.house.settings.served:
        return it.go(_ALL)
    return it.page("token_new.html", clock=clock_of(it), counts_from=await _counts_from(it))


async def _counts_from(it: Context) -> float | None:
    """When it will count, where it has to wait."""
    facts = await it.house.self_service.facts(it.here.user_id)
    wait = it.house.settings.wait
    return it.house.clock.wall() + wait if wait and not it.house.self_service.suffices(it.here, facts) else None


async def new_begun(it: Context) -> Response:
    """There is a seed from now on."""
    await it.house.self_service.seed_for(it.here)
    return it.go(_NEW_APP)


async def new_app(it: Context) -> Response:
    """What to scan."""
    return await _new_app(it)


async def _new_app(it: Context, status: int = 200, problem: object = None) -> Response:
    app = await apps.app_of(it, apps.label_of(it))
    if app is None:
        return it.go(_NEW)
    return it.page("token_new_app.html", status, app=app, problem=problem, counts_from=await _counts_from(it))


async def added(it: Context) -> Response:
    """The first code of it."""
    result = await apps.add_app(it)
    if result in (Result.DONE, Result.WAITING, Result.ALREADY):
        return it.go(_ALL, f"tokens.said_{result.value}")
    if result is Result.AGAIN:
        return it.again(_NEW, "tokens.said_again")
    if result is Result.GONE:
        return it.go(_NEW, "tokens.said_gone")
    return await _new_app(it, status_of(result), problem_of(it, "tokens", result))


# --- one that is there ------------------------------------------------------------------------------


async def _the_one(it: Context) -> Shown:
    wanted = it.request.path_params["token"]
    token = next((each for each in await tokens_of(it) if each.id == wanted), None)
    if token is None:
        raise HTTPException(404)
    return token


async def one(it: Context) -> Response:
    """What can be done about it."""
    return await _one(it)


async def _one(it: Context, status: int = 200, **values: object) -> Response:
    shown: dict[str, object] = {"tested": False, "problem": None, "misnamed": None, "token": await _the_one(it)}
    return it.page("token.html", status, **shown | values)


async def renamed(it: Context) -> Response:
    """It is called otherwise from now on."""
    label = apps.label_of(it)
    if not label:
        return await _one(it, 422, misnamed=it.t("tokens.label_missing"))
    result = await it.house.self_service.rename_token(it.here, (await _the_one(it)).id, label)
    return it.go(_ALL, "tokens.said_renamed" if result is Result.DONE else "tokens.said_removed")


async def tested(it: Context) -> Response:
    """Whether its codes are right; not too often, since nothing else counts these."""
    token, tests, user_id = await _the_one(it), it.house.limits.tests, it.here.user_id
    if not it.is_fresh:
        return it.again(f"{_ALL}/{token.id}")
    result = Result.TOO_MANY
    if not tests.wait(user_id):
        tests.count(user_id)
        result = await it.house.self_service.test_token(it.here, token.id, it.form.get("code", ""))
    if result is Result.DONE:
        tests.give_back(user_id)
        return await _one(it, tested=True)
    return await _one(it, status_of(result), problem=problem_of(it, "tokens", result))


async def remove(it: Context) -> Response:
    """Whether that is meant."""
    return it.page("token_remove.html", token=await _the_one(it), problem=None)


async def removed(it: Context) -> Response:
    """It is gone."""
    token = await _the_one(it)
    result = await it.house.self_service.remove_token(it.here, token.id)
    if result is Result.AGAIN:
        return it.again(f"{_ALL}/{token.id}/remove")
    if result in (Result.DONE, Result.GONE):
        return it.go(_ALL, "tokens.said_removed")
    return it.page("token_remove.html", status_of(result), token=token, problem=problem_of(it, "tokens", result))


ROUTES = (
    Route(_ALL, overview, Needs.FACTOR),
    Route(_NEW, new, Needs.FRESH),
    Route(_NEW, new_begun, Needs.FRESH, post=True),
    Route(_NEW_APP, new_app, Needs.FRESH),
    Route(_NEW_APP, added, Needs.FACTOR, post=True),
    Route("/tokens/{token}", one, Needs.FACTOR),
    Route("/tokens/{token}/name", one, Needs.FACTOR),
    Route("/tokens/{token}/name", renamed, Needs.FACTOR, post=True),
    Route("/tokens/{token}/test", one, Needs.FACTOR),
    Route("/tokens/{token}/test", tested, Needs.FACTOR, post=True),
    Route("/tokens/{token}/remove", remove, Needs.FACTOR),
    Route("/tokens/{token}/remove", removed, Needs.FACTOR, post=True),
)
