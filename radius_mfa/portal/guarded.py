"""What is looked at before any page is, and said with every one: the portal's doors.

A form is ours when the browser says that it came from our pages (Sec-Fetch-Site, Origin), where it says anything,
and when it carries what only a page of ours in that browser could know (`browser`).  Nothing is done by a GET.

Whoever does something in a visit, or is shown a page of the help desk, is looked up once more: an account that was
switched off since has no visit any more, and who has left the help desk is not of it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from radius_mfa.core.errors import BackendError, place_of
from radius_mfa.core.messages import User
from radius_mfa.core.visits import Visit
from radius_mfa.portal import browser
from radius_mfa.portal.context import Context, next_of
from radius_mfa.portal.forms import read_form
from radius_mfa.portal.house import House
from radius_mfa.portal.words import LANGUAGES, language_of

log = structlog.get_logger()

Page = Callable[[Context], Awaitable[Response]]

# Nothing from elsewhere, nothing inline, in nobody's frame; forms go to us alone.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all a browser would not say where a form comes from
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
_ONLY_TLS = "max-age=31536000"
_SIGNING_IN = ("/sign-in", "/again")
_GONE_THROUGH = (*_SIGNING_IN, "/set-up")  # after these a visit goes on under another id
_TOLD_ONCE = re.compile(r"said\.\w+|\w+\.said_\w+")  # the only texts that a cookie may ask for


class Needs(Enum):
    """Who is shown a page."""

    NOBODY = auto()
    VISIT = auto()  # whoever has shown a password, and a factor where they hold one
    FACTOR = auto()  # whoever has shown a factor
    FRESH = auto()  # the same, just now
    DESK = auto()  # the help desk
    DESK_FRESH = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """A page of ours.  `post`: it does something, and is given a form; `ends`: the visit, and no more.

    `instead`: where somebody goes who opens the path of what only takes a form, by the address bar, say.
    """

    path: str
    page: Page
    needs: Needs = Needs.NOBODY
    post: bool = False
    ends: bool = False
    instead: str = "/"

    @property
    def looks_anew(self) -> bool:
        """Whether the directory is asked whether whoever comes is still who they were."""
        of_desk = self.needs in (Needs.DESK, Needs.DESK_FRESH)
        return of_desk or (self.post and self.needs is not Needs.NOBODY and not self.ends)


class Guarded:
    """Answers requests for one path, by its routes."""

    def __init__(self, house: House, routes: Sequence[Route]) -> None:
        self._house = house
        self._get = next((each for each in routes if not each.post), None)
        self._post = next((each for each in routes if each.post), None)

    async def __call__(self, request: Request) -> Response:
        if self._house.is_another_host(request):
            return PlainTextResponse("This is not the host that was asked for.", 421)
        context = stranger(self._house, request)  # for as long as nobody was asked who it is
        try:
            context = await context_of(self._house, request)
            return await self._answered(context)
        except HTTPException as refused:
            status, error = refused.status_code, _kind(refused.status_code)
        except BackendError as broken:
            log.error("portal_backend_failed", error=str(broken))
            status, error = 503, "unavailable"
        except Exception as broken:  # the log gets where and what kind: an exception may quote a form
            log.error("internal_error", error=type(broken).__name__, where=place_of(broken))
            status, error = 500, "internal"
        context.said = ""
        return context.page("error.html", status, error=error)

    async def _answered(self, it: Context) -> Response:
        is_post = it.request.method == "POST"
        route = self._post if is_post else self._get or self._post
        if route is None:
            raise HTTPException(405)
        it.page_here = self._page_here(it)
        if is_post:
            if not came_from_us(self._house, it.request):
                raise HTTPException(403)
            it.form = await read_form(it.request)
            if not self._house.cookies.is_ours(it.value, it.form.get("csrf", "")):
                return self._stale(it, route)
        elif (language := it.request.query_params.get("language")) in LANGUAGES:
            response = it.go(it.here_again())
            self._house.cookies.set(response, browser.LANGUAGE, language)
            return response
        elif route.post:
            return it.go(it.here_again())
        if it.visit is not None and route.looks_anew and not await self._is_still_there(it, it.visit):
            return it.go("/sign-in", "said.signed_out")
        return self._not_for(it, route) or await route.page(it)

    async def _is_still_there(self, it: Context, visit: Visit) -> bool:
        """Whether the account is; else all its visits end.  The visit is as the directory lets it be now."""
        still = await self._still(visit)
        if still is None:
            await self._house.store.end_visits(visit.user_id)
            await it.sign_out()
        else:
            it.visit = still
        return still is not None

    async def _still(self, visit: Visit) -> Visit | None:
        """The visit as the directory lets it be now; None for an account that is gone or switched off.

        Raises DirectoryError: then nothing is done.
        """
        directory = self._house.directory
        deadline = self._house.clock.monotonic() + self._house.signing_in.nas.patience
        user = await directory.find(visit.username, deadline)
        if not isinstance(user, User) or user.id != visit.user_id or not user.active:
            return None
        if not visit.desk:
            return visit
        if user.lacks_groups:
            user = await directory.with_groups(user, deadline)
        return replace(visit, desk=self._house.is_of_desk(user))

    def _page_here(self, it: Context) -> str:
        """The path of a page that is there for who only opens it."""
        if self._get is None and self._post is not None:
            return self._post.instead.format_map(it.request.path_params)
        return it.request.url.path

    def _stale(self, it: Context, route: Route) -> Response:
        """A form of a visit that has ended, or of a browser that keeps no cookies."""
        if it.new_value and it.request.cookies == {}:
            return it.page("error.html", 403, error="cookies")
        if it.visit is not None and it.form.get("csrf") and route.path.startswith(_GONE_THROUGH):
            # Somebody has gone back, and sends once more what has worked.
            onward = next_of(it) if route.path.startswith(_SIGNING_IN) else "/set-up"
            return it.go(onward, "said.stale")
        if route.needs is Needs.NOBODY:
            return it.page("error.html", 403, error="stale")
        return (
            it.go("/sign-in", "said.signed_out") if it.visit is None else it.page("error.html", 403, error="stale")
        )

    def _not_for(self, it: Context, route: Route) -> Response | None:
        """Where somebody is sent to whom this is not shown."""
        needs = route.needs
        if needs is Needs.NOBODY:
            return None
        path = it.request.url.path
        if it.visit is None:
            return it.go("/sign-in" if path == "/" else f"/sign-in?next={quote(path)}")
        if needs is Needs.VISIT:
            return None
        if it.visit.factor is None:
            return it.go("/set-up")
        if needs in (Needs.DESK, Needs.DESK_FRESH) and not it.visit.may_help:
            # As if it were not there: who is of the desk and came in by mail is told where the desk is shown.
            raise HTTPException(404)
        if needs in (Needs.FRESH, Needs.DESK_FRESH) and not it.is_fresh:
            return it.again(path if not route.post else it.form.get("page", "/"))
        return None


async def context_of(house: House, request: Request) -> Context:
    """Who has sent it: the visit that their cookie names, while it lasts.  Raises StoreError."""
    cookies, it = house.cookies, stranger(house, request)
    if value := cookies.read(request, browser.VISIT):
        visit = await _visit(house, value)
        if visit is not None:
            chosen = cookies.read(request, browser.LANGUAGE)
            it.t = house.words(language_of(request, chosen, visit.language))
            # What is done in it is done from where they are now, be it theirs or not.
            it.visit, it.value, it.new_value = replace(visit, source=it.source), value, False
    said = cookies.read(request, browser.SAID) if request.method == "GET" else ""
    it.said = said if _TOLD_ONCE.fullmatch(said) and said in it.t else ""
    return it


def stranger(house: House, request: Request) -> Context:
    """Somebody of whom nothing is known but what the browser has from before signing in; nobody is asked."""
    value = house.cookies.read(request, browser.BROWSER)
    words = house.words(language_of(request, house.cookies.read(request, browser.LANGUAGE)))
    return Context(request, house, words, value or house.cookies.new_value(), None, new_value=not value)


async def context_or_stranger(house: House, request: Request) -> Context:
    """Who has sent it, as far as that is known just now."""
    try:
        return await context_of(house, request)
    except BackendError as broken:
        log.error("portal_backend_failed", error=str(broken))
        return stranger(house, request)


async def _visit(house: House, value: str) -> Visit | None:
    now = house.clock.wall()
    visit = await house.store.visit(house.cookies.visit_id(value), now)
    if visit is None:
        return None
    if visit.is_over(now, house.settings.idle_timeout):
        await house.store.end_visit(visit.id)
        return None
    await house.store.see_visit(visit.id, now)
    return visit


def came_from_us(house: House, request: Request) -> bool:
    """Whether the browser says so, where it says anything: what is no browser has no cookies of anybody."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    return site in (None, "same-origin", "none") and origin in (None, house.origin)


def _kind(status: int) -> str:
    return {403: "forbidden", 404: "missing", 405: "missing", 429: "too_many"}.get(status, "unreadable")


def headers_of(house: House) -> dict[str, str]:
    """What is said with every answer."""
    return HEADERS | ({"Strict-Transport-Security": _ONLY_TLS} if house.is_secure else {})
