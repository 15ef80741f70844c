"""The first set-up in steps: who may, in which order, and what is there afterwards."""

import pytest

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.stored import MailKind
from radius_mfa.core.visits import Visit
from radius_mfa.portal.browser import Cookies
from tests.portal.browsing import CAMPUS, Browser, Portal, portal

RIGHT = "My phone is on time, continue"


def first_app(it: Portal, browser: Browser, label: str = "Phone") -> None:
    """Scan the code that is shown, and type the first one of it."""
    browser.press(RIGHT)
    it.knows("alice", browser.page.codes[0])
    browser.submit("/set-up/app", code=it.house.code("alice"), label=label)


def test_a_first_set_up_goes_from_the_clock_to_codes_on_paper() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        assert browser.page.path == "/set-up/clock"
        assert "12:00:00" in browser.page.text
        first_app(it, browser)
        assert browser.page.path == "/set-up/address", browser.page.text
        assert "The app was added" in browser.page.text
        browser.submit("/set-up/address", address="alice@home.example")
        assert browser.page.path == "/set-up/address/code"
        codes = [letter for letter in it.mails() if letter.mail.kind is MailKind.ADDRESS]
        assert codes[0].mail.reference in browser.page.text
        browser.submit("/set-up/address/code", code=codes[0].carried)
        assert browser.page.path == "/set-up/codes"
        browser.press("Make recovery codes")
        assert len(browser.page.codes) == 10
        browser.follow("I have kept them")
        assert browser.page.path == "/set-up/done"
        assert "Something is still missing" not in browser.page.text
        facts = it.house.facts("alice")
        assert [token.label for token in facts.tokens] == ["Phone"]
        assert facts.mail_address == "alice@home.example"
        assert facts.recovery_left == 10


def test_a_code_of_the_new_app_is_accepted_at_a_gateway() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        login = it.house.challenged("alice")
        assert login.says(it.house.code("alice")) == "challenge code_used"  # the first one confirmed it
        assert login.says(it.next_code("alice")) == "accept accepted"


def test_the_visit_goes_on_under_another_name_once_there_is_a_factor() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        before = browser.cookies["__Host-visit"]
        first_app(it, browser)
        after = browser.cookies["__Host-visit"]
        assert before != after
        browser.cookies["__Host-visit"] = before
        assert browser.open("/").path == "/sign-in"


def test_the_address_comes_first_where_the_order_says_so() -> None:
    with portal(first=FactorKind.MAIL) as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        assert browser.page.path == "/set-up/address"
        assert "Skip this for now" not in browser.page.text  # nothing would be there
        browser.submit(address="alice@home.example")
        browser.submit(code=it.mails()[0].carried)
        assert browser.page.path == "/set-up/clock"
        assert browser.page.links["Skip this for now"] == "/set-up/codes"
        first_app(it, browser)
        assert browser.page.path == "/set-up/codes"
        browser.press("Make recovery codes")  # with the app, which was shown just now
        assert len(browser.page.codes) == 10


def test_a_step_without_its_factor_falls_away() -> None:
    with portal(served=frozenset({FactorKind.TOTP}), first=None) as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        assert browser.page.path == "/set-up/done"


@pytest.mark.parametrize(("networks", "vouchers"), [((), True), ((), False)])
def test_from_outside_the_password_alone_sets_up_nothing(networks: tuple[()], vouchers: bool) -> None:
    with portal(networks=networks, voucher=vouchers) as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        assert browser.page.path == "/set-up"
        assert ("Voucher" in browser.page.text) is vouchers
        assert "0123-45-6789" in browser.page.text
        assert browser.open("/set-up/app").path == "/set-up"
        assert browser.open("/set-up/address").path == "/set-up"
        csrf = {"csrf": browser.csrf()}
        browser.post("/set-up/clock", csrf)
        browser.post("/set-up/address", {**csrf, "address": "alice@home.example"})
        assert it.mails() == []
        browser.post("/set-up", {**csrf, "code": "abcd-efgh-jkmn"})
        assert not it.house.facts("alice").tokens


def test_with_a_voucher_it_is_done_from_anywhere_and_the_first_factor_uses_it_up() -> None:
    with portal() as it:
        voucher = it.voucher_for("alice")
        browser = it.browser()
        browser.sign_in("alice")
        page = browser.submit("/set-up", code="abcd-efgh-jkmn")
        assert page.status == 422
        assert "That is not your voucher" in page.text
        browser.submit("/set-up", code=voucher)
        assert browser.page.path == "/set-up/clock"
        again = it.browser()
        again.sign_in("alice")
        again.submit("/set-up", code=voucher)
        assert again.page.path == "/set-up/clock"  # it is good as long as nothing was set up
        first_app(it, browser)
        assert browser.page.path == "/set-up/address"
        assert again.open("/set-up").title.startswith("Your second factor is set up")
        assert "refused voucher_shown" in it.acts()


def test_a_voucher_is_worth_one_factor_at_once_as_well() -> None:
    with portal() as it:
        voucher = it.voucher_for("alice")
        both = [it.browser(), it.browser()]
        for browser in both:
            browser.sign_in("alice")
            browser.submit("/set-up", code=voucher)
            browser.press(RIGHT)
            it.knows("alice", browser.page.codes[0])
        for token, browser in enumerate(both):
            browser.submit("/set-up/app", code=it.house.code("alice", token=token))
        assert len(it.house.facts("alice").tokens) == 1
        assert both[1].page.title.startswith("Your second factor is set up")


def test_the_same_seed_confirmed_twice_at_once_is_one_app() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        browser.press(RIGHT)
        it.knows("alice", browser.page.codes[0])
        form = {"csrf": browser.csrf(), "code": it.house.code("alice"), "label": "Phone"}
        assert browser.post_at_once("/set-up/app", [form, form]) == [303, 303]
        assert len(it.house.facts("alice").tokens) == 1
        assert it.acts().count("done token_added") == 1


def test_the_key_stays_the_same_when_a_code_is_wrong() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        browser.press(RIGHT)
        key = browser.page.codes[0]
        it.knows("alice", key)
        page = browser.submit("/set-up/app", code=it.house.wrong_code("alice"), label="<b>mine</b>")
        assert (page.status, page.codes[0]) == (422, key)
        assert "That code is not right" in page.text
        assert "&lt;b&gt;mine&lt;/b&gt;" in page.html
        assert "<b>mine" not in page.html
        page = browser.submit("/set-up/app", code=it.house.code("alice", 4))
        assert page.status == 422
        assert "automatic date and time" in page.text
        browser.submit("/set-up/app", code=it.house.code("alice"))
        assert browser.page.path == "/set-up/address"


def test_without_a_seed_the_app_page_leads_to_the_clock() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        assert browser.open("/set-up/app").path == "/set-up/clock"
        assert browser.open("/set-up/address/code").path == "/set-up/address"
        browser.post("/set-up/app", {"csrf": browser.csrf(), "code": "123456"})
        assert browser.page.path == "/set-up/clock"


def test_the_address_is_out_of_order_before_the_app() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        browser.open("/set-up/address")
        browser.submit("/set-up/address", address="alice@home.example")
        assert browser.page.path == "/set-up/clock"
        assert it.mails() == []


def test_an_address_can_be_refused_sent_to_again_and_left_for_another() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        assert "not accepted" in browser.submit("/set-up/address", address="alice@blocked.example").text
        assert browser.submit("/set-up/address", address="<i>alice").status == 422
        assert "&lt;i&gt;alice" in browser.page.html
        browser.submit("/set-up/address", address="alice@home.example")
        (first,) = [letter.carried for letter in it.mails()]
        browser.press("Send it again")
        assert browser.page.path == "/set-up/address/code"
        (second,) = [letter.carried for letter in it.mails()]
        assert browser.submit("/set-up/address/code", code=first).status == 422
        assert browser.page.links["Use another address"] == "/set-up/address"
        browser.submit("/set-up/address/code", code=second)
        assert browser.page.path == "/set-up/codes"


def test_the_address_can_be_skipped_once_there_is_an_app() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        browser.follow("Skip this for now")
        assert browser.page.path == "/set-up/codes"
        browser.follow("Skip this for now")
        assert browser.page.path == "/set-up/done"
        assert "Something is still missing" in browser.page.text
        assert browser.follow("Go on with the set-up").path == "/set-up/address"


def test_too_many_mails_are_not_sent() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        for number in range(6):
            browser.open("/set-up/address")
            browser.submit("/set-up/address", address=f"alice{number}@home.example")
        assert browser.page.status == 429
        assert "several codes" in browser.page.text


def test_ten_minutes_after_the_first_factor_it_is_to_be_shown_before_the_next() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        it.house.clock.advance(601)
        assert browser.submit("/set-up/address", address="alice@home.example").path == "/again"
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == "/set-up/address"
        browser.open("/set-up/codes")
        it.house.clock.advance(601)
        assert browser.press("Make recovery codes").path == "/again"


def test_a_late_first_code_means_a_new_key() -> None:
    with portal() as it:
        it.house.enrol("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        browser.open("/tokens/new")
        browser.press(RIGHT)
        it.knows("alice", browser.page.codes[0])
        it.house.clock.advance(601)
        browser.submit("/tokens/new/app", code=it.house.code("alice", token=1))
        assert browser.page.path == "/again"
        assert "more than ten minutes" in browser.page.text
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == "/tokens/new"
        browser.press(RIGHT)
        it.knows("alice", browser.page.codes[0])
        assert it.house.seeds["alice"][1] != it.house.seeds["alice"][2]


def test_whoever_starts_anew_keeps_everything_until_the_first_code_is_right() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        start_anew(it, browser)
        assert browser.open("/set-up").path == "/set-up/clock"
        assert "everything you had before is removed" in browser.page.text
        browser.press(RIGHT)
        it.knows("alice", browser.page.codes[0])
        browser.submit("/set-up/app", code=it.house.wrong_code("alice"))
        assert len(it.house.facts("alice").tokens) == 1
        assert it.house.facts("alice").mail_address
        browser.submit("/set-up/app", code=it.house.code("alice", token=1), label="New phone")
        assert browser.page.path == "/set-up/address"
        facts = it.house.facts("alice")
        assert [token.label for token in facts.tokens] == ["New phone"]
        assert not facts.mail_address
        assert MailKind.STARTED_ANEW in [letter.mail.kind for letter in it.mails()]


def start_anew(it: Portal, browser: Browser) -> None:
    """Go on in a visit as it begins once a mailed link was followed, and the password shown again."""
    cookies = Cookies(it.house.sealer, it.house.entropy, secure=True)
    value, now = cookies.new_value(), it.house.clock.wall()
    who = (it.house.user("alice").id, "alice", "en", None)
    visit = Visit(cookies.visit_id(value), *who, False, "192.0.2.9:50000", now, now, now, now + 1800, anew=True)
    assert it.house.run(it.house.store.begin_visit(visit))
    browser.cookies["__Host-visit"] = value


def test_a_voucher_is_used_up_by_an_address_as_well_where_that_comes_first() -> None:
    with portal(first=FactorKind.MAIL) as it:
        voucher = it.voucher_for("alice")
        browser = it.browser()
        browser.sign_in("alice")
        browser.submit("/set-up", code=voucher)
        browser.submit("/set-up/address", address="alice@home.example")
        browser.submit("/set-up/address/code", code=it.mails()[0].carried)
        assert browser.page.path == "/set-up/clock"
        assert not it.house.run(it.enrolment.redeem_voucher(it.house.user("alice").id, voucher))
        first_app(it, browser)  # by the address, which is a factor now
        assert len(it.house.facts("alice").tokens) == 1


def test_a_visit_that_was_ended_meanwhile_adds_nothing() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        browser.press(RIGHT)
        it.knows("alice", browser.page.codes[0])
        it.house.run(it.house.store.end_visits(it.house.user("alice").id))
        browser.submit("/set-up/app", code=it.house.code("alice"))
        assert browser.page.path == "/sign-in"
        assert not it.house.facts("alice").tokens


def test_whoever_has_everything_is_led_to_the_end() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        it.house.run(it.enrolment.new_recovery_codes(it.house.user("alice").id, "alice"))
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        assert browser.open("/set-up").path == "/set-up/done"
        assert browser.follow("Test a code now").path == "/tokens"


def test_where_no_vouchers_are_given_none_is_looked_at() -> None:
    with portal(voucher=False) as it:
        voucher = it.voucher_for("alice")
        browser = it.browser()
        browser.sign_in("alice")
        assert browser.post("/set-up", {"csrf": browser.csrf(), "code": voucher}).path == "/set-up"
        assert browser.open("/set-up/clock").path == "/set-up"


def test_a_weaker_visit_sees_why_it_makes_no_codes() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        browser.sign_in_by_mail("alice")
        assert browser.open("/set-up").path == "/set-up/done"
        page = browser.open("/set-up/codes")
        assert (page.path, "sign in with a code of your app" in page.text) == ("/recovery-codes", True)
        assert browser.post("/set-up/codes", {"csrf": browser.csrf()}).status == 403


def test_whoever_takes_their_time_over_a_later_step_shows_both_again() -> None:
    with portal() as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        first_app(it, browser)
        browser.submit("/set-up/address", address="alice@home.example")
        (letter,) = it.mails()
        it.house.clock.advance(601)
        assert browser.submit("/set-up/address/code", code=letter.carried).path == "/again"
        assert browser.open("/set-up/address").path == "/again"
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == "/set-up/address"
        browser.open("/set-up/address/code")
        browser.submit("/set-up/address/code", code=letter.carried)
        assert browser.page.path == "/set-up/codes"


def test_a_key_that_was_scanned_too_long_ago_is_not_taken() -> None:
    with portal(first=FactorKind.MAIL) as it:
        browser = it.browser(CAMPUS)
        browser.sign_in("alice")
        browser.submit("/set-up/address", address="alice@home.example")
        browser.submit("/set-up/address/code", code=it.mails()[0].carried)
        browser.press(RIGHT)
        it.knows("alice", browser.page.codes[0])
        it.house.clock.advance(601)
        browser.submit("/set-up/app", code=it.house.code("alice"))
        assert browser.page.path == "/again"
        assert "scan the new QR code" in browser.page.text
        assert not it.house.facts("alice").tokens
