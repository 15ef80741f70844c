"""How often somebody may guess: pure rules over a user's counters.

A failure is counted *before* the code is looked at and given back when it was right, so parallel
guesses gain nothing.  `failures` fills up to a lock; each lock lasts longer than the one before;
`since_success` never stops counting until a success and ends in a suspension, which only a
reset lifts.  A right password alone clears nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from radius_mfa.core.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Counters:
    """What is counted of one user.

    `failures`: since the last lock or success.  `since_success`: since the last success.
    `locks`: locks in a row without a success.  `locked_until`: wall seconds.
    """

    failures: int = 0
    since_success: int = 0
    locks: int = 0
    locked_until: float = 0.0
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits, from `lockout` in the YAML; `durations` in seconds, the last one repeats."""

    failures: int = 10
    durations: tuple[float, ...] = (900.0, 3600.0, 14400.0, 86400.0)
    suspend_after: int = 50

    def barred(self, counters: Counters, now: float) -> Outcome | None:
        """LOCKED or SUSPENDED, or None when a code may be tried."""
        if counters.suspended:
            return Outcome.SUSPENDED
        if now < counters.locked_until:
            return Outcome.LOCKED
        return None

    def reserve(self, counters: Counters, now: float) -> Counters | None:
        """The counters with one more failure, a lock or suspension where that fills them up.

        None when no code may be tried at all.  The reservation that fills a counter is itself still
        judged; the next is not.
        """
        if self.barred(counters, now):
            return None
        failures, since_success = counters.failures + 1, counters.since_success + 1
        suspended = since_success >= self.suspend_after
        if failures < self.failures:
            return replace(counters, failures=failures, since_success=since_success, suspended=suspended)
        duration = self.durations[min(counters.locks, len(self.durations) - 1)]
        return Counters(0, since_success, counters.locks + 1, now + duration, suspended)


def cleared(_: Counters) -> Counters:
    """After a success: nothing is held against the user."""
    return Counters()


def given_back(before: Counters) -> Counters:
    """After a code that must not count (a used one, resent): the reservation undone.

    A lock or suspension that others' failures have brought since then stays.
    """
    return replace(
        before, failures=max(before.failures - 1, 0), since_success=max(before.since_success - 1, 0)
    )
