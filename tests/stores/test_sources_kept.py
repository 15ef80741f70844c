"""Where requests come from, as it is kept: `core.store.SourceStore`, for every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from radius_mfa.core.store import SourceTally
from radius_mfa.stores import source_work
from radius_mfa.stores.source_work import KEPT
from radius_mfa.wire.sources import MOST_SIGNERS
from tests.adapters import NOON, FixedClock
from tests.stores.postgresql import new_url
from tests.stores.schemas import opening
from tests.stores.support import Asked, Contender, asked, at_once
from tests.stores.test_contract import ENGINES

ONE, TWO = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(params=ENGINES)
def it(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Asked]:
    with asked(lambda clock: ENGINES[request.param](tmp_path, clock), clock) as it:
        yield it


def signed(source: str = ONE, client: str = "vpn", count: int = 1, at: float = NOON) -> SourceTally:
    return SourceTally(client, source, at, at, signed=count, last_signed=at)


def unsigned(source: str = ONE, client: str = "vpn", count: int = 1, at: float = NOON) -> SourceTally:
    return SourceTally(client, source, at, at, unsigned=count, last_unsigned=at)


def add(it: Asked, *tallies: SourceTally) -> None:
    it.run(it.store.add_sources(tallies))


def kept(it: Asked) -> list[SourceTally]:
    return list(it.run(it.store.sources()))


def test_nothing_is_kept_of_nothing(it: Asked) -> None:
    add(it)
    assert kept(it) == []


def test_counts_are_added_and_of_times_the_last_are_kept(it: Asked) -> None:
    add(it, signed(count=2, at=NOON + 5))
    add(it, unsigned(count=3, at=NOON + 9))
    add(it, signed(count=4, at=NOON + 7))  # by another node, which was late
    assert kept(it) == [SourceTally("vpn", ONE, NOON + 5, NOON + 9, 6, 3, NOON + 7, NOON + 9)]


def test_sources_come_by_client_and_source(it: Asked) -> None:
    add(it, signed(TWO, "wifi"), signed(TWO), signed(ONE, "wifi"), signed(ONE))
    assert [(each.client, each.source) for each in kept(it)] == [
        ("vpn", ONE),
        ("vpn", TWO),
        ("wifi", ONE),
        ("wifi", TWO),
    ]


def test_more_are_added_than_one_transaction_takes(it: Asked) -> None:
    many = [signed(f"192.0.{number >> 8}.{number & 255}") for number in range(1203)]
    add(it, *many)
    add(it, *many)
    assert len(kept(it)) == 1203
    assert {each.signed for each in kept(it)} == {2}


def test_of_many_who_add_at_once_no_count_is_lost(it: Asked) -> None:
    async def at_once() -> None:
        await asyncio.gather(*(it.store.add_sources([signed(), unsigned(TWO)]) for _ in range(20)))

    it.run(at_once())
    assert [(each.signed, each.unsigned) for each in kept(it)] == [(20, 0), (0, 20)]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_of_two_processes_that_add_in_opposite_orders_no_count_is_lost(engine: str, tmp_path: Path) -> None:
    """And neither waits for the other for ever."""
    url = f"sqlite:///{tmp_path}/state.db" if engine == "sqlite" else new_url()
    with asked(opening(url, upgrade=True)) as it:
        forwards, backwards = (Contender("add-sources", url, order, 20) for order in ("forwards", "backwards"))
        with forwards, backwards:
            assert at_once(forwards, backwards) == [{"NoneType": 20}] * 2
        assert [each.signed for each in kept(it)] == [40] * 200


@pytest.mark.parametrize("source", [ONE, None])
def test_what_was_counted_before_it_was_forgotten_does_not_come_back(
    it: Asked, source: str | None, clock: FixedClock
) -> None:
    """A server writes down what it has counted some seconds later."""
    add(it, signed())
    clock.advance(5)
    it.run(it.store.forget_sources("vpn", source))
    add(it, signed(at=NOON + 4), unsigned(TWO))
    assert [(each.source, each.signed) for each in kept(it)] == [(TWO, 0)]
    add(it, SourceTally("vpn", ONE, NOON + 4, NOON + 6, 3, 1, NOON + 5, NOON + 6))
    assert kept(it)[0] == SourceTally("vpn", ONE, NOON + 5, NOON + 6, 0, 1, 0, NOON + 6)
    add(it, signed(at=NOON + 7))  # it does send it
    assert (kept(it)[0].signed, kept(it)[0].last_signed) == (1, NOON + 7)


@pytest.mark.parametrize(("source", "left"), [(ONE, {("vpn", TWO), ("wifi", ONE)}), (None, {("wifi", ONE)})])
def test_what_is_forgotten_is_one_source_or_all_of_a_client(
    it: Asked, source: str | None, left: set[tuple[str, str]]
) -> None:
    add(it, signed(), signed(TWO), signed(client="wifi"))
    assert it.run(it.store.forget_sources("vpn", source)) == 3 - len(left)
    assert {(each.client, each.source) for each in kept(it)} == left
    assert it.run(it.store.forget_sources("vpn", ONE)) == 0


def test_who_never_signed_is_purged_in_time_and_who_did_never(it: Asked) -> None:
    """Or a source that was away would be served without a Message-Authenticator again (CVE-2024-3596)."""
    add(it, signed(), unsigned(TWO), unsigned("192.0.2.3", at=NOON + 1))
    assert it.purge(NOON + KEPT - 1) == 0
    assert it.purge(NOON + KEPT) == 1
    assert [each.source for each in kept(it)] == [ONE, "192.0.2.3"]
    assert it.purge(NOON + 10 * KEPT) == 1
    assert [each.source for each in kept(it)] == [ONE]


def addresses(count: int) -> list[str]:
    return [str(ip_address("10.0.0.0") + number) for number in range(count)]


def test_of_signers_so_many_are_kept_that_all_of_their_client_must_sign(it: Asked) -> None:
    """Whoever has a client's secret may sign from every address of it."""
    many = addresses(MOST_SIGNERS + 2)
    add(it, *(signed(each, at=NOON + number) for number, each in enumerate(many)), signed(client="wifi"))
    assert it.purge(NOON) == 2
    assert {each.source for each in kept(it)} == {*many[:-2], ONE}


def test_that_something_was_forgotten_is_known_for_a_day(it: Asked) -> None:
    add(it, signed(), signed(TWO))
    it.run(it.store.forget_sources("vpn", ONE))
    assert it.purge(NOON + source_work.REMEMBERED - 1) == 0
    assert it.purge(NOON + source_work.REMEMBERED) == 1
    assert [each.source for each in kept(it)] == [TWO]


def test_of_sources_that_can_be_made_up_those_that_asked_most_are_kept(it: Asked) -> None:
    """Else whoever can write source addresses fills the store, or pushes out who is really there."""
    real, *made_up = addresses(source_work.MOST_STRANGERS + 2)
    add(it, unsigned(real, count=5000))
    add(it, *(unsigned(each, at=NOON + number) for number, each in enumerate(made_up, 1)))
    add(it, *(signed(f"198.51.100.{number}") for number in range(5)), unsigned(client="wifi"))
    assert it.purge(NOON) == 2
    assert {each.source for each in kept(it) if not each.signed} == {real, *made_up[2:], ONE}
    assert sum(each.signed for each in kept(it)) == 5
    assert it.purge(NOON) == 0
