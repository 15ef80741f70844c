"""Recovery codes at a login, what becomes of a reset user, and what the user is told by mail."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from radius_mfa.core.codes import compact
from radius_mfa.core.enrolment import Seed
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import Challenge, FactorKind, Message
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.stored import MailKind
from tests.adapters import COMMA, PASSWORD, PERIOD, SIX, House, Visitor, heard, house

ANY = Policy("any", factors=frozenset(FactorKind))
NO_MAIL = Policy("no mail", factors=frozenset({FactorKind.TOTP, FactorKind.RECOVERY_CODES}))
LENIENT = replace(ANY, name="lenient", second_factor=SecondFactor.WHEN_ENROLLED)


@pytest.fixture
def it() -> Iterator[House]:
    with house((ANY,)) as it:
        it.enrol("alice")
        yield it


def recovery_codes(it: House, username: str = "alice") -> list[str]:
    return list(it.run(it.enrolment.new_recovery_codes(f"u-{username}", username)))


# --- recovery codes -------------------------------------------------------------------------------


def test_ten_codes_of_letters_are_given_each_good_once(it: House) -> None:
    codes = recovery_codes(it)
    assert len(set(codes)) == 10
    assert all(len(compact(code)) == 12 for code in codes)

    assert it.challenged().says(codes[3]) == "accept accepted"
    login = it.challenged()
    assert login.says(codes[3]) == "challenge code_used"
    assert login.says(f" {codes[4].upper().replace('-', ' ')} ") == "accept accepted"
    assert login.last.event.factor == "recovery_codes"
    assert it.facts("alice").recovery_left == 8


def test_new_codes_take_the_place_of_all_others(it: House) -> None:
    old = recovery_codes(it)
    new = recovery_codes(it)

    assert it.challenged().says(old[0]) == "challenge code_wrong"
    assert it.challenged().says(new[0]) == "accept accepted"


def test_a_used_code_is_not_counted_and_a_wrong_one_is(it: House) -> None:
    codes = recovery_codes(it)
    it.challenged().says(codes[0])
    it.challenged().says(codes[0])
    assert it.counters("alice") == Counters()

    it.challenged().says("aaaa-aaaa-aaaa")
    assert it.counters("alice") == Counters(1, 1)


def test_who_typed_one_is_told_of_recovery_codes(it: House) -> None:
    codes = recovery_codes(it)
    it.challenged().says(codes[0])
    login = it.challenged()
    assert login.says(codes[0]) == "challenge code_used"
    assert login.message.key == "code_used_recovery"
    assert login.says("aaaa-aaaa-aaaa") == "challenge code_wrong"
    assert login.message.key == "code_wrong_recovery"


def test_of_many_logins_at_once_with_one_code_one_is_let_in(it: House) -> None:
    code = recovery_codes(it)[0]
    it.interleave()
    waiting = [it.challenged() for _ in range(9)]

    ended = it.ask_at_once([login.request(code) for login in waiting])
    assert sorted(each.event.outcome for each in ended) == ["accepted"] + ["code_used"] * 8


def test_a_policy_without_them_takes_none(it: House) -> None:
    codes = recovery_codes(it)
    it.reload(policies=(Policy("totp only"),))

    assert it.challenged().says(codes[0]) == "challenge factor_not_allowed"
    assert it.facts("alice").recovery_left == 10


@pytest.mark.parametrize("nas", [COMMA, SIX], ids=["comma", "six"])
def test_in_one_field_it_is_typed_after_a_comma(it: House, nas: object) -> None:
    codes = recovery_codes(it)
    login = it.login("alice", nas)  # type: ignore[arg-type]

    assert login.says(f"{PASSWORD},{codes[0]}") == "accept accepted"
    assert login.says(f"{PASSWORD},{codes[0]}") == "reject code_used"


def test_who_has_nothing_else_is_asked_for_one(it: House) -> None:
    it.reload(policies=(NO_MAIL,))
    codes = recovery_codes(it, "bob")
    login = it.challenged("bob")
    assert login.message == Message("challenged_recovery", "ja")

    assert login.says("123456") == "challenge factor_not_allowed"
    assert login.message.key == "factor_not_allowed_recovery"
    assert login.says("?") == "challenge answer_unreadable"
    assert login.message.key == "answer_unreadable_recovery"
    assert login.says("aaaa-aaaa-aaaa") == "reject code_wrong"
    assert login.message.key == "rounds_over_recovery"
    for code in codes:
        assert it.challenged("bob").says(code) == "accept accepted"
    assert it.login("bob").says(PASSWORD) == "reject unenrolled"


def test_with_an_address_besides_a_mail_leaves_with_the_first_challenge(it: House) -> None:
    it.register("bob")
    codes = recovery_codes(it, "bob")
    login = it.login("bob")

    assert login.says(PASSWORD) == "challenge mail_sent"
    assert login.says(codes[0]) == "accept accepted"
    assert it.login("bob", COMMA).says(f"{PASSWORD},{codes[1]}") == "accept accepted"


def test_when_the_days_mails_are_used_up_there_are_still_the_recovery_codes(it: House) -> None:
    it.register("bob")
    codes = recovery_codes(it, "bob")
    for _ in range(5):
        login = it.login("bob")
        login.says(PASSWORD)
        assert login.says(it.mailed()) == "accept accepted"

    login = it.login("bob")
    assert login.says(PASSWORD) == "challenge mail_limit"
    assert login.says(codes[0]) == "accept accepted"


def test_a_recovery_code_lifts_a_suspension(it: House) -> None:
    codes = recovery_codes(it)
    suspend(it)

    login = it.login("alice")
    assert login.says(PASSWORD) == "challenge challenged"
    assert login.says(it.code("alice")) == "challenge factor_not_allowed"
    assert login.says(codes[0]) == "accept accepted"
    assert it.counters("alice") == Counters()


def suspend(it: House) -> Visitor:
    """Two wrong codes are enough; the login that typed the second."""
    it.reload(guard=replace(it.rules.guard, failures=10, suspend_after=2))
    first, second = it.wrong_codes("alice", 2)
    it.challenged("alice").says(first)
    login = it.challenged("alice")
    login.says(second)
    assert it.counters("alice").suspended
    return login


# --- a mail about a suspension ----------------------------------------------------------------------


def test_a_suspended_user_is_told_by_mail_once(it: House) -> None:
    it.register("alice")
    suspend(it)

    ((mail, code),) = it.mails()
    assert (mail.kind, mail.address, mail.client, mail.username) == (
        MailKind.SUSPENDED,
        "alice@example.net",
        "vpn",
        "alice",
    )
    assert (code, mail.reference, mail.language) == ("", "", "en")
    assert it.doorbell.rung == 1
    it.challenged_by_mail("alice").says("aaaa-aaaa-aaaa")
    assert [mail.kind for mail, _ in it.mails()] == [MailKind.CODE]


def test_nobody_is_told_whose_address_is_not_known(it: House) -> None:
    suspend(it)

    assert it.mails() == []
    assert it.doorbell.rung == 0


def test_a_right_code_that_was_the_last_there_was_suspends_nobody_and_tells_nobody(it: House) -> None:
    it.register("alice")
    it.reload(guard=replace(it.rules.guard, failures=10, suspend_after=2))
    it.challenged("alice").says(it.wrong_code("alice"))

    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"
    assert it.mails() == []


def test_the_identical_answer_again_tells_nobody_again(it: House) -> None:
    it.register("alice")
    login = suspend(it)
    it.mails()

    repeated = it.ask(login.request(it.wrong_codes("alice", 2)[1], state=login.conclusions[0].decision.state))  # type: ignore[union-attr]
    assert repeated.event.detail == "the same answer again"
    assert it.mails() == []


# --- a wrong clock --------------------------------------------------------------------------------


def test_a_code_just_outside_the_window_is_answered_with_how_far_the_clock_is_off(it: House) -> None:
    login = it.challenged("alice")

    assert login.says(it.code("alice", 4)) == "challenge clock_wrong"
    assert login.message == Message("clock_wrong", "en", (("minutes", "2"),))
    assert it.counters("alice") == Counters(1, 1)


def test_a_code_that_was_told_of_is_not_accepted_when_its_time_comes(it: House) -> None:
    code = it.code("alice", 4)
    it.challenged("alice").says(code)
    it.clock.advance(4 * PERIOD)

    assert it.challenged("alice").says(code) == "challenge code_used"
    assert it.challenged("alice").says(it.code("alice", 1)) == "accept accepted"


def test_of_several_codes_that_were_told_of_none_is_accepted(it: House) -> None:
    """A user whose clock is wrong tries more than once, and somebody may look on."""
    codes = [it.code("alice", steps) for steps in (3, 4, -4)]
    for code in codes:
        assert it.challenged("alice").says(code) == "challenge clock_wrong"
    it.clock.advance(3 * PERIOD)

    assert it.challenged("alice").says(codes[0]) == "challenge code_used"
    assert it.challenged("alice").says(codes[1]) == "challenge code_used"


def test_in_the_last_round_the_clock_is_named_as_well(it: House) -> None:
    it.register("alice")
    login = it.challenged("alice")
    for code in it.wrong_codes("alice", 2):
        login.says(code)

    assert login.says(it.code("alice", -2)) == "reject clock_wrong"
    assert login.message.key == "clock_wrong_or_mail"


def test_drift_is_kept_with_the_code_that_showed_it(it: House) -> None:
    it.clock.advance(5)
    assert it.challenged("alice").says(it.code("alice", 1)) == "accept accepted"

    assert it.facts("alice").tokens[0].drift == 1
    it.clock.advance(2 * PERIOD)
    assert it.challenged("alice").says(it.code("alice", 2)) == "accept accepted"
    assert it.facts("alice").tokens[0].drift == 2


# --- what a store tells ---------------------------------------------------------------------------


def test_a_decision_is_kept_sealed_for_its_own_attempt(it: House) -> None:
    """There is the next State in it, with which somebody else's login could be gone on with."""
    login = it.challenged()
    wrong = login.request(it.wrong_codes("alice", 1)[0])
    first = it.ask(wrong)
    assert isinstance(first.decision, Challenge)
    other = it.challenged()
    another = other.request(it.wrong_codes("alice", 2)[1])
    it.ask(another)

    for kept in it.spent():
        assert first.decision.state.hex().encode() not in kept
        assert b"code_wrong" not in kept
    # A decision that was put in another's place is none.
    it.swap_decisions()
    assert heard(it.ask(wrong)) == "reject state_spent"


# --- what does not open -----------------------------------------------------------------------------


def test_a_seed_that_opens_under_no_key_is_our_failure_and_counts_nothing(it: House) -> None:
    it.spoil_seeds()
    login = it.challenged("alice")

    assert login.says(it.code("alice")) == "challenge secret_unreadable"
    assert login.message.key == "store_failed"
    assert it.counters("alice") == Counters()


# --- who was reset ----------------------------------------------------------------------------------


def test_a_reset_user_is_not_let_in_by_the_password_alone(it: House) -> None:
    it.reload(policies=(LENIENT,))
    assert it.login("bob").says(PASSWORD) == "accept accepted_by_password"
    it.run(it.enrolment.reset("u-alice"))

    assert it.login("alice").says(PASSWORD) == "reject unenrolled"
    it.enrol("alice")
    it.clock.advance(PERIOD)
    assert it.challenged("alice").says(it.code("alice", token=1)) == "accept accepted"


def test_who_was_forgotten_is_a_stranger_again(it: House) -> None:
    it.reload(policies=(LENIENT,))
    assert it.run(it.enrolment.forget("u-alice"))

    assert it.login("alice").says(PASSWORD) == "accept accepted_by_password"
    assert not it.run(it.enrolment.forget("u-alice"))


def test_a_token_that_was_never_confirmed_requires_nothing(it: House) -> None:
    it.reload(policies=(LENIENT,))
    it.enrol("bob", confirmed=False)

    assert it.login("bob").says(PASSWORD) == "accept accepted_by_password"


# --- a key is exchanged meanwhile -------------------------------------------------------------------


def test_the_identical_answer_gets_its_decision_across_a_change_of_keys(it: House) -> None:
    """One node seals with the new key already, another still with the old one."""
    login = it.challenged()
    request = login.request(it.code("alice"))
    assert heard(it.ask(request)) == "accept accepted"
    it.rotate_keys()

    assert heard(it.ask(request)) == "accept accepted"
    assert it.ask(request).event.detail == "the same answer again"
    other = login.request(it.wrong_code("alice"))
    assert heard(it.ask(other)) == "reject state_spent"


def test_one_seed_is_one_token_across_a_change_of_keys(it: House) -> None:
    it.rotate_keys()
    seed = Seed("u-alice", "alice", it.seeds["alice"][0])

    assert it.run(it.enrolment.add([seed], confirmed=True)) == [False]
