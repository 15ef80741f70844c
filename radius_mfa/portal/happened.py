"""What has happened to somebody's account lately: from the audit file, and from the store for what that lacks.

The file has more: wrong passwords, whoever has no factor yet, what the help desk did.  The store has the logins of
all nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from radius_mfa.core.acts import Act
from radius_mfa.core.portal_store import PastLogin

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Happened:
    """One event.  `time`: wall seconds; the other fields are those of `messages.AuditEvent`."""

    time: float
    outcome: str
    decision: str
    client: str = ""
    station: str = ""
    source: str = ""
    policy: str = ""
    factor: str = ""
    detail: str = ""
    by: str = ""
    login: str = ""
    round: int = 0

    @property
    def went_well(self) -> bool:
        """Whether somebody was let in, or what they wanted was done."""
        return self.decision in ("accept", "done")

    @property
    def went_wrong(self) -> bool:
        """Whether it was refused, or nobody was answered."""
        return self.decision in ("reject", "refused", "discard")


def happened(events: Iterable[Mapping[str, Any]], logins: Iterable[PastLogin]) -> Sequence[Happened]:
    """Both, the newest first, each round of a login once; not that the help desk has looked, as it does now."""
    told = [_of_event(each) for each in events if each.get("outcome") != Act.LOOKED_AT]
    known = {(each.login, each.round) for each in told if each.login}
    told += [_of_login(each) for each in logins if (each.login, each.round) not in known]
    return sorted(told, key=lambda each: each.time, reverse=True)[:MOST_SHOWN]


def _of_event(event: Mapping[str, Any]) -> Happened:
    """Fields that say nothing are not in the file, and others than ours may have written there."""

    def text(name: str) -> str:
        value = event.get(name)
        return value if isinstance(value, str) else ""

    turn = event.get("round")
    return Happened(
        time=datetime.fromisoformat(event["time"]).timestamp(),
        outcome=text("outcome"),
        decision=text("decision"),
        client=text("client"),
        station=text("station"),
        source=text("source"),
        policy=text("policy"),
        factor=text("factor"),
        detail=text("detail"),
        by=text("by"),
        login=text("login"),
        round=turn if isinstance(turn, int) else 0,
    )


def _of_login(login: PastLogin) -> Happened:
    return Happened(
        time=login.time,
        outcome=login.outcome,
        decision=login.decision,
        client=login.client,
        station=login.station,
        source=login.source,
        policy=login.policy,
        factor=login.factor,
        login=login.login,
        round=login.round,
    )
