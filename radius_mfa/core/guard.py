"""How often somebody may guess: pure rules over a user's counters.

A failure is counted *before* the code is looked at, so parallel guesses gain nothing; a right code
clears everything, and a known one, resent, gives its failure back.  `failures` fills up to a lock; each
lock lasts longer than the one before; `since_success` never stops counting until a success and ends in
a suspension of TOTP, which a code of another factor or unlocking lifts.  A right password alone clears
nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.record import record

ALONE = {kind: frozenset({kind}) for kind in FactorKind}  # each factor by itself


@record(frozen=True, slots=True)
class Counters:
    """What is counted of one user.

    `failures`: since the last success, or since a lock was served.  `since_success`: since the last success.
    `locks`: locks in a row without a success.  `locked_until`: wall seconds.
    """

    failures: int = 0
    since_success: int = 0
    locks: int = 0
    locked_until: float = 0.0
    suspended: bool = False


@record(frozen=True, slots=True)
class Guard:
    """The limits, from `lockout` in the YAML; `durations` in seconds, the last one repeats."""

    failures: int = 10
    durations: tuple[float, ...] = (900.0, 3600.0, 14400.0, 86400.0)
    suspend_after: int = 50

    def open(self, counters: Counters, factors: frozenset[FactorKind]) -> frozenset[FactorKind]:
        """Those of `factors` that are not suspended: only TOTP ever is, guessing a mailed code has its own end."""
        return factors - {FactorKind.TOTP} if counters.suspended else factors

    def barred(self, counters: Counters, now: float, factors: frozenset[FactorKind]) -> Outcome | None:
        """LOCKED or SUSPENDED, or None when a code of one of `factors` may be tried."""
        if counters.suspended and not self.open(counters, factors):
            return Outcome.SUSPENDED
        if now < counters.locked_until:
            return Outcome.LOCKED
        return None

    def admission(
        self, now: float, kinds: frozenset[FactorKind], guess: FactorKind | None
    ) -> Callable[[Counters], Counters | None]:
        """The rule by which an answer is let through, and counted if it is a guess at a code of that kind."""
        if guess is not None:
            return lambda counters: self.reserve(counters, now, guess)
        return lambda counters: None if self.barred(counters, now, kinds) else counters

    def reserve(self, counters: Counters, now: float, kind: FactorKind) -> Counters | None:
        """The counters with one more failure, and the lock or suspension where that fills them up.

        None when no code of this kind may be tried at all.  The failure that fills a counter is itself still
        judged; the next is not.
        """
        if self.barred(counters, now, ALONE[kind]):
            return None
        # A full counter here has served its lock: it starts anew, `locks` and `since_success` do not.
        failures = (0 if counters.failures >= self.failures else counters.failures) + 1
        since_success = counters.since_success + 1
        locks, locked_until = counters.locks, counters.locked_until
        # Whoever is suspended stays so, whatever the limit is by now: only TOTP is, and this may be mail.
        suspended = counters.suspended or since_success >= self.suspend_after
        # A suspension is its own lock; one besides would bar the mailed code that lifts it.
        if failures >= self.failures and suspended == counters.suspended:
            locked_until = now + self.durations[min(locks, len(self.durations) - 1)]
            locks += 1
        return Counters(failures, since_success, locks, locked_until, suspended)

    def given_back(self, counters: Counters, *, has_suspended: bool) -> Counters:
        """The counters with one reservation undone, after a code that must not count (a known one, resent).

        `has_suspended`: it was this reservation that did.  What stays is what the real failures alone would
        have made of them.
        """
        since_success = max(counters.since_success - 1, 0)
        suspended = counters.suspended and not has_suspended
        # The failure that suspended has made no lock.
        if counters.failures >= self.failures and not has_suspended:
            locks = max(counters.locks - 1, 0)
            return Counters(counters.failures - 1, since_success, locks, 0.0, suspended)
        failures = max(counters.failures - 1, 0)
        return Counters(failures, since_success, counters.locks, counters.locked_until, suspended)


def cleared(_: Counters) -> Counters:
    """After a success: nothing is held against the user."""
    return Counters()
