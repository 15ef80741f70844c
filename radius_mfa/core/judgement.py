"""An answer under judgement, and how it ended."""

from __future__ import annotations

from collections.abc import Callable

from radius_mfa.core import decisions
from radius_mfa.core.answers import Answer, CodeAnswer
from radius_mfa.core.guard import Counters
from radius_mfa.core.login import Login, event_of
from radius_mfa.core.messages import Accept, Challenge, Reject
from radius_mfa.core.ports import Sealer
from radius_mfa.core.record import record
from radius_mfa.core.stored import Attempt, Consumption, NewDevice, Notice, Reserved, Settlement, TotpStep
from radius_mfa.core.trust import station_of


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
    )
