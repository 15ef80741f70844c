"""One timer for many futures."""

from __future__ import annotations

import asyncio

import pytest

from radius_mfa.directories.time_limits import TimeLimits
from tests.directories.support import Run


def now() -> float:
    return asyncio.get_running_loop().time()


class Limited:
    """Futures under limits, as whoever waits for them keeps them."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[str], float | None] = {}
        self.limits = TimeLimits(self.waiting.items)

    def begin(self, future: asyncio.Future[str], until: float) -> None:
        self.waiting[future] = until
        if until < self.limits.rings:
            self.limits.ring(until)

    async def outcome(self, seconds: float) -> float:
        """How late, in seconds, the end of a limit is that begins now."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        until = now() + seconds
        self.begin(never, until)
        with pytest.raises(TimeoutError):
            await never
        del self.waiting[never]
        return now() - until


@pytest.mark.parametrize("seconds", [[0.05, 0.1, 0.15], [0.15, 0.1, 0.05], [0.05, 0.05, -1.0, 0.1]])
def test_each_limit_is_over_in_its_time(run: Run, seconds: list[float]) -> None:
    async def play() -> None:
        limited = Limited()
        late = await asyncio.gather(*(limited.outcome(each) for each in seconds))
        assert min(late) > -0.005
        assert max(late) < 1.5  # of the limit that was over before it began it is one second

    run(play)


def test_what_was_answered_or_given_up_has_no_limit(run: Run) -> None:
    async def play() -> None:
        loop, limited = asyncio.get_running_loop(), Limited()
        answered, cancelled, ended = (loop.create_future() for _ in range(3))
        for each in (answered, cancelled, ended):
            limited.begin(each, now() + 0.02)
        limited.waiting[without := loop.create_future()] = None
        answered.set_result("yes")
        cancelled.cancel()
        del limited.waiting[ended]
        await limited.outcome(0.05)
        assert (answered.result(), cancelled.cancelled(), ended.done()) == ("yes", True, False)
        assert not without.done()

    run(play)


def test_a_limit_begins_anew_after_all_were_over(run: Run) -> None:
    async def play() -> None:
        limited = Limited()
        for _ in range(3):
            assert -0.005 < await limited.outcome(0.02) < 1

    run(play)
