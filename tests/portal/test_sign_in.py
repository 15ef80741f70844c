"""Signing in while others guess: whom they keep out, and whom not."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from radius_mfa.core.errors import DirectoryError
from radius_mfa.portal.app import application
from tests.adapters import PASSWORD, PERIOD
from tests.portal.browsing import CAMPUS, HOME, Browser, Portal, portal

KNOWN, VISIT = "__Host-known", "__Host-visit"


@pytest.fixture
def it() -> Iterator[Portal]:
    with portal() as it:
        it.house.enrol("alice")
        yield it


def let_in(it: Portal, host: str = HOME) -> Browser:
    """A browser in which alice was let in once and has signed out."""
    browser = it.browser(host)
    browser.sign_in("alice", it.house.code("alice"))
    browser.open("/again")
    browser.submit("/sign-out")
    assert KNOWN in browser.cookies
    assert VISIT not in browser.cookies
    it.house.clock.advance(PERIOD)
    return browser


def wrong_passwords(browser: Browser, names: list[str], password: str = "wrong") -> list[int]:
    browser.open("/sign-in")
    fields = {"csrf": browser.csrf(), "next": "/", "password": password}
    return browser.post_at_once("/sign-in", [{**fields, "username": each} for each in names])


def guess_from_everywhere(it: Portal, name: str = "alice") -> None:
    """Until nobody who is not known may try that name."""
    for number in range(7):
        wrong_passwords(it.browser(f"198.51.100.{number}"), [name] * 10)
    assert wrong_passwords(it.browser("203.0.113.9"), [name], PASSWORD) == [429]


def password_status(browser: Browser, name: str = "alice") -> int:
    browser.open("/sign-in")
    return browser.submit(username=name, password=PASSWORD).status


def test_who_guesses_from_many_addresses_does_not_keep_out_a_browser_that_was_let_in(it: Portal) -> None:
    browser = let_in(it)
    guess_from_everywhere(it)

    assert password_status(browser) == 200
    browser.submit(code=it.house.code("alice"))
    assert browser.open("/tokens").path == "/tokens"


def test_nor_do_those_behind_the_same_address(it: Portal) -> None:
    browser = let_in(it, CAMPUS)
    wrong_passwords(it.browser(CAMPUS), ["alice"] * 20 + [f"nobody{number}" for number in range(250)])
    assert wrong_passwords(it.browser(CAMPUS), ["alice"], PASSWORD) == [429]

    assert password_status(browser) == 200


def test_nor_does_it_keep_anybody_who_is_signed_in_from_showing_both_again(it: Portal) -> None:
    """Also where they are known by another name than the one that the directory has."""
    it.house.directory.users["alice@example.ac.jp"] = it.house.user("alice")
    browser = it.browser()
    browser.sign_in("alice@example.ac.jp", it.house.code("alice"))
    it.house.clock.advance(PERIOD)
    guess_from_everywhere(it)
    guess_from_everywhere(it, "alice@example.ac.jp")

    browser.open("/again")
    browser.show_again(it.house.code("alice"))
    assert browser.page.status == 200
    browser.submit("/sign-out")
    assert password_status(browser, "alice@example.ac.jp") == 200


def test_who_has_lost_the_phone_asks_for_a_link_there_too(it: Portal) -> None:
    browser = let_in(it)
    guess_from_everywhere(it)
    stranger = it.browser()
    for each, status in ((browser, 200), (stranger, 429)):
        each.open("/lost")
        assert each.submit(username="alice", password=PASSWORD).status == status


def test_a_known_browser_has_a_limit_of_its_own(it: Portal) -> None:
    browser = let_in(it)
    statuses = wrong_passwords(browser, ["alice", "ALICE", "A\\alice"] * 20)

    assert (statuses.count(403), statuses.count(429)) == (10, 50)
    assert wrong_passwords(it.browser(), ["alice"], PASSWORD) == [200]  # nobody else pays for it
    it.house.clock.advance(30)
    assert password_status(browser) == 200


def test_a_browser_that_is_signed_in_has_one_too_and_none_for_other_names(it: Portal) -> None:
    it.house.enrol("bob")
    browser = it.browser()
    browser.sign_in("bob", it.house.code("bob"))
    browser.open("/again")
    fields = {"csrf": browser.csrf(), "next": "/", "password": "wrong"}

    assert browser.post_at_once("/again", [fields] * 30).count(403) == 10
    guess_from_everywhere(it)
    assert browser.post_at_once("/sign-in", [{**fields, "username": "alice"}] * 5) == [429] * 5


def test_a_known_browser_is_not_known_for_anybody_else(it: Portal) -> None:
    it.house.enrol("bob")
    browser = let_in(it)
    guess_from_everywhere(it, "bob")

    assert password_status(browser, "bob") == 429


@pytest.mark.parametrize("value", ["0123456789abcdef." + "0" * 32, "0123456789abcdef", ".", "x" * 64])
def test_who_makes_up_the_cookie_gains_nothing(it: Portal, value: str) -> None:
    browser = it.browser()
    browser.cookies[KNOWN] = value
    guess_from_everywhere(it)

    assert password_status(browser) == 429


def test_it_is_no_factor(it: Portal) -> None:
    browser = let_in(it)

    assert password_status(browser) == 200
    assert browser.open("/tokens").path == "/sign-in"
    assert wrong_passwords(browser, ["alice"]) == [403]


def test_a_password_alone_makes_no_browser_known() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("bob")

        assert VISIT in browser.cookies
        assert KNOWN not in browser.cookies


def test_it_is_known_after_a_restart(it: Portal) -> None:
    browser = let_in(it)
    it.app = application(it.ports())
    guess_from_everywhere(it)

    assert password_status(browser) == 200


# --- many behind one address --------------------------------------------------------------------


def test_a_class_behind_one_address_signs_in_at_once(it: Portal) -> None:
    names = [f"student{number}" for number in range(150)]
    bob = it.house.user("bob")
    it.house.directory.users |= {each: replace(bob, id=f"u-{each}", username=each) for each in names}

    statuses = wrong_passwords(it.browser(CAMPUS), names, PASSWORD)

    assert 429 not in statuses


def test_one_of_a_class_does_not_keep_the_others_out(it: Portal) -> None:
    wrong_passwords(it.browser(CAMPUS), [f"nobody{number}" for number in range(100)])

    assert password_status(it.browser(CAMPUS)) == 200


class _Sometimes:
    """A directory that may be away."""

    def __init__(self, directory: object) -> None:
        self._directory = directory
        self.away = True

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise DirectoryError("no server answers")
        return getattr(self._directory, name)


def test_while_the_directory_does_not_answer_nobody_uses_up_their_tries(it: Portal) -> None:
    directory = _Sometimes(it.house.directory)
    it.house.directory = cast(Any, directory)
    it.open_again()
    browser = it.browser()
    browser.open("/sign-in")
    for _ in range(12):
        assert browser.submit(username="alice", password=PASSWORD).status == 503
        browser.open("/sign-in")

    directory.away = False
    assert browser.submit(username="alice", password=PASSWORD).status == 200
