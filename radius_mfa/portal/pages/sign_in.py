"""Signing in, and showing password and factor once more; signing out."""

from __future__ import annotations

import asyncio
import base64
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from markupsafe import Markup, escape
from starlette.responses import Response

from radius_mfa.core import usernames
from radius_mfa.core.errors import BackendError
from radius_mfa.core.messages import FactorKind, Message
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.signing_in import Asked, Known, Refused
from radius_mfa.portal import browser
from radius_mfa.portal.context import Context, next_of
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.limits import neighbourhood

_ENDINGS = ("_or_mail", "_mail", "_recovery")  # of texts that a gateway is told otherwise by what may answer
# Nobody has guessed.
_NO_GUESS = frozenset({Outcome.CHALLENGED, Outcome.MAIL_SENT, Outcome.MAIL_LIMIT, Outcome.FACTOR_NOT_ALLOWED})


async def ask(it: Context) -> Response:
    """Name and password."""
    if it.visit is not None:
        return it.go(next_of(it))
    return it.page("sign_in.html", next=next_of(it), username="", problem=None)


async def ask_again(it: Context) -> Response:
    """The password of the one who has signed in."""
    return it.page("again.html", next=next_of(it), problem=None)


async def password(it: Context) -> Response:
    """Round one."""
    username = it.form.get("username", "")
    return await _password(it, username)


async def password_again(it: Context) -> Response:
    """The same of the one who has signed in."""
    return await _password(it, it.here.username)


async def _password(it: Context, username: str) -> Response:
    tries = Tries(it, username)
    if wait := tries.wait:
        return too_many(it, wait)
    arrived = it.house.clock.monotonic()
    with tries.one_more():
        said = await it.house.signing_in.password(username, it.form.get("password", ""), it.source)
    if isinstance(said, Refused):
        await hold(it, arrived)
        return _refused(it, username, said.message)
    tries.give_back()
    return await _goes_on(it, username, said)


async def code(it: Context) -> Response:
    """A later round: a code, or the wish for one by mail."""
    username = it.here.username if it.visit is not None else it.form.get("username", "")
    tries = Tries(it, username)
    if wait := tries.wait:
        return too_many(it, wait)
    arrived = it.house.clock.monotonic()
    answer = "mail" if "mail" in it.form else it.form.get("code", "")
    with tries.one_more():
        said = await it.house.signing_in.answer(username, _state(it.form.get("state", "")), answer, it.source)
    if isinstance(said, Refused):
        await hold(it, arrived)
        return _refused(it, username, said.message)
    if isinstance(said, Known) or said.outcome in _NO_GUESS:
        tries.give_back()
    else:
        await hold(it, arrived)
    return await _goes_on(it, username, said)


async def _goes_on(it: Context, username: str, said: Asked | Known) -> Response:
    if isinstance(said, Asked):
        asked_by_mail = said.outcome in (Outcome.MAIL_SENT, Outcome.MAIL_LIMIT)
        wrong = said.outcome not in (Outcome.CHALLENGED, Outcome.MAIL_SENT)
        return it.page(
            "code.html",
            403 if wrong and said.outcome is not Outcome.MAIL_LIMIT else 200,
            next=next_of(it),
            username=username,
            state=base64.urlsafe_b64encode(said.state).decode(),
            factors=said.factors,
            first=_asked_first(said, asked_by_mail),
            problem=told(it, said.message) if wrong else None,
            mailed=_mailed(it, said.message) if said.outcome is Outcome.MAIL_SENT else None,
            reference=_reference(said.message) or it.form.get("reference", ""),
        )
    if it.visit is not None and it.visit.user_id != said.user.id:
        return it.page("again.html", 403, next=next_of(it), problem=it.t("again.another"))
    is_again = it.visit is not None
    if not await it.begin(said):
        return it.go("/sign-in", "said.signed_out")
    if said.factor is None:
        return it.go("/set-up")
    response = it.go(next_of(it))
    if not is_again:  # by the name that they type, which need not be the one that the directory has
        cookies = it.house.cookies
        cookies.set(response, browser.KNOWN, cookies.new_known(_counted_as(it, username)))
    return response


def _refused(it: Context, username: str, message: Message) -> Response:
    """The password is asked for once more."""
    if it.visit is None:
        return it.page("sign_in.html", 403, next=next_of(it), username=username, problem=told(it, message))
    problem = it.t("again.refused") if message.key == "refused" else told(it, message)
    return it.page("again.html", 403, next=next_of(it), problem=problem)


def _reference(message: Message) -> str:
    """Of the mail that was sent, "" for none."""
    return str(dict(message.parameters).get("reference", ""))


def _mailed(it: Context, message: Message) -> Markup:
    """That a code was sent; or that the one asked for before is on its way still, and none was sent."""
    reference = _reference(message)
    if reference and it.form.get("reference") == reference:
        return it.t("told.mail_on_its_way", reference=reference)
    return told(it, message)


def _asked_first(said: Asked, asked_by_mail: bool) -> FactorKind:
    """The factor that the page asks for before the others: the strongest, or the one just chosen."""
    if asked_by_mail and FactorKind.MAIL in said.factors:
        return FactorKind.MAIL
    order = (FactorKind.TOTP, FactorKind.MAIL, FactorKind.RECOVERY_CODES)
    return next(kind for kind in order if kind in said.factors)


async def sign_out(it: Context) -> Response:
    """The visit ends."""
    await it.sign_out()
    return it.go("/sign-in", "said.signed_out")


# --- what others use too ----------------------------------------------------------------------------


class Tries:
    """How often somebody may try to sign in as `username`, from where they are and from anywhere.

    In a browser where that name was let in before with a factor, or is signed in, it counts there alone, and what
    others try does not count.
    """

    def __init__(self, it: Context, username: str) -> None:
        limits, here, name = it.house.limits, neighbourhood(it.host), _counted_as(it, username)
        known = it.house.cookies.known(it.request, name)
        if it.visit is not None and name == _counted_as(it, it.visit.username):
            known = it.visit.id
        self._counted = (
            ((limits.known, f"{known} {name}"),)
            if known
            else ((limits.address, here), (limits.account, f"{here} {name}"), (limits.everywhere, name))
        )

    @property
    def wait(self) -> float:
        """Seconds until they may; 0 for now."""
        return max(limit.wait(key) for limit, key in self._counted)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """It is counted before it is looked at, or a thousand at once would gain something.

        Where nobody could look at it, it was none.
        """
        for limit, key in self._counted:
            limit.count(key)
        try:
            yield
        except BackendError:
            self.give_back()
            raise

    def give_back(self) -> None:
        """It was right."""
        for limit, key in self._counted:
            limit.give_back(key)


def _counted_as(it: Context, username: str) -> str:
    """The name as it is looked up: `A\\alice` and `B\\alice` are one account."""
    meant = usernames.looked_up(username, it.house.signing_in.nas.naming)
    return usernames.fold(username if isinstance(meant, Outcome) else meant)


def too_many(it: Context, wait: float) -> Response:
    """Not now."""
    response = it.page("error.html", 429, error="too_many", minutes=math.ceil(wait / 60))
    response.headers["Retry-After"] = str(int(wait) + 1)
    return response


async def hold(it: Context, arrived: float) -> None:
    """Guessing takes its time, and no moment tells why somebody was refused."""
    delay = it.house.signing_in.nas.refusal_delay(random.random())  # noqa: S311  a moment, not a secret
    await asyncio.sleep(max(0.0, arrived + delay - it.house.clock.monotonic()))


def told(it: Context, message: Message) -> Markup:
    """What a gateway would be told, in the words of a page where there are any."""
    key = message.key
    for ending in _ENDINGS:
        key = key.removesuffix(ending)
    if f"told.{key}" in it.t:
        parameters = {"contact": it.house.settings.contact, **dict(message.parameters)}
        return it.t(f"told.{key}", password_url=it.house.settings.password_url or "", **parameters)
    return escape(it.house.texts.words(replace(message, language=it.t.language)))


def _state(text: str) -> bytes:
    """What the form has brought back; nobody's where it cannot be read."""
    try:
        return base64.urlsafe_b64decode(text.encode()[:1024])
    except ValueError:
        return b""


ROUTES = (
    Route("/sign-in", ask),
    Route("/sign-in", password, post=True),
    Route("/sign-in/code", code, post=True, instead="/sign-in"),
    Route("/again", ask_again, Needs.VISIT),
    Route("/again", password_again, Needs.VISIT, post=True),
    Route("/again/code", code, Needs.VISIT, post=True, instead="/again"),
    Route("/sign-out", sign_out, Needs.VISIT, post=True, ends=True),
)
