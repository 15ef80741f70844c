"""Who can show no factor any more: the pages, and what somebody makes of them who means no good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import MailKind
from radius_mfa.portal.pages.lost import masked_address
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import PASSWORD, interleaved
from tests.portal.browsing import CAMPUS, Browser, Letter, Page, Portal, portal

ELSEWHERE = "198.51.100.7"


@pytest.fixture
def it() -> Iterator[Portal]:
    """Alice has an app and an address."""
    with portal() as portal_:
        portal_.house.enrol("alice")
        portal_.house.register("alice")
        yield portal_


def ask(browser: Browser, username: str = "alice", password: str = PASSWORD) -> Page:
    browser.open("/lost")
    return browser.submit("/lost", username=username, password=password)


def linked(it: Portal, browser: Browser) -> str:
    """Alice asks for a link: where it leads."""
    assert ask(browser).status == 200
    return f"/link/{only(it.mails()).carried}"


def only(letters: list[Letter]) -> Letter:
    (letter,) = letters
    return letter


def is_let_in(page: Page) -> bool:
    """To set up a new app, and nothing else."""
    return page.path.startswith("/set-up")


def queue(it: Portal) -> list[tuple[str, str]]:
    return [(case.username, case.kind.value) for case in it.house.run(it.house.store.cases(10))]


# --- what the pages say -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_what_else_there_is_comes_first(it: Portal, language: str) -> None:
    page = it.browser(language=language).open("/lost")
    assert page.status == 200
    assert [tag for tag, _ in page.headings] == ["h1", "h2", "h2"]
    assert "/sign-in" in page.links.values()
    assert it.settings.contact in page.text


def test_who_has_an_address_is_mailed_a_link_and_shown_where(it: Portal) -> None:
    page = ask(it.browser())
    assert page.status == 200
    assert "a…@example.net" in page.text
    assert "alice@example.net" not in page.html
    mail = only(it.mails()).mail
    assert (mail.kind, mail.address, mail.language) == (MailKind.LINK, "alice@example.net", "en")
    assert queue(it) == []


def test_who_has_no_address_is_put_into_the_queue(it: Portal) -> None:
    it.house.enrol("bob")
    page = ask(it.browser(), "bob")
    assert page.status == 200
    assert it.settings.contact in page.text
    assert it.mails() == []
    assert queue(it) == [("bob", "lost")]


def test_who_has_set_up_nothing_is_sent_to_sign_in(it: Portal) -> None:
    page = ask(it.browser(), "bob")
    assert page.status == 403
    assert page.headings[0] == ("h1", "Nothing is set up yet")
    assert (it.mails(), queue(it)) == ([], [])


def test_three_links_a_day(it: Portal) -> None:
    browser = it.browser()
    assert [ask(browser).status for _ in range(4)] == [200, 200, 200, 429]
    assert len(it.mails()) == 3


def test_where_nobody_starts_anew_by_mail_it_is_the_help_desks() -> None:
    with portal(initialise=False) as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        assert "Tell the help desk" in browser.open("/lost").text
        assert "link" not in browser.page.text
        assert ask(browser).status == 200
        assert it.mails() == []
        assert queue(it) == [("alice", "lost")]


def test_a_link_from_before_leads_nowhere_once_links_are_switched_off(it: Portal) -> None:
    path = linked(it, it.browser())
    it.settings = replace(it.settings, initialise=False)
    it.app = Portal(it.house, it.settings, ()).app
    assert it.browser().open(path).status == 404


# --- before the password was right ------------------------------------------------------------------


def test_an_unknown_user_and_a_wrong_password_look_the_same(it: Portal) -> None:
    browser = it.browser()
    browser.open("/lost")
    pages = []
    for username, password in [("alice", "wrong"), ("nobody", "wrong"), ("carol", PASSWORD), ("bob", "wrong")]:
        page = browser.submit("/lost", username=username, password=password)
        pages.append((page.status, page.html.replace(f'value="{username}"', "")))
    assert {status for status, _ in pages} == {403}
    assert len({html for _, html in pages}) == 1
    assert (it.mails(), queue(it)) == ([], [])
    # As much work, too: the directory is asked in vain.
    assert ("dummy", "wrong") in it.house.directory.asked


def test_a_wrong_password_gets_neither_a_link_nor_into_the_queue(it: Portal) -> None:
    assert ask(it.browser(), password="wrong").status == 403
    assert (it.mails(), queue(it)) == ([], [])


def test_guessing_here_ends_like_guessing_at_the_sign_in(it: Portal) -> None:
    browser = it.browser()
    statuses = [ask(browser, password=f"guess {number}").status for number in range(11)]
    assert statuses == [403] * 10 + [429]
    assert browser.page.header("retry-after")
    browser.open("/sign-in")
    assert browser.submit("/sign-in", username="alice", password=PASSWORD).status == 429


def test_what_was_typed_is_not_taken_for_html(it: Portal) -> None:
    page = ask(it.browser(), '"><b>x')
    assert page.status == 403
    assert "<b>x" not in page.html


# --- the link ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_link_says_whose_it_is_and_what_will_happen(it: Portal, language: str) -> None:
    page = it.browser(language=language).open(linked(it, it.browser()))
    assert page.status == 200
    assert "alice" in page.text
    assert page.header("referrer-policy") == "same-origin"
    assert page.header("cache-control") == "no-store"
    assert not [link for link in page.links.values() if "//" in link]


def test_opening_a_link_uses_nothing_up(it: Portal) -> None:
    path = linked(it, it.browser())
    scanner, browser = it.browser(ELSEWHERE), it.browser()
    assert [scanner.open(path).status for _ in range(3)] == [200] * 3
    assert "link_used" not in str(it.acts())
    browser.open(path)
    assert is_let_in(browser.submit(password=PASSWORD))
    assert len(it.house.facts("alice").tokens) == 1  # nothing is reset before the new app is confirmed
    assert it.house.facts("alice").mail_address


def test_link_and_password_begin_a_visit_that_starts_anew(it: Portal) -> None:
    browser = it.browser()
    browser.open(linked(it, browser))
    browser.submit(password=PASSWORD)
    assert it.acts()[-2:] == ["done link_used", "done signed_in"]
    assert browser.open("/desk").path != "/desk"
    assert browser.open("/again").path == "/again"  # which only a visit is shown


def test_a_link_is_good_once(it: Portal) -> None:
    path = linked(it, it.browser())
    browser, other = it.browser(), it.browser(ELSEWHERE)
    other.open(path)
    browser.open(path)
    assert is_let_in(browser.submit(password=PASSWORD))
    assert other.submit(password=PASSWORD).status == 404
    assert other.open(path).status == 404
    assert other.open("/again").path == "/sign-in"


def test_of_two_at_once_one_gets_in(it: Portal) -> None:
    path = linked(it, it.browser())
    it.house.store = cast(SqliteStore, interleaved(it.house.store))
    it.app = Portal(it.house, it.settings, ()).app
    browser = it.browser()
    browser.open(path)
    form = {"csrf": browser.csrf(), "password": PASSWORD}
    assert sorted(browser.post_at_once(path, [form] * 5)) == [303, 404, 404, 404, 404]
    assert it.house.run(it.house.store.end_visits("u-alice")) == 1  # which says how many there were


def test_a_link_without_the_password_is_worth_nothing(it: Portal) -> None:
    path = linked(it, it.browser())
    browser = it.browser()
    browser.open(path)
    page = browser.submit(password="wrong")
    assert page.status == 403
    assert browser.open("/again").path == "/sign-in"
    browser.open(path)
    assert is_let_in(browser.submit(password=PASSWORD))  # nor was it used up by the wrong one


def test_the_name_in_the_form_is_not_asked(it: Portal) -> None:
    path = linked(it, it.browser())
    browser = it.browser()
    browser.open(path)
    browser.post(path, {"csrf": browser.csrf(), "username": "bob", "password": PASSWORD})
    assert (it.audit[-1].username, it.audit[-1].outcome) == ("alice", "signed_in")


def test_a_link_is_not_for_whoever_has_got_the_name_since(it: Portal) -> None:
    path = linked(it, it.browser())
    it.house.directory.users["alice"] = replace(it.house.user("alice"), id="u-another")
    browser = it.browser()
    browser.open(path)
    assert browser.submit(password=PASSWORD).status == 404
    assert browser.open("/again").path == "/sign-in"


def test_a_link_ends_after_half_an_hour(it: Portal) -> None:
    path = linked(it, it.browser())
    browser = it.browser()
    browser.open(path)
    it.house.clock.advance(1800)
    assert browser.submit(password=PASSWORD).status == 404
    assert browser.open(path).status == 404


def test_a_reset_ends_the_link(it: Portal) -> None:
    path = linked(it, it.browser())
    it.house.run(it.house.store.reset("u-alice"))
    assert it.browser().open(path).status == 404


def test_all_links_that_are_not_good_get_one_answer(it: Portal) -> None:
    used = linked(it, it.browser())
    browser = it.browser()
    browser.open(used)
    browser.submit(password=PASSWORD)
    stranger = it.browser(ELSEWHERE)
    stranger.open("/lost")  # so that the browser is known, and its forms are the same
    made_up = [used, "/link/x", f"{used}A", f"/link/{used[-40:]}", "/link/%00", "/link/" + "A" * 5000]
    pages = [stranger.open(path) for path in made_up]
    assert {page.status for page in pages} == {404}
    assert len({page.html for page in pages}) == 1


def test_guessing_by_a_link_ends_too(it: Portal) -> None:
    path = linked(it, it.browser())
    browser = it.browser()
    browser.open(path)
    statuses = [browser.submit(password=f"guess {number}").status for number in range(10)]
    assert statuses == [403] * 10
    page = browser.post(path, {"csrf": browser.csrf(), "password": PASSWORD})
    assert page.status == 429


def test_a_form_from_elsewhere_uses_no_link_up(it: Portal) -> None:
    path = linked(it, it.browser())
    browser = it.browser()
    browser.open(path)
    form = {"csrf": browser.csrf(), "password": PASSWORD}
    assert browser.post(path, form, origin="https://elsewhere.example").status == 403
    assert browser.post(path, {**form, "csrf": ""}).status == 403
    assert "link_used" not in str(it.acts())


def test_a_link_takes_the_place_of_a_visit_that_there_was(it: Portal) -> None:
    it.house.enrol("bob")
    browser = it.browser(CAMPUS)
    browser.sign_in("bob", it.house.code("bob"))
    before = dict(browser.cookies)
    browser.open(linked(it, it.browser()))
    browser.submit(password=PASSWORD)
    assert browser.cookies != before
    other = it.browser(CAMPUS)
    other.cookies = before
    assert other.open("/again").path == "/sign-in"  # bob's has ended


def test_the_token_is_in_no_audit_event(it: Portal) -> None:
    path = linked(it, it.browser())
    browser = it.browser()
    browser.open(path)
    browser.submit(password="wrong")
    browser.open(path)
    browser.submit(password=PASSWORD)
    assert path.removeprefix("/link/") not in repr(it.audit)
    assert path not in browser.page.html


def test_why_it_was_refused_is_in_the_audit_file_only(it: Portal) -> None:
    ask(it.browser(), "nobody")
    assert it.audit[-1].outcome is Outcome.UNKNOWN_USER


def test_an_address_is_shown_to_who_knows_it() -> None:
    assert masked_address("alice@example.org") == "a…@example.org"
    assert masked_address('"a@b"@example.org') == '"…@example.org'
