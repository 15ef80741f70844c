"""The command line, run as `radius-mfa` runs it: in this process, or in one of its own."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import structlog

from radius_mfa.cli.main import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    status: int
    out: str
    err: str

    def worked(self) -> Ran:
        """Itself, if it ended with 0."""
        assert self.status == 0, self
        return self

    def line(self, status: int) -> str:
        """The one line on stderr of a command that ended so."""
        assert self.status == status, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        return lines[0]


def run_cli(*arguments: str | Path) -> Ran:
    """A command, in this process: most of what a process costs is its start.  Nothing is typed."""
    out, err = io.StringIO(), io.StringIO()
    log = structlog.get_config()
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main([str(each) for each in arguments])
    except SystemExit as end:
        return Ran(end.code if isinstance(end.code, int) else 1, out.getvalue(), err.getvalue())
    finally:
        sys.stdin = stdin
        structlog.configure(**log)
    raise AssertionError("main has returned")


def run_process(*arguments: str | Path, typed: str = "") -> Ran:
    """A command as a process of its own, `typed` on its stdin."""
    command = [sys.executable, "-m", "radius_mfa", *map(str, arguments)]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=60)
    return Ran(done.returncode, done.stdout, done.stderr)
