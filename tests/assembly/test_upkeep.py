"""What goes on beside the logins: what was counted of sources is kept, whatever happens to the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
import structlog.testing

from radius_mfa.assembly import upkeep
from radius_mfa.assembly.upkeep import (
    OutboxWatch,
    SourceKeeper,
    delete_rotated_audits,
    keep_doing,
    purge,
    tell_of,
    tell_of_clock,
)
from radius_mfa.core.errors import StoreError
from radius_mfa.core.store import Store
from radius_mfa.observe.kernel_clock import KernelClock
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.wire.sources import Sources
from tests.adapters import NOON, FixedClock, Fuse, fused
from tests.stores.portal import ADDRESS, visit
from tests.stores.support import ALICE, new_token
from tests.stores.test_life import proposal

HOST, OTHER = "192.0.2.1", "192.0.2.2"
DAY = 86400.0
T = TypeVar("T")


class Breaker(Fuse):
    """Fails for as long as `broken`."""

    def __init__(self) -> None:
        super().__init__(-1, StoreError)
        self.broken = False
        self.met = 0

    def pass_through(self, call: str, quoted: object) -> None:
        if self.broken:
            self.met += 1
            raise StoreError("the disk is full")


class Rig:
    """A keeper at a real store."""

    def __init__(self, path: Path) -> None:
        self.clock = FixedClock()
        self.store = SqliteStore.open(f"sqlite:///{path}", self.clock)
        self.breaker = Breaker()
        self.sources = Sources()
        self.keeper = SourceKeeper(self.sources, fused(self.store, self.breaker), self.clock, every=0.01)
        self._runner = asyncio.Runner()

    def run(self, work: Awaitable[T]) -> T:
        async def it() -> T:
            return await asyncio.wait_for(work, 20)

        return self._runner.run(it())

    def close(self) -> None:
        self.run(self.store.close())
        self._runner.close()

    def saw(self, host: str = HOST, *, signed: bool = True) -> None:
        if self.sources.saw("vpn", host, NOON, signed=signed):
            self.keeper.note()

    async def kept(self) -> list[tuple[str, int, int]]:
        return [(each.source, each.signed, each.unsigned) for each in await self.store.sources()]

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Keep until it holds."""
        keeping = asyncio.create_task(self.keeper.keep())
        try:
            while not await holds():
                await asyncio.sleep(0)
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "state.db")
    yield rig
    rig.close()


def test_a_sources_first_message_authenticator_is_kept_at_once(rig: Rig) -> None:
    """CVE-2024-3596: whoever has sent one must go on, over a crash too."""

    async def is_kept() -> bool:
        return await rig.kept() == [(HOST, 1, 0), (OTHER, 0, 1)]

    rig.keeper = SourceKeeper(rig.sources, rig.store, rig.clock)  # which takes its time otherwise
    rig.saw(OTHER, signed=False)
    rig.saw()
    rig.run(rig.until(is_kept))


def test_other_counts_are_kept_once_in_a_while(rig: Rig) -> None:
    async def is_kept() -> bool:
        return await rig.kept() == [(HOST, 0, 1)]

    rig.saw(signed=False)
    rig.run(rig.until(is_kept))


def test_what_the_store_does_not_take_is_kept_later_and_said_once(rig: Rig) -> None:
    async def has_failed() -> bool:
        rig.saw(OTHER, signed=False)
        return rig.breaker.met >= 3

    async def is_kept() -> bool:
        return [each[:2] for each in await rig.kept()] == [(HOST, 1), (OTHER, 0)]

    rig.breaker.broken = True
    rig.saw()
    with structlog.testing.capture_logs() as logged:
        rig.run(rig.until(has_failed))
    assert [(line["event"], line["error"]) for line in logged] == [("sources_not_kept", "the disk is full")]
    rig.breaker.broken = False
    rig.run(rig.until(is_kept))


def test_what_was_cut_short_is_written_in_the_end(rig: Rig) -> None:
    async def cut_short() -> None:
        rig.saw()
        writing = asyncio.create_task(rig.keeper.write())
        await asyncio.sleep(0)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await rig.keeper.end()

    rig.run(cut_short())
    ((source, signed, _),) = rig.run(rig.kept())
    assert (source, signed >= 1) == (HOST, True)


def test_an_end_with_a_broken_store_is_said_and_no_more(rig: Rig) -> None:
    rig.saw()
    rig.breaker.broken = True
    with structlog.testing.capture_logs() as logged:
        rig.run(rig.keeper.end())
    assert [line["event"] for line in logged] == ["sources_not_kept"]


def test_what_another_node_has_learnt_is_known_within_a_minute_and_what_was_forgotten_is_not(rig: Rig) -> None:
    other = Sources()
    other.saw("vpn", OTHER, NOON, signed=True)
    rig.run(rig.store.add_sources(other.take()))

    async def is_known() -> bool:
        rig.keeper.note()
        await asyncio.sleep(0)
        return rig.sources.signs("vpn", OTHER)

    async def is_forgotten() -> bool:
        return not await is_known()

    rig.run(rig.until(is_known))
    rig.run(rig.store.forget_sources("vpn", None))
    rig.clock.advance(upkeep._READ_EVERY)
    rig.run(rig.until(is_forgotten))


def test_who_signs_is_known_from_the_start(rig: Rig) -> None:
    rig.saw()
    rig.run(rig.keeper.write())
    again = Sources()
    rig.run(SourceKeeper(again, rig.store, rig.clock).read())
    assert again.signs("vpn", HOST)


async def purged(rig: Rig, store: Store, holds: Callable[[], Awaitable[bool]]) -> None:
    """Purge until it holds."""
    purging = asyncio.create_task(purge(store, rig.clock, lambda: DAY, every=0.01))
    try:
        while not await holds():
            await asyncio.sleep(0)
    finally:
        purging.cancel()
        with suppress(asyncio.CancelledError):
            await purging


def test_what_has_waited_long_enough_counts_even_if_no_server_ran_for_days(rig: Rig) -> None:
    """By then it is past its time, and would be purged."""
    rig.run(rig.store.add_tokens([new_token(confirmed=False, good_from=NOON + 60)]))
    rig.run(rig.store.propose_address(proposal(), "alice", "ja"))
    rig.run(rig.store.accept_proposal_from("p1", ALICE, NOON + 60))
    rig.run(rig.store.begin_visit(visit()))
    rig.clock.advance(7 * DAY)

    async def is_done() -> bool:
        facts = await rig.store.facts(ALICE, rig.clock.monotonic() + 20)
        return [each.confirmed for each in facts.tokens] == [True] and facts.mail_address == ADDRESS

    async def is_purged() -> bool:
        return await rig.store.visit("v1", NOON) is None

    rig.run(purged(rig, rig.store, is_done))
    rig.run(purged(rig, rig.store, is_purged))


def test_what_cannot_be_purged_is_said_and_tried_again(rig: Rig) -> None:
    async def has_failed() -> bool:
        return rig.breaker.met >= 2

    async def is_purged() -> bool:
        return await rig.store.visit("v1", NOON) is None

    rig.run(rig.store.begin_visit(visit()))
    rig.clock.advance(DAY)
    rig.breaker.broken = True
    with structlog.testing.capture_logs() as lines:
        rig.run(purged(rig, fused(rig.store, rig.breaker), has_failed))
    assert {line["event"] for line in lines} == {"purge_failed"}
    rig.breaker.broken = False
    rig.run(purged(rig, fused(rig.store, rig.breaker), is_purged))


def test_what_is_kept_up_is_done_again_and_again() -> None:
    async def play() -> None:
        times, thrice = 0, asyncio.Event()

        def do() -> None:
            nonlocal times
            times += 1
            if times == 3:
                thrice.set()

        doing = asyncio.create_task(keep_doing(do, every=0.001))
        await asyncio.wait_for(thrice.wait(), 20)
        doing.cancel()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("left", "level", "days"),
    [
        (90.5 * DAY, "info", 90),
        (30 * DAY, "info", 30),
        (30 * DAY - 1, "warning", 29),
        (1.0, "warning", 0),
        (0.0, "error", 0),
        (-1.0, "error", -1),
    ],
)
def test_a_certificate_is_told_of_by_the_days_it_is_still_good_for(left: float, level: str, days: int) -> None:
    with structlog.testing.capture_logs() as told:
        tell_of({"eap": NOON + left}, NOON)
    (line,) = told
    assert (line["event"], line["log_level"], line["certificate"], line["days"]) == (
        "certificate",
        level,
        "eap",
        days,
    )


def test_each_certificate_is_told_of_with_its_last_day() -> None:
    with structlog.testing.capture_logs() as told:
        tell_of({"eap": 1_803_859_200.0, "radsec 127.0.0.1:2083": 1_803_859_199.0}, NOON)
    assert [(line["certificate"], line["until"]) for line in told] == [
        ("eap", "2027-03-01"),
        ("radsec 127.0.0.1:2083", "2027-02-28"),
    ]


def test_rotated_audit_files_go_after_the_retention_where_that_is_asked_for(tmp_path: Path, rig: Rig) -> None:
    path = tmp_path / "audit.jsonl"
    for name, age in (("", 0), (".1", 80), (".2.gz", 100)):
        each = path.with_name(path.name + name)
        each.touch()
        os.utime(each, (NOON - age * DAY, NOON - age * DAY))
    asked: list[tuple[Path, float] | None] = [None, (path, 90 * DAY)]
    looked = asyncio.Event()

    def rotated() -> tuple[Path, float] | None:
        if not asked:
            looked.set()
            return None
        return asked.pop(0)

    async def delete() -> None:
        deleting = asyncio.create_task(delete_rotated_audits(rotated, rig.clock, every=0.001))
        await looked.wait()
        deleting.cancel()

    with structlog.testing.capture_logs() as logged:
        rig.run(delete())
    assert sorted(each.name for each in tmp_path.glob("audit*")) == ["audit.jsonl", "audit.jsonl.1"]
    assert logged == [{"event": "audit_deleted", "log_level": "info", "file": f"{path}.2.gz"}]


def test_a_clock_that_is_set_ahead_makes_no_rotated_audit_file_old(tmp_path: Path, rig: Rig) -> None:
    """Nor does what is told at the wrong time, which the file itself is then as new as."""
    path, clock, looks = tmp_path / "audit.jsonl", SetClock(), 0
    for name, time in (("", NOON + 1000 * DAY), (".1", NOON - 80 * DAY), (".2", NOON - 100 * DAY)):
        each = path.with_name(path.name + name)
        each.touch()
        os.utime(each, (time, time))
    looked = asyncio.Event()

    def rotated() -> tuple[Path, float] | None:
        nonlocal looks
        looks += 1
        if looks == 2:
            looked.set()
        return (path, 90 * DAY) if looks == 1 else None

    async def delete() -> None:
        deleting = asyncio.create_task(delete_rotated_audits(rotated, clock, every=0.001))
        await asyncio.sleep(0)
        clock.ahead = 1000 * DAY
        await looked.wait()
        deleting.cancel()

    rig.run(delete())
    assert sorted(each.name for each in tmp_path.glob("audit*")) == ["audit.jsonl", "audit.jsonl.1"]


class SetClock(FixedClock):
    """Somebody sets it `ahead` by so many seconds."""

    ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead


# --- the outbox and the clock, for who watches ------------------------------------------------------


def test_of_the_outbox_is_shown_how_many_wait_and_how_long_the_oldest_does(rig: Rig) -> None:
    watch = OutboxWatch(rig.store, rig.clock, lambda: True)
    assert (watch.waiting(), watch.age()) == ({}, {}), "nobody has looked"
    rig.run(watch.look())
    assert (watch.waiting(), watch.age()) == ({(): 0}, {(): 0.0})
    rig.run(rig.store.propose_address(proposal(), "alice", "en"))
    rig.clock.advance(90.0)
    rig.run(watch.look())
    assert (watch.waiting(), watch.age()) == ({(): 1}, {(): 90.0})
    rig.clock.advance(-3600.0)
    rig.run(watch.look())
    assert watch.age() == {(): 0.0}, "the clock was set back"


def test_of_an_outbox_that_nobody_delivers_or_can_read_nothing_is_shown(rig: Rig) -> None:
    sections: list[str] = ["mail"]
    watch = OutboxWatch(fused(rig.store, rig.breaker), rig.clock, lambda: bool(sections))
    rig.run(watch.look())
    assert watch.waiting() == {(): 0}
    rig.breaker.broken = True
    rig.run(watch.look())
    assert (watch.waiting(), watch.age()) == ({}, {})
    rig.breaker.broken = False
    rig.run(watch.look())
    assert watch.waiting() == {(): 0}
    sections.clear()
    rig.run(watch.look())
    assert (watch.waiting(), watch.age()) == ({}, {})


@pytest.mark.parametrize(
    ("clock", "lines"),
    [(None, 0), (KernelClock(is_kept=True, offset=0.0, error=0.1), 0), (KernelClock(is_kept=False), 1)],
)
def test_that_nobody_keeps_the_clock_is_one_line(clock: KernelClock | None, lines: int) -> None:
    with structlog.testing.capture_logs() as logged:
        tell_of_clock(clock)
    assert [each["event"] for each in logged] == ["clock_unsynchronised"] * lines
