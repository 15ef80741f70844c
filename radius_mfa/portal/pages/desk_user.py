"""The help desk and one account: how it stands, why its owner was refused, and what can be done about it.

The account is named in the address by what only the portal can read, and which is bound to the directory's id: an
act never meets somebody who has got the name since the page was made.
"""

from __future__ import annotations

import base64
import binascii

from markupsafe import Markup
from starlette.responses import Response

from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.self_service import Result
from radius_mfa.core.visits import PORTAL
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.happened import Happened, happened

_PURPOSE = "desk account"
_BEGINS = "/desk/user/"


async def account(it: Context) -> Response:
    """How it stands, and what has happened."""
    user = await _user(it)
    return user if isinstance(user, Response) else await _account(it, user)


async def unlock(it: Context) -> Response:
    """Lift a lock or suspension."""
    user = await _user(it)
    if isinstance(user, Response):
        return user
    result = await it.house.help_desk.unlock(it.here, user)
    return await _after(it, user, result, "unlock")


async def voucher(it: Context) -> Response:
    """Issue one, and show it this once."""
    user = await _user(it)
    if isinstance(user, Response):
        return user
    once, value = it.house.once, it.form.get("once", "")
    if not once.take(value):
        return await _account(it, user, 403, it.t("desk.voucher.made_already"))
    issued = await it.house.help_desk.issue_voucher(it.here, user)
    if isinstance(issued, Result):
        once.give_back(value)
        return await _after(it, user, issued, "voucher")
    code, expires = issued
    return it.page("desk/voucher.html", user=user, path=_path(it), code=code, expires=expires)


async def ask_reset(it: Context) -> Response:
    """What a reset does, and whether the card was seen."""
    return await _asked(it, "desk/reset.html")


async def reset(it: Context) -> Response:
    """End every factor."""
    user = await _user(it)
    if isinstance(user, Response):
        return user
    if "card" not in it.form:
        return _form(it, "desk/reset.html", user, it.t("desk.card_first"))
    result = await it.house.help_desk.reset(it.here, user)
    return await _after(it, user, result, "reset")


async def ask_address(it: Context) -> Response:
    """Which address, and whether the card was seen."""
    return await _asked(it, "desk/address.html")


async def set_address(it: Context) -> Response:
    """Keep an address that the desk has checked."""
    user = await _user(it)
    if isinstance(user, Response):
        return user
    address = it.form.get("address", "")
    if "card" not in it.form:
        return _form(it, "desk/address.html", user, it.t("desk.card_first"), address)
    result = await it.house.help_desk.set_address(it.here, user, address)
    if result in (Result.UNREADABLE, Result.BLOCKED):
        return _form(it, "desk/address.html", user, problem_of(it, result, "address"), address)
    return await _after(it, user, result, "address")


# --- what they are made of --------------------------------------------------------------------------


async def _after(it: Context, user: User, result: Result, act: str) -> Response:
    """Back to the account, where it is told what became of an act."""
    if result is Result.DONE:
        return it.go(_path(it), f"desk.said_{act}")
    status = 403 if result is Result.OWN_ACCOUNT else 422
    return await _account(it, user, status, problem_of(it, result, act))


async def _account(it: Context, user: User, status: int = 200, problem: Markup | None = None) -> Response:
    house = it.house
    shown = await house.help_desk.account(it.here, user)
    events = await house.events(user.id, user.username)
    return it.page(
        "desk/account.html",
        status,
        account=shown,
        path=_path(it),
        own=user.id == it.here.user_id,
        now=house.clock.wall(),
        lately=[(each, _tag(it, each), _words(it, each)) for each in happened(events, shown.logins)],
        with_file=bool(events),
        problem=problem,
    )


async def _asked(it: Context, template: str) -> Response:
    """The form of an act; for one's own account it is not there."""
    user = await _user(it)
    if isinstance(user, Response):
        return user
    result = it.house.help_desk.may_act(it.here, user.id)
    return _form(it, template, user) if result is Result.DONE else await _after(it, user, result, "")


def _form(it: Context, template: str, user: User, problem: Markup | None = None, address: str = "") -> Response:
    status = 422 if problem else 200
    return it.page(template, status, user=user, path=_path(it), problem=problem, address=address)


async def _user(it: Context) -> User | Response:
    """Whom the address of the page names, or a page that says why there is nobody."""
    named = _named(it, it.request.path_params["ref"])
    if named is None:
        return it.page("error.html", 404, error="missing")
    user_id, username = named
    found = await it.house.help_desk.find(it.here, username)
    if isinstance(found, User) and found.id != user_id:
        found = Outcome.USER_GONE
    if isinstance(found, Outcome):
        return it.page("desk/nobody.html", 404, username=username, why=it.t(f"desk.outcome.{found.value}"))
    return found


def path_of(it: Context, user_id: str, username: str) -> str:
    """Where an account's page is: sealed, and in letters that any case may befall."""
    sealed = it.house.sealer.seal(_PURPOSE, f"{user_id}\0{username}".encode())
    return _BEGINS + base64.b32encode(sealed).decode().lower().rstrip("=")


def _named(it: Context, ref: str) -> tuple[str, str] | None:
    try:
        sealed = base64.b32decode(ref.upper() + "=" * (-len(ref) % 8))
    except (binascii.Error, ValueError):
        return None
    plain = it.house.sealer.open(_PURPOSE, sealed)
    if plain is None:
        return None
    user_id, _, username = plain.decode().partition("\0")
    return user_id, username


def _path(it: Context) -> str:
    """The page of the account that the request was about already."""
    return _BEGINS + str(it.request.path_params["ref"])


def problem_of(it: Context, result: Result, act: str) -> Markup:
    """Why something was not done: of that act, or of all."""
    key = f"desk.result.{act}_{result.value}"
    return it.t(key if key in it.t else f"desk.result.{result.value}")


def _words(it: Context, each: Happened) -> Markup:
    """An outcome or an act in words for staff; "" for one of another version."""
    keys = [f"desk.outcome.{each.outcome}", f"desk.act.{each.outcome}"]
    if each.client == PORTAL:
        keys.insert(0, f"desk.outcome_here.{each.outcome}")
    return next((it.t(key) for key in keys if key in it.t), Markup(""))


def _tag(it: Context, each: Happened) -> tuple[str, str]:
    """How it went, and the class that it is shown with."""
    if each.outcome in _NOTHING_YET:
        return it.t("desk.decision.challenge"), ""
    if each.client == PORTAL and each.outcome == Outcome.ACCEPTED_BY_PASSWORD:
        return it.t("desk.decision.done"), ""  # nobody is let in here by that
    kind = "good" if each.went_well else "bad" if each.went_wrong else "wait"
    key = "desk.decision.again" if each.decision == "challenge" else f"desk.decision.{each.decision}"
    return it.t(key) if key in it.t else each.decision, kind


_NOTHING_YET = frozenset({Outcome.CHALLENGED.value, Outcome.MAIL_SENT.value})

ROUTES = (
    Route("/desk/user/{ref}", account, Needs.DESK),
    Route("/desk/user/{ref}/unlock", unlock, Needs.DESK_FRESH, post=True, instead="/desk/user/{ref}"),
    Route("/desk/user/{ref}/voucher", voucher, Needs.DESK_FRESH, post=True, instead="/desk/user/{ref}"),
    Route("/desk/user/{ref}/reset", ask_reset, Needs.DESK_FRESH),
    Route("/desk/user/{ref}/reset", reset, Needs.DESK_FRESH, post=True),
    Route("/desk/user/{ref}/address", ask_address, Needs.DESK_FRESH),
    Route("/desk/user/{ref}/address", set_address, Needs.DESK_FRESH, post=True),
)
