"""What `/healthz` and `/readyz` are answered from: whether every process lives, and whether logins can end well.

The endpoint is a thread, which would go on answering for an event loop that stands still.  So each loop leaves a
sign of life about once a second: this process's own beats here, the others' are the times at which they have
written their counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic

from radius_mfa.observe.health import DIRECTORY, STORE
from radius_mfa.observe.metrics import FRESH, Numbers

BEAT_EVERY = 1.0  # seconds


class Stage(Enum):
    """Where a server stands; the value is what keeps it from being ready, "" for nothing."""

    STARTING = "it is starting"
    SERVING = ""
    STOPPING = "it is stopping"


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life of a process.

    `at`: monotonic seconds, None for none so far.  `works`: of a process that answers logins, whether directory
    and store work, as it has found; empty of any other.
    """

    at: float | None
    works: Mapping[str, bool] = field(default_factory=dict)


Signs = Callable[[], Mapping[str, Sign]]
"""The signs of life of processes, by their names."""


def signs_on(slates: Mapping[str, bytes | None]) -> dict[str, Sign]:
    """The same of workers, by what each has written last: `Counts.export`."""
    return {name: _sign(octets) for name, octets in slates.items()}


def _sign(octets: bytes | None) -> Sign:
    numbers = None if octets is None else Numbers.read(octets)
    if numbers is None:
        return Sign(None)
    up = numbers.watched.get("up", {})
    return Sign(numbers.at, {part: bool(up.get((part,))) for part in (DIRECTORY, STORE)})


class Vitals:
    """`process`: this one's name.  `works`: as in `Sign`, of this one.  `others`: the signs of all others.

    What is wrong is told in lines, each with what it is about; there are none while all is well.
    """

    def __init__(
        self,
        process: str,
        works: Callable[[], Mapping[str, bool]],
        others: Signs = dict,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._process = process
        self._works = works
        self._others = others
        self._clock = clock
        self._began = self._beaten = clock()
        self.stage = Stage.STARTING

    def beat(self) -> None:
        """The event loop turns: to be said by it every `BEAT_EVERY` seconds."""
        self._beaten = self._clock()

    def ails(self) -> tuple[str, ...]:
        """Why the server had better be started anew: a process has given no sign of life for too long."""
        return tuple(self._silent(self._signs()))

    def unready(self) -> tuple[str, ...]:
        """Why logins are not to be sent here now."""
        signs = self._signs()
        stage = [f"{self._process}: {self.stage.value}"] if self.stage is not Stage.SERVING else []
        waited_for = [f"{name}: it is starting" for name, sign in signs.items() if sign.at is None]
        begun = [sign for sign in signs.values() if sign.at is not None]
        return (*stage, *waited_for, *self._silent(signs), *_broken(begun))

    def _signs(self) -> dict[str, Sign]:
        return {self._process: Sign(self._beaten, self._works()), **self._others()}

    def _silent(self, signs: Mapping[str, Sign]) -> Iterator[str]:
        now = self._clock()
        for name, sign in signs.items():
            seconds = now - (self._began if sign.at is None else sign.at)
            if seconds >= FRESH:
                yield f"{name}: no sign of life for {seconds:.0f} seconds"


def _broken(signs: Iterable[Sign]) -> list[str]:
    parts = {part: None for sign in signs for part, works in sign.works.items() if not works}
    return [f"{part}: it does not work" for part in parts]
