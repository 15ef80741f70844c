"""Several questions at once: in order, so many at a time, and none goes on once one has failed."""

import asyncio

import pytest

from radius_mfa.directories.at_once import of_each


def test_answers_come_in_the_order_of_the_questions_and_only_so_many_are_asked_at_a_time() -> None:
    asked, most = 0, 0

    async def ask(number: int) -> int:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        await asyncio.sleep(0)
        asked -= 1
        return -number

    assert asyncio.run(of_each(ask, range(20), 3)) == [-number for number in range(20)]
    assert most == 3


def test_one_question_is_asked_by_whoever_asks_and_none_by_nobody() -> None:
    async def ask(_question: str) -> asyncio.Task[object] | None:
        return asyncio.current_task()

    async def both() -> None:
        assert await of_each(ask, ["one"], 3) == [asyncio.current_task()]
        assert await of_each(ask, [], 3) == []

    asyncio.run(both())


def test_where_one_fails_no_other_goes_on() -> None:
    ended: list[int] = []

    async def ask(number: int) -> None:
        if number == 1:
            raise ValueError(number)
        await asyncio.Event().wait()
        ended.append(number)

    async def all_of_them() -> None:
        with pytest.raises(ValueError, match="1"):
            await of_each(ask, range(8), 4)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(all_of_them())
    assert ended == []
