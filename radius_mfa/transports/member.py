"""One process of the crew, as the supervisor sees it."""

from __future__ import annotations

import subprocess
import sys
from time import monotonic

from radius_mfa.transports.control import Control, Message
from radius_mfa.transports.crew import Crew

_PROGRAM = "radius_mfa.cli.process"


class Member:
    """`number`: its place in the crew.  `control`: None while there is nobody to talk to.

    `started`, `due`: monotonic seconds; `due`: when it is to be started, None for never.  `adopter`: who reads
    its sockets in its place.  `generation`: of the configuration it works under.  `pid`: also when it has ended.
    """

    def __init__(self, crew: Crew, number: int) -> None:
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
        self._crew = crew
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None

    def start(self, configuration: tuple[int, int]) -> None:
        """Start it, under the configuration of that generation and descriptor.  Raises OSError."""
        self.generation, fd = configuration
        self.control, there = Control.pair()
        self.started, self.due = monotonic(), None
        with there:
            # Of this program and no other; nothing of the folder it was started in is imported (-P).
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", _PROGRAM, self.name, str(there.fileno())],
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
        if self.control is not None:
            self.control.close()
            self.control = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
