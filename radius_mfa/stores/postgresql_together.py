"""What logins ask PostgreSQL at about the same time is done together: what costs is the journey, not the work.

Pieces of work gather while others are under way.  Then they are done side by side: the same statement of all of
them is one statement, and what writes is one transaction.  Each is as alone as in a transaction of its own: it has
its lock, no two have the same one, and nobody hears of anything until all are committed.  Nobody waits with
another: whoever's lock somebody else has is left out, and where a row is held, by an import or a person, or
anything fails, nothing was done.  Either way a piece of work is to be done apart then (`ApartError`), where it
waits, is tried again and fails by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar, cast

from radius_mfa.stores.postgresql_pool import Connection, Trial
from radius_mfa.stores.work import Chain, Rows, Statement, Step, Work

T = TypeVar("T")

# Turns of the loop that work waits for more, as in `sqlite_together`.  With journeys of its own a login costs 1.7
# times as much.
_TURNS = 4
# More at a time would gather less; with one, a commit that waits for the disk would keep everybody waiting.
_AT_ONCE = 2

_APART = object()  # what comes of a job that was left out

_LITTLE = 0.1  # seconds: whoever has no more left is done apart, lest the others be cut off with it

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '20ms'"
_LOCK = (
    "SELECT pg_try_advisory_xact_lock(number) FROM unnest($1::bigint[]) WITH ORDINALITY AS l(number, n) ORDER BY n"
)


class ApartError(Exception):
    """It was not done, or nobody knows: it is to be done by itself."""


Do = Callable[[Connection, Trial], Awaitable[T]]
"""Does something on a connection, and notes in the trial what it has heard and sent."""


@dataclass(slots=True)
class _Job:
    """What makes the work, what it is about, by when it has to be done, and what comes of it."""

    work: Callable[[], Work[Any]]
    alone: str | None
    end: float
    outcome: asyncio.Future[Any] = field(repr=False)


class Together:
    """Work that only reads, or work that writes.  `once`: does something on a connection, or raises.

    Belongs to one event loop.
    """

    def __init__(self, once: Callable[[Do[Any], Trial], Awaitable[Any]]) -> None:
        self._once = once
        self._jobs: list[_Job] = []
        self._gathers = False
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, work: Callable[[], Work[T]], alone: str | None, end: float) -> asyncio.Future[T]:
        """What the work returns; ApartError where it could not be done with others'."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(work, alone, end, outcome))
        if not self._gathers and len(self._tasks) < _AT_ONCE:
            self._gathers = True
            self._tasks.add(asyncio.create_task(self._work()))
        return outcome

    async def finish(self, patience: float) -> None:
        """Do what was asked, for so many seconds at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)

    async def _work(self) -> None:
        """Gather and do, for as long as there is something."""
        while self._jobs:
            self._gathers = True
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._gathers = False
            jobs, self._jobs = self._jobs, []
            now = asyncio.get_running_loop().time()
            for late in [each for each in jobs if each.end <= now + _LITTLE and not each.outcome.done()]:
                late.outcome.set_exception(ApartError())
            if current := [each for each in jobs if not each.outcome.done()]:
                await self._do(current)
        # At once, and not when the loop says that it has ended: what comes meanwhile has to find another one.
        self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _do(self, jobs: Sequence[_Job]) -> None:
        # In the order in which all write rows of several users, so that none waits for one who waits for it.
        jobs = sorted(jobs, key=lambda each: each.alone or "")
        trial = Trial(min(each.end for each in jobs), repeatable=True)
        results: Sequence[Any] = [_APART] * len(jobs)
        try:
            with suppress(Exception):  # whatever it is, and whosever: each finds out for itself
                results = await self._once(partial(_together, jobs), trial)
        finally:
            for job, result in zip(jobs, results, strict=True):
                if not job.outcome.done():
                    if result is _APART:
                        job.outcome.set_exception(ApartError())
                    else:
                        job.outcome.set_result(result)


async def _together(jobs: Sequence[_Job], connection: Connection, trial: Trial) -> list[Any]:
    """What each comes to; _APART, where somebody else has its lock."""
    if jobs[0].alone is None:
        return await run(connection, [each.work() for each in jobs], trial)
    await connection.execute(_BEGIN)
    numbers = [lock_number(each.alone or "") for each in jobs]
    has_lock = [row[0] for row in await connection.fetch(_LOCK, numbers)]
    mine = [each.work() for each, has in zip(jobs, has_lock, strict=True) if has]
    results = iter(await run(connection, mine, trial))
    trial.committing = True
    await connection.execute("COMMIT")
    return [next(results) if has else _APART for has in has_lock]


def lock_number(alone: str) -> int:
    """That of the lock of that name."""
    return int.from_bytes(blake2b(alone.encode(), digest_size=8).digest(), signed=True)


async def run(connection: Connection, works: Sequence[Work[Any]], trial: Trial) -> list[Any]:
    """Give the statements of each its rows, and those that are the same at once; what each returns."""
    now = asyncio.get_running_loop().time
    results: list[Any] = [None] * len(works)
    asked: dict[int, Step] = {}

    def go_on(place: int, rows: Rows | None) -> None:
        try:
            # None begins a generator.
            asked[place] = works[place].send(cast(Rows, rows))
        except StopIteration as done:
            results[place] = done.value

    for place in range(len(works)):
        go_on(place, None)
    while asked:
        step, asked = asked, {}
        for statement in dict.fromkeys(statement for statement, _ in step.values()):
            places = [place for place, (which, _) in step.items() if which is statement]
            found = await _fetch(connection, statement, [step[place][1] for place in places])
            trial.heard = now()
            for place, rows in zip(places, found, strict=True):
                go_on(place, rows)
    return results


async def _fetch(
    connection: Connection, statement: Statement | Chain, parameters: Sequence[tuple[Any, ...]]
) -> list[Rows]:
    """The rows of each, asked for at once if the statement can be."""
    if isinstance(statement, Statement) and (len(parameters) == 1 or not statement.together):
        return [cast(Rows, await connection.fetch(statement.postgresql, *each)) for each in parameters]
    found: list[list[Sequence[Any]]] = [[] for _ in parameters]
    columns = map(list, zip(*parameters, strict=True))
    for number, *row in await connection.fetch(statement.together, *columns):
        found[number - 1].append(row)
    return cast(list[Rows], found)
