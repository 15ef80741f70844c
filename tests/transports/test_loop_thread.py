"""An event loop in a thread of its own: results and errors come across, and nothing is left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from radius_mfa.transports.loop_thread import LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread("a loop", asyncio.new_event_loop)
    yield loop
    loop.stop()


async def where() -> str:
    return threading.current_thread().name


async def for_ever(ended: threading.Event, began: threading.Event | None = None) -> None:
    try:
        if began is not None:
            began.set()
        await asyncio.Event().wait()
    finally:
        ended.set()


def test_the_work_is_done_in_the_other_thread(loop: LoopThread) -> None:
    assert loop.run(where()) == loop.run(where(), 10) == "a loop"


def test_what_the_work_raises_is_raised_here(loop: LoopThread) -> None:
    async def breaks() -> None:
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        loop.run(breaks())


def test_what_comes_too_late_is_ended(loop: LoopThread) -> None:
    ended = threading.Event()

    with pytest.raises(TimeoutError):
        loop.run(for_ever(ended), 0.01)
    assert ended.wait(10)
    assert loop.run(where()) == "a loop"


def test_many_threads_ask_at_once(loop: LoopThread) -> None:
    everybody, answers = asyncio.Barrier(8), list[int]()

    async def meets(number: int) -> int:
        await everybody.wait()  # nobody goes on before all are there
        return number

    threads = [
        threading.Thread(target=lambda each=each: answers.append(loop.run(meets(each), 10))) for each in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(answers) == [*range(8)]


def test_what_still_runs_ends_with_the_loop_and_so_does_the_thread() -> None:
    loop, ended, began = LoopThread("ends", asyncio.new_event_loop), threading.Event(), threading.Event()
    tasks = list[asyncio.Task[None]]()

    async def begin() -> None:
        tasks.append(asyncio.create_task(for_ever(ended, began)))

    loop.run(begin())
    assert began.wait(10)
    loop.stop()
    assert ended.is_set()
    assert tasks[0].cancelled()
    assert "ends" not in {thread.name for thread in threading.enumerate()}
