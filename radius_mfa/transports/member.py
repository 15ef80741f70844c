"""One process of the crew, as the supervisor sees it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from time import monotonic

from radius_mfa.transports.control import Control, Message
from radius_mfa.transports.crew import Crew

# This program and no other; nothing of the folder it was started in is imported (-P).
COMMAND = (sys.executable, "-P", "-m", "radius_mfa.cli.process")

_BACK_OFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before one start after another, the last one repeats
_WELL = 60.0  # seconds after which a process that ends has not failed again, but for the first time


class Member:
    """`number`: its place in the crew.  `control`: None while there is nobody to talk to.

    `started`, `due`: monotonic seconds; `due`: when it is to be started, None for never.  `adopter`: who reads
    its sockets in its place.  `generation`: of the configuration it works under.  `pid`: also when it has ended.
    `unanswered`: how often it was asked whether it turns, and has not answered.
    """

    def __init__(self, crew: Crew, number: int, command: Sequence[str] = COMMAND) -> None:
        """`command`: what it is started with, its name and its end of the control appended."""
        self.number = number
        self.name = crew.name(number)
        self.control: Control | None = None
        self.is_ready = False
        self.started = 0.0
        self.due: float | None = None
        self.failures = 0
        self.adopter: Member | None = None
        self.generation = 0
        self.pid = 0
        self.unanswered = 0
        self._crew = crew
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None

    def start(self, configuration: tuple[int, int]) -> None:
        """Start it, under the configuration of that generation and descriptor.  Raises OSError."""
        self.generation, fd = configuration
        self.started, self.due = monotonic(), None
        self.control, there = Control.pair()
        with there:
            # Of our own words only: nothing in it is anybody's input.
            self._process = subprocess.Popen(  # noqa: S603
                [*self._command, self.name, str(there.fileno())],
                pass_fds=[*self._crew.descriptors(), fd, there.fileno()],
            )
        self.pid = self._process.pid
        self.tell({"do": "begin", "crew": self._crew.packed(), "number": self.number, "configuration": fd})

    def tell(self, message: Message, fd: int | None = None) -> None:
        if self.control is not None:
            self.control.send(message, fd)

    def buried(self) -> int | None:
        """Its exit status if it has ended, negative: by that signal."""
        return self._process.poll() if self._process is not None else None

    def forget(self) -> None:
        """It has ended."""
        self._process = None
        self.is_ready = False
        self.unanswered = 0
        if self.control is not None:
            self.control.close()
            self.control = None

    def rest(self, now: float) -> None:
        """It has failed: say when it is due, at once the first time, later where it never lives for long."""
        self.failures = 1 if now - self.started >= _WELL else self.failures + 1
        self.due = now + _BACK_OFF[min(self.failures, len(_BACK_OFF)) - 1]

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
