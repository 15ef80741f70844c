"""The help desk's pages: what it sees and does, and what is kept from everybody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from radius_mfa.core.acts import Act
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent, FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.portal_store import Case, CaseKind
from radius_mfa.core.stored import MailKind
from radius_mfa.data import CONFIG
from radius_mfa.portal.words import read_words
from tests.adapters import NOON, PASSWORD
from tests.portal.browsing import HELP_DESK, Browser, Page, Portal, portal

LOST = Case("c1", "u-alice", "alice", CaseKind.LOST, "", "198.51.100.7:50000", NOON)


@pytest.fixture
def it() -> Iterator[Portal]:
    """Bob is of the help desk, and has an app; so has alice, and an address."""
    with portal() as portal_:
        staff(portal_, "bob")
        portal_.house.enrol("alice")
        portal_.house.register("alice")
        yield portal_


def staff(it: Portal, username: str) -> None:
    it.house.directory.users[username] = replace(
        it.house.user(username), groups=frozenset({HELP_DESK}), language=""
    )
    it.house.enrol(username)


@pytest.fixture
def desk(it: Portal) -> Browser:
    browser = it.browser()
    browser.sign_in("bob", it.house.code("bob"))
    return browser


def find(browser: Browser, username: str = "alice") -> Page:
    browser.open("/desk")
    return browser.submit("/desk", username=username)


def press(browser: Browser, path: str, **fields: str) -> Page:
    """What a form of the page sends to the path below it, the card being seen."""
    return browser.post(path, {"csrf": browser.csrf(), "page": browser.page.path, "card": "seen", **fields})


def lock(it: Portal) -> None:
    """By wrong codes at a gateway."""
    for code in it.house.wrong_codes("alice", 10):
        it.house.challenged("alice").says(code)


def queue(it: Portal, *cases: Case) -> list[Case]:
    """What is in it, once these are."""
    for case in cases:
        it.house.run(it.house.store.open_case(case))
    return list(it.house.run(it.house.store.cases(10)))


def acts_of(it: Portal, act: Act) -> list[AuditEvent]:
    return [each for each in it.audit if each.outcome is act]


# --- finding somebody -------------------------------------------------------------------------------


def test_the_desk_finds_somebody_and_sees_how_they_stand(it: Portal, desk: Browser) -> None:
    page = find(desk, "ALICE")
    assert page.status == 200
    assert page.headings[0] == ("h1", "Account of alice")
    assert "alice@example.net" in page.text
    assert "Not locked" in page.text
    (event,) = acts_of(it, Act.LOOKED_AT)
    assert (event.user_id, event.by) == ("u-alice", "bob")


def test_no_name_is_in_an_address(it: Portal, desk: Browser) -> None:
    page = find(desk)
    assert re.fullmatch(r"/desk/user/[a-z2-7]+", page.path)
    assert "alice" not in " ".join((page.path, *page.hops, *page.links.values()))


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [
        ("nobody", Outcome.UNKNOWN_USER),
        ("", Outcome.NAME_UNREADABLE),
        ("twice", Outcome.AMBIGUOUS_USER),
        ("odd", Outcome.USER_ID_UNUSABLE),
    ],
)
def test_why_nobody_was_found_is_said(it: Portal, desk: Browser, typed: str, outcome: Outcome) -> None:
    it.house.directory.users |= {"twice": Outcome.AMBIGUOUS_USER, "odd": Outcome.USER_ID_UNUSABLE}
    page = find(desk, typed)
    assert page.status == 422
    assert read_words(CONFIG / "portal")["en"][f"desk.outcome.{outcome.value}"] in page.text


def test_an_account_that_is_gone_meanwhile_is_nobodys(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    it.house.directory.users["alice"] = replace(it.house.user("alice"), id="u-another")
    assert desk.open(path).status == 404
    del it.house.directory.users["alice"]
    assert desk.open(path).status == 404
    assert "no account" in desk.page.text.lower()
    for act in ("unlock", "voucher", "reset", "address"):
        desk.open("/desk")
        assert press(desk, f"{path}/{act}").status == 404
    assert desk.open(f"{path}/reset").status == 404


@pytest.mark.parametrize("ref", ["x", "alice", "mfwgsy3f", "a" * 3000, "1", "%C3%BC"])
def test_an_address_that_we_have_not_made_leads_nowhere(desk: Browser, ref: str) -> None:
    assert desk.open(f"/desk/user/{ref}").status == 404


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_state_of_a_locked_user_is_shown_in_both_languages(it: Portal, language: str) -> None:
    lock(it)
    browser = it.browser(language=language)
    browser.sign_in("bob", it.house.code("bob"))
    page = find(browser)
    assert page.status == 200
    assert {"en": "Locked until", "ja": "までロック中"}[language] in page.text
    assert [tag for tag, _ in page.headings][:2] == ["h1", "h2"]


def test_who_is_not_activated_is_shown_so(desk: Browser) -> None:
    page = find(desk, "carol")
    assert "nobody is let in" in page.text
    assert "Issue a voucher" not in page.text


# --- why they were refused --------------------------------------------------------------------------


def test_the_exact_reason_of_each_failure_is_said_to_staff(it: Portal, desk: Browser) -> None:
    it.browser().sign_in("alice", password="wrong")
    it.browser().sign_in("alice", it.house.wrong_code("alice"))
    words = read_words(CONFIG / "portal")["en"]
    page = find(desk)
    for outcome in (Outcome.WRONG_PASSWORD, Outcome.CODE_WRONG):
        assert words[f"desk.outcome.{outcome.value}"] in page.text
        assert outcome.value in page.text


def test_logins_at_gateways_are_shown_as_well(it: Portal, desk: Browser) -> None:
    login = it.house.challenged("alice")
    login.says(it.house.code("alice"))
    assert "at: vpn" in find(desk).text


def test_what_the_password_alone_is_worth_here_is_not_mistaken_for_a_login(it: Portal, desk: Browser) -> None:
    browser = it.browser()
    browser.open("/lost")
    browser.submit("/lost", username="alice", password=PASSWORD)
    page = find(desk)
    assert "Nobody was let in by it alone" in page.text
    assert "Let in" not in page.text
    assert "looked_at" not in page.text


@pytest.mark.parametrize("language", ["en", "ja"])
def test_there_are_words_for_whatever_an_account_may_meet(language: str) -> None:
    words = read_words(CONFIG / "portal")[language]
    assert [each for each in Outcome if not words.get(f"desk.outcome.{each.value}")] == []
    assert [each for each in Act if not words.get(f"desk.act.{each.value}")] == []
    assert [each for each in CaseKind if not words.get(f"desk.case.{each.value}_text")] == []


def test_nothing_that_others_have_written_is_taken_for_html(it: Portal, desk: Browser) -> None:
    it.house.directory.users["alice"] = replace(it.house.user("alice"), name="<b>A</b>")
    it.house.run(it.house.enrolment.reset("u-alice"))
    told = AuditEvent(NOON, Outcome.CODE_WRONG, "reject", "<i>c", "s", user_id="u-alice", detail="<script>x")
    later = replace(told, outcome="<b>of another version", decision="<b>d")  # type: ignore[arg-type]
    it.audit += [told, later]
    queue(it, replace(LOST, detail="<script>y", source="<u>"))
    for page in (find(desk), desk.open("/desk"), find(desk, "<b>nobody")):
        assert not re.search("<(script>|b>|i>|u>)", page.html)


# --- what is done -----------------------------------------------------------------------------------


def test_unlocking(it: Portal, desk: Browser) -> None:
    lock(it)
    assert it.house.counters("alice").locked_until
    page = find(desk)
    page = desk.press("Unlock")
    assert "unlocked" in page.text
    assert it.house.counters("alice") == Counters()
    (event,) = acts_of(it, Act.UNLOCKED)
    assert (event.user_id, event.by, event.decision) == ("u-alice", "bob", "done")


def test_resetting_asks_for_the_card_on_a_page_of_its_own(it: Portal, desk: Browser) -> None:
    find(desk)
    page = desk.follow("Reset everything …")
    assert page.headings == [("h1", "Reset everything of alice")]
    path = page.path
    assert desk.post(path, {"csrf": desk.csrf()}).status == 422
    assert it.house.facts("alice").tokens
    assert "was reset" in press(desk, path).text
    facts = it.house.facts("alice")
    assert (facts.tokens, facts.mail_address, facts.required) == ((), "", True)
    assert [letter.mail.kind for letter in it.mails()] == [MailKind.RESET]
    assert acts_of(it, Act.RESET)[0].by == "bob"


def test_a_reset_ends_the_visits_of_the_user(it: Portal, desk: Browser) -> None:
    alice = it.browser()
    alice.sign_in("alice", it.house.code("alice"))
    assert alice.open("/again").path == "/again"
    press(desk, f"{find(desk).path}/reset")
    assert alice.open("/again").path == "/sign-in"


def test_a_voucher_is_shown_once_and_is_good(it: Portal, desk: Browser) -> None:
    find(desk)
    page = desk.press("Issue a voucher")
    assert page.status == 200
    (shown,) = re.findall(r"\b[a-z]{4}-[a-z]{4}-[a-z]{4}\b", page.text)
    assert page.header("cache-control") == "no-store"
    assert shown not in desk.open(page.path.removesuffix("/voucher")).text
    assert "Issued, good until" in desk.page.text
    assert shown not in repr(it.audit)
    assert it.house.run(it.enrolment.redeem_voucher("u-alice", shown))


def test_a_reload_issues_no_other_voucher(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    form = next(each for each in desk.page.forms if each.action == f"{path}/voucher")
    (shown,) = re.findall(r"\b[a-z]{4}-[a-z]{4}-[a-z]{4}\b", desk.post(form.action, form.fields).text)
    page = desk.post(form.action, form.fields)
    assert (page.status, "issued already" in page.text) == (403, True)
    assert it.house.run(it.enrolment.redeem_voucher("u-alice", shown))


def test_no_voucher_for_who_is_not_activated_or_where_none_is_taken(it: Portal, desk: Browser) -> None:
    path = find(desk, "carol").path
    page = press(desk, f"{path}/voucher")
    assert page.status == 422
    assert "activated first" in page.text
    with portal(voucher=False) as other:
        staff(other, "bob")
        browser = other.browser()
        browser.sign_in("bob", other.house.code("bob"))
        page = find(browser)
        assert "Issue a voucher" not in page.text
        assert press(browser, f"{page.path}/voucher").status == 422


def test_an_address_is_set_after_the_card_was_seen(it: Portal, desk: Browser) -> None:
    find(desk)
    path = desk.follow("Set an address …").path
    assert desk.post(path, {"csrf": desk.csrf(), "address": "a@new.example"}).status == 422
    assert "Check the card first" in desk.page.text
    assert 'value="a@new.example"' in desk.page.html  # what was typed is still there
    assert it.house.facts("alice").mail_address == "alice@example.net"
    assert "The address is set" in press(desk, path, address="a@new.example").text
    assert it.house.facts("alice").mail_address == "a@new.example"
    told = {(letter.mail.kind, letter.mail.address) for letter in it.mails()}
    assert told == {(MailKind.ADDRESS_SET, "alice@example.net"), (MailKind.ADDRESS_SET, "a@new.example")}


@pytest.mark.parametrize("address", ["nonsense", "a@blocked.example", "a@new.example\r\nBcc: b@new.example"])
def test_an_address_that_cannot_be_taken_is_said_so(it: Portal, desk: Browser, address: str) -> None:
    path = f"{find(desk).path}/address"
    assert press(desk, path, address=address).status == 422
    assert it.house.facts("alice").mail_address == "alice@example.net"


# --- the queue --------------------------------------------------------------------------------------


def test_who_waits_is_in_the_queue_until_they_are_answered(it: Portal, desk: Browser) -> None:
    queue(it, LOST, replace(LOST, id="c2", kind=CaseKind.DISOWNED, detail="vpn, accepted", created=NOON + 60))
    page = desk.open("/desk")
    assert page.text.index("Has no code") < page.text.index("Not my login")
    assert "vpn, accepted" in page.text
    desk.press("alice is answered", case="c1")
    assert [each.id for each in queue(it)] == ["c2"]
    (event,) = acts_of(it, Act.CASE_ANSWERED)
    assert (event.user_id, event.by, event.decision) == ("u-alice", "bob", "done")
    assert desk.follow("Account of alice").headings[0] == ("h1", "Account of alice")


def test_what_a_colleague_has_answered_is_said_so(it: Portal, desk: Browser) -> None:
    queue(it, LOST)
    desk.open("/desk")
    it.house.run(it.house.store.answer_case("c1", "carol", NOON))
    page = desk.press("alice is answered")
    assert page.status == 422
    assert "answered that already" in page.text


def test_nobody_takes_themselves_off_the_queue(it: Portal, desk: Browser) -> None:
    queue(it, replace(LOST, user_id="u-bob", username="bob"))
    desk.open("/desk")
    assert desk.press("bob is answered").status == 403
    assert len(queue(it)) == 1


# --- who may ----------------------------------------------------------------------------------------


def test_the_desk_is_offered_nothing_for_its_own_account_and_refused_it(it: Portal, desk: Browser) -> None:
    before = it.house.facts("bob")
    page = find(desk, "bob")
    assert page.status == 200
    assert [form.action for form in page.forms] == ["/sign-out"]
    assert "/reset" not in str(page.links)
    path = page.path
    for act in ("unlock", "voucher", "reset", "address"):
        assert press(desk, f"{path}/{act}", address="bob@new.example").status == 403
        desk.open(path)
    for act in ("reset", "address"):
        assert desk.open(f"{path}/{act}").status == 403
    assert it.house.facts("bob").tokens == before.tokens
    assert it.house.facts("bob").mail_address == ""
    refused = [each for each in it.audit if each.decision == "refused"]
    assert {each.outcome for each in refused} == {Act.UNLOCKED, Act.VOUCHER_ISSUED, Act.RESET, Act.ADDRESS_SET}
    assert {each.detail for each in refused} == {"own_account"}


def everything(it: Portal, browser: Browser, path: str) -> set[int]:
    """What somebody is told who opens every page of the desk, and sends all of its forms."""
    browser.open("/again")
    form = {"csrf": browser.csrf(), "card": "seen", "address": "x@evil.example", "username": "alice", "case": "c1"}
    statuses = {browser.open(page).status for page in ("/desk", path, f"{path}/reset", f"{path}/address")}
    for page in ("/desk", "/desk/case", *(f"{path}/{act}" for act in ("unlock", "voucher", "reset", "address"))):
        statuses.add(browser.post(page, form).status)
    return statuses


def test_who_is_not_of_the_desk_gets_nothing_by_any_of_its_addresses(it: Portal, desk: Browser) -> None:
    queue(it, LOST)
    path = find(desk).path
    alice = it.browser()
    alice.sign_in("alice", it.house.code("alice"))
    before = it.house.facts("alice")
    assert everything(it, alice, path) == {404}
    assert "Help desk" not in alice.open("/again").text
    assert it.house.facts("alice") == before
    assert len(queue(it)) == 1


def test_the_desk_by_a_mailed_code_is_none(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    it.house.register("bob")
    browser = it.browser()
    browser.sign_in("bob")
    browser.press("Send me a code by e-mail")
    browser.submit(code=it.mails()[0].carried)
    assert everything(it, browser, path) == {404}
    assert "Help desk" not in browser.open("/again").text


def test_the_desk_by_a_recovery_code_is_one(it: Portal) -> None:
    codes = it.house.run(it.enrolment.new_recovery_codes("u-bob", "bob"))
    browser = it.browser()
    browser.sign_in("bob", codes[0])
    assert find(browser).status == 200


def test_the_desk_without_a_factor_is_none(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    it.house.run(it.house.store.reset("u-bob"))
    browser = it.browser()
    browser.sign_in("bob")
    browser.open(path)
    assert browser.page.path == "/set-up"
    assert browser.open("/desk").path == "/set-up"


def test_who_has_not_signed_in_is_sent_to(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    stranger = it.browser()
    assert stranger.open(path).path == "/sign-in"
    stranger.post(f"{path}/reset", {"csrf": stranger.csrf(), "card": "seen"})
    assert stranger.page.path == "/sign-in"
    assert it.house.facts("alice").tokens


def test_who_has_left_the_desk_stays_one_for_the_visit_only(it: Portal, desk: Browser) -> None:
    it.house.directory.users["bob"] = replace(it.house.user("bob"), groups=frozenset())
    it.house.clock.advance(60)
    desk.open("/again")
    desk.show_again(it.house.code("bob"))
    assert desk.open("/desk").status == 404


def test_after_a_while_password_and_code_are_asked_for_again(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    it.house.clock.advance(610)
    assert desk.open(path).status == 200  # to look needs no more
    page = press(desk, f"{path}/unlock")
    assert page.path == "/again"
    page = desk.show_again(it.house.code("bob"))
    assert page.path == path
    it.house.clock.advance(610)
    desk.open(f"{path}/reset")
    desk.show_again(it.house.code("bob"))
    assert desk.page.path == f"{path}/reset"
    assert acts_of(it, Act.UNLOCKED) == []


def test_a_form_from_elsewhere_does_nothing(it: Portal, desk: Browser) -> None:
    path = find(desk).path
    form = {"csrf": desk.csrf(), "card": "seen"}
    assert desk.post(f"{path}/reset", form, origin="https://elsewhere.example").status == 403
    assert desk.post(f"{path}/reset", {**form, "csrf": "0" * 32}).status == 403
    assert it.house.facts("alice").tokens


def test_where_nothing_is_mailed_no_address_is_offered() -> None:
    with portal(served=frozenset({FactorKind.TOTP})) as it:
        staff(it, "bob")
        browser = it.browser()
        browser.sign_in("bob", it.house.code("bob"))
        assert "Set an address" not in find(browser).text
