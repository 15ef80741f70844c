"""A server as a process: from its start until it is ready, and stopped in the end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

_PATIENCE = 60.0  # seconds: until it must have started


@dataclass(frozen=True, slots=True)
class Running:
    """`port`: where it listens.  `ready`: seconds from the start of the process until it said that it does."""

    pid: int
    port: int
    ready: float


@contextmanager
def running(
    command: Sequence[str], port_of: Callable[[str], int | None], is_routine: Callable[[str], bool]
) -> Iterator[Running]:
    """`port_of`: the port, of the line that says that it is ready.  What is not `is_routine` is shown."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    said = _Listener(process.stdout, port_of, is_routine)
    try:
        port, at = said.ready.result(_PATIENCE)
        yield Running(process.pid, port, at - began)
    finally:
        process.terminate()
        process.wait()
        said.join()
        process.stdout.close()


class _Listener(threading.Thread):
    """Reads what a server says until it ends, since a full pipe would hold it up.

    `ready`: its port, and when it said so (`time.perf_counter`).
    """

    def __init__(
        self, lines: IO[str], port_of: Callable[[str], int | None], is_routine: Callable[[str], bool]
    ) -> None:
        super().__init__()
        self._lines = lines
        self._port_of = port_of
        self._is_routine = is_routine
        self.ready: Future[tuple[int, float]] = Future()
        self.start()

    def run(self) -> None:
        for line in self._lines:
            port = None if self.ready.done() else self._port_of(line)
            if port is not None:
                self.ready.set_result((port, time.perf_counter()))
            elif not self._is_routine(line):
                print(line, end="", file=sys.stderr)
        if not self.ready.done():
            self.ready.set_exception(RuntimeError("the server did not start"))
