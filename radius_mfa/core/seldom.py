"""A line of the log about the same thing once in a while, and never more lines than a log can take."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

INTERVAL = 60.0  # seconds between two lines about the same thing


class Seldom:
    """At most `most` things in `INTERVAL`; beyond that there is no line for one that is new."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._said: OrderedDict[Hashable, float] = OrderedDict()  # by time

    def may_say(self, what: Hashable, now: float) -> bool:
        """Whether a line about `what` has its turn at `now`, monotonic seconds; if so, it is taken for said."""
        while self._said and next(iter(self._said.values())) <= now - INTERVAL:
            self._said.popitem(last=False)
        if what in self._said or len(self._said) >= self._most:
            return False
        self._said[what] = now
        return True
