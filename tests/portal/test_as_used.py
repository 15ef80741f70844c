"""The portal as people use it: the address bar, tabs that come back, reloads, keyboards of phones."""

from collections.abc import Iterator

import pytest

from radius_mfa.portal.app import PAGES
from tests.adapters import PASSWORD
from tests.portal.browsing import Portal, portal


@pytest.fixture
def it() -> Iterator[Portal]:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        yield it


def test_the_path_of_what_only_takes_a_form_leads_to_a_page(it: Portal) -> None:
    shown = {each.path for each in PAGES if not each.post}
    browser = it.browser()
    for route in PAGES:
        if route.path not in shown:
            page = browser.open(route.path.replace("{ref}", "x"))
            assert (page.status, page.path) == (200, "/sign-in"), route.path
    browser.sign_in("alice", it.house.code("alice"))
    assert browser.open("/again/code").path == "/again"
    assert browser.open("/sign-out").path == "/"


def test_another_language_keeps_the_way_also_from_a_page_that_answered_a_form(it: Portal) -> None:
    browser = it.browser()
    browser.open("/sign-in?next=/tokens")
    assert browser.follow("日本語").forms[0].fields["next"] == "/tokens"
    browser.follow("English")
    browser.submit(username="alice", password=PASSWORD)
    browser.submit(code="1")
    page = browser.follow("日本語")
    assert (page.path, page.forms[0].fields["next"]) == ("/sign-in", "/tokens")
    assert '<html lang="ja"' in page.html


def test_a_recovery_code_can_be_typed_on_a_phone_and_a_late_mail_as_well(it: Portal) -> None:
    user = it.house.user("alice")
    it.house.run(it.enrolment.new_recovery_codes(user.id, "alice"))
    browser = it.browser()
    page = browser.sign_in("alice")
    assert "inputmode" not in page.html
    assert "8 digits from an e-mail that you asked for" in page.text


def test_a_second_wish_for_a_code_is_told_that_the_first_is_on_its_way(it: Portal) -> None:
    browser = it.browser()
    browser.sign_in("alice")
    assert "We have sent a code" in browser.press("Send me a code by e-mail").text
    assert "is on its way already" in browser.press("Send another code").text
    it.house.clock.advance(120)
    assert "We have sent a code" in browser.press("Send another code").text


def test_who_goes_back_and_sends_what_has_worked_is_led_on(it: Portal) -> None:
    browser = it.browser()
    browser.open("/sign-in?next=/tokens")
    browser.submit(username="alice", password=PASSWORD)
    form = browser.page.forms[0].fields
    browser.submit(code=it.house.code("alice"))
    for path in ("/sign-in", "/sign-in/code"):
        page = browser.post(path, form)
        assert (page.status, page.path) == (200, "/tokens")
        assert "done already" in page.text
    assert browser.post("/set-up/app", {"csrf": form["csrf"]}).hops[:2] == ("/set-up/app", "/set-up")
    assert browser.post("/address/cancel", {"csrf": form["csrf"]}).status == 403


def test_who_is_refused_on_confirming_is_told_how_else(it: Portal) -> None:
    browser = it.browser()
    browser.sign_in("alice", it.house.code("alice"))
    browser.open("/again")
    page = browser.submit("/again", password="wrong")
    assert page.status == 403
    assert "user name may have been changed" in page.text
    assert browser.press("Sign out, and sign in again").path == "/sign-in"


@pytest.mark.parametrize(("wait", "told"), [(86400.0, "counts only 24 h after that"), (0.0, "is at once")])
def test_a_weak_visit_and_who_has_lost_all_are_told_what_waits(wait: float, told: str) -> None:
    with portal(wait=wait) as it:
        it.house.enrol("alice")
        it.house.register("alice")
        assert told in it.browser().open("/lost").text
        browser = it.browser()
        page = browser.sign_in_by_mail("alice")
        assert ("waits before it counts" in page.text) is bool(wait)
        assert "Make new ones" not in page.text
        assert browser.follow("I can no longer use my app").path == "/lost"


def test_the_clock_says_of_when_and_where_it_is(it: Portal) -> None:
    browser = it.browser()
    browser.sign_in("alice", it.house.code("alice"))
    page = browser.open("/tokens/new")
    assert "UTC" in page.text
    assert "reload the page to compare" in page.text


def test_too_many_tries_are_told_for_how_long(it: Portal) -> None:
    browser = it.browser()
    for _ in range(11):
        browser.sign_in("alice", password="wrong")
    assert browser.page.status == 429
    assert "Try again in" in browser.page.text
    assert int(browser.page.header("retry-after")) > 0
