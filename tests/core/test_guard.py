"""How often somebody may guess."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests
from radius_mfa.core.guard import Counters, Guard, cleared
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome

GUARD = Guard()
TOP = Path(tests.__file__).parents[1]
NOW = 1_000_000.0


def after(guesses: int, guard: Guard = GUARD, now: float = NOW) -> tuple[Counters, float]:
    """The counters after so many wrong guesses, each lock waited for; and when that was."""
    counters = Counters()
    for _ in range(guesses):
        now = max(now, counters.locked_until)
        reserved = guard.reserve(counters, now, FactorKind.TOTP)
        assert reserved is not None
        counters = reserved
    return counters, now


def given_back(guard: Guard, counters: Counters) -> Counters:
    """After the reservation that was made last: where it suspended, none was admitted since."""
    return guard.given_back(counters, has_suspended=counters.since_success == guard.suspend_after)


def test_a_reservation_is_one_failure() -> None:
    assert GUARD.reserve(Counters(), NOW, FactorKind.TOTP) == Counters(failures=1, since_success=1)


def test_the_failure_that_fills_the_counter_is_judged_and_the_next_is_not() -> None:
    counters, now = after(10)

    assert counters == Counters(10, 10, 1, now + 900.0)
    assert GUARD.barred(counters, now, TOTP) is Outcome.LOCKED
    assert GUARD.reserve(counters, now + 899.9, FactorKind.TOTP) is None


def test_a_served_lock_gives_a_new_count_but_forgets_neither_locks_nor_the_total() -> None:
    counters, now = after(10)

    assert GUARD.barred(counters, now + 900.0, TOTP) is None
    assert GUARD.reserve(counters, now + 900.0, FactorKind.TOTP) == Counters(1, 11, 1, now + 900.0)


def test_each_lock_lasts_longer_and_the_last_duration_repeats() -> None:
    guard = Guard(failures=1, durations=(10.0, 20.0, 40.0), suspend_after=1000)
    lasted = []
    for guesses in range(1, 6):
        counters, now = after(guesses, guard)
        lasted.append(counters.locked_until - now)

    assert lasted == [10.0, 20.0, 40.0, 40.0, 40.0]


def test_fifty_failures_without_a_success_suspend_for_good() -> None:
    counters, now = after(50)

    assert counters.suspended
    assert GUARD.barred(counters, now + 10**9, TOTP) is Outcome.SUSPENDED
    assert GUARD.reserve(counters, now + 10**9, FactorKind.TOTP) is None
    assert not after(49)[0].suspended


def test_the_failure_that_suspends_does_not_lock_besides() -> None:
    """Or the mailed code that lifts the suspension would be barred for a day."""
    counters, now = after(50)

    assert counters.suspended
    assert GUARD.barred(counters, now, frozenset({FactorKind.MAIL})) is None
    guessed = counters
    for _ in range(10):
        reserved = GUARD.reserve(guessed, now, FactorKind.MAIL)
        assert reserved is not None
        guessed = reserved
    assert GUARD.barred(guessed, now, frozenset({FactorKind.MAIL})) is Outcome.LOCKED


def test_giving_back_beside_the_failure_that_suspended_takes_away_no_lock_that_was_never_made() -> None:
    guard = Guard(failures=10, suspend_after=10)
    counters, _ = after(10, guard)

    assert guard.given_back(counters, has_suspended=False).locks == 0


def test_a_used_code_locks_nobody_who_is_suspended_either() -> None:
    """It is given back whatever the factor, or it would bar the very code that lifts the suspension."""
    before = Counters(9, 59, 4, 0.0, suspended=True)
    reserved = GUARD.reserve(before, NOW, FactorKind.RECOVERY_CODES)
    assert reserved is not None
    assert reserved.locked_until > NOW

    assert GUARD.given_back(reserved, has_suspended=False) == replace(before, since_success=59)


def test_a_success_clears_everything() -> None:
    assert cleared(after(49)[0]) == Counters()


def test_a_lock_or_suspension_given_back_is_undone() -> None:
    locked, now = after(10)
    suspended, then = after(50)

    assert given_back(GUARD, locked) == Counters(failures=9, since_success=9)
    assert GUARD.barred(given_back(GUARD, locked), now, TOTP) is None
    assert GUARD.barred(given_back(GUARD, suspended), then, TOTP) is None


def test_nothing_is_given_back_below_nothing() -> None:
    assert given_back(GUARD, Counters()) == Counters()


@dataclass
class Ledger:
    """What really happened, beside what the guard has counted."""

    guard: Guard
    counters: Counters = field(default_factory=Counters)
    now: float = NOW
    in_flight: int = 0
    wrong: int = 0  # really wrong, since a success or a served lock

    def reserve(self) -> None:
        served = self.counters.failures >= self.guard.failures and self.now >= self.counters.locked_until
        counters = self.guard.reserve(self.counters, self.now, FactorKind.TOTP)
        if counters is not None:
            self.wrong = 0 if served else self.wrong
            self.counters = counters
            self.in_flight += 1

    def end_wrong(self) -> None:
        if self.in_flight:
            self.in_flight -= 1
            self.wrong += 1

    def end_used(self) -> None:
        if self.in_flight:
            self.in_flight -= 1
            self.counters = given_back(self.guard, self.counters)

    def end_right(self) -> None:
        if self.in_flight:
            self.in_flight = self.wrong = 0
            self.counters = cleared(self.counters)

    def wait(self) -> None:
        """A deadline is over long before a lock is: whatever was in flight has ended."""
        while self.in_flight:
            self.end_wrong()
        self.now += self.guard.durations[0] / 2


Events = list[Callable[[Ledger], None]]

guards = st.builds(
    Guard,
    failures=st.integers(1, 5),
    durations=st.lists(st.floats(60.0, 1e5), min_size=1, max_size=4).map(sorted).map(tuple),
    suspend_after=st.integers(1, 20),
)
events = st.lists(
    st.sampled_from(
        [Ledger.reserve, Ledger.reserve, Ledger.end_wrong, Ledger.end_used, Ledger.end_right, Ledger.wait]
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(guards, events)
def test_no_order_of_events_lets_more_guesses_through_than_a_lock_period_has(guard: Guard, events: Events) -> None:
    ledger = Ledger(guard)
    for event in events:
        event(ledger)

        assert ledger.wrong + ledger.in_flight <= guard.failures
        assert ledger.counters.since_success <= guard.suspend_after
        assert ledger.counters.failures <= guard.failures


def _in_force(counters: Counters, guard: Guard, now: float) -> Counters:
    """The counters without what is over: a served lock, and the full count it came from."""
    served = now >= counters.locked_until
    full = served and counters.failures >= guard.failures
    return replace(
        counters,
        locked_until=0.0 if served else counters.locked_until,
        failures=0 if full else counters.failures,
    )


@settings(max_examples=200)
@given(guards, events)
def test_giving_back_undoes_exactly_what_reserving_did(guard: Guard, events: Events) -> None:
    ledger = Ledger(guard)
    for event in events:
        event(ledger)
    before, now = ledger.counters, ledger.now
    reserved = guard.reserve(before, now, FactorKind.TOTP)
    if reserved is not None:
        has_suspended = reserved.suspended and not before.suspended
        undone = guard.given_back(reserved, has_suspended=has_suspended)
        assert _in_force(undone, guard, now) == _in_force(before, guard, now)


@pytest.mark.parametrize("failures", [1, 2, 10])
def test_used_codes_alone_never_lock(failures: int) -> None:
    guard, counters = Guard(failures=failures), Counters()
    for _ in range(100):
        reserved = guard.reserve(counters, NOW, FactorKind.TOTP)
        assert reserved is not None
        counters = given_back(guard, reserved)

    assert counters == Counters()


# --- by factor ----------------------------------------------------------------------------------

TOTP, MAIL = frozenset({FactorKind.TOTP}), frozenset({FactorKind.MAIL})
SUSPENDED = Counters(since_success=50, suspended=True)


def test_a_suspension_is_of_totp_and_leaves_the_mailed_code() -> None:
    assert GUARD.open(SUSPENDED, TOTP | MAIL) == MAIL
    assert GUARD.open(Counters(), TOTP | MAIL) == TOTP | MAIL
    assert GUARD.barred(SUSPENDED, NOW, TOTP) is Outcome.SUSPENDED
    assert GUARD.barred(SUSPENDED, NOW, TOTP | MAIL) is None
    assert GUARD.barred(SUSPENDED, NOW, frozenset()) is Outcome.SUSPENDED
    assert GUARD.barred(Counters(), NOW, frozenset()) is None


def test_a_lock_is_of_all_factors() -> None:
    assert GUARD.barred(Counters(locked_until=NOW + 1), NOW, MAIL) is Outcome.LOCKED


def test_a_mailed_code_is_admitted_and_counted_while_totp_is_suspended() -> None:
    assert GUARD.admission(NOW, TOTP, FactorKind.TOTP)(SUSPENDED) is None
    admitted = GUARD.admission(NOW, MAIL, FactorKind.MAIL)(SUSPENDED)
    assert admitted == Counters(1, 51, suspended=True)


def test_a_suspension_outlasts_a_limit_that_is_raised() -> None:
    """A wrong mailed code, or one that was used, is no way out of it."""
    raised = Guard(suspend_after=80)
    guessed = raised.reserve(SUSPENDED, NOW, FactorKind.MAIL)

    assert guessed is not None
    assert guessed.suspended
    assert raised.given_back(guessed, has_suspended=False) == SUSPENDED


def test_a_limit_that_is_lowered_suspends_with_the_next_failure_and_not_with_a_used_code() -> None:
    lowered, counters = Guard(suspend_after=2), Counters(3, 3)
    guessed = lowered.reserve(counters, NOW, FactorKind.TOTP)

    assert guessed == Counters(4, 4, suspended=True)
    assert lowered.given_back(guessed, has_suspended=True) == counters


def test_what_is_no_guess_is_admitted_and_not_counted() -> None:
    assert GUARD.admission(NOW, TOTP, None)(Counters(failures=3)) == Counters(failures=3)
    assert GUARD.admission(NOW, TOTP, None)(Counters(locked_until=NOW + 1)) is None


# --- what it leaves to a guesser ------------------------------------------------------------------

_DAY = 86400.0
_RIGHT = 3e-6  # of a million codes, those that are right at a time, with a window of one step


def most_guesses(until: float, *, locked_at_the_end: bool) -> int:
    """How often somebody can guess within so many seconds; whether the user may be locked out at their end."""
    counters, now, made = Counters(), 0.0, 0
    while True:
        now = max(now, counters.locked_until)
        reserved = GUARD.reserve(counters, now, FactorKind.TOTP) if now < until else None
        if reserved is None or (reserved.locked_until > until and not locked_at_the_end):
            return made
        counters, made = reserved, made + 1


def odds(guesses: int) -> float:
    return 1 - (1 - _RIGHT) ** guesses


def test_the_odds_of_guessing_are_those_of_docs_security() -> None:
    text = (TOP / "docs" / "security.md").read_text()
    first_day = most_guesses(_DAY, locked_at_the_end=True)
    ever = most_guesses(365 * _DAY, locked_at_the_end=True)
    assert f"| never | {first_day}, and {ever} in all | {one_in(first_day)} | {one_in(ever)} |" in text

    for who, logins in (("once a day", 1), ("twice a day", 2), ("4 times a day", 4)):
        a_day = logins * most_guesses(_DAY / logins, locked_at_the_end=False)
        assert f"| {who} | {a_day} | {one_in(a_day)} | {odds(365 * a_day):.1%} |".replace("%", " %") in text


def one_in(guesses: int) -> str:
    return f"1 in {1 / (guesses * _RIGHT):,.0f}"
