"""The server as it is run: a process of its own, started on free ports, stopped by its own id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

_PATIENCE = 30.0  # seconds; a loaded machine may take its time


class Server:
    """`radius-mfa serve` over a configuration file.  `wrapper`: a command to run it under (faketime)."""

    def __init__(self, config: Path, *wrapper: str, environment: dict[str, str] | None = None) -> None:
        self.config = config
        self._command = [*wrapper, sys.executable, "-m", "radius_mfa", "--config", str(config), "serve"]
        self._environment = {**os.environ, **(environment or {})}
        self._lines: Queue[str | None] = Queue()
        self.log: list[dict[str, Any]] = []
        self.addresses: list[tuple[str, int]] = []

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            self._command, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=self._environment
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ready = self.wait_for("ready")
        self.addresses = [(host, int(port)) for host, port in ready["listen"]]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reader.join(_PATIENCE)
            assert self._process.stderr is not None
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        return self._process.pid

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
                raise AssertionError(f"the server did not say {event!r}; it said:\n" + "\n".join(map(str, self.log)))
            record = _record(line)
            self.log.append(record)
            if record.get("event") == event:
                return record

    def stop(self) -> int:
        """SIGTERM; the exit status."""
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
        return {"event": "", "text": line}
    return record if isinstance(record, dict) else {"event": "", "text": line}
