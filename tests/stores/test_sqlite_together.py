"""What comes in one turn of the event loop is one transaction, and each piece of it all the same on its own."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.stored import Reserved
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.sqlite_together import Together
from radius_mfa.stores.work import Statement, Work
from tests.stores.support import Contender, SystemClock, asked, attempt, count

_NOTE = Statement("INSERT INTO note (number) VALUES (?)")
_NOTES = Statement("SELECT number FROM note ORDER BY rowid")
CLOCK = SystemClock()
SOON = 10.0  # seconds that nobody needs
LATE = "state.db: could not be read or written in time"


def note(number: int) -> Work[list[int]]:
    """Write a number down; all that stand there then."""
    yield _NOTE(number)
    return [row[0] for row in (yield _NOTES())]


def noting(*written: int) -> Callable[[], Work[list[int]]]:
    """Write these down, one after the other."""

    def work() -> Work[list[int]]:
        there: list[int] = []
        for number in written:
            there = yield from note(number)
        return there

    return work


def breaking(number: int) -> Callable[[], Work[list[int]]]:
    """Write a number down and then go wrong."""

    def work() -> Work[list[int]]:
        yield from note(number)
        raise ZeroDivisionError

    return work


class Desk:
    """Where work is done together, and what is seen of it.

    `said`: all statements that SQLite was given; `committed`: what is told of how much.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.committed: list[int] = []
        self.connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE note (number INTEGER UNIQUE NOT NULL)")
        self.connection.set_trace_callback(self.said.append)
        self.together = Together(self.connection, "state.db", CLOCK, self.committed.append)

    def do(self, work: Callable[[], Work[list[int]]], seconds: float = SOON) -> asyncio.Future[list[int]]:
        return self.together.do(work, CLOCK.monotonic() + seconds)

    def transactions(self) -> tuple[int, int, int]:
        """How many were begun, committed and rolled back."""
        return self.said.count("BEGIN IMMEDIATE"), self.said.count("COMMIT"), self.said.count("ROLLBACK")

    def notes(self) -> list[int]:
        """What another program reads."""
        with closing(sqlite3.connect(self.path)) as other:
            return [number for (number,) in other.execute("SELECT number FROM note ORDER BY rowid")]

    def other(self) -> sqlite3.Connection:
        """Somebody else, who holds the lock."""
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        return other

    async def refused(self, times: int) -> None:
        """Wait until the lock was asked for that often, in vain."""
        asked = self.said.count("BEGIN IMMEDIATE") + times
        while self.said.count("BEGIN IMMEDIATE") < asked:
            await asyncio.sleep(0.0005)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "state.db")
    with closing(desk.connection):
        yield desk


async def ended(work: Sequence[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*work, return_exceptions=True))


# --- one turn -------------------------------------------------------------------------------------


def test_what_comes_in_one_turn_is_one_transaction_and_the_results_are_each_its_own(desk: Desk) -> None:
    """Each comes after the one before it, as if that were committed."""

    async def turn() -> list[Any]:
        return await ended([desk.do(noting(number)) for number in range(50)])

    assert asyncio.run(turn()) == [list(range(number + 1)) for number in range(50)]
    assert desk.transactions() == (1, 1, 0)
    assert desk.committed == [50]
    assert desk.notes() == list(range(50))


def test_what_comes_in_the_next_turn_is_the_next_transaction(desk: Desk) -> None:
    async def turns() -> None:
        for first in (0, 10, 20):
            await asyncio.gather(*(desk.do(noting(first + each)) for each in range(10)))

    asyncio.run(turns())
    assert desk.transactions() == (3, 3, 0)
    assert desk.committed == [10, 10, 10]


def test_nobody_hears_of_it_before_all_are_committed(desk: Desk) -> None:
    seen = []

    async def turn() -> None:
        first, *others = [desk.do(noting(number)) for number in range(5)]
        first.add_done_callback(lambda _: seen.append(desk.notes()))
        await asyncio.gather(first, *others)

    asyncio.run(turn())
    assert seen == [[0, 1, 2, 3, 4]]


def test_who_hears_of_it_may_ask_for_more(desk: Desk) -> None:
    async def logins(number: int) -> list[int]:
        await desk.do(noting(number))
        return await desk.do(noting(10 + number))

    async def turns() -> list[list[int]]:
        return await asyncio.gather(*map(logins, range(3)))

    assert asyncio.run(turns())[2] == [0, 1, 2, 10, 11, 12]
    assert desk.transactions() == (2, 2, 0)


# --- one that fails -------------------------------------------------------------------------------


def test_one_that_fails_fails_alone(desk: Desk) -> None:
    async def turn() -> list[Any]:
        return await ended([desk.do(noting(1)), desk.do(breaking(2)), desk.do(noting(3)), desk.do(noting(1))])

    one, two, three, four = asyncio.run(turn())
    assert (one, three) == ([1], [1, 3])
    assert isinstance(two, ZeroDivisionError)
    assert str(four) == "state.db: UNIQUE constraint failed: note.number"
    assert isinstance(four, StoreError)
    assert desk.notes() == [1, 3]
    assert desk.committed == [1, 1]
    assert not desk.connection.in_transaction


def test_what_it_had_written_itself_is_gone_with_it(desk: Desk) -> None:
    async def turn() -> list[Any]:
        return await ended([desk.do(noting(1)), desk.do(noting(2, 3, 1)), desk.do(noting(4))])

    one, two, three = asyncio.run(turn())
    assert (one, three) == ([1], [1, 4])
    assert isinstance(two, StoreError)


def test_after_one_that_fails_the_next_turn_is_together_again(desk: Desk) -> None:
    async def turns() -> list[Any]:
        failed = await ended([desk.do(breaking(1))])
        return [*failed, *(await ended([desk.do(noting(2)), desk.do(noting(3))]))]

    error, *others = asyncio.run(turns())
    assert isinstance(error, ZeroDivisionError)
    assert others == [[2], [2, 3]]
    assert desk.transactions() == (2, 1, 1)


def test_a_connection_that_was_closed_is_an_error_for_each(desk: Desk) -> None:
    async def turn() -> list[Any]:
        work = [desk.do(noting(1)), desk.do(noting(2))]
        desk.connection.close()
        return await ended(work)

    assert [(type(each), str(each)) for each in asyncio.run(turn())] == [
        (StoreError, "state.db: Cannot operate on a closed database.")
    ] * 2


@settings(suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["note", "break"]), st.integers(0, 12)), max_size=6),  # in one turn
        max_size=4,
    )
)
def test_it_is_as_if_each_were_done_by_itself_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, turns: list[list[tuple[str, int]]]
) -> None:
    desk = Desk(tmp_path_factory.mktemp("together") / "state.db")
    expected: list[str] = []
    found: list[str] = []
    notes: list[int] = []
    for what, number in (each for turn in turns for each in turn):
        if number in notes:
            expected.append("StoreError")
        elif what == "break":
            expected.append("ZeroDivisionError")
        else:
            notes.append(number)
            expected.append(str(notes))

    async def all_of_them() -> None:
        for turn in turns:
            work = [desk.do((noting if what == "note" else breaking)(number)) for what, number in turn]
            said = await ended(work)
            found.extend(type(each).__name__ if isinstance(each, Exception) else str(each) for each in said)

    with closing(desk.connection):
        asyncio.run(all_of_them())
    assert found == expected
    assert desk.notes() == notes
    assert sum(desk.committed) == len(notes)


# --- while somebody else holds the lock -----------------------------------------------------------


def test_while_another_holds_the_lock_all_wait_and_more_that_come_are_done_with_them(desk: Desk) -> None:
    async def play() -> list[Any]:
        with closing(desk.other()) as other:
            work = [desk.do(noting(number)) for number in range(3)]
            await desk.refused(2)
            work += [desk.do(noting(number)) for number in range(3, 6)]
            await desk.refused(2)
            assert not any(each.done() for each in work)
            assert desk.notes() == []
            other.execute("COMMIT")
            return await ended(work)

    assert asyncio.run(play())[-1] == [0, 1, 2, 3, 4, 5]
    assert desk.committed == [6]
    assert desk.said.count("COMMIT") == 1


def test_what_another_has_written_meanwhile_is_seen(desk: Desk) -> None:
    async def play() -> list[int]:
        with closing(desk.other()) as other:
            work = desk.do(noting(2))
            await desk.refused(1)
            other.execute("INSERT INTO note (number) VALUES (1)")
            other.execute("COMMIT")
            return await work

    assert asyncio.run(play()) == [1, 2]


def test_each_waits_by_its_own_deadline(desk: Desk) -> None:
    async def play() -> tuple[float, list[Any]]:
        with closing(desk.other()) as other:
            began = time.monotonic()
            patient, hasty = desk.do(noting(1)), desk.do(noting(2), 0.1)
            await desk.refused(1)
            later, hastier = desk.do(noting(3)), desk.do(noting(4), 0.02)
            gone = await ended([hasty, hastier])
            took = time.monotonic() - began
            assert not patient.done()
            assert not later.done()
            other.execute("COMMIT")
            return took, [*gone, *(await ended([patient, later]))]

    took, (hasty, hastier, *others) = asyncio.run(play())
    assert [(type(each), str(each)) for each in (hasty, hastier)] == [(StoreError, LATE)] * 2
    assert others == [[1], [1, 3]]
    assert 0.1 <= took < 2
    assert desk.notes() == [1, 3]


def test_what_is_late_before_its_turn_is_not_begun(desk: Desk) -> None:
    async def turn() -> list[Any]:
        return await ended([desk.do(noting(1), 0.0), desk.do(noting(2))])

    late, done = asyncio.run(turn())
    assert (str(late), done) == (LATE, [2])


def test_where_all_are_late_nothing_is_begun(desk: Desk) -> None:
    async def turn() -> list[Any]:
        return await ended([desk.do(noting(1), -1.0)])

    assert [str(each) for each in asyncio.run(turn())] == [LATE]
    assert desk.said == []


def test_one_that_fails_while_all_had_to_wait_fails_alone_as_well(desk: Desk) -> None:
    async def play() -> list[Any]:
        with closing(desk.other()) as other:
            work = [desk.do(noting(1)), desk.do(breaking(2)), desk.do(noting(3))]
            await desk.refused(2)
            other.execute("COMMIT")
            return await ended(work)

    one, two, three = asyncio.run(play())
    assert (one, type(two), three) == ([1], ZeroDivisionError, [1, 3])


def test_a_lock_that_another_takes_between_two_done_by_themselves_is_waited_for(desk: Desk) -> None:
    """After a failure each is alone: nobody promises that the lock is free for all of them."""
    others: list[sqlite3.Connection] = []

    async def play() -> list[Any]:
        def done(_: int) -> None:
            if not others:
                others.append(desk.other())

        together = Together(desk.connection, "state.db", CLOCK, done)
        end = CLOCK.monotonic() + SOON
        work = [together.do(each, end) for each in (noting(1), breaking(2), noting(3), noting(4))]
        await desk.refused(6)
        assert [each.done() for each in work] == [True, False, False, False]
        others[0].execute("COMMIT")
        return await ended(work)

    one, two, three, four = asyncio.run(play())
    others[0].close()
    assert (one, type(two), three, four) == ([1], ZeroDivisionError, [1, 3], [1, 3, 4])


def test_logins_wait_together_for_another_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"

    async def logins(holder: Contender) -> list[Any]:
        some = [attempt(number) for number in range(8)]
        work = [asyncio.create_task(it.store.spend(each, count, it.soon())) for each in some]
        await asyncio.sleep(0.05)
        assert not any(each.done() for each in work)
        holder.go()
        return await ended(work)

    with asked(lambda clock: SqliteStore.open(url, clock), CLOCK) as it, Contender("lock", url) as holder:
        holder.hear("locked")
        said = it.run(logins(holder))

        assert [each.facts.counters.failures for each in said if isinstance(each, Reserved)] == list(range(1, 9))
        assert it.counters() == Counters(8, 8)


# --- who gives up ---------------------------------------------------------------------------------


def test_what_is_given_up_before_its_turn_is_not_done(desk: Desk) -> None:
    made = []

    def counted() -> Work[list[int]]:
        made.append(1)
        return note(1)

    async def turn() -> list[Any]:
        work = [desk.do(counted), desk.do(noting(2))]
        work[0].cancel()
        return await ended(work)

    given_up, done = asyncio.run(turn())
    assert isinstance(given_up, asyncio.CancelledError)
    assert (done, made, desk.committed) == ([2], [], [1])


def test_where_all_have_given_up_nothing_is_begun(desk: Desk) -> None:
    async def turn() -> list[Any]:
        work = [desk.do(noting(number)) for number in range(3)]
        for each in work:
            each.cancel()
        await ended(work)
        return await ended([desk.do(noting(4))])

    assert asyncio.run(turn()) == [[4]]
    assert desk.transactions() == (1, 1, 0)


def test_what_is_given_up_while_it_waits_for_the_lock_is_not_done(desk: Desk) -> None:
    async def play() -> list[Any]:
        with closing(desk.other()) as other:
            work = [desk.do(noting(1), 0.05), desk.do(noting(2))]
            await desk.refused(1)
            work[0].cancel()
            await asyncio.sleep(0.06)  # its deadline is nobody's any more
            other.execute("COMMIT")
            return await ended(work)

    given_up, done = asyncio.run(play())
    assert isinstance(given_up, asyncio.CancelledError)
    assert done == [2]
    assert desk.notes() == [2]
