"""Several questions at once, and not all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def of_each(ask: Callable[[Item], Awaitable[Answer]], items: Iterable[Item], most: int) -> list[Answer]:
    """The answer about each item, in their order, `most` asked for at a time; when one fails, nothing goes on."""
    questions = list(items)
    if len(questions) == 1:  # most often, and then a task would cost more than the question
        return [await ask(questions[0])]
    free = asyncio.Semaphore(most)

    async def one(item: Item) -> Answer:
        async with free:
            return await ask(item)

    tasks = [asyncio.ensure_future(one(item)) for item in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
