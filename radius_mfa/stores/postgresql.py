"""The store on PostgreSQL: one database for any number of processes and nodes.

Each process holds a few connections.  Work that only reads is statements, each on its own.  All other is
one transaction that first takes a lock named after what the work is about, mostly a user.  Whoever has
waited for it reads what the one before has written, since in READ COMMITTED every statement sees what was
committed when it began; so nothing has to be done again because of others, as it would under SERIALIZABLE.

A server that stops, starts, crashes or is replaced is waited for.  Work that was cut off is done again on
another connection, as long as its deadline lets it; on the way of a login even where COMMIT was sent and its
answer was lost, because the same attempt again is nothing new (`core.store`).  Other work is then reported,
since an administrator has to look.

How lasting a commit is, is the server's own setting (synchronous_commit); out of the box all are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, repeat
from typing import TypeVar, cast
from weakref import WeakValueDictionary

from radius_mfa.core.errors import StoreError
from radius_mfa.core.ports import Clock
from radius_mfa.stores.postgresql_migrate import look as look_at
from radius_mfa.stores.postgresql_migrate import migrate
from radius_mfa.stores.postgresql_pool import (
    ERRORS,
    SILENCE,
    Connection,
    Connections,
    Place,
    farewell,
    is_passing,
    limit,
    words,
)
from radius_mfa.stores.sql_store import SqlStore
from radius_mfa.stores.work import Rows, Work

T = TypeVar("T")

_MOST = 8  # connections of a process
_PATIENCE = 10.0  # seconds for what no login waits for
_PAUSES = (0.0, 0.05, 0.1, 0.2)  # seconds before it is tried again; the first time it was an old connection
_LONGEST_PAUSE = 0.25
_BETWEEN_BATCHES = 0.03


@dataclass(slots=True)
class Trial:
    """One go at a piece of work.  It may go on for as long as the server answers, and until `end` if repeatable.

    `heard`: when it last did, in the loop's time.  `committing`: COMMIT was sent.  `cut`: it took too long.
    """

    end: float
    repeatable: bool
    heard: float = 0.0
    committing: bool = False
    cut: bool = False

    def due(self) -> float:
        """When to cut it off if nothing is heard until then."""
        if self.repeatable:
            return limit(self.heard, self.end)
        # Whether it was written cannot be found out on another connection, so it is better to wait.
        return self.heard + (_PATIENCE if self.committing else SILENCE)


class _Watch:
    """Cuts a connection off when its trial is due.

    That is all that helps: to cancel a query is to wait until the server says so.
    """

    def __init__(self, connection: Connection, trial: Trial) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, self._trial = connection, trial
        trial.heard = self._loop.time()
        self._next = self._loop.call_at(trial.due(), self._look)

    def _look(self) -> None:
        due = self._trial.due()
        if due > self._loop.time():
            self._next = self._loop.call_at(due, self._look)
        else:
            self._trial.cut = True
            self._connection.terminate()

    def end(self) -> None:
        self._next.cancel()


class PostgresqlStore(SqlStore):
    """`core.store.Store` on PostgreSQL.  Opened, used and closed in one event loop."""

    def __init__(self, place: Place, clock: Clock, connections: Connections) -> None:
        self._name = str(place)
        self._clock = clock
        self._connections = connections
        # Of this process one at a time waits for a user's lock, lest a crowd hold all the connections with it.
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._closed = False

    @classmethod
    async def open(cls, url: str, password: str | None, clock: Clock, *, upgrade: bool = False) -> PostgresqlStore:
        """The store at `url`, in the newest schema version.

        `upgrade`: bring an older one up to date, else it is refused.  Raises StoreError.
        """
        place = Place(url, password)
        connections = Connections(place, _MOST)
        async with _connected(place) as connection:
            await migrate(connection, place, upgrade=upgrade)
            connections.keep(connection)
        return cls(place, clock, connections)

    async def _in_time(
        self, work: Callable[[], Work[T]], alone: str | None, deadline: float, *, synced: bool = False
    ) -> T:
        del synced  # as all commits are
        return await self._done(work, alone, deadline - self._clock.monotonic(), repeatable=True)

    async def _durably(self, work: Callable[[], Work[T]], alone: str | None) -> T:
        return await self._done(work, alone, _PATIENCE, repeatable=alone is None)

    async def _sync(self, deadline: float) -> None:
        """Whatever was committed is as safe as the server makes it."""

    async def _pause(self) -> None:
        await asyncio.sleep(_BETWEEN_BATCHES)

    async def _done(
        self, work: Callable[[], Work[T]], alone: str | None, seconds: float, *, repeatable: bool
    ) -> T:
        """What the work returns, within so many seconds.

        `repeatable`: it may be done again, whether or not it was done.
        """
        if self._closed:
            raise StoreError(f"{self._name}: is closed")
        if seconds <= 0:
            raise self._late("there was none left")
        end = asyncio.get_running_loop().time() + seconds
        if alone is None:
            return await self._tried(work, None, end, repeatable=repeatable)
        turn = self._turns.setdefault(alone, asyncio.Semaphore())
        if turn.locked():
            try:
                async with asyncio.timeout_at(end):
                    await turn.acquire()
            except TimeoutError:
                raise self._late("others were before it") from None
        else:
            await turn.acquire()
        try:
            return await self._tried(work, alone, end, repeatable=repeatable)
        finally:
            turn.release()

    async def _tried(self, work: Callable[[], Work[T]], alone: str | None, end: float, *, repeatable: bool) -> T:
        """What the work returns, tried until it is done or the time is up."""
        now = asyncio.get_running_loop().time
        why = ""
        for pause in chain(_PAUSES, repeat(_LONGEST_PAUSE)):
            trial = Trial(end, repeatable)
            try:
                return await self._once(work, alone, trial)
            except ERRORS as error:
                why = "no answer" if trial.cut else words(error)
                if trial.committing and not repeatable:
                    raise StoreError(f"{self._name}: {why}; it may have been written or not") from None
                if not is_passing(error):
                    raise StoreError(f"{self._name}: {why}") from None
            if trial.cut:
                self._connections.cut_idle()
            if end - now() <= pause:
                break
            await asyncio.sleep(pause)
        raise self._late(why)

    async def _once(self, work: Callable[[], Work[T]], alone: str | None, trial: Trial) -> T:
        """What the work returns.  Raises one of ERRORS, and what the work raises."""
        connection = await self._connections.take(trial.end)
        watch = _Watch(connection, trial)
        good = False
        try:
            done = await _do(connection, work(), alone, trial)
            good = True
            return done
        except AttributeError:
            if not trial.cut:
                raise
            raise TimeoutError from None  # asyncpg does not look again between preparing and executing
        finally:
            watch.end()
            self._connections.give_back(connection, good=good)

    def _late(self, why: str) -> StoreError:
        return StoreError(f"{self._name}: could not be read or written in time ({why})")

    async def close(self) -> None:
        """Finish what was begun, and close the connections.  A second time is nothing."""
        if not self._closed:
            self._closed = True
            await self._connections.close(_PATIENCE)


async def look(url: str, password: str | None) -> dict[bytes, bytes] | None:
    """The key proofs of the store at `url`, None for one that is empty or of an older version.

    Nothing is changed.  Raises StoreError.
    """
    place = Place(url, password)
    async with _connected(place) as connection:
        proofs = await look_at(connection, str(place))
        await farewell(connection)
    return proofs


@asynccontextmanager
async def _connected(place: Place) -> AsyncIterator[Connection]:
    """A connection; whatever goes wrong with it is a StoreError."""
    try:
        connection = await place.connect(_PATIENCE)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
    except ERRORS as error:
        raise StoreError(f"{place}: {words(error)}") from None


def _begin(alone: str) -> str:
    """Begin a transaction that has the lock of that name, in one round trip."""
    return f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_number(alone)})"


def _number(alone: str) -> int:
    """That of the lock of that name."""
    return int.from_bytes(blake2b(alone.encode(), digest_size=8).digest(), signed=True)


async def _do(connection: Connection, work: Work[T], alone: str | None, trial: Trial) -> T:
    """Do the work, in a transaction unless it only reads."""
    if alone is None:
        return await _run(connection, work, trial)
    await connection.execute(_begin(alone))
    done = await _run(connection, work, trial)
    trial.committing = True
    await connection.execute("COMMIT")
    return done


async def _run(connection: Connection, work: Work[T], trial: Trial) -> T:
    """Give each statement its rows."""
    now = asyncio.get_running_loop().time
    try:
        statement, parameters = next(work)
        while True:
            rows = await connection.fetch(statement.postgresql, *parameters)
            trial.heard = now()
            statement, parameters = work.send(cast(Rows, rows))
    except StopIteration as done:
        result: T = done.value
        return result
