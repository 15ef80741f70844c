"""The server as it is run: a process of its own, started on free ports, stopped by its own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from time import monotonic
from typing import Any, Self

_PATIENCE = 30.0  # seconds; a loaded machine may take its time


class Server:
    """`radius-mfa serve` over a configuration file.

    `log`: what it has said so far, a record a line.  `addresses`: its listeners.
    """

    verb = "serve"

    def __init__(
        self, config: Path, environment: dict[str, str] | None = None, within: Sequence[str] = ()
    ) -> None:
        """`within`: a command that runs the one it is given."""
        self.config = config
        self._command = [*within, sys.executable, "-m", "radius_mfa", "--config", str(config), self.verb]
        self._environment = {**os.environ, **(environment or {})}
        self._lines: Queue[str | None] = Queue()
        self.log: list[dict[str, Any]] = []
        self.addresses: list[tuple[str, int]] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self._environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            ready = self.wait_for("ready")
        except BaseException:
            self.__exit__()
            raise
        self.addresses = [(host, int(port)) for host, port in ready["listen"]]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in [*self.processes().values(), self.pid]:
                os.kill(pid, signal.SIGKILL)
            self._process.wait()
            raise
        finally:
            self._reader.join(_PATIENCE)
            assert self._process.stderr is not None
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def processes(self) -> dict[str, int]:
        """The ids of its own processes by the names that the log has for them; none where it is alone."""
        end = monotonic() + _PATIENCE
        while monotonic() < end:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            try:
                commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children}
            except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
                continue
            # While a process is about to be what it is started as, or has ended, nobody knows its name.
            if all(len(words) > 3 and b"supervisor" not in words[3] for words in commands.values()):
                return {words[-3].decode(): pid for pid, words in commands.items()}
        raise AssertionError(children)

    def kill_process(self, name: str) -> int:
        """SIGKILL to one of its own processes; the id it had."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def runs(self) -> bool:
        return self._process.poll() is None

    def ended(self) -> int:
        """Wait for its end; the exit status."""
        return self._process.wait(_PATIENCE)

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self.addresses[0][1]

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next log line of that event; an error with all that was said if there is none."""
        while True:
            try:
                line = self._lines.get(timeout=_PATIENCE)
            except Empty:
                line = None
            if line is None:
                said = "\n".join(map(str, self.log))
                raise AssertionError(f"the server did not say {event!r}; it said:\n{said}")
            record = _record(line)
            self.log.append(record)
            if record["event"] == event:
                return record

    def said(self) -> str:
        """Everything on its stderr, from start to end; stops it."""
        self.stop()
        self._reader.join(_PATIENCE)
        while (line := self._lines.get(timeout=_PATIENCE)) is not None:
            self.log.append(_record(line))
        self._lines.put(None)
        return "\n".join(record["line"] for record in self.log)

    def reload(self) -> None:
        """SIGHUP."""
        self._process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        """SIGTERM, without waiting for what comes of it."""
        self._process.terminate()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(_PATIENCE)

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        self._process.kill()
        self._process.wait(_PATIENCE)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = {}
    return {"event": "", **(record if isinstance(record, dict) else {}), "line": line}
