"""What outlives a request: the portal's ports, its templates and words, and who has tried how often."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from radius_mfa.assembly.portal import PortalPorts
from radius_mfa.core.messages import User
from radius_mfa.data import CONFIG
from radius_mfa.portal.browser import Cookies
from radius_mfa.portal.limits import Limits
from radius_mfa.portal.words import Words, read_words

_HERE = Path(__file__).parent
STATIC = _HERE / "static"


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
        self.templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._texts = read_words(CONFIG / "portal")

    def words(self, language: str) -> Words:
        """What the pages say in a language."""
        return Words(language, self._texts, self.settings.zone)

    def is_of_desk(self, user: User) -> bool:
        """Whether they are in one of the help desk's groups."""
        return not user.groups.isdisjoint(self.settings.help_desk)
