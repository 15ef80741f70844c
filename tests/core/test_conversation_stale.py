"""A code that comes again in one-field mode, days later: refused, not counted, not right by chance (rule 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, Guard
from radius_mfa.core.messages import FactorKind, Nas
from radius_mfa.core.policy import Policy
from tests.adapters import COMMA, PASSWORD, PERIOD, SIX, VPN, Fuse, House, access_request, heard, house

ALL = Policy("all", factors=frozenset(FactorKind))
DAY = 86400.0
ACCT_SESSION_ID = 44


@pytest.fixture
def it() -> Iterator[House]:
    with house([ALL]) as it:
        it.enrol("alice")
        yield it


sessions = count(1)


def sends(it: House, line: str, nas: Nas = COMMA, user_name: str = "alice") -> str:
    """What comes of a line at a session that nobody has seen before."""
    session = (ACCT_SESSION_ID, b"%d" % next(sessions))
    return it.login(user_name, nas).says(line, extra=[session])


def logs_in_elsewhere(it: House) -> None:
    it.clock.advance(DAY)
    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"


def twins(it: House) -> tuple[int, int]:
    """Steps from now that have the same code, and are far from each other; a day has 2,880 to choose from."""
    seen: dict[str, int] = {}
    for step in count(10):
        code = it.code("alice", step)
        if seen.setdefault(code, step) < step - 20:
            return seen[code], step
    raise AssertionError


@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_a_line_that_a_supplicant_has_kept_locks_nobody_out(it: House, nas: Nas, between: str) -> None:
    line = f"{PASSWORD}{between}{it.code('alice')}"
    assert sends(it, line, nas) == "accept accepted"
    logs_in_elsewhere(it)

    for _ in range(25):
        it.clock.advance(120)
        assert sends(it, line, nas) == "reject code_used"
    assert it.counters("alice") == Counters()


def test_what_is_told_is_what_a_used_code_is_told(it: House) -> None:
    line = f"{PASSWORD},{it.code('alice')}"
    sends(it, line)
    fresh = it.login("alice", COMMA)
    fresh.says(line, extra=[(ACCT_SESSION_ID, b"fresh")])
    logs_in_elsewhere(it)
    stale = it.login("alice", COMMA)
    stale.says(line)

    assert stale.last.decision == fresh.last.decision


def test_what_was_never_sent_is_counted_all_the_same(it: House) -> None:
    sends(it, f"{PASSWORD},{it.code('alice')}")
    logs_in_elsewhere(it)

    assert {sends(it, f"{PASSWORD},{code}") for code in it.wrong_codes("alice", 10)} == {"reject code_wrong"}
    assert sends(it, f"{PASSWORD},{it.code('alice', 1)}") == "reject locked"


def test_the_code_of_another_user_is_a_guess(it: House) -> None:
    it.enrol("bob")
    line = f"{PASSWORD},{it.code('alice')}"
    sends(it, line)
    logs_in_elsewhere(it)

    assert sends(it, line, user_name="bob") == "reject code_wrong"
    assert it.counters("bob").failures == 1


def test_the_password_is_looked_at_first(it: House) -> None:
    code = it.code("alice")
    sends(it, f"{PASSWORD},{code}")
    logs_in_elsewhere(it)

    assert sends(it, f"wrong,{code}") == "reject wrong_password"


def test_an_answer_to_a_challenge_is_kept_by_nobody(it: House) -> None:
    """No supplicant sends one again: a used code of long ago is a guess there, and is nowhere written down."""
    at_a_challenge = it.code("alice")
    assert it.challenged("alice").says(at_a_challenge) == "accept accepted"
    it.clock.advance(PERIOD)
    in_a_line = it.code("alice")
    assert sends(it, f"{PASSWORD},{in_a_line}") == "accept accepted"
    logs_in_elsewhere(it)

    assert sends(it, f"{PASSWORD},{at_a_challenge}") == "reject code_wrong"
    assert it.challenged("alice").says(in_a_line) == "challenge code_wrong"
    assert it.counters("alice").failures == 2
    assert it.challenged("alice").says(at_a_challenge) == "challenge code_wrong"
    assert it.counters("alice").failures == 3


def test_a_used_code_is_not_right_when_its_like_comes_round_again(it: House) -> None:
    """Else whoever has overheard lines could send them all day, uncounted, until the time of one has come."""
    first, again = twins(it)
    it.clock.advance(first * PERIOD)
    code = it.code("alice")
    assert sends(it, f"{PASSWORD},{code}") == "accept accepted"
    it.clock.advance((again - first) * PERIOD)
    assert it.code("alice") == code

    assert sends(it, f"{PASSWORD},{code}") == "reject code_used"
    assert it.counters("alice") == Counters()
    assert it.challenged("alice", VPN).says(code) == "accept accepted"  # where nobody has kept it


def test_of_a_used_code_no_advice_about_the_clock_is_given(it: House) -> None:
    """The step it happens to be near of is of another code, and stays good."""
    first, again = twins(it)
    it.clock.advance(first * PERIOD)
    line = f"{PASSWORD},{it.code('alice')}"
    sends(it, line)
    it.clock.advance((again - first - 3) * PERIOD)

    assert sends(it, line) == "reject code_used"
    assert it.facts("alice").tokens[0].told_steps == frozenset()
    assert it.counters("alice") == Counters()


def test_a_kept_mailed_code_costs_no_try_of_another(it: House) -> None:
    it.register("alice")
    sends(it, f"{PASSWORD},mail")
    line = f"{PASSWORD},{it.mailed()}"
    assert sends(it, line) == "accept accepted"
    it.clock.advance(2 * DAY)
    it.run(it.store.purge(it.clock.wall(), 0.0))
    sends(it, f"{PASSWORD},mail")
    fresh = it.mailed()

    assert [sends(it, line) for _ in range(12)] == ["reject code_used"] * 12
    assert it.counters("alice") == Counters()
    assert [each.tries for each in it.facts("alice").mail_codes] == [0]
    assert sends(it, f"{PASSWORD},{fresh}") == "accept accepted"


def test_a_kept_recovery_code_is_known_when_there_are_others(it: House) -> None:
    code, *_ = it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))
    assert sends(it, f"{PASSWORD},{code}") == "accept accepted"
    it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))

    assert [sends(it, f"{PASSWORD},{code}") for _ in range(12)] == ["reject code_used"] * 12
    assert it.counters("alice") == Counters()


def test_a_used_code_is_known_under_a_key_that_seals_no_more(it: House) -> None:
    line = f"{PASSWORD},{it.code('alice')}"
    sends(it, line)
    logs_in_elsewhere(it)
    it.rotate_keys()

    assert sends(it, line) == "reject code_used"


def test_a_used_code_is_known_for_as_long_as_its_login(it: House) -> None:
    line = f"{PASSWORD},{it.code('alice')}"
    sends(it, line)
    logs_in_elsewhere(it)
    it.run(it.store.purge(it.clock.wall(), it.clock.wall()))

    assert sends(it, line) == "reject code_wrong"
    assert it.counters("alice").failures == 1


def test_a_store_that_fails_when_it_is_asked_is_no_answer(it: House) -> None:
    line = f"{PASSWORD},{it.code('alice')}"
    sends(it, line)
    logs_in_elsewhere(it)
    it.wire(Fuse(0, StoreError, "settle"))

    assert it.login("alice", COMMA).says(line) == "reject store_failed"
    assert it.counters("alice").failures == 1
    assert it.login("alice", COMMA).says(line) == "reject code_used"  # the same attempt, and given back
    assert it.counters("alice") == Counters()


# --- a code that was never right --------------------------------------------------------------------


@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_a_wrong_line_that_a_supplicant_has_kept_counts_once(it: House, nas: Nas, between: str) -> None:
    line = f"{PASSWORD}{between}{it.wrong_code('alice')}"
    assert sends(it, line, nas) == "reject code_wrong"

    for _ in range(50):
        it.clock.advance(DAY / 50)
        assert sends(it, line, nas) == "reject code_wrong_again"
    assert it.counters("alice") == Counters(1, 1)
    assert sends(it, f"{PASSWORD}{between}{it.code('alice')}", nas) == "accept accepted"


def test_what_is_told_is_what_a_wrong_code_is_told(it: House) -> None:
    line = f"{PASSWORD},{it.wrong_code('alice')}"
    first, again = it.login("alice", COMMA), it.login("alice", COMMA)
    assert first.says(line, extra=[(ACCT_SESSION_ID, b"first")]) == "reject code_wrong"
    assert again.says(line, extra=[(ACCT_SESSION_ID, b"again")]) == "reject code_wrong_again"

    assert again.message == first.message


def test_a_right_code_that_was_lost_on_the_way_counts_once_when_its_time_is_over(it: House) -> None:
    line = f"{PASSWORD},{it.code('alice')}"
    it.clock.advance(90)
    assert sends(it, line) == "reject clock_wrong"

    said = set()
    for _ in range(50):
        it.clock.advance(20)
        said.add(sends(it, line))
    assert said == {"reject code_used", "reject code_wrong_again"}  # while the step is near, it is one told of
    assert it.counters("alice") == Counters(1, 1)


def test_every_other_wrong_code_is_a_guess(it: House) -> None:
    kept, *others = it.wrong_codes("alice", 10)
    assert sends(it, f"{PASSWORD},{kept}") == "reject code_wrong"
    for code in others:
        assert sends(it, f"{PASSWORD},{kept}") == "reject code_wrong_again"
        assert sends(it, f"{PASSWORD},{code}") == "reject code_wrong"

    assert it.counters("alice").failures == 10
    assert sends(it, f"{PASSWORD},{kept}") == "reject locked"


def test_who_goes_to_and_fro_between_two_codes_is_counted_twice(it: House) -> None:
    one, other = (f"{PASSWORD},{code}" for code in it.wrong_codes("alice", 2))
    said = [sends(it, line) for _ in range(12) for line in (one, other)]

    assert said == ["reject code_wrong"] * 2 + ["reject code_wrong_again"] * 22
    assert it.counters("alice") == Counters(2, 2)


def test_a_line_that_fills_the_counter_for_a_moment_locks_and_suspends_nobody(it: House) -> None:
    it.register("alice")
    it.reload(guard=Guard(failures=3, suspend_after=4))
    one, other, third = (f"{PASSWORD},{code}" for code in it.wrong_codes("alice", 3))
    assert [sends(it, line) for line in (one, other, one)][-1] == "reject code_wrong_again"
    assert it.counters("alice") == Counters(2, 2)
    sends(it, third)
    it.clock.advance(DAY)

    assert sends(it, one) == "reject code_wrong_again"
    counters = it.counters("alice")
    assert (counters.since_success, counters.locks, counters.suspended) == (3, 1, False)
    assert it.mails() == []


def test_a_wrong_code_whose_time_comes_round_is_refused_within_seven_days(it: House) -> None:
    """Nobody may wait for it: a line that is sent all day costs one failure."""
    ahead = 4000
    line = f"{PASSWORD},{it.code('alice', ahead)}"
    assert sends(it, line) == "reject code_wrong"
    it.clock.advance(ahead * PERIOD)

    assert sends(it, line) == "reject code_wrong_again"
    assert it.counters("alice") == Counters(1, 1)
    assert it.challenged("alice", VPN).says(line.removeprefix(f"{PASSWORD},")) == "accept accepted"


def test_after_seven_days_from_the_first_time_it_is_a_code_like_any_other(it: House) -> None:
    """However often it was sent meanwhile: whoever guesses for months makes few codes unusable."""
    ahead = int(7 * DAY / PERIOD)
    right, wrong = f"{PASSWORD},{it.code('alice', ahead)}", f"{PASSWORD},{it.wrong_code('alice')}"
    assert sends(it, right) == sends(it, wrong) == "reject code_wrong"
    for _ in range(6):
        it.clock.advance(DAY)
        assert sends(it, right) == sends(it, wrong) == "reject code_wrong_again"
    it.clock.advance(DAY)

    assert sends(it, wrong) == "reject code_wrong"
    assert sends(it, wrong) == "reject code_wrong_again"
    assert it.counters("alice") == Counters(3, 3)
    assert sends(it, right) == "accept accepted"


def test_a_wrong_mailed_code_that_is_kept_costs_one_try(it: House) -> None:
    it.register("alice")
    sends(it, f"{PASSWORD},mail")
    code = it.mailed()
    line = f"{PASSWORD},{(int(code) + 1) % 10**8:08}"

    assert [sends(it, line) for _ in range(12)] == ["reject code_wrong"] + ["reject code_wrong_again"] * 11
    assert it.counters("alice") == Counters(1, 1)
    assert [each.tries for each in it.facts("alice").mail_codes] == [1]
    assert sends(it, f"{PASSWORD},{code}") == "accept accepted"


def test_a_wrong_recovery_code_that_is_kept_counts_once(it: House) -> None:
    code, *_ = it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))
    line = f"{PASSWORD},{code[1:]}{code[0] if code[0] != code[-1] else 'a'}"

    assert [sends(it, line) for _ in range(12)] == ["reject code_wrong"] + ["reject code_wrong_again"] * 11
    assert it.counters("alice") == Counters(1, 1)
    assert sends(it, f"{PASSWORD},{code}") == "accept accepted"


def test_a_wrong_code_that_asks_for_trust_is_no_other_code(it: House) -> None:
    code = it.wrong_code("alice")

    assert sends(it, f"{PASSWORD},{code} trust") == "reject code_wrong"
    assert sends(it, f"{PASSWORD},{code}") == "reject code_wrong_again"
    assert sends(it, f"{PASSWORD},{code} trust") == "reject code_wrong_again"
    assert it.counters("alice") == Counters(1, 1)


def test_the_wrong_code_of_another_user_is_a_guess(it: House) -> None:
    it.enrol("bob")
    code = next(each for each in it.wrong_codes("alice", 20) if each in it.wrong_codes("bob", 20))
    sends(it, f"{PASSWORD},{code}")

    assert sends(it, f"{PASSWORD},{code}", user_name="bob") == "reject code_wrong"


def test_one_wrong_line_in_many_sessions_at_once_counts_once(it: House) -> None:
    it.interleave()
    text = f"{PASSWORD},{it.wrong_code('alice')}"

    async def all_at_once() -> list[str]:
        requests = (
            access_request(COMMA, "alice", text, extra=[(ACCT_SESSION_ID, b"%d" % number)]) for number in range(8)
        )
        deadline = it.clock.monotonic() + 5
        answers = (it.conversation.answer(request, deadline) for request in requests)
        return [heard(each) for each in await asyncio.gather(*answers)]

    assert sorted(it.run(all_at_once())) == ["reject code_wrong"] + ["reject code_wrong_again"] * 7
    assert it.counters("alice") == Counters(1, 1)


def test_a_wrong_code_is_known_under_a_key_that_seals_no_more(it: House) -> None:
    line = f"{PASSWORD},{it.wrong_code('alice')}"
    sends(it, line)
    it.rotate_keys()

    assert sends(it, line) == "reject code_wrong_again"


@pytest.mark.parametrize("how", ["unlock", "reset"])
def test_a_kept_wrong_line_is_in_nobodys_way_once_staff_have_helped(it: House, how: str) -> None:
    lines = [f"{PASSWORD},{code}" for code in it.wrong_codes("alice", 10)]
    assert {sends(it, line) for line in lines} == {"reject code_wrong"}
    assert sends(it, lines[0]) == "reject locked"
    it.run(getattr(it.store, how)("u-alice"))
    if how == "reset":
        it.seeds.clear()
        it.enrol("alice")
        it.clock.advance(DAY)

    assert sends(it, lines[0]) == "reject code_wrong_again"
    assert it.counters("alice") == Counters()
    assert sends(it, f"{PASSWORD},{it.code('alice')}") == "accept accepted"
