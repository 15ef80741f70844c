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
from radius_mfa.observe.health import DIRECTORY, STORE, Health, Part
from radius_mfa.observe.metrics import Counts

T = TypeVar("T")
Answer = Coroutine[Any, Any, T]


class AskedDirectory(Directory, Protocol):
    """A directory that can tell how many questions its servers have answered so far."""

    @property
    def answered(self) -> int: ...


class _Metered:
    """What is common to both: `part` is the one whose calls are timed."""

    def __init__(self, part: Part, clock: Clock, meter: Counts) -> None:
        self._now = clock.monotonic
        self._part = part
        self._took = meter.timer("step")

    async def _time(self, step: str, work: Awaitable[T], has_answered: Callable[[T], bool] | None = None) -> T:
        """What `work` comes to; a BackendError is the part's failure.  `has_answered`: is it a sign of life."""
        part, began = self._part, self._now()
        part.asked(began)
        try:
            result = await work
        except BackendError:
            part.doubted = True
            raise
        finally:
            part.waiting -= 1
            ended = self._now()
            self._took(ended - began, step)
        if has_answered is not None and has_answered(result):
            part.answered(ended)
        return result


class MeteredDirectory(_Metered):
    """`core.ports.Directory` with a stopwatch before it.

    Much is said without a server being asked: by the shield, of static accounts, of groups that the entry has
    named.  None of that tells whether the servers work, so what counts is how many questions they answered.
    """

    def __init__(self, directory: AskedDirectory, clock: Clock, meter: Counts, health: Health) -> None:
        super().__init__(health.part(DIRECTORY), clock, meter)
        self._directory = directory

    # Plain functions: with the stopwatch's there is one coroutine more a call, and not two.

    def find(self, username: str, deadline: float) -> Answer[User | Outcome]:
        return self._ask("directory_find", self._directory.find(username, deadline))

    def with_groups(self, user: User, deadline: float) -> Answer[User]:
        return self._ask("directory_groups", self._directory.with_groups(user, deadline))

    def check_password(self, user: User, password: bytes, deadline: float) -> Answer[Password]:
        return self._ask("directory_password", self._directory.check_password(user, password, deadline))

    def dummy_check(self, username: str, password: bytes, deadline: float) -> Answer[None]:
        return self._ask("directory_nobody", self._directory.dummy_check(username, password, deadline))

    def _ask(self, step: str, work: Awaitable[T]) -> Answer[T]:
        before = self._directory.answered
        return self._time(step, work, lambda _: self._directory.answered > before)


class MeteredStore(_Metered):
    """`core.store.LoginStore` with a stopwatch before it.

    A store that is full, or a standby, can be read all the same: only what was written tells that it works.
    """

    def __init__(self, store: LoginStore, clock: Clock, meter: Counts, health: Health) -> None:
        super().__init__(health.part(STORE), clock, meter)
        self._store = store

    def facts(self, user_id: str, deadline: float) -> Answer[Facts]:
        return self._time("store_facts", self._store.facts(user_id, deadline))

    def spend(
        self,
        attempt: Attempt,
        reserve: Callable[[Counters], Counters | None],
        deadline: float,
        judge: Judge | None = None,
    ) -> Answer[Reserved | AnsweredBefore | Refusal | Settlement]:
        spent = self._store.spend(attempt, reserve, deadline, judge)
        # A Reserved says nothing: an answer that was cut off is reserved once more without a word being written.
        return self._time("store_spend", spent, _is_settlement)

    def settle(self, settlement: Settlement, deadline: float) -> Answer[Settled | AnsweredBefore]:
        return self._time("store_settle", self._store.settle(settlement, deadline), _is_done)

    def is_spent(self, login: bytes, round: int, deadline: float) -> Answer[bool]:
        return self._time("store_is_spent", self._store.is_spent(login, round, deadline))

    def issue_mail_code(self, code: NewMailCode, deadline: float) -> Answer[bool]:
        return self._time("store_issue_mail_code", self._store.issue_mail_code(code, deadline), bool)

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
        return self._time("store_is_trusted", asked)

    def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> Answer[int]:
        asked = self._store.others_at(user_id, station, since, now, most, deadline)
        return self._time("store_others_at", asked)


def _is_settlement(found: Reserved | AnsweredBefore | Refusal | Settlement) -> bool:
    return isinstance(found, Settlement)


def _is_done(settled: Settled | AnsweredBefore) -> bool:
    return settled is Settled.DONE
