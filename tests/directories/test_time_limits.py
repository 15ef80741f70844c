"""One timer for many futures."""

from __future__ import annotations

import asyncio

import pytest

from radius_mfa.directories.time_limits import TimeLimits
from tests.directories.support import Run


def now() -> float:
    return asyncio.get_running_loop().time()


async def outcome(limits: TimeLimits, seconds: float) -> float:
    """How late, in seconds, the end of a limit is that begins now."""
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    until = now() + seconds
    limits.begin(never, until)
    with pytest.raises(TimeoutError):
        await never
    limits.end(never)
    return now() - until


@pytest.mark.parametrize("seconds", [[0.05, 0.1, 0.15], [0.15, 0.1, 0.05], [0.05, 0.05, -1.0, 0.1]])
def test_each_limit_is_over_in_its_time(run: Run, seconds: list[float]) -> None:
    async def play() -> None:
        limits = TimeLimits()
        late = await asyncio.gather(*(outcome(limits, each) for each in seconds))
        assert min(late) > -0.005
        assert max(late) < 1.5  # of the limit that was over before it began it is one second

    run(play)


def test_what_was_answered_or_given_up_has_no_limit(run: Run) -> None:
    async def play() -> None:
        loop, limits = asyncio.get_running_loop(), TimeLimits()
        answered, cancelled, ended = (loop.create_future() for _ in range(3))
        for each in (answered, cancelled, ended):
            limits.begin(each, now() + 0.02)
        answered.set_result("yes")
        cancelled.cancel()
        limits.end(ended)
        await outcome(limits, 0.05)
        assert (answered.result(), cancelled.cancelled(), ended.done()) == ("yes", True, False)

    run(play)


def test_a_limit_begins_anew_after_all_were_over(run: Run) -> None:
    async def play() -> None:
        limits = TimeLimits()
        for _ in range(3):
            assert -0.005 < await outcome(limits, 0.02) < 1

    run(play)
