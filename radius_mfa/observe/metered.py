"""Directory and store with a stopwatch before them: how long each step takes, and whether they work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeVar

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
from radius_mfa.observe.health import DIRECTORY, STORE, Health

T = TypeVar("T")


class AskedDirectory(Directory, Protocol):
    """A directory that can tell how many questions its servers have answered so far."""

    @property
    def answered(self) -> int: ...


class _Stopwatch:
    """Times the calls of one part, and lets `health` have what comes of them."""

    def __init__(self, part: str, clock: Clock, meter: Meter, health: Health) -> None:
        self._part = part
        self._clock = clock
        self._meter = meter
        self._health = health

    async def time(self, call: str, work: Awaitable[T]) -> T:
        """What `work` comes to; a BackendError is the part's failure."""
        self._health.asked(self._part)
        began = self._clock.monotonic()
        try:
            return await work
        except BackendError:
            self._health.failed(self._part)
            raise
        finally:
            self._health.ended(self._part)
            self._meter.observe("step", self._clock.monotonic() - began, step=f"{self._part}_{call}")


class MeteredDirectory:
    """`core.ports.Directory` with a stopwatch before it.

    Much is said without a server being asked: by the shield, of static accounts, of groups that the entry has
    named.  None of that tells whether the servers work, so what counts is how many questions they answered.
    """

    def __init__(self, directory: AskedDirectory, clock: Clock, meter: Meter, health: Health) -> None:
        self._directory = directory
        self._health = health
        self._watch = _Stopwatch(DIRECTORY, clock, meter, health)

    async def find(self, username: str, deadline: float) -> User | Outcome:
        return await self._time("find", self._directory.find(username, deadline))

    async def with_groups(self, user: User, deadline: float) -> User:
        return await self._time("groups", self._directory.with_groups(user, deadline))

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        return await self._time("password", self._directory.check_password(user, password, deadline))

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        await self._time("nobody", self._directory.dummy_check(username, password, deadline))

    async def _time(self, call: str, work: Awaitable[T]) -> T:
        before = self._directory.answered
        result = await self._watch.time(call, work)
        if self._directory.answered > before:
            self._health.answered(DIRECTORY)
        return result


class MeteredStore:
    """`core.store.LoginStore` with a stopwatch before it.

    A store that is full, or a standby, can be read all the same: only what was written tells that it works.
    """

    def __init__(self, store: LoginStore, clock: Clock, meter: Meter, health: Health) -> None:
        self._store = store
        self._health = health
        self._watch = _Stopwatch(STORE, clock, meter, health)

    async def facts(self, user_id: str, deadline: float) -> Facts:
        return await self._watch.time("facts", self._store.facts(user_id, deadline))

    async def spend(
        self, attempt: Attempt, reserve: Callable[[Counters], Counters | None], deadline: float
    ) -> Reserved | AnsweredBefore | Refusal:
        # Nothing is said by it: an answer that was cut off is reserved once more without a word being written.
        return await self._watch.time("spend", self._store.spend(attempt, reserve, deadline))

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        settled = await self._watch.time("settle", self._store.settle(settlement, deadline))
        return self._heard(settled, written=settled is Settled.DONE)

    async def is_spent(self, login: bytes, round: int, deadline: float) -> bool:
        return await self._watch.time("is_spent", self._store.is_spent(login, round, deadline))

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        issued = await self._watch.time("issue_mail_code", self._store.issue_mail_code(code, deadline))
        return self._heard(issued, written=issued)

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
        return await self._watch.time("is_trusted", asked)

    async def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> int:
        asked = self._store.others_at(user_id, station, since, now, most, deadline)
        return await self._watch.time("others_at", asked)

    def _heard(self, result: T, *, written: bool) -> T:
        if written:
            self._health.answered(STORE)
        return result
