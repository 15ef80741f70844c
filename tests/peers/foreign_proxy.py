"""What the proxies that none of us wrote have in common: RADIUS over UDP in, and out to us in their own way."""

from __future__ import annotations

import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import ClassVar, Self

from tests.peers.ports import free_port

_PATIENCE = 30.0  # seconds; a loaded machine may take its time


class ForeignProgram:
    """A program that runs in the foreground, of which one can wait for what it says."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._read = 0  # lines that `says` has been through
        self._has_ended = False
        self._news = Condition()

    def log(self) -> str:
        """All that it has said so far."""
        with self._news:
            return "".join(self._lines)

    def says(self, text: str, patience: float = _PATIENCE) -> bool:
        """Whether a line comes, after the last one that was asked for, that has this in it."""
        end = monotonic() + patience
        with self._news:
            while not (is_there := self._has_come(text)) and not self._has_ended:
                if not self._news.wait(end - monotonic()):
                    break
            return is_there

    def wait_for(self, text: str, patience: float = _PATIENCE) -> None:
        """The same; an error with all that was said if there is none."""
        assert self.says(text, patience), f"it did not say {text!r}; it said:\n{self.log()}"

    def ends(self, patience: float = _PATIENCE) -> bool:
        """Whether it comes to its end by itself."""
        with self._news:
            return self._news.wait_for(lambda: self._has_ended, patience)

    def start(self, command: Sequence[str | Path]) -> None:
        """Run it; a command that only prepares has to end as what it has prepared for."""
        self._has_ended = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._listener = Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()

    def stop(self) -> None:
        """End it if it runs."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_PATIENCE)
        self._process = None

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def _has_come(self, text: str) -> bool:
        while self._read < len(self._lines):
            self._read += 1
            if text in self._lines[self._read - 1]:
                return True
        return False


class ForeignProxy(ForeignProgram, ABC):
    """Runs from `with` to its end, and is stopped by its own id.

    NASes on loopback reach it at `port`, over UDP, with `secret`.  The configuration is its own, in a temporary
    folder, and it runs as whoever we are.
    """

    secret = "the secret of its own NASes"
    ready: ClassVar[str]
    """What it says when it listens."""

    def __init__(self) -> None:
        super().__init__()
        self.port = 0

    @abstractmethod
    def _command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """Write its configuration, with which it listens at `port`, and say how it is started."""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="radius-proxy-")))
            undo.callback(self.stop)
            self._begin(folder)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _begin(self, folder: Path) -> None:
        """Listen on a free port, of which somebody else may be quicker to take."""
        for _ in range(5):
            port = free_port()
            before = len(self._lines)
            self.start(self._command(folder, port))
            if self.says(self.ready):
                self.port = port
                self._read = before  # it connects while it opens its port, and may say so first
                return
            self.stop()
        raise RuntimeError(f"the proxy does not start: {self.log()}")
