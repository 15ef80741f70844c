"""The notification address: changed with a code that was mailed there, and not at once by a weaker visit."""

from radius_mfa.core.stored import MailKind
from tests.portal.browsing import Browser, Portal, portal


def signed_in(it: Portal) -> Browser:
    """alice, by her app; she has an address too."""
    it.house.enrol("alice")
    it.house.register("alice")
    browser = it.browser()
    browser.sign_in("alice", it.house.code("alice"))
    return browser


def proposed(it: Portal, browser: Browser, address: str = "alice@other.example") -> str:
    """Give another address: the code that is mailed there."""
    browser.open("/address")
    browser.follow("Change it")
    it.mails()
    browser.submit("/address/new", address=address)
    assert browser.page.path == "/address/code", browser.page.text
    (letter,) = it.mails()
    assert letter.mail.address == address
    return letter.carried


def test_an_address_is_changed_and_both_are_told() -> None:
    with portal() as it:
        browser = signed_in(it)
        code = proposed(it, browser)
        assert it.house.facts("alice").mail_address == "alice@example.net"
        browser.submit("/address/code", code=code)
        assert browser.page.path == "/address"
        assert it.house.facts("alice").mail_address == "alice@other.example"
        told = {letter.mail.address: letter.mail.kind for letter in it.mails()}
        assert told == dict.fromkeys(("alice@example.net", "alice@other.example"), MailKind.ADDRESS_SET)


def test_a_weaker_visit_changes_it_after_a_while() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        browser.sign_in_by_mail("alice")
        code = proposed(it, browser)
        browser.submit("/address/code", code=code)
        assert "It becomes your address at 2026-10-15 12:00" in browser.page.text
        assert it.house.facts("alice").mail_address == "alice@example.net"
        assert {letter.mail.address for letter in it.mails()} == {"alice@example.net", "alice@other.example"}
        assert "alice@other.example" in browser.open("/").text
        browser.press("Cancel it")
        assert "alice@other.example" not in browser.page.text
        it.house.clock.advance(86400)
        it.house.run(it.house.store.ripen(it.house.clock.wall()))
        assert it.house.facts("alice").mail_address == "alice@example.net"


def test_wrong_codes_come_to_an_end() -> None:
    with portal() as it:
        browser = signed_in(it)
        code = proposed(it, browser)
        wrong = "00000000" if code != "00000000" else "11111111"
        for _ in range(5):
            assert browser.submit("/address/code", code=wrong).status == 422
        assert browser.submit("/address/code", code=code).status == 422
        browser.press("Send it again")
        (letter,) = it.mails()
        browser.submit("/address/code", code=letter.carried)
        assert it.house.facts("alice").mail_address == "alice@other.example"


def test_an_address_that_is_refused_is_told_why() -> None:
    with portal() as it:
        browser = signed_in(it)
        browser.open("/address/new")
        page = browser.submit("/address/new", address="alice@blocked.example")
        assert (page.status, "not accepted" in page.text) == (422, True)
        page = browser.submit("/address/new", address='"><script>@x')
        assert (page.status, "<script>@x" in page.html) == (422, False)
        assert it.mails() == []


def test_one_that_was_never_confirmed_is_cancelled() -> None:
    with portal() as it:
        browser = signed_in(it)
        proposed(it, browser)
        browser.open("/address")
        browser.press("Cancel it")
        assert browser.page.path == "/address"
        assert "other.example" not in browser.page.text
        assert browser.open("/address/code").path == "/address"
        csrf = browser.csrf()
        assert "not waiting any more" in browser.post("/address/cancel", {"csrf": csrf}).text
        assert "not waiting any more" in browser.post("/address/again", {"csrf": csrf}).text


def test_nobody_is_flooded_with_mail() -> None:
    with portal() as it:
        browser = signed_in(it)
        for number in range(5):
            proposed(it, browser, f"alice{number}@other.example")
        browser.open("/address/new")
        assert browser.submit("/address/new", address="mallory@other.example").status == 429
        assert it.mails() == []


def test_long_after_signing_in_both_are_asked_for_again() -> None:
    with portal() as it:
        browser = signed_in(it)
        code = proposed(it, browser)
        it.house.clock.advance(601)
        assert browser.submit("/address/code", code=code).path == "/again"
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == "/address/code"
        browser.submit("/address/code", code=code)
        assert it.house.facts("alice").mail_address == "alice@other.example"
        it.house.clock.advance(601)
        csrf = browser.csrf()
        assert browser.open("/address/new").path == "/again"
        assert browser.post("/address/new", {"csrf": csrf, "address": "a@b.example"}).path == "/again"
        assert [letter for letter in it.mails() if letter.carried] == []
