"""What outlives a request: the portal's ports, its templates and words, and who has tried how often."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from radius_mfa.assembly.portal import PortalPorts
from radius_mfa.core.login import shown
from radius_mfa.core.messages import User
from radius_mfa.core.seldom import Seldom
from radius_mfa.data import CONFIG
from radius_mfa.portal.browser import Cookies
from radius_mfa.portal.limits import Limits
from radius_mfa.portal.once import Once
from radius_mfa.portal.words import Words, read_words

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_MOST_LINES = 10  # in a minute: strangers can make them

log = structlog.get_logger()


class House:
    """`origin`: scheme, host and port, as a browser says them of a form that is ours; `netloc`: host and port."""

    def __init__(self, ports: PortalPorts) -> None:
        self.settings = ports.settings
        self.signing_in = ports.signing_in
        self.self_service = ports.self_service
        self.help_desk = ports.help_desk
        self.directory = ports.directory
        self.store = ports.store
        self.sealer = ports.sealer
        self.clock = ports.clock
        self.texts = ports.texts
        self.events = ports.events
        url = urlsplit(ports.settings.url)
        self.origin = f"{url.scheme}://{url.netloc}"
        self.netloc = url.netloc.lower()
        self.is_secure = url.scheme == "https"
        self.cookies = Cookies(ports.sealer, ports.entropy, secure=self.is_secure)
        self.limits = Limits(ports.clock)
        self._lines = Seldom(_MOST_LINES)
        self.once = Once()
        self.templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._texts = read_words(CONFIG / "portal")

    def is_another_host(self, request: Request) -> bool:
        """Whether somebody else was asked for, which is then logged once in a while: it is a proxy's mistake."""
        host = request.headers.get("host", "")
        if host.lower() == self.netloc:
            return False
        came = shown(host.encode())
        if self._lines.may_say(came, self.clock.monotonic()):
            note = (
                f"portal.url is {self.origin}; a reverse proxy has to pass Host on "
                "(nginx: proxy_set_header Host $http_host)"
            )
            log.warning("another_host", host=came, note=note)
        return True

    def words(self, language: str) -> Words:
        """What the pages say in a language."""
        return Words(language, self._texts, self.settings.zone)

    def is_of_desk(self, user: User) -> bool:
        """Whether they are in one of the help desk's groups."""
        return not user.groups.isdisjoint(self.settings.help_desk)
