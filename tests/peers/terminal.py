"""Somebody at a terminal: a command in a pseudo-terminal, what it asks, and what is typed.

with Terminal([...]) as terminal:
    terminal.answers("Password", "secret")
    terminal.ends()
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Self

_PATIENCE = 30.0  # seconds; a loaded machine may take its time
CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """`shown`: everything that was to be read so far."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._command = list(map(str, command))
        self.shown = ""
        self._read = 0

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            self._command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_controlled,
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def asks(self, prompt: str) -> None:
        """Wait until that is to be read, after what was answered last."""
        end = monotonic() + _PATIENCE
        while (at := self.shown.find(prompt, self._read)) < 0:
            assert self._more(end), f"no {prompt!r} in:\n{self.shown}"
        self._read = at + len(prompt)

    def types(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def answers(self, prompt: str, text: str = "") -> None:
        """Wait for the prompt, with its colon, and type the text with Enter behind it."""
        self.asks(prompt)
        self.asks(": ")
        self.types(f"{text}\r")

    def ends(self) -> int:
        """Wait for the end; the exit status."""
        end = monotonic() + _PATIENCE
        while self._more(end):
            pass
        return self._process.wait(_PATIENCE)

    def _more(self, end: float) -> bool:
        """Read what comes; False once nothing more does."""
        if not select.select([self._ours], [], [], max(end - monotonic(), 0))[0]:
            return False
        try:
            octets = os.read(self._ours, 4096)
        except OSError:  # EIO: nobody is at the other end any more
            return False
        self.shown += octets.decode(errors="replace").replace("\r\n", "\n")
        return bool(octets)


def _controlled() -> None:
    """Let the pseudo-terminal be the command's own, so that Ctrl-C is a signal to it."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
