"""Recent logins in somebody's name: was that you?"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.responses import Response

from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.portal_store import PastLogin
from radius_mfa.core.visits import PORTAL
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route

_DAYS = 30
_LOOK_BACK = _DAYS * 86400.0  # seconds
_MOST_SHOWN = 100
_PATH = "/logins"
_NOTHING_WRONG = frozenset({Outcome.MAIL_SENT, Outcome.CHALLENGED})


@dataclass(frozen=True, slots=True)
class Shown:
    """A login in words.  `id`: for the page of its own; `ended`: how; `tone`: good, bad, or neither."""

    id: str
    time: float
    client: Markup
    place: str
    ended: Markup
    factor: Markup | str
    tone: str


async def logins_of(it: Context, most: int = _MOST_SHOWN) -> list[Shown]:
    """The latest of the one who makes the visit, the newest first."""
    since = it.house.clock.wall() - _LOOK_BACK
    return [_shown(it, each) for each in await it.house.store.logins(it.here.user_id, since, most)]


def _shown(it: Context, login: PastLogin) -> Shown:
    ended = f"logins.outcome.{login.outcome}"
    factor = f"logins.factor.{login.factor}"
    return Shown(
        login.login,
        login.time,
        it.t("logins.portal") if login.client == PORTAL else escape(login.client),
        login.station or login.source,
        it.t(ended if ended in it.t else f"logins.ended.{login.decision}"),
        it.t(factor) if factor in it.t else "",
        _tone(login),
    )


def _tone(login: PastLogin) -> str:
    if login.decision == "accept":
        return "good"
    return "" if login.outcome in _NOTHING_WRONG else "bad"


async def overview(it: Context) -> Response:
    """All of them."""
    return it.page("logins.html", logins=await logins_of(it), days=_DAYS)


async def _the_one(it: Context) -> PastLogin:
    wanted = it.request.path_params["login"]
    since = it.house.clock.wall() - _LOOK_BACK
    found = await it.house.store.logins(it.here.user_id, since, _MOST_SHOWN)
    login = next((each for each in found if each.login == wanted), None)
    if login is None:
        raise HTTPException(404)
    return login


async def not_me(it: Context) -> Response:
    """What will be done, if that is meant."""
    return it.page("login_not_me.html", login=_shown(it, await _the_one(it)))


async def disowned(it: Context) -> Response:
    """It is done."""
    await it.house.self_service.disown(it.here, await _the_one(it))
    return it.page("login_disowned.html")


ROUTES = (
    Route(_PATH, overview, Needs.FACTOR),
    Route("/logins/{login}", not_me, Needs.FACTOR),
    Route("/logins/{login}", disowned, Needs.FACTOR, post=True),
)
