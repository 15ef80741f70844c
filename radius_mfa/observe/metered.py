"""Directory and store with a stopwatch before them: how long each step takes, and whether they work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from radius_mfa.core.errors import BackendError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Directory, Meter, Password
from radius_mfa.core.store import LoginStore
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
from radius_mfa.observe.health import STORE, Health

T = TypeVar("T")


class _Stopwatch:
    """Times the calls of one part."""

    def __init__(self, clock: Clock, meter: Meter) -> None:
        self._clock = clock
        self._meter = meter

    async def time(self, step: str, work: Awaitable[T]) -> T:
        """What `work` comes to."""
        began = self._clock.monotonic()
        try:
            return await work
        finally:
            self._meter.observe("step", self._clock.monotonic() - began, step=step)


class MeteredDirectory:
    """`core.ports.Directory` with a stopwatch before it.

    Whether it works is not to be seen from here: a shield may have answered, or the first of several
    directories.
    """

    def __init__(self, directory: Directory, clock: Clock, meter: Meter) -> None:
        self._directory = directory
        self._watch = _Stopwatch(clock, meter)

    async def find(self, username: str, deadline: float) -> User | Outcome:
        return await self._watch.time("directory_find", self._directory.find(username, deadline))

    async def with_groups(self, user: User, deadline: float) -> User:
        return await self._watch.time("directory_groups", self._directory.with_groups(user, deadline))

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        asked = self._directory.check_password(user, password, deadline)
        return await self._watch.time("directory_password", asked)

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        asked = self._directory.dummy_check(username, password, deadline)
        await self._watch.time("directory_nobody", asked)


class MeteredStore:
    """`core.store.LoginStore` with a stopwatch before it, and `health` told of each answer."""

    def __init__(self, store: LoginStore, clock: Clock, meter: Meter, health: Health) -> None:
        self._store = store
        self._watch = _Stopwatch(clock, meter)
        self._health = health

    async def _time(self, call: str, work: Awaitable[T]) -> T:
        try:
            result = await self._watch.time(f"store_{call}", work)
        except BackendError:
            self._health.said(STORE, works=False)
            raise
        self._health.said(STORE, works=True)
        return result

    async def facts(self, user_id: str, deadline: float) -> Facts:
        return await self._time("facts", self._store.facts(user_id, deadline))

    async def spend(
        self, attempt: Attempt, reserve: Callable[[Counters], Counters | None], deadline: float
    ) -> Reserved | AnsweredBefore | Refusal:
        return await self._time("spend", self._store.spend(attempt, reserve, deadline))

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        return await self._time("settle", self._store.settle(settlement, deadline))

    async def is_spent(self, login: bytes, round: int, deadline: float) -> bool:
        return await self._time("is_spent", self._store.is_spent(login, round, deadline))

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        return await self._time("issue_mail_code", self._store.issue_mail_code(code, deadline))

    async def is_trusted(
        self,
        user_id: str,
        station: str,
        scopes: Sequence[str],
        factors: Collection[FactorKind],
        now: float,
        deadline: float,
    ) -> bool:
        asked = self._store.is_trusted(user_id, station, scopes, factors, now, deadline)
        return await self._time("is_trusted", asked)

    async def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> int:
        asked = self._store.others_at(user_id, station, since, now, most, deadline)
        return await self._time("others_at", asked)
