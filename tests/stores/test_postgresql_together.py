"""What comes at about the same time is asked of PostgreSQL together, and is each on its own all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.stores.postgresql_pool import Connection, Trial
from radius_mfa.stores.postgresql_together import ApartError, Do, Together, lock_number, run
from radius_mfa.stores.work import Statement, Work
from tests.stores.postgresql import new_url

SOON = 10.0  # seconds that nobody needs
_NOTE = Statement("INSERT INTO note (owner, number) VALUES (?, ?)")
_NOTES = Statement("SELECT number, owner FROM note WHERE owner = ? AND number >= ?", types="text int")
_BREAKING = Statement("SELECT 1 / ?::int")


def reading(owner: str | None, least: int = 0) -> Callable[[], Work[set[Any]]]:
    """The owner's notes."""

    def work() -> Work[set[Any]]:
        return {tuple(row) for row in (yield _NOTES(owner, least))}

    return work


def noting(owner: str, number: int) -> Callable[[], Work[set[Any]]]:
    """Write a number down; all the owner's notes then."""

    def work() -> Work[set[Any]]:
        yield _NOTE(owner, number)
        return (yield from reading(owner)())

    return work


def breaking(owner: str) -> Callable[[], Work[set[Any]]]:
    """Write a number down and then have PostgreSQL refuse."""

    def work() -> Work[set[Any]]:
        yield _NOTE(owner, 0)
        yield _BREAKING(0)
        return set()

    return work


class Desk:
    """Where work is done together, each time on a connection of its own, and what is seen of it.

    `said`: all statements that PostgreSQL was given.
    """

    def __init__(self, url: str, *connections: Connection) -> None:
        self.url = url
        self.said: list[str] = []
        self.free = list(connections)
        for each in connections:
            each.add_query_logger(lambda query: self.said.append(query.query))
        self.together = Together(self._once)

    async def _once(self, do: Do[Any], trial: Trial) -> Any:
        connection = self.free.pop()
        try:
            return await do(connection, trial)
        finally:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
            self.free.append(connection)

    def write(self, owner: str, number: int, seconds: float = SOON) -> asyncio.Future[set[Any]]:
        return self.do(noting(owner, number), owner, seconds)

    def do(
        self, work: Callable[[], Work[set[Any]]], alone: str | None, seconds: float = SOON
    ) -> asyncio.Future[set[Any]]:
        return self.together.do(work, alone, asyncio.get_running_loop().time() + seconds)

    @property
    def begun(self) -> int:
        return sum(each.startswith("BEGIN") for each in self.said)

    async def notes(self) -> set[Any]:
        """What another program reads."""
        other = await asyncpg.connect(self.url)
        try:
            return {tuple(row) for row in await other.fetch("SELECT owner, number FROM note")}
        finally:
            await other.close()


@pytest.fixture(scope="module")
def url() -> str:
    return new_url()


def at(url: str, play: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    """Play it at a desk of two connections, with nothing written down."""

    async def main() -> None:
        connections = [await asyncpg.connect(url) for _ in range(2)]
        try:
            await connections[0].execute("DROP TABLE IF EXISTS note; CREATE TABLE note (owner text, number int)")
            desk = Desk(url, *connections)
            await play(desk)
            await desk.together.finish(SOON)
        finally:
            for each in connections:
                await each.close()

    asyncio.run(main())


async def ended(work: Sequence[Awaitable[Any]]) -> list[Any]:
    return [
        type(each) if isinstance(each, BaseException) else each
        for each in await asyncio.gather(*work, return_exceptions=True)
    ]


# --- together ---------------------------------------------------------------------------------------


def test_what_comes_at_once_is_one_transaction_and_the_results_are_each_its_own(url: str) -> None:
    async def play(desk: Desk) -> None:
        found = await ended([desk.write(f"u-{number}", number) for number in range(20)])

        assert found == [{(number, f"u-{number}")} for number in range(20)]
        assert (desk.begun, desk.said.count("COMMIT")) == (1, 1)
        assert desk.said.count(_NOTES.of_many) == 1

    at(url, play)


def test_what_only_reads_is_asked_at_once_and_begins_no_transaction(url: str) -> None:
    async def play(desk: Desk) -> None:
        await desk.write("u-1", 1)
        desk.said.clear()

        assert await ended([desk.do(reading(f"u-{each}"), None) for each in (0, 1, 2)]) == [
            set(),
            {(1, "u-1")},
            set(),
        ]
        assert [each for each in desk.said if "note" in each or "BEGIN" in each] == [_NOTES.of_many]

    at(url, play)


def test_what_comes_while_others_are_under_way_gathers(url: str) -> None:
    async def play(desk: Desk) -> None:
        work = []
        for number in range(200):
            work.append(desk.write(f"u-{number}", number))
            await asyncio.sleep(0)
        await asyncio.gather(*work)

        assert len(await desk.notes()) == 200
        assert desk.begun < 50

    at(url, play)


OWNERS = st.one_of(st.none(), st.sampled_from(["", "u-1", "u-2", "u-'3", "u-é", "NULL", "{}", '"', "\\"]))


def test_a_question_for_many_has_the_rows_of_one_for_each(url: str) -> None:
    notes = st.lists(st.tuples(OWNERS, st.integers(-5, 5)), max_size=8)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(notes, st.lists(st.tuples(OWNERS, st.integers(-5, 5)), min_size=2, max_size=8))
    def agree(written: list[tuple[str | None, int]], asked: list[tuple[str | None, int]]) -> None:
        async def play(desk: Desk) -> None:
            connection = desk.free[0]
            await connection.executemany("INSERT INTO note (owner, number) VALUES ($1, $2)", written)
            trial = Trial(0.0, repeatable=True)
            many = await run(connection, [reading(*each)() for each in asked], trial)
            apart = [(await run(connection, [reading(*each)()], trial))[0] for each in asked]
            assert many == apart

        at(url, play)

    agree()


# --- apart ------------------------------------------------------------------------------------------


def test_whose_lock_somebody_else_has_is_left_out_and_the_others_do_not_wait(url: str) -> None:
    async def play(desk: Desk) -> None:
        other = await asyncpg.connect(desk.url)
        await other.execute(f"BEGIN; SELECT pg_advisory_xact_lock({lock_number('u-1')})")
        try:
            found = await ended([desk.write(f"u-{each}", each) for each in range(3)])
        finally:
            await other.close()

        assert found == [{(0, "u-0")}, ApartError, {(2, "u-2")}]
        assert await desk.notes() == {("u-0", 0), ("u-2", 2)}

    at(url, play)


def test_where_one_fails_nothing_was_done_and_each_is_to_be_done_apart(url: str) -> None:
    async def play(desk: Desk) -> None:
        found = await ended([desk.write("u-0", 0), desk.do(breaking("u-1"), "u-1"), desk.write("u-2", 2)])

        assert found == [ApartError] * 3
        assert await desk.notes() == set()
        assert await desk.write("u-0", 0) == {(0, "u-0")}

    at(url, play)


def test_who_is_late_is_to_be_done_apart_and_makes_nobody_else_late(url: str) -> None:
    async def play(desk: Desk) -> None:
        found = await ended([desk.write("u-0", 0), desk.write("u-1", 1, seconds=0.0)])

        assert found == [{(0, "u-0")}, ApartError]

    at(url, play)


def test_what_is_given_up_before_it_was_begun_is_not_done(url: str) -> None:
    async def play(desk: Desk) -> None:
        work = [desk.write(f"u-{each}", each) for each in range(3)]
        work[1].cancel()
        await asyncio.wait(work)

        assert await desk.notes() == {("u-0", 0), ("u-2", 2)}

    at(url, play)


def test_what_is_given_up_while_it_is_done_is_done_all_the_same(url: str) -> None:
    """Else a guess would not be counted of whoever hangs up."""

    async def play(desk: Desk) -> None:
        work = [desk.write(f"u-{each}", each) for each in range(2)]
        while not desk.begun:
            await asyncio.sleep(0)
        work[1].cancel()
        await asyncio.wait(work)

        assert await desk.notes() == {("u-0", 0), ("u-1", 1)}

    at(url, play)


def test_finishing_does_what_was_asked(url: str) -> None:
    async def play(desk: Desk) -> None:
        work = [desk.write(f"u-{each}", each) for each in range(2)]
        await desk.together.finish(SOON)

        assert [each.done() for each in work] == [True, True]

    at(url, play)


def test_a_lock_has_the_same_number_in_every_process() -> None:
    """And in every version: two of them may be at one store."""
    assert lock_number("u-alice") == 3948178920213268002
