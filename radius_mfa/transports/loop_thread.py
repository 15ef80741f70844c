"""An event loop in a thread of its own, for callers that wait in threads of theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Begins with the object, and ends with `stop`."""

    def __init__(self, name: str, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, args=(make_loop, started), name=name, daemon=True)
        self._thread.start()
        self._loop = started.result()

    def run(self, work: Coroutine[Any, Any, Result], seconds: float | None = None) -> Result:
        """The work's result, from another thread.  Raises what the work raises, and TimeoutError.

        Too late, it is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def stop(self) -> None:
        """End what still runs, and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, make_loop: Callable[[], asyncio.AbstractEventLoop], started: Future[Any]) -> None:
        # The runner cancels what is left, as in any program of one loop.
        with asyncio.Runner(loop_factory=make_loop) as runner:
            loop = runner.get_loop()
            asyncio.set_event_loop(loop)
            started.set_result(loop)
            loop.run_forever()


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest that there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
