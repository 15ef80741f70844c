"""A login by a code that is mailed: asked for, sent once, good once, at whichever challenge it is typed."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind, Message, Nas, Profile
from radius_mfa.core.policy import Policy
from tests.adapters import COMMA, MAIL_POLICY, PASSWORD, SIX, WIFI, Fuse, House, Visitor, heard, house

DAY = 86400.0
PORTAL = Nas("portal", Profile("generic"))
ONLY_MAIL = Policy("mail only", factors=frozenset({FactorKind.MAIL}))


@pytest.fixture
def it() -> Iterator[House]:
    """alice has a token and an address, bob an address only."""
    with house((MAIL_POLICY,)) as it:
        it.enrol("alice")
        it.register("alice")
        it.register("bob")
        yield it


def asked(it: House, user_name: str = "alice") -> tuple[Visitor, str]:
    """A login that has typed `mail`, and the code that came."""
    login = it.challenged(user_name)
    assert login.says("mail") == "challenge mail_sent"
    return login, it.mailed()


def wrong(*codes: str) -> str:
    """8 digits that are none of these."""
    return next(each for each in ("11111111", "22222222", "33333333") if each not in codes)


# --- the whole way ------------------------------------------------------------------------------


def test_mail_is_typed_and_the_code_that_comes_is_a_login(it: House) -> None:
    login = it.challenged("alice")
    assert login.message == Message("challenged_or_mail", "en")

    assert login.says(" Mail ") == "challenge mail_sent"
    ((mail, code),) = it.mails()
    assert (mail.address, mail.username, mail.client, mail.language) == ("alice@example.net", "alice", "vpn", "en")
    assert login.message == Message("mail_sent", "en", (("reference", mail.reference),))
    assert login.last.event.detail == mail.reference

    assert login.says(f"{code[:4]} {code[4:]}") == "accept accepted"
    assert login.last.event.factor == "mail"
    assert it.doorbell.rung == 1


def test_who_has_nothing_else_gets_the_code_with_the_first_challenge(it: House) -> None:
    login = it.login("bob")

    assert login.says(PASSWORD) == "challenge mail_sent"
    assert login.message.language == "ja"
    assert login.says(it.mailed()) == "accept accepted"


def test_the_app_stays_good_after_a_mail_was_asked_for(it: House) -> None:
    login, _ = asked(it)

    assert login.says(it.code("alice")) == "accept accepted"


def test_no_mail_goes_to_who_has_no_address_or_where_the_policy_does_not_say_so(it: House) -> None:
    it.enrol("bob")
    it.run(it.store.set_mail_address("u-bob", "bob", ""))
    assert it.challenged("bob").says("mail") == "challenge factor_not_allowed"
    it.reload(policies=(Policy("app only"),))
    login = it.challenged("alice")
    assert login.message == Message("challenged", "en")
    assert login.says("mail") == "challenge factor_not_allowed"
    assert login.says("12345678") == "challenge factor_not_allowed"

    assert it.mails() == []
    assert it.counters("alice") == Counters()


def test_no_mail_leaves_before_the_password_was_right(it: House) -> None:
    assert it.login("bob").says("wrong") == "reject wrong_password"
    assert it.login("carol").says(PASSWORD) == "reject not_activated"

    assert it.mails() == []


# --- once, and for a time -----------------------------------------------------------------------


def test_a_code_never_works_twice(it: House) -> None:
    login, code = asked(it)
    assert login.says(code) == "accept accepted"

    again = it.challenged("alice")
    assert again.says(code) == "challenge code_used"
    assert again.message == Message("code_used_mail", "en")
    assert it.counters("alice") == Counters()


def test_of_many_logins_at_once_with_one_code_one_is_let_in(it: House) -> None:
    _, code = asked(it)
    it.interleave()
    logins = [it.challenged("alice") for _ in range(20)]

    ended = it.ask_at_once([login.request(code) for login in logins])

    assert sorted(map(heard, ended)).count("accept accepted") == 1
    assert it.counters("alice") == Counters()


def test_a_live_code_is_good_at_any_challenge_so_a_gateway_that_timed_out_costs_nothing(it: House) -> None:
    _, code = asked(it)

    elsewhere = it.challenged("alice", WIFI)
    assert elsewhere.says(code) == "accept accepted"
    assert it.mails() == []


def test_a_code_is_good_for_its_lifetime_and_no_longer(it: House) -> None:
    _, code = asked(it)
    it.clock.advance(DAY - 1)
    assert it.challenged("alice").says(wrong(code)) == "challenge code_wrong"
    it.clock.advance(1)

    late = it.challenged("alice")
    assert late.says(code) == "challenge code_wrong"
    assert late.message == Message("code_wrong_mail", "en")


def test_somebody_elses_code_is_wrong(it: House) -> None:
    _, code = asked(it)
    login = it.login("bob")
    login.says(PASSWORD)

    assert login.says(code) == "challenge code_wrong"


# --- where codes count only if they were asked for there ----------------------------------------


def at_portal(it: House) -> Visitor:
    """A login of alice's to what takes no code that was asked for elsewhere."""
    it.count_mail_of(PORTAL.name)
    return it.challenged("alice", PORTAL)


def test_a_code_that_was_asked_for_at_a_gateway_opens_no_portal_and_stays_good_at_gateways(it: House) -> None:
    _, code = asked(it)

    login = at_portal(it)
    assert login.says(code) == "challenge code_wrong"
    assert it.counters("alice").failures == 1
    it.count_mail_of(None)
    assert it.challenged("alice").says(code) == "accept accepted"


def test_a_code_that_was_asked_for_at_the_portal_is_good_there(it: House) -> None:
    login = at_portal(it)

    assert login.says("mail") == "challenge mail_sent"
    assert login.says(it.mailed()) == "accept accepted"


def test_and_at_any_gateway_as_well(it: House) -> None:
    assert at_portal(it).says("mail") == "challenge mail_sent"
    code = it.mailed()

    it.count_mail_of(None)
    assert it.challenged("alice").says(code) == "accept accepted"


def test_at_the_portal_nobody_learns_that_a_gateways_code_was_used(it: House) -> None:
    login, code = asked(it)
    assert login.says(code) == "accept accepted"

    guessing = at_portal(it)
    assert guessing.says(code) == "challenge code_wrong"
    assert guessing.says(wrong(code)) == "challenge code_wrong"
    assert it.counters("alice").failures == 2


def test_guesses_at_the_portal_are_tries_of_the_codes_of_gateways_too(it: House) -> None:
    """Else somebody could guess three times at each."""
    _, code = asked(it)
    guessing = at_portal(it)
    for _ in range(2):
        guessing.says(wrong(code))
    assert [each.tries for each in it.facts("alice").mail_codes] == [2]


def test_a_gateways_code_on_its_way_is_not_what_is_asked_for_at_the_portal(it: House) -> None:
    first, _ = asked(it)
    login = at_portal(it)

    assert login.says("mail") == "challenge mail_sent"
    ((mail, code),) = it.mails()
    assert mail.client == PORTAL.name
    assert ("reference", mail.reference) not in first.message.parameters
    assert login.says("mail") == "challenge mail_sent"
    assert it.mails() == []
    assert login.says(code) == "accept accepted"


def test_the_mails_of_the_day_are_those_of_gateways_and_portal_together(it: House) -> None:
    for _ in range(5):
        login, code = asked(it)
        assert login.says(code) == "accept accepted"

    assert at_portal(it).says("mail") == "challenge mail_limit"
    assert it.mails() == []


# --- asking again -------------------------------------------------------------------------------


def test_asking_again_within_the_cooldown_sends_nothing_and_says_the_same_reference(it: House) -> None:
    login, code = asked(it)
    first = login.message
    it.clock.advance(59)

    assert login.says("mail") == "challenge mail_sent"
    assert login.message == first
    assert it.challenged("alice").says("mail") == "challenge mail_sent"
    assert it.mails() == []
    assert login.says(code) == "accept accepted"


def test_after_the_cooldown_there_is_another_code_and_the_first_stays_good(it: House) -> None:
    login, first = asked(it)
    it.clock.advance(61)
    assert login.says("mail") == "challenge mail_sent"
    second = it.mailed()

    assert second != first
    assert login.says(first) == "accept accepted"
    assert it.challenged("alice").says(second) == "accept accepted"


def test_asking_for_mail_costs_no_round_but_cannot_go_on_for_ever(it: House) -> None:
    login = it.challenged("alice")
    for _ in range(3):
        assert login.says("mail") == "challenge mail_sent"
    code = it.mailed()
    for _ in range(2):
        assert login.says("hello") == "challenge answer_unreadable"
    assert replace(login).says(code) == "accept accepted"

    login = it.challenged("alice")
    said = [login.says("mail") for _ in range(6)]
    assert said == ["challenge mail_sent"] * 5 + ["reject mail_limit"]
    assert login.message.key == "rounds_over_or_mail"


def test_after_the_days_mails_the_newest_code_has_to_do(it: House) -> None:
    login = it.challenged("alice")
    codes = []
    for _ in range(5):
        assert it.challenged("alice").says("mail") == "challenge mail_sent"
        codes.append(it.mailed())
        it.clock.advance(61)
    login = it.challenged("alice")

    assert login.says("mail") == "challenge mail_sent"
    assert it.mails() == []
    assert login.says(codes[-1]) == "accept accepted"


@pytest.mark.parametrize(
    ("user_name", "said", "key"),
    [
        ("alice", "challenge mail_limit", "mail_limit_or_mail"),
        ("bob", "reject mail_limit", "mail_limit"),
    ],
)
def test_when_the_days_mails_are_used_up_the_user_is_told(it: House, user_name: str, said: str, key: str) -> None:
    for _ in range(5):
        login = it.login(user_name)
        login.says(PASSWORD)
        if login.last.decision.outcome == "challenged":
            login.says("mail")
        assert login.says(it.mailed()) == "accept accepted"
    login = it.login(user_name)
    last = login.says(PASSWORD)
    if user_name == "alice":
        last = login.says("mail")

    assert (last, login.message.key) == (said, key)
    assert it.mails() == []
    it.clock.advance(DAY)
    login = it.login(user_name)
    last = login.says(PASSWORD)
    assert (login.says("mail") if user_name == "alice" else last) == "challenge mail_sent"


def test_two_workers_asked_at_once_send_one_mail(it: House) -> None:
    it.interleave()
    logins = [it.challenged("alice") for _ in range(10)]

    ended = it.ask_at_once([login.request("mail") for login in logins])

    assert {heard(each) for each in ended} == {"challenge mail_sent"}
    assert len({each.event.detail for each in ended}) == 1
    assert len(it.mails()) == 1


def test_the_first_challenge_at_two_workers_at_once_sends_one_mail(it: House) -> None:
    it.interleave()

    ended = it.ask_at_once([it.login("bob").request(PASSWORD) for _ in range(10)])

    assert {heard(each) for each in ended} == {"challenge mail_sent"}
    assert len(it.mails()) == 1


def test_the_identical_answer_again_sends_nothing(it: House) -> None:
    login = it.challenged("alice")
    request = login.request("mail")
    first, second = it.ask(request), it.ask(request)

    assert first.decision == second.decision
    assert len(it.mails()) == 1


# --- guessing -----------------------------------------------------------------------------------


def test_three_wrong_tries_void_a_code(it: House) -> None:
    login, code = asked(it)
    said = [login.says(wrong(code)) for _ in range(3)]
    assert said == ["challenge code_wrong"] * 2 + ["reject code_wrong"]
    assert login.message == Message("rounds_over_mail", "en")

    again = it.challenged("alice")
    assert again.says(code) == "challenge code_wrong"
    assert again.says("mail") == "challenge mail_sent"
    assert again.says(it.mailed()) == "accept accepted"


def test_the_third_try_may_still_be_right(it: House) -> None:
    login, code = asked(it)
    for _ in range(2):
        login.says(wrong(code))

    assert login.says(code) == "accept accepted"


def test_guesses_sent_at_once_are_no_more_than_three(it: House) -> None:
    """Counted before they are looked at: of a thousand answers, three have a chance."""
    _, code = asked(it)
    it.interleave()
    logins = [it.challenged("alice") for _ in range(9)]
    guesses = [wrong(code)] * 3 + [code] * 6

    ended = it.ask_at_once([login.request(guess) for login, guess in zip(logins, guesses, strict=True)])

    assert "accept accepted" not in map(heard, ended)


def test_wrong_mailed_codes_count_towards_the_lock_and_a_right_one_clears_it(it: House) -> None:
    login, code = asked(it)
    login.says(wrong(code))
    assert it.counters("alice").failures == 1

    assert login.says(code) == "accept accepted"
    assert it.counters("alice") == Counters()


def test_a_resent_used_code_takes_no_try_from_the_next(it: House) -> None:
    login, used = asked(it)
    assert login.says(used) == "accept accepted"
    login, code = asked(it)
    for _ in range(4):
        assert it.challenged("alice").says(used) == "challenge code_used"

    assert login.says(code) == "accept accepted"


def test_a_resent_used_code_whose_settling_failed_gives_no_try_of_a_newer_one_back(it: House) -> None:
    """Else whoever has a used code could wind the tries of the next one back as often as they like."""
    login, used = asked(it)
    assert login.says(used) == "accept accepted"
    waiting = [it.challenged("alice") for _ in range(3)]
    it.wire(Fuse(0, StoreError, "settle"))
    for each in waiting:
        each.says(used)
        it.wire(Fuse(0, StoreError, "settle"))
    it.wire(None)
    login, code = asked(it)
    for _ in range(3):
        login.says(wrong(code, used))
    for each in waiting:
        assert each.says(used) == "challenge code_used"

    assert it.challenged("alice").says(code) == "challenge code_wrong"


def test_a_right_code_takes_no_try_from_the_others(it: House) -> None:
    login, first = asked(it)
    it.clock.advance(61)
    login, second = asked(it)
    login.says(wrong(first, second))
    login.says(wrong(first, second))
    assert login.says(first) == "accept accepted"

    assert it.challenged("alice").says(second) == "accept accepted"


def test_a_mailed_code_is_the_way_out_of_a_suspension(it: House) -> None:
    """50 wrong codes suspend TOTP, until a mailed code or staff lifts it."""
    lock_step = 86400.0
    for code in it.wrong_codes("alice", 50):
        it.clock.advance(lock_step)
        it.challenged("alice").says(code)
    assert it.counters("alice").suspended  # and may have a code mailed at once

    login = it.login("alice")
    assert login.says(PASSWORD) == "challenge mail_sent"
    assert login.says(it.code("alice")) == "challenge factor_not_allowed"
    assert login.says(it.mailed()) == "accept accepted"
    assert it.counters("alice") == Counters()


def test_whoever_is_suspended_meanwhile_is_told_how_to_go_on(it: House) -> None:
    it.reload(guard=replace(it.rules.guard, failures=10, suspend_after=2))
    login = it.challenged("alice")
    first, second, third = it.wrong_codes("alice", 3)
    login.says(first)
    waiting = it.challenged("alice")
    login.says(second)

    assert waiting.says(third) == "reject suspended"
    assert waiting.message.key == "suspended_or_mail"


def test_the_guess_that_suspends_the_app_leaves_the_mailed_code_to_be_asked_for(it: House) -> None:
    it.reload(guard=replace(it.rules.guard, failures=10, suspend_after=2))
    login = it.challenged("alice")
    first, second = it.wrong_codes("alice", 2)
    login.says(first)

    assert login.says(second) == "challenge code_wrong"
    assert login.message.key == "code_wrong_mail"
    assert login.says("mail") == "challenge mail_sent"
    assert login.says(it.mailed()) == "accept accepted"


def test_a_lock_bars_mail_too(it: House) -> None:
    waiting = it.challenged("alice")
    for code in it.wrong_codes("alice", 10):
        it.challenged("alice").says(code)

    assert waiting.says("mail") == "reject locked"
    assert it.login("alice").says(PASSWORD) == "reject locked"
    assert it.mails() == []


# --- one field ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nas", [COMMA, SIX], ids=["comma", "six"])
def test_in_one_field_the_mail_is_asked_for_and_typed_after_a_comma(it: House, nas: Nas) -> None:
    login = it.login("alice", nas)
    assert login.says(f"{PASSWORD},mail") == "reject mail_sent"
    ((mail, code),) = it.mails()
    assert login.message == Message("mail_sent_log_in_again", "en", (("reference", mail.reference),))

    assert login.says(f"{PASSWORD},{code}") == "accept accepted"
    assert login.says(f"{PASSWORD},{code}") == "reject code_used"


def test_in_one_field_the_password_alone_sends_the_code_to_who_has_nothing_else(it: House) -> None:
    login = it.login("bob", COMMA)

    assert login.says(PASSWORD) == "reject mail_sent"
    assert login.says(f"{PASSWORD},{it.mailed()}") == "accept accepted"
    alice = it.login("alice", COMMA)
    assert alice.says(PASSWORD) == "reject code_missing"
    assert alice.message.key == "code_missing_or_mail"


def test_in_one_field_a_suspended_app_s_code_sends_a_mail(it: House) -> None:
    it.reload(guard=replace(it.rules.guard, failures=10, suspend_after=2))
    for code in it.wrong_codes("alice", 2):
        it.login("alice", COMMA).says(f"{PASSWORD},{code}")
    login = it.login("alice", COMMA)

    assert login.says(f"{PASSWORD},{it.code('alice')}") == "reject mail_sent"
    assert login.says(f"{PASSWORD},{it.mailed()}") == "accept accepted"


def test_in_one_field_the_days_mails_end_with_a_refusal(it: House) -> None:
    for _ in range(5):
        assert it.login("bob", COMMA).says(PASSWORD) == "reject mail_sent"
        assert it.login("bob", COMMA).says(f"{PASSWORD},{it.mailed()}") == "accept accepted"

    assert it.login("bob", COMMA).says(f"{PASSWORD},mail") == "reject mail_limit"


# --- the edges ----------------------------------------------------------------------------------


def test_a_profile_of_one_round_still_has_one_for_the_mailed_code(it: House) -> None:
    one = Nas("vpn", Profile("hasty", rounds=1))
    login = it.challenged("alice", one)

    assert login.says("mail") == "challenge mail_sent"
    assert login.says(it.mailed()) == "accept accepted"


def test_a_new_address_makes_what_was_sent_to_the_old_one_void(it: House) -> None:
    login, code = asked(it)
    it.register("alice", "alice@elsewhere.example")

    assert login.says(code) == "challenge code_wrong"


def test_an_address_taken_away_after_the_challenge_ends_mail(it: House) -> None:
    login = it.challenged("alice")
    it.run(it.store.set_mail_address("u-alice", "alice", ""))

    assert login.says("mail") == "challenge factor_not_allowed"


def test_where_mail_has_gone_from_the_configuration_its_states_get_no_mail(it: House) -> None:
    login = it.challenged("alice")
    it.reload(policies=(replace(MAIL_POLICY, factors=frozenset({FactorKind.TOTP})),))

    assert login.says("mail") == "challenge factor_not_allowed"


@pytest.mark.parametrize("call", ["issue_mail_code", "settle", "spend"])
def test_a_store_that_fails_sends_one_mail_at_most(it: House, call: str) -> None:
    login = it.challenged("alice")
    it.wire(Fuse(0, StoreError, call))
    assert login.says("mail") == "reject store_failed"
    it.wire(None)

    assert login.says("mail") == "challenge mail_sent"
    assert len(it.mails()) == 1


def test_a_mail_only_policy_refuses_who_has_no_address(it: House) -> None:
    it.reload(policies=(ONLY_MAIL,))
    it.run(it.store.set_mail_address("u-alice", "alice", ""))

    assert it.login("alice").says(PASSWORD) == "reject unenrolled"
