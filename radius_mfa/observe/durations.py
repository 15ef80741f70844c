"""How long something took: on the way of a login a number is put on a list, and that is all.

Which buckets they belong in is found out for all of a second together, by sorting them: one by one, each with much
else in between, that costs more.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Generic, TypeVar

# Upper bounds in seconds: from a look into the store to a NAS's whole patience.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Key = TypeVar("Key")


class Duration:
    """How often in each bucket, the last for what is longer than all, and how many seconds in all.

    Never changed once it is made: whoever has one has a sum that fits its buckets.
    """

    __slots__ = ("buckets", "seconds")

    def __init__(self, buckets: Sequence[int] = (0,) * (len(BUCKETS) + 1), seconds: float = 0.0) -> None:
        self.buckets = buckets
        self.seconds = seconds

    def plus(self, buckets: Iterable[int], seconds: float) -> Duration:
        """This and another, with as many buckets."""
        return Duration([*map(operator.add, self.buckets, buckets)], self.seconds + seconds)

    def plus_each(self, seconds: list[float]) -> Duration:
        """This and what took so long each; the list is in order afterwards."""
        in_all = sum(seconds, self.seconds)  # in the order in which they came
        seconds.sort()
        below = [bisect_right(seconds, bound) for bound in BUCKETS]
        in_each = map(operator.sub, (*below, len(seconds)), (0, *below))
        return Duration([*map(operator.add, self.buckets, in_each)], in_all)

    @property
    def count(self) -> int:
        return sum(self.buckets)


class Durations(Generic[Key]):
    """Durations by a key, and what has to be added to them still.

    One thread puts numbers on the lists; any may add them up.  A list is copied in one step of the interpreter
    and that much of it deleted in another: what was put there between the two is at its end, and stays.
    """

    def __init__(self) -> None:
        self._lists: dict[Key, list[float]] = {}
        self._so_far: dict[Key, Duration] = {}
        self._one_at_a_time = Lock()

    def list_of(self, key: Key) -> Callable[[float], None]:
        """Takes seconds.  A key is among those of `add_up` once there are any."""
        return self._lists.setdefault(key, []).append

    def add(self, key: Key, duration: Duration) -> None:
        """What was added up elsewhere, or nothing: the key is among those of `add_up` from now on."""
        with self._one_at_a_time:
            before = self._so_far.get(key, Duration())
            self._so_far[key] = before.plus(duration.buckets, duration.seconds)

    def add_up(self) -> dict[Key, Duration]:
        """All there is.  To be called now and then, whether anybody wants to know or not: the lists grow."""
        with self._one_at_a_time:
            for key, seconds in dict(self._lists).items():
                if taken := seconds[:]:
                    del seconds[: len(taken)]
                    self._so_far[key] = self._so_far.get(key, Duration()).plus_each(taken)
            return dict(self._so_far)
