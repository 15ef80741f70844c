"""What a stopwatch before directory and store shows, and what it takes for a sign that they work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from radius_mfa.core.errors import DirectoryError, StoreError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.core.stored import AnsweredBefore, Facts, Reserved, Settled
from radius_mfa.observe.health import DIRECTORY, STORE, Health
from radius_mfa.observe.metered import AskedDirectory, MeteredDirectory, MeteredStore
from radius_mfa.observe.metrics import Counts
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import FixedClock, Fuse, fused, interleaved, user_named
from tests.stores.support import ALICE, Asked, asked, attempt, count, settlement


class Servers:
    """A directory with servers: `answers` of them to each call, which `takes` so many seconds."""

    def __init__(self, clock: FixedClock, takes: float = 0.0) -> None:
        self.answered = 0
        self.answers = 0
        self.broken = False
        self.open = asyncio.Event()  # who asks for groups waits until then
        self.open.set()
        self._clock = clock
        self._takes = takes

    async def _asked(self) -> None:
        await asyncio.sleep(0)
        self._clock.advance(self._takes)
        self.answered += self.answers
        if self.broken:
            raise DirectoryError("it answers nobody")

    async def find(self, username: str, deadline: float) -> User | Outcome:
        await self._asked()
        return user_named(username)

    async def with_groups(self, user: User, deadline: float) -> User:
        await self.open.wait()
        await self._asked()
        return user

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        await self._asked()
        return Password.RIGHT

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        await self._asked()


class Watched:
    """A directory with a stopwatch before it."""

    def __init__(self, takes: float = 0.0) -> None:
        self.clock, self.counts = FixedClock(), Counts()
        self.health = Health(self.clock)
        self.servers = Servers(self.clock, takes)
        asked: AskedDirectory = self.servers
        self.directory = MeteredDirectory(asked, self.clock, self.counts, self.health)

    async def waiting(self) -> asyncio.Task[User]:
        """Somebody who asks for groups, and is not answered."""
        task = asyncio.create_task(self.directory.with_groups(user_named("alice"), 9.0))
        self.servers.open.clear()
        await asyncio.sleep(0)
        return task

    @staticmethod
    async def gives_up(task: asyncio.Task[User]) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def steps(counts: Counts) -> dict[str, tuple[int, float]]:
    """How often each step was taken, and how many seconds in all."""
    return {labels[0][1]: (each.count, each.seconds) for (_, labels), each in counts.durations.items()}


def test_each_step_at_the_directory_is_timed_once_it_was_taken() -> None:
    at = Watched(takes=0.25)
    alice = user_named("alice")

    async def play() -> None:
        assert await at.directory.find("alice", 9.0) == alice
        assert await at.directory.with_groups(alice, 9.0) is alice
        for _ in range(2):
            assert await at.directory.check_password(alice, b"secret", 9.0) is Password.RIGHT
        assert list(steps(at.counts)) == ["directory_find", "directory_groups", "directory_password"]
        await at.directory.dummy_check("nobody", b"secret", 9.0)

    assert not steps(at.counts)
    asyncio.run(play())
    once = (1, 0.25)
    assert steps(at.counts) == {
        "directory_find": once,
        "directory_groups": once,
        "directory_password": (2, 0.5),
        "directory_nobody": once,
    }


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_a_directory_works_where_its_servers_have_answered(answers: int) -> None:
    at = Watched()
    at.servers.answers = answers
    asyncio.run(at.directory.find("alice", 9.0))
    assert at.health.works(DIRECTORY) is bool(answers)


def test_what_fails_at_the_directory_is_a_doubt_whoever_has_answered() -> None:
    at = Watched()
    at.health.look_begins(DIRECTORY)
    at.health.said(DIRECTORY, works=True)
    at.clock.advance(1.0)
    at.servers.broken, at.servers.answers = True, 1
    with pytest.raises(DirectoryError):
        asyncio.run(at.directory.find("alice", 9.0))
    assert at.health.works(DIRECTORY)
    assert at.health.is_due(DIRECTORY)
    assert steps(at.counts)["directory_find"][0] == 1


def test_who_waits_for_the_directory_is_known_until_they_do_no_more() -> None:
    at = Watched()

    async def play() -> None:
        at.health.look_begins(DIRECTORY)
        at.health.said(DIRECTORY, works=True)
        at.clock.advance(1.0)
        waiting = asyncio.create_task(at.directory.find("alice", 9.0))
        await asyncio.sleep(0)
        at.clock.advance(0.5)
        assert at.health.is_due(DIRECTORY)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not at.health.is_due(DIRECTORY)

    asyncio.run(play())
    assert steps(at.counts) == {"directory_find": (1, 0.5)}


def test_who_waits_while_nobody_is_answered_is_a_doubt_however_many_come_and_go() -> None:
    at = Watched()

    async def play() -> None:
        at.health.look_begins(DIRECTORY)
        at.health.said(DIRECTORY, works=True)
        at.clock.advance(5.0)
        first = await at.waiting()
        assert not at.health.is_due(DIRECTORY)
        at.clock.advance(0.4)
        second = await at.waiting()  # who comes later makes it no shorter
        await at.gives_up(first)
        assert not at.health.is_due(DIRECTORY)
        at.clock.advance(0.1)
        assert at.health.is_due(DIRECTORY)
        at.servers.answers = 1
        await at.directory.find("bob", 9.0)  # somebody else is answered
        assert not at.health.is_due(DIRECTORY)
        at.clock.advance(0.5)
        assert at.health.is_due(DIRECTORY)
        await at.gives_up(second)
        assert not at.health.is_due(DIRECTORY)
        at.clock.advance(0.5)
        third = await at.waiting()  # anew
        assert not at.health.is_due(DIRECTORY)
        await at.gives_up(third)

    asyncio.run(play())


# --- the store ----------------------------------------------------------------------------------


class Shop:
    """A store in memory with a stopwatch before it."""

    def __init__(self, it: Asked) -> None:
        self.health, self._it = Health(it.clock), it
        self.store = MeteredStore(it.store, it.clock, Counts(), self.health)

    def works_after(
        self, call: Callable[[MeteredStore, float], Coroutine[Any, Any, object]]
    ) -> tuple[object, bool]:
        """What a call comes to, and whether it was a sign that the store works."""
        self.health.said(STORE, works=False)
        return self._it.run(call(self.store, self._it.soon())), self.health.works(STORE)


@pytest.fixture
def it() -> Iterator[Asked]:
    with asked(lambda clock: SqliteStore.open("sqlite://", clock)) as it:
        yield it


def test_only_what_was_written_tells_that_the_store_works(it: Asked) -> None:
    shop, of = Shop(it), attempt()

    found, works = shop.works_after(lambda store, by: store.facts(ALICE, by))
    assert (type(found), works) == (Facts, False)
    found, works = shop.works_after(lambda store, by: store.spend(of, count, by))
    assert (type(found), works) == (Reserved, False)
    assert shop.works_after(lambda store, by: store.is_spent(of.login, 1, by)) == (True, False)
    assert shop.works_after(lambda store, by: store.settle(settlement(of), by)) == (Settled.DONE, True)
    found, works = shop.works_after(lambda store, by: store.settle(settlement(of), by))
    assert (type(found), works) == (AnsweredBefore, False)
    assert shop.works_after(lambda store, by: store.others_at(ALICE, "x", 0.0, 0.0, 3, by)) == (0, False)
    assert shop.works_after(lambda store, by: store.is_trusted(ALICE, "x", ["vpn"], [], 0.0, by)) == (False, False)


def test_what_was_judged_and_settled_at_once_was_written(it: Asked) -> None:
    shop, of = Shop(it), attempt(2)
    ended = settlement(of)

    found, works = shop.works_after(lambda store, by: store.spend(of, count, by, lambda _: ended))
    assert (found, works) == (ended, True)


def test_what_fails_at_the_store_is_a_doubt_and_timed_all_the_same(it: Asked) -> None:
    clock = FixedClock()
    health, counts = Health(clock), Counts()
    store = MeteredStore(interleaved(fused(it.store, Fuse(1, StoreError, "facts"))), clock, counts, health)
    health.look_begins(STORE)
    health.said(STORE, works=True)
    clock.advance(1.0)
    it.run(store.facts(ALICE, it.soon()))
    assert not health.is_due(STORE)
    with pytest.raises(StoreError):
        it.run(store.facts(ALICE, it.soon()))
    assert health.is_due(STORE)
    assert health.works(STORE)
    assert steps(counts) == {"store_facts": (2, 0.0)}
