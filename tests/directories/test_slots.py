"""Places that are waited for in turn, and no longer than there is time."""

from __future__ import annotations

import asyncio

import pytest

from radius_mfa.directories.slots import Slots
from tests.directories.support import Run, soon


async def one_place(slots: Slots, until: float | None = None) -> None:
    if not slots.taken():
        await slots.wait(until)


def test_who_comes_first_is_first(run: Run) -> None:
    async def play() -> None:
        slots, order = Slots(2), list[int]()

        async def use(number: int) -> None:
            await one_place(slots, soon())
            order.append(number)
            await asyncio.sleep(0.01)
            slots.give()

        await asyncio.gather(*(use(number) for number in range(10)))
        assert order == list(range(10))
        assert [slots.taken() for _ in range(3)] == [True, True, False]

    run(play)


def test_a_place_is_waited_for_until_the_time_is_over(run: Run) -> None:
    async def play() -> None:
        slots = Slots(1)
        assert slots.taken()
        patient = asyncio.ensure_future(one_place(slots))
        with pytest.raises(TimeoutError):
            await one_place(slots, soon(0.02))
        assert not patient.done()
        slots.give()
        await patient
        slots.give()
        assert slots.taken(), "nobody has it"

    run(play)


@pytest.mark.parametrize("given_first", [False, True])
def test_a_place_whose_taker_goes_away_is_the_next_ones(run: Run, given_first: bool) -> None:
    """Also when it was given to them in the same turn of the loop."""

    async def play() -> None:
        slots = Slots(1)
        assert slots.taken()
        leaving, next_one = (asyncio.ensure_future(one_place(slots, soon())) for _ in range(2))
        await asyncio.sleep(0)
        if given_first:
            slots.give()
            leaving.cancel()
        else:
            leaving.cancel()
            slots.give()
        await next_one
        assert leaving.cancelled()
        assert not slots.taken()
        slots.give()
        assert [slots.taken(), slots.taken()] == [True, False]

    run(play)
