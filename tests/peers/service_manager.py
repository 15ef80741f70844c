"""A service manager's end of sd_notify(3): a real socket, and what a process tells it, word for word."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

_PATIENCE = 30.0  # seconds; a loaded machine may take its time


class Manager:
    """`environment`: for a process that is to tell it."""

    def __init__(self, folder: Path, *, watchdog: float = 0.0) -> None:
        """`watchdog`: seconds in which it wants to hear of life, or 0."""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(_PATIENCE)
        self._sock.bind(str(folder / "notify"))
        self.environment = {"NOTIFY_SOCKET": str(folder / "notify")}
        if watchdog:
            self.environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def hears(self) -> dict[str, str]:
        """What it is told next, but for signs of life."""
        while (told := self._next()) == {"WATCHDOG": "1"}:
            pass
        return told

    def hears_of_life(self) -> None:
        """Whatever else it is told before."""
        while self._next() != {"WATCHDOG": "1"}:
            pass

    def has_heard_nothing_more(self) -> bool:
        self._sock.setblocking(False)
        try:
            self._sock.recv(4096)
        except BlockingIOError:
            return True
        return False

    def _next(self) -> dict[str, str]:
        lines = self._sock.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)
