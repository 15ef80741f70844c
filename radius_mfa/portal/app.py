"""The portal as an application: which path is which page."""

from __future__ import annotations

from collections import defaultdict

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as Path
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radius_mfa.assembly.portal import PortalPorts
from radius_mfa.portal.guarded import Guarded, Route, context_or_stranger, headers_of
from radius_mfa.portal.house import STATIC, House
from radius_mfa.portal.pages import (
    address,
    desk,
    devices,
    home,
    logins,
    lost,
    recovery_codes,
    set_up,
    sign_in,
    tokens,
)

PAGES = (
    *sign_in.ROUTES,
    *home.ROUTES,
    *set_up.ROUTES,
    *tokens.ROUTES,
    *address.ROUTES,
    *recovery_codes.ROUTES,
    *devices.ROUTES,
    *logins.ROUTES,
    *lost.ROUTES,
    *desk.ROUTES,
)


def application(ports: PortalPorts) -> ASGIApp:
    """What a web server is given."""
    house = House(ports)
    by_path: dict[str, list[Route]] = defaultdict(list)
    for route in PAGES:
        by_path[route.path].append(route)
    paths = []
    for path, routes in by_path.items():
        guarded = Guarded(house, routes)
        paths.append(Path(path, guarded.__call__, methods=["GET", "POST"]))

    async def missing(request: Request, refused: Exception) -> Response:
        assert isinstance(refused, HTTPException)
        if house.is_another_host(request):
            return PlainTextResponse("This is not the host that was asked for.", 421)
        it = await context_or_stranger(house, request)
        response = it.page("error.html", refused.status_code, error="missing")
        response.headers.update(refused.headers or {})
        return response

    async def ready(_: Request) -> Response:
        """Whether somebody could sign in now, for whoever sends browsers here."""
        broken = await ports.unready()
        lines = [f"{part}: it does not work\n" for part in broken]
        return PlainTextResponse("".join(lines) or "ok", 503 if broken else 200)

    app = Starlette(
        routes=[
            Path("/health", _healthy),
            Path("/healthz", _healthy),
            Path("/readyz", ready),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
            *paths,
        ],
        exception_handlers={404: missing, 405: missing},
    )
    app.router.redirect_slashes = False  # it would say where to by whatever host was asked for
    return _WithHeaders(app, headers_of(house))


async def _healthy(_: Request) -> Response:
    """Whoever balances loads asks by whatever name."""
    return PlainTextResponse("ok")


_FOUND = (200, 206, 304)


class _WithHeaders:
    """Says the same with every answer, whoever gives it; what is static may be kept for an hour.

    But only where it is there: a page that says it is not has a cookie for one browser alone.
    """

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._kept = [each for each in self._headers if each[0] != b"cache-control"]
        self._kept.append((b"cache-control", b"public, max-age=3600"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_static = scope.get("path", "").startswith("/static/")

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = self._kept if is_static and message["status"] in _FOUND else self._headers
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        await self._app(scope, receive, sent)
