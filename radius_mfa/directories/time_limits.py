"""Time limits of what is waited for by the thousand, under one timer.

A timer for each question, as `asyncio.timeout` sets, costs as much as the question; and nearly all of them
are answered long before their time is over.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any

_EARLY = 0.001  # seconds: uvloop counts whole milliseconds, and may ring before the time

Waiting = Callable[[], Iterable[tuple[asyncio.Future[Any], float | None]]]


class TimeLimits:
    """From its time on, which is the loop's, TimeoutError is what comes of a future; of one without, never.

    `waiting`: the futures that somebody waits for, and until when; those that are done may be among them.
    `rings`: when they are looked at; whoever adds one whose time is over before that has it `ring` then.
    Belongs to one event loop.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None
        self.rings = math.inf

    def ring(self, when: float) -> None:
        """Look at them then."""
        if self._timer is not None:
            self._timer.cancel()
        self.rings = when
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        """End what has waited too long, and look again when the next has."""
        self._timer, self.rings = None, math.inf
        now = asyncio.get_running_loop().time() + _EARLY
        following = math.inf
        for future, until in self._waiting():
            if until is None or future.done():  # and whoever waits for it will go on
                continue
            if until <= now:
                future.set_exception(TimeoutError())
            else:
                following = min(following, until)
        if following < math.inf:
            self.ring(following)
