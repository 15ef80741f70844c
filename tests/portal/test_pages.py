"""Every page somebody is shown of themselves, in both languages: whole, headed in order, labelled, ours."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from radius_mfa.core.messages import Nas, Profile
from radius_mfa.portal.app import PAGES
from tests.adapters import PASSWORD
from tests.portal.browsing import CAMPUS, HOME, Browser, Page, Portal, portal

VPN = Nas("vpn", Profile("generic"), station="mac")
BUTTON = {"en": "My phone is on time, continue", "ja": "時刻は合っています(次へ)"}
LANGUAGES = pytest.mark.parametrize("language", ["en", "ja"])
PUBLIC = {"/sign-in", "/again", "/lost", "/desk"}


def assert_whole(page: Page, language: str) -> None:
    """What holds for every page."""
    assert page.status in (200, 403, 404, 422, 429), (page.path, page.status, page.text)
    assert f'<html lang="{language}">' in page.html
    levels = [int(tag[1]) for tag, _ in page.headings]
    assert levels.count(1) == 1, (page.path, page.headings)
    assert levels[0] == 1, (page.path, page.headings)
    assert all(after <= before + 1 for before, after in pairwise(levels)), page.headings
    assert all(each.fields.get("csrf") for each in page.forms if each.method == "post"), page.path
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", page.html), page.path
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page.html))
    names = re.findall(r'<input[^>]*\sid="([^"]+)"', page.html)
    assert all(f'<label for="{name}">' in page.html for name in names), page.path
    ids = re.findall(r'\sid="([^"]+)"', page.html)
    assert len(ids) == len(set(ids)), (page.path, ids)
    referred = re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page.html)
    assert {each for one in referred for each in one.split()} <= set(ids), page.path
    assert "{" not in page.text, page.path


def reading(it: Portal, language: str, host: str = HOME) -> Browser:
    """A browser whose reader has chosen that language, whatever the directory says of them."""
    browser = it.browser(host)
    browser.open(f"/sign-in?language={language}")
    return browser


def gathered(it: Portal, browser: Browser) -> None:
    """alice gets an app, one that waits, an address, one that waits, a device, and signs in with the app."""
    house = it.house
    house.enrol("alice")
    house.register("alice")
    login = house.login("alice", VPN)
    login.says(PASSWORD)
    assert login.says(f"{house.code('alice')} trust") == "accept accepted"
    weak = it.browser()
    weak.sign_in_by_mail("alice")
    weak.open("/tokens/new")
    weak.press(BUTTON["en"])
    it.knows("alice", weak.page.codes[0])
    weak.submit("/tokens/new/app", code=house.code("alice", token=1), label="Tablet")
    weak.open("/address/new")
    it.mails()
    weak.submit("/address/new", address="alice@other.example")
    weak.submit("/address/code", code=it.mails()[0].carried)
    assert weak.page.path == "/address"
    browser.sign_in("alice", it.next_code("alice"))


@LANGUAGES
def test_every_page_of_ones_own_is_whole(language: str) -> None:
    with portal() as it:
        browser = reading(it, language)
        gathered(it, browser)
        for path in sorted(paths_of(it)):
            assert_whole(browser.open(path), language)
        browser.open("/recovery-codes")
        for action in ("/recovery-codes", "/set-up/codes"):
            page = browser.post(action, {"csrf": browser.csrf()})
            assert len(page.codes) == 10
            assert_whole(page, language)
        browser.open("/tokens/new")
        browser.press(BUTTON[language])
        assert browser.page.path == "/tokens/new/app"
        assert_whole(browser.page, language)
        assert_whole(browser.submit("/tokens/new/app", code="1"), language)
        browser.open("/address/new")
        assert_whole(browser.submit("/address/new", address="nobody"), language)
        assert_whole(browser.submit("/address/new", address="alice@third.example"), language)
        assert browser.page.path == "/address/code"
        assert_whole(browser.open("/address"), language)
        login = it.house.run(it.house.store.logins(it.house.user("alice").id, 0.0, 1))[0]
        browser.open(f"/logins/{login.login}")
        assert_whole(browser.submit(f"/logins/{login.login}"), language)


def paths_of(it: Portal) -> Iterator[str]:
    """Every page that can be opened, but those of signing in, of who has lost all, and of the help desk."""
    user = it.house.user("alice").id
    login = it.house.run(it.house.store.logins(user, 0.0, 1))[0]
    for token in it.house.facts("alice").tokens:
        for route in PAGES:
            if not route.post and not route.path.startswith(tuple(PUBLIC)):
                yield route.path.format(token=token.id, login=login.login)


@LANGUAGES
def test_every_page_of_a_weaker_visit_is_whole(language: str) -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = reading(it, language)
        it.mails()
        browser.sign_in("alice")
        browser.press({"en": "Send me a code by e-mail", "ja": "メールでコードを受け取る"}[language])
        browser.submit(code=it.mails()[0].carried)
        for path in ("/", "/tokens/new", "/address/new", "/recovery-codes"):
            assert_whole(browser.open(path), language)
        assert_whole(browser.post("/recovery-codes", {"csrf": browser.csrf()}), language)
        token = it.house.facts("alice").tokens[0].id
        assert_whole(browser.post(f"/tokens/{token}/remove", {"csrf": browser.csrf()}), language)


@LANGUAGES
def test_every_page_of_the_set_up_is_whole(language: str) -> None:
    with portal() as it:
        outside = reading(it, language)
        outside.sign_in("bob")
        assert_whole(outside.page, language)
        assert_whole(outside.submit("/set-up", code="abcd-efgh-jkmn"), language)
        browser = reading(it, language, CAMPUS)
        browser.sign_in("alice")
        assert_whole(browser.page, language)
        browser.press(BUTTON[language])
        assert_whole(browser.page, language)
        it.knows("alice", browser.page.codes[0])
        assert_whole(browser.submit("/set-up/app", code="123"), language)
        assert_whole(browser.submit("/set-up/app", code=it.house.code("alice")), language)
        assert_whole(browser.submit("/set-up/address", address="nobody"), language)
        assert_whole(browser.submit("/set-up/address", address="alice@home.example"), language)
        assert browser.page.path == "/set-up/address/code"
        assert_whole(browser.submit("/set-up/address/code", code="1"), language)
        for path in ("/set-up/codes", "/set-up/done", "/", "/tokens", "/devices", "/logins"):
            assert_whole(browser.open(path), language)
