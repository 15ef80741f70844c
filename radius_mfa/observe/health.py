"""Which of what the server depends on works: as its last answers say, and for a while after the last good one."""

from __future__ import annotations

from dataclasses import dataclass

from radius_mfa.core.ports import Clock

PARTS = DIRECTORY, STORE, MAIL = "directory", "store", "mail"

# Seconds after a good answer in which a bad one says nothing yet: a single login may have bad luck.
_DOUBT = 3.0


@dataclass(slots=True)
class _Part:
    """`works`: what the last answer said.  `good`: monotonic seconds of the last good one."""

    works: bool
    good: float = float("-inf")


class Health:
    """What is not known is taken to work: nothing is refused, or kept silent, on a guess."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: dict[str, _Part] = {}

    def said(self, part: str, *, works: bool) -> None:
        """An answer of that part, good or bad."""
        known = self._parts.setdefault(part, _Part(works))
        known.works = works
        if works:
            known.good = self._clock.monotonic()

    def works(self, part: str) -> bool:
        """Whether that part works, as far as is known."""
        known = self._parts.get(part)
        return known is None or known.works or self._clock.monotonic() - known.good < _DOUBT

    @property
    def can_authenticate(self) -> bool:
        """Whether a login could end well here: `status_server: ready`."""
        return self.works(DIRECTORY) and self.works(STORE)
