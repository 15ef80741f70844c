"""Forms that are good once: what they make is shown once; a reload that sends them again would make it anew."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 10_000  # of the latest are known
_LONGEST = 64  # characters; ours are shorter


class Once:
    """Knows which forms were used, in this process, by the random value that each carries."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    def take(self, value: str) -> bool:
        """Use it up; False where it was.  A form without a value is no page's of ours, and used by nobody else."""
        value = value[:_LONGEST]
        if not value:
            return True
        if value in self._used:
            return False
        self._used[value] = None
        while len(self._used) > _MOST:
            self._used.popitem(last=False)
        return True

    def give_back(self, value: str) -> None:
        """Nothing was made by it."""
        self._used.pop(value[:_LONGEST], None)
