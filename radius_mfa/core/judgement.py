"""An answer under judgement, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from radius_mfa.core import decisions
from radius_mfa.core.answers import Answer, CodeAnswer, MailAsked, Unreadable
from radius_mfa.core.guard import Counters
from radius_mfa.core.login import Login, event_of
from radius_mfa.core.messages import Accept, Challenge, FactorKind, Reject
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Factor, Sealer
from radius_mfa.core.record import record
from radius_mfa.core.stored import (
    Attempt,
    Consumption,
    Facts,
    NearMiss,
    NewDevice,
    Notice,
    Reserved,
    Settlement,
    TotpStep,
)
from radius_mfa.core.trust import station_of

_KEPT_CODE = "kept code"  # what its digest is for
# Where a code was looked at, and so is known again if it comes in one field once more.
_KNOWN_AGAIN = frozenset({Outcome.ACCEPTED, Outcome.CODE_WRONG, Outcome.CLOCK_WRONG})

Judged = Consumption | NearMiss | Outcome
"""What an answer turned out to be."""


@record(frozen=True, slots=True)
class Case:
    """An answer under judgement; its State is spent by now, or in this very transaction."""

    login: Login
    answer: Answer
    attempt: Attempt
    spent: Reserved

    @classmethod
    def of(cls, login: Login, answer: Answer, attempt: Attempt, spent: Reserved) -> Case:
        """Now it is known of the login what it is judged as, and whose it is."""
        login.username = login.username or spent.facts.username
        if isinstance(answer, CodeAnswer):
            login.factor = str(answer.kind)
        return cls(login, answer, attempt, spent)

    @property
    def wrong_before(self) -> str:
        """For staff: how many wrong codes a right one follows, which is how guessing shows."""
        count = self.spent.facts.counters.since_success - 1  # the last one counted is this answer
        return f"wrong codes before: {count}" if count > 0 else ""


@record(frozen=True, slots=True)
class End:
    """How an answer ended: the fields are those of `Settlement`, and `detail`, which staff read."""

    decision: Accept | Reject | Challenge
    consume: Consumption | None = None
    adjust: Callable[[Counters], Counters] | None = None
    told: TotpStep | None = None
    trust: NewDevice | None = None
    notice: Notice | None = None
    detail: str = ""


def usable(
    factors: Mapping[FactorKind, Factor], facts: Facts, allowed: frozenset[FactorKind]
) -> frozenset[FactorKind]:
    """Those of the allowed factors that the user could answer with now."""
    return frozenset([kind for kind, factor in factors.items() if kind in allowed and factor.usable(facts)])


def look_at(case: Case, factors: Mapping[FactorKind, Factor], now: float) -> Judged:
    """What an answer is worth at `now`, wall seconds."""
    answer = case.answer
    if isinstance(answer, Unreadable):
        return Outcome.ANSWER_UNREADABLE
    if isinstance(answer, MailAsked) or answer.kind not in case.login.factors:
        return Outcome.FACTOR_NOT_ALLOWED
    return factors[answer.kind].judge(case.spent.facts, answer.code, now)


def _known_by(case: Case, outcome: Outcome, sealer: Sealer) -> tuple[bytes, ...]:
    """By which its code is known again, under every key; the first is of the one that seals.

    A supplicant keeps a line and sends it for days, but no answer to a challenge: of that there is nothing.
    """
    if not case.login.asks_in_one_field or outcome not in _KNOWN_AGAIN:
        return ()
    assert isinstance(case.answer, CodeAnswer)  # nothing else is judged right or wrong
    kind, code = case.answer.kind, case.answer.code
    parts = case.attempt.user_id.encode(), kind.value.encode(), code.encode()
    return sealer.digest(_KEPT_CODE, *parts), *sealer.other_digests(_KEPT_CODE, *parts)


def settlement_of(case: Case, end: End, now: float, sealer: Sealer) -> Settlement:
    """What is to be written of an end that was decided at `now`, wall seconds."""
    return Settlement(
        case.attempt,
        end.decision,
        decisions.seal(end.decision, now, case.attempt, sealer),
        event_of(case.login, end.decision, now, end.detail),
        end.consume,
        end.adjust,
        case.spent.tried if end.adjust else (),
        end.told,
        end.trust,
        end.notice,
        station_of(case.login.request) or "",
        _known_by(case, end.decision.outcome, sealer),
    )
