"""What comes at about the same time is asked of PostgreSQL together, and is each on its own all the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.core.stored import TotpStep
from radius_mfa.stores import login_work, sqlite_connection
from radius_mfa.stores.postgresql import PostgresqlStore
from radius_mfa.stores.postgresql_pool import Connection, Trial
from radius_mfa.stores.postgresql_together import ApartError, Do, Together, lock_number, run
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.work import Statement, Work
from tests.adapters import NOON
from tests.stores.postgresql import new_url
from tests.stores.support import asked, attempt, new_token, settlement

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

    `said`: all statements that PostgreSQL was given.  `heard`: how often it has answered.  `gate`: until
    it is set nobody is told.
    """

    def __init__(self, url: str, *connections: Connection) -> None:
        self.url = url
        self.said: list[str] = []
        self.free = list(connections)
        for each in connections:
            each.add_query_logger(lambda query: self.said.append(query.query))
        self.together = Together(self._once)
        self.heard = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def _once(self, do: Do[Any], trial: Trial) -> Any:
        connection = self.free.pop()
        try:
            done = await do(connection, trial)
            self.heard += 1
            await self.gate.wait()
            return done
        finally:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
            self.free.append(connection)

    def write(self, owner: str, number: int, seconds: float = SOON) -> asyncio.Future[set[Any]]:
        return self.do(noting(owner, number), owner, seconds)

    def do(self, work: Callable[[], Work[Any]], alone: str | None, seconds: float = SOON) -> asyncio.Future[Any]:
        return self.together.do(work, alone, asyncio.get_running_loop().time() + seconds)

    @property
    def begun(self) -> int:
        return sum(each.startswith("BEGIN") for each in self.said)

    async def notes(self) -> set[Any]:
        """What another program reads."""
        return {tuple(row) for row in await self.rows("SELECT owner, number FROM note")}

    async def rows(self, query: str) -> list[Any]:
        """Likewise."""
        other = await asyncpg.connect(self.url)
        try:
            return list(await other.fetch(query))
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
        assert desk.said.count(_NOTES.together) == 1

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
        assert [each for each in desk.said if "note" in each or "BEGIN" in each] == [_NOTES.together]

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


def test_whoever_asks_again_just_as_all_others_have_ended_is_served(url: str) -> None:
    async def play(desk: Desk) -> None:
        async def login(questions: int) -> list[Any]:
            return [await desk.do(reading("u-1"), None) for _ in range(questions)]

        desk.gate.clear()
        logins = []
        for heard, questions in ((1, 2), (2, 1)):
            logins.append(asyncio.create_task(login(questions)))
            while desk.heard < heard:
                await asyncio.sleep(0)
        desk.gate.set()
        async with asyncio.timeout(SOON):
            assert await ended(logins) == [[set(), set()], [set()]]

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


# --- what a login does ------------------------------------------------------------------------------


def test_many_logins_at_once_write_what_each_would_have_written_alone(url: str, tmp_path: Path) -> None:
    """Every value in its own column, and nobody apart: held to what SQLite has after the same, one by one."""
    people = [f"u-{number}" for number in range(5)]
    tokens = [new_token(number, user_id=each) for number, each in enumerate(people)]
    works = [spending(number, each) for number, each in enumerate(people)]
    path = tmp_path / "state.db"
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)) as it:
        it.add(*tokens)
    with closing(sqlite3.connect(path)) as database:
        cursor = database.cursor()
        alone = [sqlite_connection.run(cursor, work()) for work in works]
        facts = [sqlite_connection.run(cursor, login_work.facts(each)) for each in people]
        kept = {table: set(cursor.execute(f"SELECT {_KEPT[table]} FROM {table}").fetchall()) for table in _KEPT}
    with asked(lambda clock: PostgresqlStore.open(url, None, clock)) as it:
        it.add(*tokens)

    async def play(desk: Desk) -> None:
        assert await ended([desk.do(work, who) for work, who in zip(works, people, strict=True)]) == alone
        assert desk.begun == 1
        read = [desk.do(partial(login_work.facts, each), None) for each in people]
        assert await ended(read) == facts
        for table, columns in _KEPT.items():
            assert {tuple(row) for row in await desk.rows(f"SELECT {columns} FROM {table}")} == kept[table]

    at(url, play)


# But for the times at which tokens were added.
_KEPT = {
    "login": "user_id, time, login, round, username, client, station, source, policy, factor, outcome, decision",
    "spent_state": "login, round, user_id, digest, decision, expires, CAST(has_suspended AS INT)",
    "totp_token": "id, user_id, last_step, drift, last_success, told_steps",
}


def spending(number: int, user_id: str) -> Callable[[], Work[Any]]:
    """A right code; no two values are alike."""
    mine = attempt(
        number, user_id=user_id, answer=b"answer %d" % number, round=number + 1, expires=NOON + 60 + number
    )
    said: dict[str, Any] = {
        "time": NOON + number,
        "username": f"name {number}",
        "client": f"client {number}",
        "station": f"station {number}",
        "source": f"source {number}",
        "policy": f"policy {number}",
        "factor": f"factor {number}",
    }
    step = TotpStep(f"t{number}", 60 + number, number - 2)
    settled = settlement(mine, step, octets=b"decision %d" % number, **said)
    return partial(login_work.spend, mine, lambda counters: counters, lambda _: settled, NOON)


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
