"""The portal's doors: what is looked at before any page is, and said with every one."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog.testing
from starlette.requests import Request
from starlette.responses import Response

from radius_mfa.core.acts import Act
from radius_mfa.core.errors import DirectoryError, StoreError
from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.portal.app import application
from radius_mfa.portal.context import Context
from radius_mfa.portal.guarded import HEADERS, POLICY, Guarded, Needs, Route
from radius_mfa.portal.house import House
from tests.adapters import PASSWORD, PERIOD, Fuse, fused, user_named
from tests.portal.browsing import HELP_DESK, HOME, URL, Browser, Portal, portal

HOST = "mfa.example.ac.jp"
VISIT, BROWSER = "__Host-visit", "__Host-browser"


@pytest.fixture
def it() -> Iterator[Portal]:
    with portal() as it:
        it.house.enrol("alice")
        yield it


def signed_in(it: Portal, username: str = "alice") -> Browser:
    browser = it.browser()
    browser.sign_in(username, it.house.code(username))
    assert VISIT in browser.cookies
    return browser


def is_signed_in(browser: Browser) -> bool:
    return browser.open("/again").path == "/again"


class Answer:
    """What an application has said, to the octet."""

    def __init__(self, sent: list[Any]) -> None:
        self.status: int = sent[0]["status"]
        self.headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
        self.text = b"".join(each.get("body", b"") for each in sent[1:]).decode()

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]


def ask(
    it: Portal, path: str = "/sign-in", method: str = "GET", body: bytes = b"", app: Any = None, **said: str
) -> Answer:
    """One request, with these headers; `_` for `-`."""
    headers = {"host": HOST, **{name.replace("_", "-"): value for name, value in said.items()}}
    sent: list[Any] = []

    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not left:
            await asyncio.Event().wait()  # nobody hangs up
        return left.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (HOME, 50_000), "server": ("127.0.0.1", 443),
    }  # fmt: skip

    async def answered() -> None:
        await (app or it.app)(scope, receive, send)

    it.house.run(answered())
    return Answer(sent)


def post(it: Portal, fields: Mapping[str, str], path: str = "/sign-in", app: Any = None, **said: str) -> Answer:
    kind = {"content_type": "application/x-www-form-urlencoded", **said}
    return ask(it, path, "POST", urlencode(fields).encode(), app, **kind)


# --- what is said with every answer -------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/sign-in", "GET", 200),
        ("/sign-in", "HEAD", 200),
        ("/again", "GET", 303),
        ("/no/such", "GET", 404),
        ("/sign-in", "PUT", 405),
        ("/sign-in", "OPTIONS", 405),
        ("/sign-out", "GET", 303),
        ("/sign-in", "POST", 415),
        ("/health", "GET", 200),
        ("/healthz", "GET", 200),
        ("/readyz", "GET", 200),
        ("/readyz", "HEAD", 200),
        ("/readyz", "POST", 405),
        ("/static/portal.css", "GET", 200),
        ("/static/no.css", "GET", 404),
        ("/static/../house.py", "GET", 404),
        ("/static/%2e%2e/house.py", "GET", 404),
    ],
)
def test_every_answer_says_what_keeps_others_out(it: Portal, path: str, method: str, status: int) -> None:
    said = ask(it, path, method)

    assert said.status == status
    for name, value in HEADERS.items():
        if name != "Cache-Control":
            assert said.all(name.lower()) == [value]
    assert said.all("strict-transport-security") == ["max-age=31536000"]
    kept = path == "/static/portal.css"
    assert said.all("cache-control") == ["public, max-age=3600" if kept else "no-store"]


def test_whoever_sends_browsers_here_is_told_what_does_not_work(it: Portal) -> None:
    """By whatever name the portal is asked, and without a word about anybody."""

    async def unready() -> tuple[str, ...]:
        return ("directory", "store")

    said = ask(it, "/readyz", app=application(replace(it.ports(), unready=unready)), host="10.0.0.1")

    assert (said.status, said.text) == (503, "directory: it does not work\nstore: it does not work\n")
    assert said.all("set-cookie") == []


def test_nothing_that_may_be_kept_by_a_proxy_has_a_cookie(it: Portal) -> None:
    """Else whoever asks first for a file that is not there gives everybody behind that proxy their own cookie."""
    for path in ("/static/portal.css", "/static/no.css", "/sign-in"):
        said = ask(it, path)
        assert not said.all("set-cookie") or said.all("cache-control") == ["no-store"]


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= set(POLICY.split("; "))


def test_without_tls_nothing_is_said_of_it() -> None:
    with portal(url="http://127.0.0.1:8080") as it:
        said = ask(it, host="127.0.0.1:8080")

        assert said.status == 200
        assert said.all("strict-transport-security") == []
        assert [value.partition("=")[0] for value in said.all("set-cookie")] == ["browser"]


@pytest.mark.parametrize("host", ["", "evil.example", f"{HOST}:8443", f"{HOST}.evil.example", "127.0.0.1"])
@pytest.mark.parametrize("path", ["/sign-in", "/no/such"])
def test_another_host_is_not_served(it: Portal, host: str, path: str) -> None:
    said = ask(it, path, host=host)

    assert said.status == 421
    assert said.all("set-cookie") == []
    assert said.all("x-frame-options") == ["DENY"]


@pytest.mark.parametrize("host", [HOST, "evil.example"])
@pytest.mark.parametrize("path", ["/sign-in/", "/tokens/", "/health/", "/static", "/static/", "//sign-in"])
def test_a_slash_too_many_or_too_few_leads_nowhere(it: Portal, host: str, path: str) -> None:
    """A redirection would name the host that was asked for, whoever has named it."""
    said = ask(it, path, host=host)

    assert said.status == (404 if host == HOST else 421)
    assert said.all("location") == []
    assert "evil" not in str(said.headers) + said.text


def test_another_host_is_logged_once_in_a_while_with_the_remedy(it: Portal) -> None:
    """Else nobody sees what a proxy has forgotten; a stranger who makes hosts up cannot fill the log."""
    with structlog.testing.capture_logs() as logged:
        for path in ("/sign-in", "/no/such", "/sign-in"):
            ask(it, path, host="127.0.0.1:8080")
        ask(it, host=HOST)
        it.house.clock.advance(61)
        ask(it, host="127.0.0.1:8080")

    hint = f"portal.url is {URL}; a reverse proxy has to pass Host on (nginx: proxy_set_header Host $http_host)"
    line = {"event": "another_host", "log_level": "warning", "host": "127.0.0.1:8080", "note": hint}
    assert logged == [line, line]

    it.house.clock.advance(61)
    with structlog.testing.capture_logs() as logged:
        for at in range(20):
            ask(it, host=f"\x1b[2J{at}" + "x" * 1000)
    assert len(logged) == 10
    assert all(each["host"].isprintable() and len(each["host"]) == 128 for each in logged)


def test_a_host_is_known_in_any_case(it: Portal) -> None:
    assert ask(it, host=HOST.upper()).status == 200


# --- forms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, 403),  # nothing: then it takes what only our page knows, and here the page's cookie is missing
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": URL + ".evil.example"}, 403),
        ({"origin": "http://" + HOST}, 403),
    ],
)
def test_a_form_from_elsewhere_does_nothing(it: Portal, said: dict[str, str], status: int) -> None:
    answered = post(it, {"username": "alice", "password": PASSWORD, "csrf": "0" * 32}, **said)

    assert answered.status == status
    assert it.acts() == []


@pytest.mark.parametrize(
    ("said", "is_read"),
    [
        ({}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-origin", "origin": URL}, True),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "origin": URL}, False),
        ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, False),
    ],
)
def test_what_the_browser_says_counts_besides_what_the_page_carries(
    it: Portal, said: dict[str, str], is_read: bool
) -> None:
    browser = it.browser()
    browser.open("/sign-in")
    fields = {"username": "alice", "password": PASSWORD, "csrf": browser.csrf()}
    cookie = f"{BROWSER}={browser.cookies[BROWSER]}"

    assert (post(it, fields, cookie=cookie, **said).status == 200) is is_read
    assert (it.acts() == ["challenge challenged"]) is is_read


@pytest.mark.parametrize("token", ["", "0" * 32, "é", "of another browser"])
def test_a_form_has_to_carry_what_only_our_page_knows(it: Portal, token: str) -> None:
    browser, other = it.browser(), it.browser()
    browser.open("/sign-in")
    other.open("/sign-in")
    page = browser.post(
        "/sign-in", {"username": "alice", "password": PASSWORD, "csrf": other.csrf() if " " in token else token}
    )

    assert page.status == 403
    assert "too old" in page.text
    assert it.acts() == []


def test_who_keeps_no_cookies_is_told_so(it: Portal) -> None:
    said = post(it, {"username": "alice", "csrf": "x"})

    assert said.status == 403
    assert "keeps no cookies" in said.text


def test_a_form_of_a_visit_is_none_of_what_was_before_it(it: Portal) -> None:
    browser = it.browser()
    browser.open("/sign-in")
    before = browser.csrf()
    browser.submit(username="alice", password=PASSWORD)
    browser.submit(code=it.house.code("alice"))

    page = browser.post("/sign-out", {"csrf": before})
    assert page.status == 403
    assert is_signed_in(browser)


def test_a_form_of_a_visit_that_is_over_leads_to_signing_in(it: Portal) -> None:
    browser = signed_in(it)
    browser.open("/again")
    token = browser.csrf()
    it.house.clock.advance(it.settings.idle_timeout)

    page = browser.post("/sign-out", {"csrf": token})
    assert (page.path, page.status) == ("/sign-in", 200)
    assert "signed out" in page.text


def test_what_is_too_long_or_no_form_is_refused(it: Portal) -> None:
    assert post(it, {"username": "x" * 20_000}).status == 413
    assert post(it, {}, content_type="application/json").status == 415
    assert post(it, {str(number): "" for number in range(30)}).status == 400


# --- visits -------------------------------------------------------------------------------------


def test_what_a_stranger_has_put_into_a_browser_never_becomes_a_visit(it: Portal) -> None:
    chosen = "f" * 64
    browser = it.browser()
    browser.cookies |= {VISIT: chosen, BROWSER: chosen}

    browser.sign_in("alice", it.house.code("alice"))

    assert is_signed_in(browser)
    assert browser.cookies[VISIT] != chosen
    thief = it.browser()
    thief.cookies = {VISIT: chosen, BROWSER: chosen}
    assert not is_signed_in(thief)


def test_the_value_changes_whenever_password_and_factor_are_shown(it: Portal) -> None:
    browser = signed_in(it)
    thief = it.browser()
    thief.cookies = dict(browser.cookies)
    assert is_signed_in(thief)

    it.house.clock.advance(PERIOD)
    browser.open("/again")
    browser.show_again(it.house.code("alice"))

    assert is_signed_in(browser)
    assert not is_signed_in(thief)


def test_the_value_of_a_visit_is_not_in_the_store(it: Portal) -> None:
    browser = signed_in(it)
    value = browser.cookies[VISIT]
    stored = it.house.run(it.house.store.visit(value, it.house.clock.wall()))

    assert stored is None
    assert value not in repr(it.audit)


def test_a_visit_ends_once_nothing_was_done_for_a_while(it: Portal) -> None:
    browser = signed_in(it)
    for _ in range(3):
        it.house.clock.advance(it.settings.idle_timeout - 40)
        assert is_signed_in(browser)
    it.house.clock.advance(it.settings.idle_timeout)

    assert not is_signed_in(browser)


def test_a_visit_ends_whatever_is_done(it: Portal) -> None:
    browser = signed_in(it)
    for _ in range(int(it.settings.visit_lifetime / 800) - 1):
        it.house.clock.advance(800)
        browser.open("/again")
    assert is_signed_in(browser)
    it.house.clock.advance(800)

    assert not is_signed_in(browser)


def test_signing_out_ends_it_for_everybody_who_has_the_cookie(it: Portal) -> None:
    browser = signed_in(it)
    thief = it.browser()
    thief.cookies = dict(browser.cookies)
    browser.open("/again")

    assert browser.submit("/sign-out").path == "/sign-in"
    assert not is_signed_in(thief)
    assert VISIT not in browser.cookies
    assert it.acts()[-2:] == ["done signed_in", "done signed_out"]


def test_what_is_done_in_a_visit_is_audited_with_where_it_is_done_from(it: Portal) -> None:
    browser = signed_in(it)
    thief = it.browser("203.0.113.66")
    thief.cookies = dict(browser.cookies)
    thief.open("/again")
    thief.submit("/sign-out")

    assert (it.audit[-1].outcome, it.audit[-1].source) == (Act.SIGNED_OUT, "203.0.113.66:50000")


# --- who is shown what --------------------------------------------------------------------------


def guarded(it: Portal, page: Any, needs: Needs = Needs.NOBODY, ports: Any = None) -> Any:
    """An application of that one page, at whatever path."""
    door = Guarded(House(ports or it.ports()), [Route("/page", page, needs)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await door(Request(scope, receive)))(scope, receive, send)

    return app


async def fine(it: Context) -> Response:
    return Response("fine")


@pytest.mark.parametrize(
    ("needs", "factor", "desk", "age", "leads_to"),
    [
        (Needs.NOBODY, None, False, 0, ""),
        (Needs.VISIT, None, False, 0, ""),
        (Needs.FACTOR, None, False, 0, "/set-up"),
        (Needs.FRESH, None, False, 0, "/set-up"),
        (Needs.DESK, None, True, 0, "/set-up"),
        (Needs.FACTOR, FactorKind.MAIL, False, 700, ""),
        (Needs.FRESH, FactorKind.MAIL, False, 0, ""),
        (Needs.FRESH, FactorKind.MAIL, False, 700, "/again?next=/page"),
        (Needs.DESK, FactorKind.TOTP, False, 0, "404"),
        (Needs.DESK, FactorKind.MAIL, True, 0, "404"),
        (Needs.DESK, FactorKind.TOTP, True, 700, ""),
        (Needs.DESK_FRESH, FactorKind.TOTP, True, 700, "/again?next=/page"),
        (Needs.DESK_FRESH, FactorKind.TOTP, True, 0, ""),
    ],
)
def test_a_page_is_shown_to_whom_it_is_for(
    it: Portal, needs: Needs, factor: FactorKind | None, desk: bool, age: float, leads_to: str
) -> None:
    cookies = House(it.ports()).cookies
    it.house.visit(factor=factor, desk=desk, id=cookies.visit_id("v"))
    if desk:
        it.house.directory.users["alice"] = replace(it.house.user("alice"), groups=frozenset({HELP_DESK}))
    it.house.clock.advance(age)
    said = ask(it, "/page", app=guarded(it, fine, needs), cookie=f"{VISIT}=v")

    if leads_to == "404":
        assert said.status == 404
    else:
        assert said.all("location") == ([leads_to] if leads_to else [])
        assert (said.text == "fine") is (leads_to == "")


@pytest.mark.parametrize("needs", [each for each in Needs if each is not Needs.NOBODY])
def test_who_has_not_signed_in_is_asked_to(it: Portal, needs: Needs) -> None:
    said = ask(it, "/page", app=guarded(it, fine, needs))

    assert said.all("location") == ["/sign-in?next=/page"]


@pytest.mark.parametrize(
    ("typed", "leads_to"),
    [
        ("/again", "/again"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/again\r\nSet-Cookie: x=y", "/"),
        ("/again?x=y", "/"),
        ("/%2e%2e//evil", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_on_the_way_nobody_leaves_the_site(it: Portal, typed: str, leads_to: str) -> None:
    browser = it.browser()
    browser.open("/sign-in")
    cookie = f"{BROWSER}={browser.cookies[BROWSER]}"
    page = browser.submit(username="alice", password=PASSWORD)
    fields = {**page.forms[0].fields} if "code" in page.forms[0].fields else {**page.forms[1].fields}
    said = post(it, {**fields, "code": it.house.code("alice"), "next": typed}, "/sign-in/code", cookie=cookie)

    assert (said.status, said.all("location")) == (303, [leads_to])


# --- who is gone since --------------------------------------------------------------------------


async def does(it: Context) -> Response:
    return Response("done")


def doing(it: Portal, needs: Needs, ports: Any = None, **visit: Any) -> Answer:
    """What comes of a form that alice sends in a visit; `visit`: fields that are otherwise."""
    house = House(ports or it.ports())
    it.house.visit(id=house.cookies.visit_id("v"), **visit)
    door = Guarded(house, [Route("/page", does, needs, post=True)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await door(Request(scope, receive)))(scope, receive, send)

    return post(it, {"csrf": house.cookies.csrf("v")}, "/page", app=app, cookie=f"{VISIT}=v")


NOT_ANY_MORE = [
    pytest.param(Outcome.UNKNOWN_USER, id="gone"),
    pytest.param(Outcome.AMBIGUOUS_USER, id="two of them"),
    pytest.param(replace(user_named("alice"), active=False), id="switched off"),
    pytest.param(replace(user_named("alice"), id="u-another"), id="another's name"),
]


@pytest.mark.parametrize("now", NOT_ANY_MORE)
@pytest.mark.parametrize("needs", [each for each in Needs if each is not Needs.NOBODY])
def test_who_was_switched_off_does_nothing_more_and_all_their_visits_end(
    it: Portal, needs: Needs, now: User | Outcome
) -> None:
    other, of_bob = it.house.visit(), it.house.visit("bob")
    it.house.directory.users["alice"] = now

    said = doing(it, needs, desk=True)

    assert (said.status, said.all("location")) == (303, ["/sign-in"])
    assert "__Host-said=said.signed_out" in " ".join(said.all("set-cookie"))
    assert it.house.again(other) is None
    assert it.house.again(of_bob) == of_bob
    assert it.acts() == ["done signed_out"]


def test_who_was_switched_off_is_signed_out_by_the_next_form(it: Portal) -> None:
    browser = signed_in(it)
    browser.open("/tokens/new")
    it.house.directory.users["alice"] = replace(it.house.user("alice"), active=False)

    assert browser.submit("/tokens/new").path == "/sign-in"
    assert "signed out" in browser.page.text
    assert VISIT not in browser.cookies
    assert not is_signed_in(browser)


def test_to_sign_out_nobody_is_asked(it: Portal) -> None:
    browser = signed_in(it)
    browser.open("/again")
    it.house.directory.asked.clear()

    assert browser.submit("/sign-out").path == "/sign-in"
    assert it.house.directory.asked == []


def test_to_look_nobody_is_asked(it: Portal) -> None:
    browser = signed_in(it)
    it.house.directory.asked.clear()
    browser.open("/tokens")

    assert it.house.directory.asked == []


@pytest.mark.parametrize("keeps_groups_apart", [True, False])
@pytest.mark.parametrize("needs", [Needs.DESK, Needs.DESK_FRESH])
def test_who_has_left_the_help_desk_does_nothing_more_there(
    it: Portal, needs: Needs, keeps_groups_apart: bool
) -> None:
    it.house.directory.keeps_groups_apart = keeps_groups_apart
    assert doing(it, needs, desk=True).status == 404
    it.house.directory.users["alice"] = replace(it.house.user("alice"), groups=frozenset({HELP_DESK}))
    it.house.run(it.house.store.end_visits("u-alice"))
    assert doing(it, needs, desk=True).text == "done"


def test_who_has_left_the_help_desk_still_does_what_anybody_does(it: Portal) -> None:
    assert doing(it, Needs.FRESH, desk=True).text == "done"


def test_a_form_costs_one_search_and_the_help_desks_their_groups(it: Portal) -> None:
    it.house.directory.asked.clear()
    doing(it, Needs.FRESH)
    assert it.house.directory.asked == [("find", "alice")]

    it.house.run(it.house.store.end_visits("u-alice"))
    it.house.directory.asked.clear()
    doing(it, Needs.FRESH, desk=True)
    assert it.house.directory.asked == [("find", "alice"), ("groups", "alice")]


@pytest.mark.parametrize("call", ["find", "with_groups"])
def test_while_the_directory_does_not_answer_nothing_is_done_and_nobody_is_signed_out(
    it: Portal, call: str
) -> None:
    ports = it.ports()
    visit = it.house.visit()
    broken = fused(ports.directory, Fuse(0, DirectoryError, call))

    said = doing(it, Needs.DESK, replace(ports, directory=broken), desk=True)

    assert said.status == 503
    assert "not possible at the moment" in said.text
    assert it.house.again(visit) == visit


# --- what is broken -----------------------------------------------------------------------------


@pytest.mark.parametrize("cookie", ["", f"{VISIT}=abc"])
def test_what_does_not_answer_is_told_without_its_words(it: Portal, cookie: str) -> None:
    """At a page, and before it is known who asks."""
    ports = it.ports()
    app = application(replace(ports, store=fused(ports.store, Fuse(0, StoreError))))
    said = ask(it, "/again", app=app, cookie=cookie)
    missing = ask(
        it,
        "/no/such",
        app=application(replace(ports, store=fused(ports.store, Fuse(0, StoreError)))),
        cookie=cookie,
    )

    assert said.status == (503 if cookie else 303)
    assert missing.status == 404
    assert "failed on" not in said.text + missing.text
    assert said.all("content-security-policy") == [POLICY]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (StoreError("disk of /srv is full"), 503, "not possible at the moment"),
        (ValueError("hunter2"), 500, "Something went wrong here"),
        (TimeoutError("hunter2"), 500, "Something went wrong here"),
    ],
)
def test_a_page_that_breaks_tells_nothing_of_how(
    it: Portal, error: Exception, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def breaks(_: Context) -> Response:
        raise error

    said = ask(it, "/page", app=guarded(it, breaks))

    assert said.status == status
    assert text in said.text
    assert str(error) not in said.text
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "is_told"),
    [("said.signed_out", True), ("told.locked", False), ("frame.help", False), ("no.such", False), ("<b>", False)],
)
def test_a_cookie_asks_for_no_other_text_than_those_told_once(it: Portal, key: str, is_told: bool) -> None:
    said = ask(it, cookie=f"__Host-said={key}")

    assert said.status == 200
    assert ('class="note good"' in said.text) is is_told


# --- the language -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("ja", "ja"),
        ("ja-JP,en;q=0.5", "ja"),
        ("de,ja", "ja"),
        ("EN-gb", "en"),
        ("", "en"),
        ("de", "en"),
        ("x" * 9999, "en"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_asks_for(it: Portal, asked: str, shown: str) -> None:
    assert f'<html lang="{shown}"' in ask(it, accept_language=asked).text


def test_a_language_that_was_chosen_is_kept(it: Portal) -> None:
    browser = it.browser()
    page = browser.open("/sign-in?language=ja")

    assert (page.path, page.hops) == ("/sign-in", ("/sign-in",))
    assert '<html lang="ja"' in page.html
    assert '<html lang="ja"' in browser.open("/sign-in").html
    assert '<html lang="en"' in browser.open("/sign-in?language=en").html
    assert '<html lang="en"' in browser.open("/sign-in?language=xx").html


# --- how often ----------------------------------------------------------------------------------


def wrong_passwords(it: Portal, names: list[str], host: str = HOME) -> list[int]:
    browser = it.browser(host)
    browser.open("/sign-in")
    fields = {"csrf": browser.csrf(), "next": "/", "password": "wrong"}
    return browser.post_at_once("/sign-in", [{**fields, "username": each} for each in names])


def test_a_thousand_sign_ins_at_once_are_no_more_than_some(it: Portal) -> None:
    statuses = wrong_passwords(it, ["alice"] * 200)

    assert statuses.count(403) == 10
    assert statuses.count(429) == 190


def test_ten_thousand_sign_ins_against_one_account_ask_the_directory_sixty_times(it: Portal) -> None:
    """From twenty addresses.  Gateways do not notice, and the owner signs in five seconds after it is over."""
    statuses = [
        status for number in range(20) for status in wrong_passwords(it, ["alice"] * 500, f"198.51.100.{number}")
    ]

    assert (statuses.count(403), statuses.count(429)) == (60, 9940)
    assert it.acts().count("reject wrong_password") == 60
    login = it.house.login("alice")
    assert login.says(PASSWORD) == "challenge challenged"
    assert login.says(it.house.code("alice")) == "accept accepted"
    it.house.clock.advance(30)
    browser = it.browser("203.0.113.9")
    browser.sign_in("alice", it.house.code("alice"))
    assert is_signed_in(browser)


def test_another_spelling_of_a_name_is_no_other_account(it: Portal) -> None:
    names = [f"{domain}\\{name}" for domain in "ABCDEFGHIJ" for name in ("alice", "ALICE")]

    assert wrong_passwords(it, names).count(403) == 10


def test_an_address_has_its_own_limit_and_others_sign_in_undisturbed(it: Portal) -> None:
    assert wrong_passwords(it, [f"user{number}" for number in range(250)]).count(403) == 200
    browser = it.browser("198.51.100.1")
    browser.sign_in("alice", it.house.code("alice"))
    assert is_signed_in(browser)
