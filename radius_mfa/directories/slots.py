"""Only so many at once, and no longer waited for than there is time."""

from __future__ import annotations

import asyncio
from collections import deque

from radius_mfa.directories.time_limits import TimeLimits


class Slots:
    """`count` of them; who comes first is first.  Belongs to one event loop.

    As `asyncio.Semaphore` within `asyncio.timeout`, for what either of them costs alone.
    """

    def __init__(self, count: int, limits: TimeLimits) -> None:
        self._free = count  # none while somebody waits
        self._limits = limits
        self._queue: deque[asyncio.Future[None]] = deque()

    def taken(self) -> bool:
        """Take one that is free; whether there was one."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self, until: float | None = None) -> None:
        """Have the next that is given back, no other being free.

        Raises TimeoutError at `until`, which is the loop's time.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        if until is not None:
            self._limits.begin(turn, until)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give()  # it came just as whoever waited was told to stop
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        finally:
            if until is not None:
                self._limits.end(turn)

    def give(self) -> None:
        """Give one back: to who has waited longest, if anybody has."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
