"""What is asked within a few turns of the event loop is done together: to begin and to commit costs SQLite most.

Each piece of work is as alone as in a transaction of its own: it comes after the one before it, and nobody hears
of it until all are committed.  Where one fails, all are rolled back and each is done once more by itself, so that
it fails alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from radius_mfa.core.errors import StoreError
from radius_mfa.core.ports import Clock
from radius_mfa.stores.sqlite_connection import broken, is_locked, run, transaction
from radius_mfa.stores.work import Work

T = TypeVar("T")

# Turns of the loop that work waits, for what else is on its way meanwhile: 0.95 of the CPU a login at 32 at once.
_TURNS = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.016  # seconds between two tries; a transaction takes 0.0001


@dataclass(slots=True)
class _Job:
    """What makes the work, whether it writes, by when in monotonic seconds, and what comes of it."""

    work: Callable[[], Work[Any]]
    writes: bool
    deadline: float
    outcome: asyncio.Future[Any]


class Together:
    """Works through `connection`, which waits for no lock.  `name`: the store's.

    `committed`: told how much was written, each time.  Belongs to one event loop.
    """

    def __init__(
        self, connection: sqlite3.Connection, name: str, clock: Clock, committed: Callable[[int], None]
    ) -> None:
        self._cursor = connection.cursor()
        self._name = name
        self._clock = clock
        self._committed = committed
        self._loop: asyncio.AbstractEventLoop | None = None  # kept: to ask which one runs is a system call
        self._jobs: list[_Job] = []  # while there are any, `_turn` is to come
        self._pause = FIRST_PAUSE

    def do(self, work: Callable[[], Work[T]], deadline: float, *, writes: bool = True) -> asyncio.Future[T]:
        """What the work returns; StoreError where somebody else holds the lock until the deadline."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        if not self._jobs:
            loop.call_soon(self._wait, loop, _TURNS - 1)
        self._jobs.append(_Job(work, writes, deadline, outcome))
        return outcome

    def _wait(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        """So many more, then commit."""
        if turns:
            loop.call_soon(self._wait, loop, turns - 1)
        else:
            self._turn()

    def _turn(self) -> None:
        """Commit all that has gathered."""
        jobs, self._jobs = self._jobs, []
        now = self._clock.monotonic()
        if late := [each for each in jobs if each.deadline <= now]:
            self._fail(late, StoreError(f"{self._name}: could not be read or written in time"))
        if current := [each for each in jobs if not each.outcome.done()]:
            self._commit(current)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        """Commit these, or, where one of them fails, each by itself; later, while somebody else holds the lock."""
        written = sum([each.writes for each in jobs])
        try:
            with transaction(self._cursor, writes=written > 0):
                results = [run(self._cursor, each.work()) for each in jobs]
        except Exception as error:
            if isinstance(error, sqlite3.Error) and is_locked(error):
                self._later(jobs)
            elif len(jobs) > 1:
                for each in jobs:
                    self._commit([each])
            else:
                self._fail(jobs, broken(self._name, error) if isinstance(error, sqlite3.Error) else error)
        else:
            self._pause = FIRST_PAUSE
            for job, result in zip(jobs, results, strict=True):
                job.outcome.set_result(result)
            if written:
                self._committed(written)

    def _fail(self, jobs: Sequence[_Job], error: Exception) -> None:
        for each in jobs:
            if not each.outcome.done():
                each.outcome.set_exception(error)

    def _later(self, jobs: Sequence[_Job]) -> None:
        reads = [each for each in jobs if not each.writes]
        if reads and len(reads) < len(jobs):  # nobody's lock is in their way
            self._commit(reads)
            jobs = [each for each in jobs if each.writes]
        if not self._jobs:
            left = min(each.deadline for each in jobs) - self._clock.monotonic()
            asyncio.get_running_loop().call_later(max(min(self._pause, left), 0.0), self._turn)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._jobs += jobs
