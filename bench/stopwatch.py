"""CPU time by step, where steps call one another: each gets what it spent itself."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutine
from typing import Any, TypeVar, cast

_TRIALS = 2000

_Part = TypeVar("_Part")


class Stopwatch:
    """`spent`: CPU seconds of this process, of all its threads, by step.

    The watch takes time as well: it is measured at first, and taken off.
    """

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._steps: list[str] = []
        self._since = self._turning = 0.0
        began = time.process_time()
        for _ in range(_TRIALS):
            self.enter("")
            self.leave()
        self._turning = (time.process_time() - began) / (2 * _TRIALS)
        self.spent.clear()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What is done within is of this step."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        self._turn()
        self._steps.append(name)

    def leave(self) -> None:
        self._turn()
        self._steps.pop()

    def _turn(self) -> None:
        now = time.process_time()
        if self._steps:
            self.spent[self._steps[-1]] += now - self._since - self._turning
        self._since = now


def timed(part: _Part, watch: Stopwatch, step: str) -> _Part:
    """`part`, every call to which is of that step; a coroutine whenever it runs, and not while it waits."""
    return cast(_Part, _Timed(part, watch, step))


class _Timed:
    def __init__(self, part: object, watch: Stopwatch, step: str) -> None:
        self._part = part
        self._watch = watch
        self._step = step

    def __call__(self, *values: object) -> object:
        self._watch.enter(self._step)
        try:
            result = cast(Callable[..., object], self._part)(*values)
        finally:
            self._watch.leave()
        return _Resumed(result, self._watch, self._step) if iscoroutine(result) else result

    def __getattr__(self, name: str) -> object:
        attribute = getattr(self._part, name)
        found = _Timed(attribute, self._watch, self._step) if callable(attribute) else attribute
        setattr(self, name, found)  # the next time it is there
        return found


class _Resumed:
    """A coroutine that is awaited as itself, with the watch on whenever it is resumed."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], watch: Stopwatch, step: str) -> None:
        self._coroutine = coroutine
        self._watch = watch
        self._step = step

    def __await__(self) -> Generator[Any, Any, object]:
        resume = go_on = partial(self._coroutine.send, None)
        while True:
            self._watch.enter(self._step)
            try:
                waited_for = resume()
            except StopIteration as done:
                return done.value
            finally:
                self._watch.leave()
            try:
                yield waited_for
            except BaseException as thrown:
                resume = partial(self._coroutine.throw, thrown)
            else:
                resume = go_on
