"""Time limits of what is waited for by the thousand, under one timer.

A timer for each question, as `asyncio.timeout` sets, costs as much as the question; and nearly all of them
are answered long before their time is over.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

_EARLY = 0.001  # seconds: uvloop counts whole milliseconds, and may ring before the time


class TimeLimits:
    """Whoever waits for a future begins the limit before, and ends it after.  Belongs to one event loop."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.end = self._until.__delitem__
        """There is no limit any more of a future for which one was begun."""
        self._rings = math.inf  # when the timer does: never later than the first limit is over

    def begin(self, future: asyncio.Future[Any], until: float) -> None:
        """From `until` on, which is the loop's time, TimeoutError is what comes of the future."""
        self._until[future] = until
        if until < self._rings:
            self._ring(until)

    def _ring(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = when
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        """End what has waited too long, and look again when the next has."""
        self._timer, self._rings = None, math.inf
        now = asyncio.get_running_loop().time() + _EARLY
        following = math.inf
        for future, until in self._until.items():
            if future.done():  # and whoever waits for it will go on
                continue
            if until <= now:
                future.set_exception(TimeoutError())
            else:
                following = min(following, until)
        if following < math.inf:
            self._ring(following)
