"""Who can show no factor any more: what else there is, and starting anew by a mailed link.

Scanners of mail follow links too: opening one does nothing, and uses nothing up.  Whoever has only the link, or
only the password, gets nowhere.
"""

from __future__ import annotations

import math

from markupsafe import Markup
from starlette.responses import Response

from radius_mfa.core.portal_store import Link
from radius_mfa.core.self_service import Result
from radius_mfa.core.signing_in import Known, Refused
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Route
from radius_mfa.portal.pages.sign_in import Tries, hold, told, too_many

_STATUS = {Result.SENT: 200, Result.QUEUED: 200, Result.NOT_ADMITTED: 403, Result.TOO_MANY: 429}


async def ways(it: Context) -> Response:
    """What else there is, and then name and password."""
    return _ways(it)


def _ways(it: Context, status: int = 200, username: str = "", problem: Markup | None = None) -> Response:
    hours = math.ceil(it.house.settings.wait / 3600)
    return it.page("lost.html", status, username=username, problem=problem, hours=hours)


async def ask(it: Context) -> Response:
    """Have a link mailed, or be put into the help desk's queue."""
    username = it.form.get("username", "")
    said = await _password(it, username)
    if isinstance(said, float):
        return too_many(it, said)
    if isinstance(said, Refused):
        return _ways(it, 403, username, told(it, said.message))
    user = said.user
    language, of_desk = user.language or it.t.language, it.house.is_of_desk(user)
    result = await it.house.self_service.ask_for_link(user, language, it.source, of_desk=of_desk)
    address = (await it.house.self_service.facts(user.id)).mail_address if result is Result.SENT else ""
    return it.page("lost_next.html", _STATUS[result], result=result.value, address=masked_address(address))


async def follow(it: Context) -> Response:
    """What will happen, and the password once more."""
    link = await _link(it)
    return _gone(it) if link is None else _shown(it, link)


async def begin(it: Context) -> Response:
    """Use the link up: the visit sets up a new app, with whose first code all else is reset."""
    link = await _link(it)
    if link is None:
        return _gone(it)
    said = await _password(it, link.username)
    if isinstance(said, float):
        return too_many(it, said)
    if isinstance(said, Refused):
        return _shown(it, link, told(it, said.message))
    # The name may have become somebody else's since.
    if said.user.id != link.user_id or it.house.is_of_desk(said.user):
        return _gone(it)
    if await it.house.self_service.use_link(link, it.source) is not Result.DONE:
        return _gone(it)
    begun = await it.begin(Known(said.user, None, said.since), anew=True)
    return it.go("/set-up" if begun else "/lost")


async def _password(it: Context, username: str) -> Known | Refused | float:
    """Whether it is their password; or for how many seconds nobody may try."""
    tries = Tries(it, username)
    if wait := tries.wait:
        return wait
    arrived = it.house.clock.monotonic()
    with tries.one_more():
        said = await it.house.signing_in.password_alone(username, it.form.get("password", ""), it.source)
    if isinstance(said, Refused):
        await hold(it, arrived)
    else:
        tries.give_back()
    return said


async def _link(it: Context) -> Link | None:
    if not it.house.settings.initialise:
        return None
    return await it.house.self_service.link(it.request.path_params["token"])


def _shown(it: Context, link: Link, problem: Markup | None = None) -> Response:
    return it.page("link.html", 403 if problem else 200, link=link, problem=problem)


def _gone(it: Context) -> Response:
    """One answer for every link that is not good, whatever was wrong with it."""
    return it.page("link_gone.html", 404)


def masked_address(address: str) -> str:
    """As much of an address as its owner needs: `a…@example.org`."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}…@{domain}"


ROUTES = (
    Route("/lost", ways),
    Route("/lost", ask, post=True),
    Route("/link/{token}", follow),
    Route("/link/{token}", begin, post=True),
)
