"""One request: who has sent it, in which language, with what in its form; and how it is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from radius_mfa.core.acts import Act
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.signing_in import Known
from radius_mfa.core.visits import Visit
from radius_mfa.portal import browser

if TYPE_CHECKING:
    from radius_mfa.portal.house import House
    from radius_mfa.portal.words import Words

_PATH = re.compile(r"/[a-z0-9/_-]*")
ANEW_FOR = 1800.0  # seconds that a visit by a mailed link may last


@dataclass(slots=True)
class Context:
    """One request.  `value`: of the cookie that names the visit, or else the browser; `form`: of a POST.

    `visit`: None for who has not signed in.
    """

    request: Request
    house: House
    t: Words
    value: str = field(repr=False)
    visit: Visit | None
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    new_value: bool = False  # the browser is to be told `value`
    said: str = ""
    page_here: str = "/"  # the path that this page has for who only opens it

    # --- who ----------------------------------------------------------------------------------------

    @property
    def here(self) -> Visit:
        """The visit, on a page that nobody else is shown."""
        assert self.visit is not None
        return self.visit

    @property
    def host(self) -> str:
        """The browser's address."""
        return self.request.client.host if self.request.client else ""

    @property
    def source(self) -> str:
        """The same with the port, as the audit file has it."""
        port = self.request.client.port if self.request.client else 0
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    @property
    def is_inside(self) -> bool:
        """Whether they are in one of the networks that a first factor is set up from."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.house.settings.networks)

    @property
    def is_fresh(self) -> bool:
        """Whether password and factor were shown just now."""
        return self.here.is_fresh(self.house.clock.wall())

    # --- what is answered ---------------------------------------------------------------------------

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """A page of ours."""
        html = self.house.templates.get_template(template).render(
            it=self,
            t=self.t,
            visit=self.visit,
            settings=self.house.settings,
            said=self.said,
            **values,
        )
        response = HTMLResponse(html, status)
        if self.said:
            self.house.cookies.drop(response, browser.SAID)
        return self._told(response)

    def go(self, path: str, said: str = "") -> Response:
        """On to another page of ours (303), where `said`, the key of a text, is told once."""
        response = RedirectResponse(path, 303)
        if said:
            self.house.cookies.set(response, browser.SAID, said)
        return self._told(response)

    def here_again(self, language: str = "") -> str:
        """This page for who opens it, also where it has answered a form; `language`: in that one."""
        kept = {name: value for name, value in self.request.query_params.items() if name != "language"}
        if self.form.get("next"):
            kept["next"] = next_of(self)
        query = urlencode(kept | ({"language": language} if language else {}), safe="/")
        if language and self.page_here == self.request.url.path:
            return f"?{query}"  # no page says its own path: that of a mailed link is nobody else's
        return f"{self.page_here}?{query}" if query else self.page_here

    def again(self, path: str, said: str = "") -> Response:
        """To where password and factor are shown once more, and then on to `path`; `said`: as in `go`."""
        return self.go(f"/again?next={quote(path)}", said)

    def _told(self, response: Response) -> Response:
        if self.new_value:
            self.house.cookies.set(response, browser.VISIT if self.visit else browser.BROWSER, self.value)
            if self.visit is None and self.house.cookies.read(self.request, browser.VISIT):
                self.house.cookies.drop(response, browser.VISIT)  # it names nothing any more
        return response

    # --- visits -------------------------------------------------------------------------------------

    async def begin(self, known: Known, *, anew: bool = False) -> bool:
        """Begin a visit, in place of the one there was; False where that has just been ended, or all were."""
        house, now, user = self.house, self.house.clock.wall(), known.user
        before = self.visit if self.visit is not None and self.visit.user_id == user.id else None
        value = house.cookies.new_value()
        lifetime = ANEW_FOR if anew else house.settings.visit_lifetime
        visit = Visit(
            id=house.cookies.visit_id(value),
            user_id=user.id,
            username=user.username,
            language=user.language or self.t.language,
            factor=known.factor,
            desk=self.house.is_of_desk(user),
            source=self.source,
            begun=now,
            shown=known.since,
            seen=now,
            expires=now + lifetime,
            anew=anew,
        )
        if before is None and self.visit is not None:
            await house.store.end_visit(self.visit.id)  # somebody else's, at the same browser
        if not await self._replaced(visit, value, before):
            return False
        house.self_service.signed(visit, Act.SIGNED_IN)
        return True

    async def has_shown(self, factor: FactorKind) -> bool:
        """What was just set up in this visit was shown in it: it goes on under another id (fixation)."""
        value = self.house.cookies.new_value()
        now = self.house.clock.wall()
        new = replace(
            self.here,
            id=self.house.cookies.visit_id(value),
            factor=factor,
            # Whoever helps is somebody who had a factor before today, and has shown it: not just a mailbox.
            desk=self.here.desk and self.here.factor not in (None, FactorKind.MAIL),
            shown=now,
            seen=now,
            expires=self.here.begun + self.house.settings.visit_lifetime,
            voucher="",
            anew=False,
            pending=b"",
        )
        return await self._replaced(new, value, self.visit)

    async def _replaced(self, visit: Visit, value: str, before: Visit | None) -> bool:
        if not await self.house.store.begin_visit(visit, before.id if before else ""):
            return False
        self.visit, self.value, self.new_value = visit, value, True
        return True

    async def sign_out(self) -> None:
        """End the visit, and have the browser know nothing of it."""
        if self.visit is not None:
            await self.house.store.end_visit(self.visit.id)
            self.house.self_service.signed(self.visit, Act.SIGNED_OUT)
        self.visit, self.value, self.new_value = None, self.house.cookies.new_value(), True


def next_of(it: Context) -> str:
    """The page of ours that they were on their way to."""
    path = it.form.get("next") or it.request.query_params.get("next") or "/"
    return path if _PATH.fullmatch(path) and not path.startswith("//") else "/"
