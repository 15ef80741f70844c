"""A portal with all it asks of the world, and browsers in front of it, which know HTML and cookies but no script.

    with portal() as it:
        it.house.enrol("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        browser.open("/tokens")
        browser.press("Add an app")
        assert "Scan" in browser.page.text

Nothing stands in for code of ours: it is the application that a web server is given, over SQLite in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import yaml
from starlette.types import ASGIApp

from radius_mfa.assembly.portal import PortalPorts, PortalSettings
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.enrolment import ADDRESS, Enrolment, EnrolmentRules
from radius_mfa.core.guard import Guard
from radius_mfa.core.help_desk import HelpDesk
from radius_mfa.core.links import link_token
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import AuditEvent, FactorKind, Nas, Profile
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.rules import Rules
from radius_mfa.core.self_service import SelfService, SelfServiceRules
from radius_mfa.core.signing_in import SigningIn
from radius_mfa.core.stored import Mail, MailKind
from radius_mfa.core.trust import TrustedDevices
from radius_mfa.core.visits import PORTAL
from radius_mfa.core.world import Ports
from radius_mfa.data import CONFIG
from radius_mfa.factors.mail import PURPOSE
from radius_mfa.factors.totp import read_base32
from radius_mfa.observe.audit import as_record
from radius_mfa.portal.app import application
from radius_mfa.service.texts import Texts
from tests.adapters import PASSWORD, House, house

URL = "https://mfa.example.ac.jp"
HOME = "192.0.2.9"  # in no network of the university
CAMPUS = "10.1.2.3"
ALL = frozenset({FactorKind.TOTP, FactorKind.MAIL, FactorKind.RECOVERY_CODES})
HELP_DESK = "help-desk"
EVERYWHERE = Policy("everywhere", factors=ALL, trust_device=True)

SETTINGS = PortalSettings(
    url=URL,
    issuer="Example University",
    contact="Ask the IT desk: 0123-45-6789.",
    networks=(ip_network("10.0.0.0/8"),),
    voucher=True,
    wait=86400.0,
    initialise=True,
    help_desk=frozenset({HELP_DESK}),
    idle_timeout=900.0,
    visit_lifetime=8 * 3600.0,
    served=ALL,
    first=FactorKind.TOTP,
    zone=UTC,
    password_url="https://password.example.ac.jp/",
)
# A refusal is held back for a moment: here for as good as none.
NAS = Nas(PORTAL, Profile("generic"), timeout=0.01)


@contextmanager
def portal(*, blocked: Sequence[str] = ("blocked.example",), **settings: Any) -> Iterator[Portal]:
    """A portal; `settings`: fields of `PortalSettings` that are otherwise."""
    with house((EVERYWHERE,)) as it:
        yield Portal(it, replace(SETTINGS, **settings), blocked)


class Portal:
    """The portal in front of a `house`, whose users are alice, bob and carol.  `audit`: what was written there."""

    def __init__(self, it: House, settings: PortalSettings, blocked: Sequence[str]) -> None:
        self.house = it
        self.settings = settings
        self.audit: list[AuditEvent] = []
        self._blocked = blocked
        self.app: ASGIApp = application(self.ports())

    def open_again(self) -> None:
        """Over what the house has now."""
        self.app = application(self.ports())

    def ports(self) -> PortalPorts:
        """As the configuration would have them put together."""
        it, settings = self.house, self.settings
        rules = EnrolmentRules(self._blocked, settings.first)
        self.enrolment = Enrolment(it.store, it.sealer, it.totp, it.clock, it.entropy, rules)
        mine = (self.enrolment, it.store, it.sealer, it.clock, it.entropy, self.audit.append)
        own = SelfServiceRules(settings.served, settings.wait, settings.initialise)
        return PortalPorts(
            settings=settings,
            signing_in=SigningIn(
                self._conversation(Policy(PORTAL, factors=frozenset(settings.served))),
                self._conversation(Policy(PORTAL, second_factor=SecondFactor.NEVER)),
                it.directory,
                NAS,
                it.clock,
                self.audit.append,
            ),
            self_service=SelfService(*mine, own),
            help_desk=HelpDesk(
                self.enrolment,
                it.store,
                it.directory,
                it.clock,
                it.entropy,
                self.audit.append,
                vouchers=settings.voucher,
            ),
            directory=it.directory,
            store=it.store,
            sealer=it.sealer,
            clock=it.clock,
            entropy=it.entropy,
            texts=_texts(settings),
            events=self._events,
        )

    def _conversation(self, policy: Policy) -> Conversation:
        it = self.house
        factors = {each.kind: each for each in (it.totp, it.mail, it.recovery)}
        mailing = Mailing(it.mail, it.doorbell, it.store, it.clock, it.entropy)
        trusted = TrustedDevices(it.store, it.clock, it.entropy, 0.0)
        ports = Ports(it.directory, it.store, factors, it.sealer, it.clock, it.entropy, trusted, mailing)
        return Conversation(ports, Rules((policy,), Guard(), 300.0, UTC))

    async def _events(self, user_id: str, username: str) -> list[Mapping[str, Any]]:
        return [as_record(each) for each in reversed(self.audit) if each.user_id == user_id]

    def browser(self, host: str = HOME, language: str = "en") -> Browser:
        """Somebody's browser, which has never been here."""
        return Browser(self, host, language)

    def mails(self) -> list[Letter]:
        """What has come into the outbox since the last time."""
        it = self.house
        now = it.clock.wall()
        mails = it.run(it.store.claim_mails(now, now + 60, 100))
        for mail in mails:
            it.run(it.store.drop_mail(mail.id))
        return [Letter(mail, self._carried(mail)) for mail in mails]

    def _carried(self, mail: Mail) -> str:
        it = self.house
        if mail.kind is MailKind.LINK:
            return link_token(it.sealer, mail.id)
        if not mail.code:
            return ""
        purpose = PURPOSE if mail.kind is MailKind.CODE else ADDRESS
        code = it.sealer.open(purpose, mail.code, mail.user_id, mail.id)
        assert code is not None
        return code.decode()

    def voucher_for(self, username: str) -> str:
        """One of the help desk's."""
        user = self.house.user(username)
        return self.house.run(self.enrolment.issue_voucher(user.id, username))[0]

    def next_code(self, username: str, token: int = 0) -> str:
        """What the user's app shows next, when that is."""
        self.house.clock.advance(30)
        return self.house.code(username, token=token)

    def knows(self, username: str, key: str) -> None:
        """The user's app has read that key, as the page shows it: `house.code` is of it, the last of theirs."""
        seed = read_base32(key)
        assert seed is not None
        self.house.seeds.setdefault(username, []).append(seed)

    def acts(self) -> list[str]:
        """What the audit file has, each in two words."""
        return [f"{each.decision} {each.outcome}" for each in self.audit]


@dataclass(frozen=True)
class Letter:
    """A mail.  `carried`: its code, or the token at the end of its link."""

    mail: Mail
    carried: str


@dataclass
class Form:
    """A form of a page, with what it would send as it stands.  `buttons`: what they say, and name and value."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Page:
    """What a browser shows.  `path`: where it is; `hops`: what led there; `said`: headers, names in lower case."""

    path: str
    status: int
    said: list[tuple[str, str]]
    html: str
    hops: tuple[str, ...] = ()
    text: str = ""
    title: str = ""
    headings: list[tuple[str, str]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)  # what stands there as code, or in a list of codes
    links: dict[str, str] = field(default_factory=dict)  # text to address
    forms: list[Form] = field(default_factory=list)

    def header(self, name: str) -> str:
        """The first of that name, "" for none."""
        return next((value for each, value in self.said if each == name), "")


class Browser:
    """One browser with its cookies.  `host`: its address."""

    def __init__(self, portal: Portal, host: str, language: str) -> None:
        self._portal = portal
        self._host = host
        self._language = language
        self.cookies: dict[str, str] = {}
        self.page = Page("", 0, [], "")

    # --- as a person uses it ---

    def open(self, path: str) -> Page:
        """Go to an address, and wherever that leads."""
        return self._follow("GET", path, None)

    def follow(self, text: str) -> Page:
        """Click on the link that says so."""
        return self.open(urljoin(self.page.path, self.page.links[text]))

    def press(self, button: str, **typed: str) -> Page:
        """Press the (first) button that says so, after something was typed into the fields of its form."""
        for form in self.page.forms:
            for text, name, value in form.buttons:
                if text == button and typed.keys() <= form.fields.keys():
                    return self._send(form, {**form.fields, **typed, **({name: value} if name else {})})
        said = [text for form in self.page.forms for text, _, _ in form.buttons]
        raise AssertionError(f"no button {button!r} with {sorted(typed)} on {self.page.path}: {said}")

    def submit(self, action: str = "", **typed: str) -> Page:
        """Send the form to `action`, or the first that has all these fields, by its first button."""
        for form in self.page.forms:
            if (action in ("", form.action)) and typed.keys() <= form.fields.keys():
                _, name, value = form.buttons[0]
                return self._send(form, {**form.fields, **typed, **({name: value} if name else {})})
        raise AssertionError(f"no such form on {self.page.path}: {self.page.text}")

    def sign_in(self, username: str, code: str = "", password: str = PASSWORD) -> Page:
        """Name and password, and a code where one is asked for."""
        self.open("/sign-in")
        self.submit(username=username, password=password)
        return self.submit(code=code) if code else self.page

    def sign_in_by_mail(self, username: str) -> Page:
        """Name and password, and a code that was asked for by mail."""
        self._portal.mails()
        self.sign_in(username)
        if "Send me a code by e-mail" in [text for form in self.page.forms for text, _, _ in form.buttons]:
            self.press("Send me a code by e-mail")
        (letter,) = self._portal.mails()
        return self.submit(code=letter.carried)

    def show_again(self, code: str, password: str = PASSWORD) -> Page:
        """Password and code once more, on the page that asks for them."""
        self.submit("/again", password=password)
        return self.submit("/again/code", code=code)

    # --- as a program does ---

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Page:
        """Send a form that no page has offered; header names with `_` for `-`."""
        said = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self._follow("POST", path, fields, said)

    def csrf(self) -> str:
        """What the forms of the page carry."""
        return self.page.forms[0].fields["csrf"]

    def post_at_once(self, path: str, forms: Sequence[Mapping[str, str]]) -> list[int]:
        """The same browser sends several forms at the same time: the statuses."""

        async def all_of_them() -> list[Page]:
            return await asyncio.gather(*(self._asked("POST", path, fields) for fields in forms))

        return [page.status for page in self._portal.house.run(all_of_them())]

    def _send(self, form: Form, fields: Mapping[str, str]) -> Page:
        assert form.method == "post", form
        return self._follow("POST", urljoin(self.page.path, form.action), fields)

    def _follow(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str] | None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Page:
        hops: list[str] = []
        page = self._portal.house.run(self._asked(method, path, fields, headers))
        while page.status in (302, 303, 307):
            hops.append(page.path)
            assert len(hops) < 8, hops
            page = self._portal.house.run(self._asked("GET", page.header("location"), None))
        page.hops = tuple(hops)
        self.page = page
        return page

    async def _asked(
        self, method: str, path: str, fields: Mapping[str, str] | None, headers: Sequence[tuple[str, str]] = ()
    ) -> Page:
        url = urlsplit(path)
        body = urlencode(fields).encode() if fields is not None else b""
        said = {"host": urlsplit(URL).netloc, "accept-language": self._language, "sec-fetch-site": "same-origin"}
        if fields is not None:
            said |= {"content-type": "application/x-www-form-urlencoded", "origin": URL}
        if self.cookies:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        said |= dict(headers)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": url.path,
            "raw_path": url.path.encode(),
            "root_path": "",
            "query_string": url.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "client": (self._host, 50_000),
            "server": ("127.0.0.1", 443),
        }
        status, answered, octets = await _called(self._portal.app, scope, body)
        for name, value in answered:
            if name == "set-cookie":
                self._keep(value)
        return _read(Page(url.path, status, answered, octets.decode(errors="replace")))

    def _keep(self, said: str) -> None:
        for name, morsel in SimpleCookie(said).items():
            if morsel["max-age"] == "0" or not morsel.value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value


async def _called(app: ASGIApp, scope: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of what an application answers."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:])


def _read(page: Page) -> Page:
    if page.header("content-type").startswith("text/html"):
        reader = _Reader(page)
        reader.feed(page.html)
        reader.close()
        page.text = " ".join(" ".join(reader.texts).split())
    else:
        page.text = page.html
    return page


_CALLED = ("a", "button", "title", "h1", "h2", "h3", "h4", "textarea", "code")


class _Reader(HTMLParser):
    """Finds in a page what a person would."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self.texts: list[str] = []
        self._inside: list[tuple[str, dict[str, str], int]] = []  # what is to be called by the text within it
        self._form: Form | None = None
        self._select = ""
        self._in_codes = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "ul":
            self._in_codes = said.get("class") == "codes"
        if tag in _CALLED or (tag == "li" and self._in_codes):
            self._inside.append((tag, said, len(self.texts)))
        if tag == "form":
            self._form = Form(said.get("action", ""), said.get("method", "get"))
            self._page.forms.append(self._form)
        elif tag == "input" and self._form is not None and said.get("name"):
            if said.get("type") not in ("checkbox", "radio") or "checked" in said:
                self._form.fields[said["name"]] = said.get("value", "")
        elif tag == "select":
            self._select = said.get("name", "")
        elif tag == "option" and self._form is not None and self._select:
            is_first = self._select not in self._form.fields
            if "selected" in said or is_first:
                self._form.fields[self._select] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if not self._inside or self._inside[-1][0] != tag:
            return
        _, said, since = self._inside.pop()
        text = " ".join(" ".join(self.texts[since:]).split())
        if tag == "a":
            self._page.links[text] = said.get("href", "")
        elif tag in ("code", "li"):
            self._page.codes.append(text)
        elif tag == "title":
            self._page.title = text
        elif tag == "textarea" and self._form is not None:
            self._form.fields[said["name"]] = text
        elif tag == "button" and self._form is not None:
            self._form.buttons.append((text, said.get("name", ""), said.get("value", "")))
        elif tag.startswith("h"):
            self._page.headings.append((tag, text))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _texts(settings: PortalSettings) -> Texts:
    languages = {
        language: yaml.safe_load((CONFIG / "messages" / f"{language}.yaml").read_text("utf-8"))
        for language in ("en", "ja")
    }
    return Texts(languages, settings.contact, settings.password_url)
