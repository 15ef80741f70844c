"""Recent logins: was that you?"""

from radius_mfa.core.messages import Nas, Profile
from tests.adapters import PASSWORD
from tests.portal.browsing import Browser, Portal, portal

VPN = Nas("vpn", Profile("generic"), station="mac")


def signed_in(it: Portal) -> Browser:
    """alice, after a login at the VPN that was refused and one that was not."""
    it.house.enrol("alice")
    assert it.house.challenged("alice", VPN).says(it.house.wrong_code("alice")) == "challenge code_wrong"
    it.house.clock.advance(60)
    assert it.house.challenged("alice", VPN).says(f"{it.house.code('alice')} trust") == "accept accepted"
    browser = it.browser()
    browser.sign_in("alice", it.next_code("alice"))
    return browser


def test_logins_are_told_in_words() -> None:
    with portal() as it:
        browser = signed_in(it)
        browser.follow("All logins")
        assert "2026-10-14 12:01 vpn 02-00-00-00-00-01 signed in authenticator app" in browser.page.text
        assert "2026-10-14 12:00 vpn 02-00-00-00-00-01 wrong code" in browser.page.text
        assert "this portal 192.0.2.9 signed in" in browser.page.text


def test_saying_that_it_was_somebody_else_ends_what_they_might_have() -> None:
    with portal() as it:
        browser = signed_in(it)
        it.house.register("alice")
        other = it.browser()
        other.sign_in("alice", it.next_code("alice"))
        browser.open("/logins")
        page = browser.open(browser.page.links["That was not me"])  # the oldest: its row is the last
        assert "somebody else knows your password" in page.text
        browser.press("It was not me")
        assert "the help desk has been told" in browser.page.text
        assert browser.page.links["Change the password"] == "https://password.example.ac.jp/"
        assert it.house.login("alice", VPN).says(PASSWORD) == "challenge challenged"  # trusted no longer
        assert other.open("/").path == "/sign-in"
        assert browser.open("/").path == "/"
        (case,) = it.house.run(it.house.store.cases(10))
        assert (case.username, case.kind) == ("alice", "disowned")
        assert "done login_disowned" in it.acts()


def test_a_login_of_somebody_else_is_not_there() -> None:
    with portal() as it:
        signed_in(it)
        login = next(each.login for each in it.audit if each.login)
        it.house.enrol("bob")
        browser = it.browser()
        browser.sign_in("bob", it.house.code("bob"))
        csrf = browser.csrf()
        assert browser.open(f"/logins/{login}").status == 404
        assert browser.post(f"/logins/{login}", {"csrf": csrf}).status == 404
        assert it.house.run(it.house.store.cases(10)) == []


def test_what_is_older_than_a_month_is_not_shown() -> None:
    with portal() as it:
        signed_in(it)
        it.house.clock.advance(31 * 86400)
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        browser.open("/logins")
        assert "vpn" not in browser.page.text
