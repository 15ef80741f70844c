"""Directory and store with a stopwatch before them: how long each step takes, and whether they work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from radius_mfa.core.errors import BackendError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Directory, Password
from radius_mfa.core.store import Judge, LoginStore
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Facts,
    NewMailCode,
    Refusal,
    Reserved,
    Settled,
    Settlement,
)
from radius_mfa.observe.health import DIRECTORY, STORE, Health
from radius_mfa.observe.metrics import Counts

T = TypeVar("T")
Answer = Coroutine[Any, Any, T]
Took = Callable[[float], None]
"""Takes how many seconds a step took."""


class AskedDirectory(Directory, Protocol):
    """A directory that can tell how many questions its servers have answered so far."""

    @property
    def answered(self) -> int: ...


class MeteredDirectory:
    """`core.ports.Directory` with a stopwatch before it.

    Much is said without a server being asked: by the shield, of static accounts, of groups that the entry has
    named.  None of that tells whether the servers work, so what counts is how many questions they answered.
    """

    def __init__(self, directory: AskedDirectory, clock: Clock, meter: Counts, health: Health) -> None:
        self._directory = directory
        self._part, self._now = health.part(DIRECTORY), clock.monotonic
        steps = meter.timer("step")
        self._find, self._groups = steps["directory_find",], steps["directory_groups",]
        self._password, self._nobody = steps["directory_password",], steps["directory_nobody",]

    # Plain functions: with the stopwatch's there is one coroutine more a call, and not two.

    def find(self, username: str, deadline: float) -> Answer[User | Outcome]:
        return self._time(self._find, self._directory.find(username, deadline))

    def with_groups(self, user: User, deadline: float) -> Answer[User]:
        return self._time(self._groups, self._directory.with_groups(user, deadline))

    def check_password(self, user: User, password: bytes, deadline: float) -> Answer[Password]:
        return self._time(self._password, self._directory.check_password(user, password, deadline))

    def dummy_check(self, username: str, password: bytes, deadline: float) -> Answer[None]:
        return self._time(self._nobody, self._directory.dummy_check(username, password, deadline))

    async def _time(self, took: Took, work: Awaitable[T]) -> T:
        """What `work` comes to; a BackendError is a failure of the directory."""
        part, now, before = self._part, self._now, self._directory.answered
        began = now()
        if not part.waiting:
            part.since = began
        part.waiting += 1
        try:
            result = await work
        except BackendError:
            part.doubted = True
            raise
        finally:
            part.waiting -= 1
            ended = now()
            took(ended - began)
        if self._directory.answered > before:
            part.answered(ended)
        return result


class MeteredStore:
    """`core.store.LoginStore` with a stopwatch before it.

    A store that is full, or a standby, can be read all the same: only what was written tells that it works.
    """

    def __init__(self, store: LoginStore, clock: Clock, meter: Counts, health: Health) -> None:
        self._store = store
        self._part, self._now = health.part(STORE), clock.monotonic
        steps = meter.timer("step")
        self._facts, self._spend, self._settle = (
            steps["store_facts",],
            steps["store_spend",],
            steps["store_settle",],
        )
        self._is_spent, self._issue = steps["store_is_spent",], steps["store_issue_mail_code",]
        self._is_trusted, self._others_at = steps["store_is_trusted",], steps["store_others_at",]

    def facts(self, user_id: str, deadline: float) -> Answer[Facts]:
        return self._time(self._facts, self._store.facts(user_id, deadline))

    def spend(
        self,
        attempt: Attempt,
        reserve: Callable[[Counters], Counters | None],
        deadline: float,
        judge: Judge | None = None,
    ) -> Answer[Reserved | AnsweredBefore | Refusal | Settlement]:
        spent = self._store.spend(attempt, reserve, deadline, judge)
        # A Reserved says nothing: an answer that was cut off is reserved once more without a word being written.
        return self._time(self._spend, spent, _is_settlement)

    def settle(self, settlement: Settlement, deadline: float) -> Answer[Settled | AnsweredBefore]:
        return self._time(self._settle, self._store.settle(settlement, deadline), _is_done)

    def is_spent(self, login: bytes, round: int, deadline: float) -> Answer[bool]:
        return self._time(self._is_spent, self._store.is_spent(login, round, deadline))

    def issue_mail_code(self, code: NewMailCode, deadline: float) -> Answer[bool]:
        return self._time(self._issue, self._store.issue_mail_code(code, deadline), bool)

    def is_trusted(
        self,
        user_id: str,
        station: str,
        scopes: Sequence[str],
        factors: Collection[FactorKind],
        now: float,
        deadline: float,
    ) -> Answer[bool]:
        asked = self._store.is_trusted(user_id, station, scopes, factors, now, deadline)
        return self._time(self._is_trusted, asked)

    def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> Answer[int]:
        asked = self._store.others_at(user_id, station, since, now, most, deadline)
        return self._time(self._others_at, asked)

    async def _time(self, took: Took, work: Awaitable[T], has_written: Callable[[T], bool] | None = None) -> T:
        """As `MeteredDirectory._time`: they share no code, since a login comes by here four times."""
        part, now = self._part, self._now
        began = now()
        if not part.waiting:
            part.since = began
        part.waiting += 1
        try:
            result = await work
        except BackendError:
            part.doubted = True
            raise
        finally:
            part.waiting -= 1
            ended = now()
            took(ended - began)
        if has_written is not None and has_written(result):
            part.answered(ended)
        return result


def _is_settlement(found: Reserved | AnsweredBefore | Refusal | Settlement) -> bool:
    return isinstance(found, Settlement)


def _is_done(settled: Settled | AnsweredBefore) -> bool:
    return settled is Settled.DONE
