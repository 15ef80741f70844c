"""A login's guesses: counted before the code is looked at, used up once, locked in the end (rules 5 and 6)."""

from collections.abc import Iterator

import pytest

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import Message, Nas, Profile
from radius_mfa.core.policy import Policy, SecondFactor
from tests.adapters import PASSWORD, PERIOD, WIFI, House, Visitor, heard, house

MINUTE = 60.0


@pytest.fixture
def it() -> Iterator[House]:
    with house() as it:
        it.enrol("alice")
        yield it


def guess(it: House, times: int, user_name: str = "alice") -> list[Visitor]:
    """So many wrong codes, a new login whenever the rounds are over."""
    logins: list[Visitor] = []
    for code in it.wrong_codes(user_name, times):
        if not logins or len(logins[-1].conclusions) > 3:
            logins.append(it.challenged(user_name))
        logins[-1].says(code)
    return logins


# --- what counts ------------------------------------------------------------------------------


def test_a_wrong_code_counts_once(it: House) -> None:
    it.challenged("alice").says(it.wrong_code("alice"))

    assert it.counters("alice") == Counters(failures=1, since_success=1)


def test_guesses_count_across_states_and_clients(it: House) -> None:
    for nas in (WIFI, WIFI, Nas("lab", Profile("generic"))):
        it.challenged("alice", nas).says(it.wrong_code("alice"))

    assert it.counters("alice").failures == 3


def test_a_success_clears_what_was_counted(it: House) -> None:
    login = guess(it, 2)[-1]

    assert login.says(it.code("alice")) == "accept accepted"
    assert it.counters("alice") == Counters()


def test_staff_see_how_many_wrong_codes_a_right_one_follows(it: House) -> None:
    it.challenged("alice").says(it.wrong_codes("alice", 1)[0])
    it.challenged("alice").says(it.wrong_codes("alice", 2)[1])
    login = it.challenged("alice")

    assert login.says(it.code("alice")) == "accept accepted"
    assert login.last.event.detail == "wrong codes before: 2"
    it.clock.advance(PERIOD)
    login = it.challenged("alice")
    assert login.says(it.code("alice")) == "accept accepted"
    assert login.last.event.detail == ""


def test_a_right_password_alone_clears_nothing(it: House) -> None:
    guess(it, 2)
    it.challenged("alice")

    assert it.counters("alice").failures == 2


@pytest.mark.parametrize(
    "text", [PASSWORD, "", "12345", "hello", "1234567", "１２３４５", "mail", "12345678", "mail trust"]
)
def test_what_cannot_be_right_is_not_counted(it: House, text: str) -> None:
    login = it.challenged("alice")

    assert login.says(text) in {"challenge answer_unreadable", "challenge factor_not_allowed"}
    assert it.counters("alice") == Counters()


def test_what_cannot_be_right_uses_up_the_rounds_all_the_same(it: House) -> None:
    login = it.challenged("alice")

    assert [login.says(text) for text in ("what?", "mail", "no")] == [
        "challenge answer_unreadable",
        "challenge factor_not_allowed",
        "reject answer_unreadable",
    ]


def test_nothing_that_is_kept_depends_on_a_text_that_may_be_a_password(it: House) -> None:
    """Any unreadable answer to a State is the same answer to it: the digest has only its form."""
    login = it.challenged("alice")
    other = login.request("another text")
    login.says(PASSWORD)

    assert it.ask(other).decision == login.last.decision


# --- a code is used up by being accepted ---------------------------------------------------------


def test_a_code_never_works_twice(it: House) -> None:
    """RFC 6238 §5.2: the verifier must not accept the second attempt of an OTP."""
    it.challenged("alice").says(it.code("alice"))

    assert it.challenged("alice").says(it.code("alice")) == "challenge code_used"


def test_a_used_code_is_not_counted(it: House) -> None:
    it.challenged("alice").says(it.code("alice"))
    guess(it, 2)
    before = it.counters("alice")
    it.challenged("alice").says(it.code("alice"))

    assert it.counters("alice") == before == Counters(failures=2, since_success=2)


def test_a_used_code_where_one_more_failure_would_lock_does_not_lock(it: House) -> None:
    it.challenged("alice").says(it.code("alice"))
    guess(it, 9)
    login = it.challenged("alice")

    assert login.says(it.code("alice")) == "challenge code_used"
    assert it.counters("alice").failures == 9
    assert login.says(it.code("alice", 1)) == "accept accepted"


def test_the_code_before_an_accepted_one_is_used_too(it: House) -> None:
    it.challenged("alice").says(it.code("alice"))

    assert it.challenged("alice").says(it.code("alice", -1)) == "challenge code_used"


def test_the_next_code_works_after_an_accepted_one(it: House) -> None:
    it.challenged("alice").says(it.code("alice"))
    it.clock.advance(PERIOD)

    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"


@pytest.mark.parametrize(("steps", "heard"), [(-2, "challenge clock_wrong"), (2, "challenge clock_wrong")])
def test_a_code_two_steps_away_is_wrong(it: House, steps: int, heard: str) -> None:
    assert it.challenged("alice").says(it.code("alice", steps)) == heard


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_code_a_step_away_is_right(it: House, steps: int) -> None:
    """RFC 6238 §5.2: one step each way for the network and the clock."""
    assert it.challenged("alice").says(it.code("alice", steps)) == "accept accepted"


def test_any_token_of_the_user_will_do_and_each_has_its_own_steps(it: House) -> None:
    it.enrol("alice")

    assert it.challenged("alice").says(it.code("alice", token=0)) == "accept accepted"
    assert it.challenged("alice").says(it.code("alice", token=1)) == "accept accepted"
    assert it.challenged("alice").says(it.code("alice", token=1)) == "challenge code_used"


def test_a_code_of_another_user_is_wrong(it: House) -> None:
    it.enrol("bob")

    assert it.challenged("alice").says(it.code("bob")) == "challenge code_wrong"


# --- many at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixed", [False, True], ids=["one by one", "mixed"])
def test_a_thousand_wrong_answers_to_one_state_are_one_guess(it: House, mixed: bool) -> None:
    login = it.challenged("alice")
    if mixed:
        it.interleave()
    answers = it.ask_at_once([login.request(code) for code in it.wrong_codes("alice", 1000)])
    decisions = sorted(map(heard, answers))

    assert decisions == ["challenge code_wrong"] + ["reject state_spent"] * 999
    assert it.counters("alice") == Counters(failures=1, since_success=1)


@pytest.mark.parametrize("place", [0, 500, 999])
def test_a_right_one_among_a_thousand_answers_gains_nothing_unless_it_is_the_first(it: House, place: int) -> None:
    login = it.challenged("alice")
    it.interleave()
    codes = it.wrong_codes("alice", 999)
    codes.insert(place, it.code("alice"))
    decisions = [heard(each) for each in it.ask_at_once([login.request(code) for code in codes])]

    assert decisions.count("reject state_spent") == 999
    assert decisions.count("accept accepted") == (place == 0)
    assert it.counters("alice").failures == (place != 0)


@pytest.mark.parametrize("trust", ["", " trust"], ids=["judged where it is reserved", "judged afterwards"])
def test_a_thousand_times_the_identical_right_answer_is_one_login(it: House, trust: str) -> None:
    login = it.challenged("alice")
    it.interleave()
    answers = it.ask_at_once([login.request(it.code("alice") + trust)] * 1000)

    assert {heard(each) for each in answers} == {"accept accepted"}
    assert [each.event.detail for each in answers].count("the same answer again") == 999
    assert it.counters("alice") == Counters()
    (token,) = it.facts("alice").tokens
    assert token.last_step == it.clock.wall() // PERIOD


def test_a_thousand_times_the_identical_wrong_answer_is_one_challenge(it: House) -> None:
    login = it.challenged("alice")
    it.interleave()
    answers = it.ask_at_once([login.request(it.wrong_code("alice"))] * 1000)

    assert len({each.decision for each in answers}) == 1
    assert [each.event.detail for each in answers].count("the same answer again") == 999
    assert it.counters("alice").failures == 1


def test_one_code_sent_to_many_states_at_once_completes_one_login(it: House) -> None:
    logins = [it.challenged("alice") for _ in range(8)]
    it.interleave()
    answers = it.ask_at_once([login.request(it.code("alice")) for login in logins])

    assert sorted(map(heard, answers)) == ["accept accepted"] + ["challenge code_used"] * 7
    assert it.counters("alice") == Counters()


def test_many_states_at_once_are_no_more_guesses_than_a_lock_allows(it: House) -> None:
    logins = [it.challenged("alice") for _ in range(100)]
    it.interleave()
    codes = it.wrong_codes("alice", 100)
    answers = it.ask_at_once([login.request(code) for login, code in zip(logins, codes, strict=True)])
    outcomes = [each.event.outcome.value for each in answers]

    assert outcomes.count("code_wrong") == 10
    assert outcomes.count("locked") == 90


# --- the lock ------------------------------------------------------------------------------------------


def test_ten_failures_over_many_states_lock(it: House) -> None:
    last = guess(it, 10)[-1]

    assert heard(last.last) == "reject code_wrong"
    assert last.message == Message("locked", "en", (("minutes", "15"),))
    assert it.login("alice").says(PASSWORD) == "reject locked"


def test_a_lock_is_told_only_after_the_right_password(it: House) -> None:
    guess(it, 10)
    login = it.login("alice")

    assert login.says("wrong") == "reject wrong_password"
    assert login.message.key == "refused"
    assert login.says(PASSWORD) == "reject locked"
    assert login.message == Message("locked", "en", (("minutes", "15"),))


def test_the_minutes_told_are_those_left(it: House) -> None:
    guess(it, 10)
    it.clock.advance(14 * MINUTE + 50)
    login = it.login("alice")

    assert login.says(PASSWORD) == "reject locked"
    assert login.message.parameters == (("minutes", "1"),)


@pytest.mark.parametrize("text", ["right", "hello", "mail"])
def test_a_state_from_before_the_lock_is_barred_whatever_is_answered(it: House, text: str) -> None:
    before = it.challenged("alice")
    guess(it, 10)

    assert before.says(it.code("alice") if text == "right" else text) == "reject locked"
    assert before.message.key == "locked"


def test_a_state_barred_by_a_lock_is_not_spent(it: House) -> None:
    it.reload(challenge_lifetime=3600.0)
    before = it.challenged("alice")
    guess(it, 10)
    before.says(it.code("alice"))
    it.clock.advance(15 * MINUTE)

    assert before.says(it.code("alice")) == "accept accepted"


def test_a_lock_ends_and_the_right_code_then_clears_it(it: House) -> None:
    guess(it, 10)
    it.clock.advance(15 * MINUTE - 1)
    assert it.login("alice").says(PASSWORD) == "reject locked"
    it.clock.advance(1)

    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"
    assert it.counters("alice") == Counters()


def test_locks_escalate_until_a_success(it: House) -> None:
    lasted = []
    for _ in range(4):
        guess(it, 10)
        until = it.counters("alice").locked_until
        lasted.append((until - it.clock.wall()) / MINUTE)
        it.clock.advance(until - it.clock.wall())
    assert lasted == [15, 60, 240, 1440]

    it.challenged("alice").says(it.code("alice"))
    guess(it, 10)
    assert it.counters("alice").locked_until - it.clock.wall() == 15 * MINUTE


def test_fifty_failures_without_a_success_suspend(it: House) -> None:
    for _ in range(5):
        last = guess(it, 10)[-1]
        it.clock.advance(it.counters("alice").locked_until - it.clock.wall())
    it.clock.advance(10**7)
    login = it.login("alice")

    assert heard(last.last) == "reject code_wrong"
    assert last.message == Message("suspended", "en")
    assert login.says(PASSWORD) == "reject suspended"
    assert login.message == Message("suspended", "en")


def test_a_state_from_before_a_suspension_is_barred(it: House) -> None:
    it.reload(challenge_lifetime=1e8)
    before = it.challenged("alice")
    for _ in range(5):
        guess(it, 10)
        it.clock.advance(it.counters("alice").locked_until - it.clock.wall())

    assert before.says(it.code("alice")) == "reject suspended"


def test_one_users_lock_is_nobody_elses(it: House) -> None:
    it.enrol("bob")
    guess(it, 10)

    assert it.challenged("bob").says(it.code("bob")) == "accept accepted"


def test_spellings_of_one_user_share_their_lock(it: House) -> None:
    guess(it, 10)

    assert it.login("ALICE").says(PASSWORD) == "reject locked"


def test_a_lock_stops_no_login_that_needs_no_code(it: House) -> None:
    guess(it, 10)
    it.reload(policies=[Policy("kiosk", second_factor=SecondFactor.NEVER)])

    assert it.login("alice").says(PASSWORD) == "accept accepted_by_password"
