"""Whether what the server depends on works.

A login that fails says little: it may be about one user, or one packet that was lost.  So it only
raises a doubt, as does a login that waits; the verdict is that of somebody who asks about nobody in
particular (`assembly.lookout`).  What a login was answered by the part itself is worth as much as a
good verdict, and for as long as there are such answers nobody looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from radius_mfa.core.ports import Clock

PARTS = DIRECTORY, STORE, MAIL = "directory", "store", "mail"

# Seconds without an answer while somebody waits for one, after which it is time to look.
_SILENCE = 0.5
# Seconds between two looks at a part that is in doubt or does not work, and at one that nobody asks.
_AGAIN, _AT_REST = 1.0, 10.0


@dataclass(slots=True)
class Part:
    """What is known of one part.  Times in monotonic seconds.

    `good`: the last sign of life.  `looked`: when the last look began.  `doubted`: a login has failed since
    `good`.  `waiting`: calls that have not ended; `since`: when somebody began to wait while nobody did.
    """

    works: bool
    good: float = -inf
    looked: float = -inf
    doubted: bool = False
    waiting: int = 0
    since: float = 0.0

    def answered(self, now: float) -> None:
        """A sign of life."""
        self.works, self.doubted, self.good = True, False, now


class Health:
    """Directory and store are not taken to work before somebody has looked; mail, at which nobody looks, is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts = {DIRECTORY: Part(works=False), STORE: Part(works=False), MAIL: Part(works=True)}

    def part(self, part: str) -> Part:
        """What is known of that part, for who asks it all the time and has looked at the clock already."""
        return self._parts[part]

    # --- what logins say ------------------------------------------------------------------------

    def answered(self, part: str) -> None:
        """A sign of life: that part has answered somebody as it should."""
        self._parts[part].answered(self._clock.monotonic())

    def failed(self, part: str) -> None:
        """Somebody got no answer, which may be about them."""
        self._parts[part].doubted = True

    # --- what a look says -----------------------------------------------------------------------

    def said(self, part: str, *, works: bool) -> None:
        """A verdict that is about nobody in particular."""
        if works:
            self.answered(part)
        else:
            self._parts[part].works = False

    def is_due(self, part: str) -> bool:
        """Whether to look at that part now."""
        it, now = self._parts[part], self._clock.monotonic()
        if now - it.looked < _AGAIN:
            return False
        if it.doubted or not it.works or (it.waiting and now - max(it.since, it.good) >= _SILENCE):
            return True
        return now - max(it.good, it.looked) >= _AT_REST

    def look_begins(self, part: str) -> float:
        """Now, in monotonic seconds."""
        it = self._parts[part]
        it.looked = self._clock.monotonic()
        return it.looked

    def answered_since(self, part: str, then: float) -> bool:
        """Whether there was a sign of life after that time."""
        return self._parts[part].good > then

    # --- what it comes to -----------------------------------------------------------------------

    def works(self, part: str) -> bool:
        """Whether that part works, as far as is known."""
        return self._parts[part].works

    @property
    def can_authenticate(self) -> bool:
        """Whether a login could end well here: `status_server: ready`."""
        return self._parts[DIRECTORY].works and self._parts[STORE].works
