"""The first page: all at a glance, and what is missing or weak."""

from tests.portal.browsing import CAMPUS, portal


def test_it_says_what_somebody_has() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        assert browser.page.path == "/"
        for text in ("No name", "alice@example.net", "Codes left: 0", "You trust no device", "this portal"):
            assert text in browser.page.text
        assert browser.follow("Go on with the set-up").path == "/set-up/codes"


def test_a_weaker_visit_is_told_what_it_cannot_do() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        browser.sign_in_by_mail("alice")
        assert "weaker than your authenticator app" in browser.page.text


def test_a_mailed_code_is_not_weak_where_there_is_nothing_stronger() -> None:
    with portal() as it:
        it.house.register("alice")
        browser = it.browser()
        browser.sign_in_by_mail("alice")
        assert "weaker" not in browser.page.text
        assert browser.follow("Go on with the set-up").path == "/set-up/clock"


def test_a_lock_is_shown() -> None:
    with portal() as it:
        it.house.enrol("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        login = it.house.challenged("alice")
        for code in it.house.wrong_codes("alice", 10):
            if login.says(code).startswith("reject"):
                login = it.house.login("alice")
                login.says("correct horse")
        assert "No code is accepted until 2026-10-14 12:15" in browser.open("/").text


def test_without_a_factor_it_is_the_set_up() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        assert browser.open("/").path == "/set-up/clock"
        assert browser.open("/tokens").path == "/set-up/clock"
