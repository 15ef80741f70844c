"""Only so many at once, and no longer waited for than there is time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from radius_mfa.directories.time_limits import TimeLimits


class Slots:
    """`count` of them; who comes first is first.  Belongs to one event loop.

    As `asyncio.Semaphore` within `asyncio.timeout`, for what either of them costs alone.
    """

    def __init__(self, count: int) -> None:
        self._free = count  # none while somebody waits
        self._queue: OrderedDict[asyncio.Future[None], float | None] = OrderedDict()  # and until when
        self._limits = TimeLimits(self._queue.items)

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
        self._queue[turn] = until
        if until is not None and until < self._limits.rings:
            self._limits.ring(until)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give()  # it came just as whoever waited was told to stop
            self._queue.pop(turn, None)
            raise

    def give(self) -> None:
        """Give one back: to who has waited longest, if anybody has."""
        while self._queue:
            turn, _ = self._queue.popitem(last=False)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
