"""Authenticator apps: see, add, name, test, remove, and what a weaker visit may not."""

from radius_mfa.core.stored import MailKind
from tests.portal.browsing import CAMPUS, Browser, Portal, portal

RIGHT = "My phone is on time, continue"


def signed_in(it: Portal) -> Browser:
    """alice, by her app."""
    it.house.enrol("alice")
    browser = it.browser()
    browser.sign_in("alice", it.house.code("alice"))
    return browser


def weakly(it: Portal) -> Browser:
    """alice, who has an app, by a mailed code."""
    it.house.enrol("alice")
    it.house.register("alice")
    browser = it.browser()
    browser.sign_in_by_mail("alice")
    assert browser.page.path == "/", browser.page.text
    return browser


def add(it: Portal, browser: Browser, label: str = "Tablet") -> None:
    """Add another app, as the pages say."""
    browser.open("/tokens")
    browser.follow("Add an app")
    browser.press(RIGHT)
    it.knows("alice", browser.page.codes[0])
    browser.submit("/tokens/new/app", code=it.house.code("alice", token=-1), label=label)


def tokens(it: Portal) -> dict[str, str]:
    """Ids by label."""
    return {token.label: token.id for token in it.house.facts("alice").tokens}


def test_an_app_that_is_added_by_an_app_counts_at_once() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser)
        assert browser.page.path == "/tokens"
        assert "Tablet" in browser.page.text
        login = it.house.challenged("alice")
        assert login.says(it.next_code("alice", 1)) == "accept accepted"


def test_the_next_app_has_another_key() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser)
        add(it, browser, "Watch")
        assert len(set(it.house.seeds["alice"])) == 3
        assert len(tokens(it)) == 3


def test_adding_apps_does_not_make_a_visit_fresh_for_ever() -> None:
    with portal() as it:
        browser = signed_in(it)
        it.house.clock.advance(590)
        add(it, browser)
        it.house.clock.advance(11)
        assert browser.open("/tokens/new").path == "/again"


def test_the_key_is_nowhere_but_on_its_own_page() -> None:
    with portal() as it:
        browser = signed_in(it)
        assert browser.open("/tokens/new/app").path == "/tokens/new"  # none yet
        assert browser.page.codes == []
        browser.press(RIGHT)
        page = browser.page
        assert len(page.codes[0].replace(" ", "")) == 32
        assert page.header("cache-control") == "no-store"
        assert "<svg" in page.html
        assert "style=" not in page.html


def test_an_app_that_a_weaker_visit_adds_has_to_wait_and_everybody_is_told() -> None:
    with portal() as it:
        browser = weakly(it)
        browser.open("/tokens/new")
        assert "counts only from 2026-10-15 12:00" in browser.page.text
        add(it, browser)
        assert "It has to wait" in browser.page.text
        assert [letter.mail.kind for letter in it.mails()] == [MailKind.TOKEN_WAITING]
        code = it.next_code("alice", 1)
        assert it.house.challenged("alice").says(code) == "challenge code_wrong"
        assert "Tablet" in browser.open("/").text
        it.house.clock.advance(86400)
        it.house.run(it.house.store.ripen(it.house.clock.wall()))
        assert it.house.challenged("alice").says(it.house.code("alice", token=1)) == "accept accepted"


def test_what_waits_can_be_cancelled_by_any_visit() -> None:
    with portal() as it:
        browser = weakly(it)
        add(it, browser)
        browser.open("/")
        browser.press("Cancel it")
        assert browser.page.path == "/tokens"
        assert len(tokens(it)) == 1
        assert "done waiting_cancelled" in it.acts()


def test_a_label_is_one_line_of_text_whatever_was_typed() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser, "<script>alert(1)</script>\n\u202e" + "x" * 100)
        (label,) = [label for label in tokens(it) if label]
        assert label.startswith("<script>alert(1)</script> x")
        assert len(label) == 64
        assert "<script>alert" not in browser.page.html
        assert "&lt;script&gt;alert" in browser.page.html
        browser.open("/")
        assert "<script>alert" not in browser.page.html


def test_an_app_without_a_name_is_given_one() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser, " ")
        add(it, browser, "")
        assert sorted(tokens(it)) == ["", "My phone", "My phone 2"]


def test_an_app_is_called_otherwise() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser)
        token = tokens(it)["Tablet"]
        browser.open(f"/tokens/{token}")
        assert browser.submit(f"/tokens/{token}/name", label="  ").status == 422
        browser.submit(f"/tokens/{token}/name", label="Old & slow")
        assert "Old &amp; slow" in browser.page.html
        assert "Old & slow" in tokens(it)


def test_a_code_is_tested_and_used_up() -> None:
    with portal() as it:
        browser = signed_in(it)
        token = tokens(it)[""]
        browser.open(f"/tokens/{token}")
        code = it.next_code("alice")
        assert "The app works" in browser.submit(f"/tokens/{token}/test", code=code).text
        page = browser.submit(f"/tokens/{token}/test", code=code)
        assert (page.status, "used already" in page.text) == (422, True)
        assert it.house.challenged("alice").says(code) == "challenge code_used"


def test_codes_are_not_tested_for_ever() -> None:
    with portal() as it:
        browser = signed_in(it)
        token = tokens(it)[""]
        wrong = it.house.wrong_codes("alice", 7)
        browser.open(f"/tokens/{token}")
        said = [browser.submit(f"/tokens/{token}/test", code=code).status for code in wrong]
        assert said == [422] * 5 + [429] * 2
        assert it.house.counters("alice").failures == 0


def test_a_test_long_after_signing_in_asks_for_both_again() -> None:
    with portal() as it:
        browser = signed_in(it)
        token = tokens(it)[""]
        browser.open(f"/tokens/{token}")
        it.house.clock.advance(601)
        browser.submit(f"/tokens/{token}/test", code=it.house.code("alice"))
        assert browser.page.path == "/again"
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == f"/tokens/{token}"


def test_an_app_is_removed_on_a_page_of_its_own() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser)
        token = tokens(it)["Tablet"]
        browser.open(f"/tokens/{token}")
        browser.follow("Remove this app …")
        assert "Remove Tablet?" in browser.page.text
        browser.press("Remove this app")
        assert list(tokens(it)) == [""]


def test_the_last_that_somebody_signs_in_with_is_not_removed() -> None:
    with portal() as it:
        browser = signed_in(it)
        token = tokens(it)[""]
        browser.open(f"/tokens/{token}/remove")
        page = browser.press("Remove this app")
        assert (page.status, "all you sign in with" in page.text) == (403, True)
        assert tokens(it)


def test_a_weaker_visit_removes_no_app() -> None:
    with portal() as it:
        browser = weakly(it)
        token = tokens(it)[""]
        browser.open(f"/tokens/{token}/remove")
        page = browser.press("Remove this app")
        assert (page.status, "use a recovery code, or start anew" in page.text) == (403, True)
        assert tokens(it)


def test_removing_long_after_signing_in_asks_for_both_again() -> None:
    with portal() as it:
        browser = signed_in(it)
        add(it, browser)
        token = tokens(it)["Tablet"]
        browser.open(f"/tokens/{token}/remove")
        it.house.clock.advance(601)
        browser.press("Remove this app")
        assert browser.page.path == "/again"
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == f"/tokens/{token}/remove"


def test_the_apps_of_others_are_not_there() -> None:
    with portal() as it:
        it.house.enrol("bob")
        (token,) = it.house.facts("bob").tokens
        browser = signed_in(it)
        csrf = browser.csrf()
        for path in ("", "/remove"):
            assert browser.open(f"/tokens/{token.id}{path}").status == 404
        for path in ("/name", "/test", "/remove"):
            fields = {"csrf": csrf, "label": "mine", "code": it.house.code("bob")}
            assert browser.post(f"/tokens/{token.id}{path}", fields).status == 404
        assert it.house.facts("bob").tokens == (token,)


def test_a_stale_visit_that_adds_an_app_is_asked_for_both_again_and_adds_nothing() -> None:
    with portal() as it:
        browser = signed_in(it)
        it.house.clock.advance(601)
        assert browser.open("/tokens/new").path == "/again"
        csrf = browser.csrf()
        assert browser.post("/tokens/new", {"csrf": csrf, "page": "/tokens/new"}).path == "/again"
        assert browser.post("/tokens/new/app", {"csrf": csrf, "code": "123456"}).path == "/again"
        assert len(tokens(it)) == 1


def test_what_the_command_line_has_begun_is_shown_as_not_confirmed() -> None:
    with portal() as it:
        browser = signed_in(it)
        it.house.enrol("alice", confirmed=False)
        assert "Not confirmed" in browser.open("/tokens").text


def test_where_no_app_is_served_none_is_added() -> None:
    with portal(served=frozenset({"mail", "recovery_codes"}), first=None) as it:
        it.house.register("alice")
        browser = it.browser(CAMPUS)
        browser.sign_in_by_mail("alice")
        assert "Add an app" not in browser.open("/tokens").links
        assert browser.open("/tokens/new").path == "/tokens"
