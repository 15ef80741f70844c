"""The help desk: finding somebody, and the queue.  What is done for one account is in `desk_user`."""

from __future__ import annotations

from markupsafe import Markup
from starlette.responses import Response

from radius_mfa.core.messages import User
from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import Needs, Route
from radius_mfa.portal.pages import desk_user
from radius_mfa.portal.pages.desk_user import path_of, problem_of


async def desk(it: Context) -> Response:
    """The search, and who waits."""
    return await _desk(it)


async def find(it: Context) -> Response:
    """Go to somebody's account.  The name is in a form: addresses are written down on the way."""
    name = it.form.get("username", "")
    found = await it.house.help_desk.find(it.here, name)
    if isinstance(found, User):
        return it.go(path_of(it, found.id, found.username))
    return await _desk(it, 422, name, it.t(f"desk.outcome.{found.value}"))


async def answer(it: Context) -> Response:
    """Take somebody out of the queue."""
    result = await it.house.help_desk.answer(it.here, it.form.get("case", ""))
    if result is Result.DONE:
        return it.go("/desk", "desk.said_answered")
    status = 403 if result is Result.OWN_ACCOUNT else 422
    return await _desk(it, status, problem_in_queue=problem_of(it, result, "case"))


async def _desk(
    it: Context,
    status: int = 200,
    name: str = "",
    problem: Markup | None = None,
    problem_in_queue: Markup | None = None,
) -> Response:
    waiting = [
        (case, path_of(it, case.user_id, case.username)) for case in await it.house.help_desk.cases(it.here)
    ]
    return it.page(
        "desk/desk.html",
        status,
        username=name,
        problem=problem,
        problem_in_queue=problem_in_queue,
        waiting=waiting,
    )


ROUTES = (
    Route("/desk", desk, Needs.DESK),
    Route("/desk", find, Needs.DESK, post=True),
    Route("/desk/case", answer, Needs.DESK_FRESH, post=True, instead="/desk"),
    *desk_user.ROUTES,
)
