"""The store on PostgreSQL: one database for any number of processes and nodes.

Each process holds a few connections.  What logins ask at about the same time is done together
(`postgresql_together`).  Of the rest, work that only reads is statements, each on its own, and all other is
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
from functools import partial
from itertools import chain, repeat
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

from radius_mfa.core.errors import StoreError
from radius_mfa.core.ports import Clock
from radius_mfa.stores.postgresql_migrate import look as look_at
from radius_mfa.stores.postgresql_migrate import migrate
from radius_mfa.stores.postgresql_pool import (
    ERRORS,
    PATIENCE,
    Connection,
    Connections,
    Place,
    Trial,
    farewell,
    is_passing,
    words,
)
from radius_mfa.stores.postgresql_together import ApartError, Do, Together, lock_number, run
from radius_mfa.stores.sql_store import SqlStore
from radius_mfa.stores.work import Work

T = TypeVar("T")

_MOST = 8  # connections of a process
_PAUSES = (0.0, 0.05, 0.1, 0.2)  # seconds before it is tried again; the first time it was an old connection
_LONGEST_PAUSE = 0.25
_BETWEEN_BATCHES = 0.03
_GRACE = 0.05  # seconds


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
        self._reading, self._writing = Together(self._once), Together(self._once)
        self._apart: set[asyncio.Task[Any]] = set()  # what could not be done there
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
        return await self._done(work, alone, deadline - self._clock.monotonic(), in_time=True)

    async def _durably(self, work: Callable[[], Work[T]], alone: str | None) -> T:
        return await self._done(work, alone, PATIENCE, in_time=False)

    async def _sync(self, deadline: float) -> None:
        """Whatever was committed is as safe as the server makes it."""

    async def _pause(self) -> None:
        await asyncio.sleep(_BETWEEN_BATCHES)

    async def _done(self, work: Callable[[], Work[T]], alone: str | None, seconds: float, *, in_time: bool) -> T:
        """What the work returns, within so many seconds.  `in_time`: a login is waiting for it."""
        if self._closed:
            raise StoreError(f"{self._name}: is closed")
        if seconds <= 0:
            raise self._late("there was none left")
        end = asyncio.get_running_loop().time() + seconds
        if alone is None:
            return await self._in_turn(work, None, end, in_time=in_time)
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
            return await self._in_turn(work, alone, end, in_time=in_time)
        finally:
            turn.release()

    async def _in_turn(self, work: Callable[[], Work[T]], alone: str | None, end: float, *, in_time: bool) -> T:
        """What the work returns, whose turn it is in this process."""
        if not in_time:
            return await self._tried(work, alone, end, repeatable=alone is None)
        together = self._reading if alone is None else self._writing
        try:
            # What is under way is cut off by itself at the end, and says why.
            async with asyncio.timeout_at(end + _GRACE):
                return await together.do(work, alone, end)
        except ApartError:
            pass
        except TimeoutError:
            raise self._late("others were before it") from None
        # Whoever gives up, as when it hangs up, must not undo what was looked at for it.
        task = asyncio.create_task(self._tried(work, alone, end, repeatable=True))
        self._apart.add(task)
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._apart.discard(task)
        if not task.cancelled():
            task.exception()  # of which nobody may hear any more

    async def _tried(self, work: Callable[[], Work[T]], alone: str | None, end: float, *, repeatable: bool) -> T:
        """What the work returns, tried until it is done or the time is up."""
        now = asyncio.get_running_loop().time
        why = ""
        for pause in chain(_PAUSES, repeat(_LONGEST_PAUSE)):
            trial = Trial(end, repeatable)
            try:
                return await self._once(partial(_do, work, alone), trial)
            except ERRORS as error:
                why = "no answer" if trial.cut else words(error)
                if trial.committing and not repeatable:
                    raise StoreError(f"{self._name}: {why}; it may have been written or not") from None
                if not is_passing(error):
                    raise StoreError(f"{self._name}: {why}") from None
            if end - now() <= pause:
                break
            await asyncio.sleep(pause)
        raise self._late(why)

    async def _once(self, do: Do[T], trial: Trial) -> T:
        """What it returns on some connection.  Raises one of ERRORS, and what it raises."""
        connection = await self._connections.take(trial.end)
        watch = _Watch(connection, trial)
        good = False
        try:
            done = await do(connection, trial)
            good = True
            return done
        except AttributeError:
            if not trial.cut:
                raise
            raise TimeoutError from None  # asyncpg does not look again between preparing and executing
        finally:
            watch.end()
            if trial.cut:
                self._connections.cut_idle()
            self._connections.give_back(connection, good=good)

    def _late(self, why: str) -> StoreError:
        return StoreError(f"{self._name}: could not be read or written in time ({why})")

    async def close(self) -> None:
        """Finish what was begun, and close the connections.  A second time is nothing."""
        if not self._closed:
            self._closed = True
            now = asyncio.get_running_loop().time
            end = now() + PATIENCE
            await asyncio.gather(self._reading.finish(PATIENCE), self._writing.finish(PATIENCE))
            await self._connections.close(end - now())


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
        connection = await place.connect(PATIENCE)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
    except ERRORS as error:
        raise StoreError(f"{place}: {words(error)}") from None


def _begin(alone: str) -> str:
    """Begin a transaction that has the lock of that name, in one journey."""
    return f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({lock_number(alone)})"


async def _do(work: Callable[[], Work[T]], alone: str | None, connection: Connection, trial: Trial) -> T:
    """Do the work, in a transaction unless it only reads."""
    if alone is not None:
        await connection.execute(_begin(alone))
    (done,) = await run(connection, [work()], trial)
    if alone is not None:
        trial.committing = True
        await connection.execute("COMMIT")
    return cast(T, done)
