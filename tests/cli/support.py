"""The command line, run as `radius-mfa` runs it: in this process, or in one of its own."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from radius_mfa.cli.main import main
from tests.end_to_end.nas import CHALLENGE

if TYPE_CHECKING:
    from tests.end_to_end.site import Account, Site


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

    @property
    def json(self) -> Any:
        """What a command that worked has printed."""
        return json.loads(self.worked().out)

    def line(self, status: int) -> str:
        """The one line on stderr of a command that ended so."""
        assert self.status == status, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        return lines[0]


def run_cli(*arguments: str | Path, stdout: TextIO | None = None) -> Ran:
    """A command, in this process: most of what a process costs is its start.  Nothing is typed.

    `stdout`: where it prints to, instead of into what is given back.
    """
    out, err = io.StringIO(), io.StringIO()
    log = structlog.get_config()
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(stdout or out), redirect_stderr(err):
            main([str(each) for each in arguments])
    except SystemExit as end:
        return Ran(end.code if isinstance(end.code, int) else 1, out.getvalue(), err.getvalue())
    finally:
        sys.stdin = stdin
        structlog.configure(**log)
    raise AssertionError("main has returned")


def run_process(*arguments: str | Path, typed: str = "", environment: Mapping[str, str] | None = None) -> Ran:
    """A command as a process of its own, `typed` on its stdin; `environment`: what is otherwise than here."""
    command = [sys.executable, "-m", "radius_mfa", *map(str, arguments)]
    changed = {**os.environ, **(environment or {})}
    done = subprocess.run(
        command, input=typed, capture_output=True, text=True, check=False, timeout=60, env=changed
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def rewritten(config: Path, old: str, new: str) -> Path:
    """The configuration with `old`, which it must have, replaced."""
    text = config.read_text()
    assert text.count(old) == 1, old
    config.write_text(text.replace(old, new))
    return config


def changed_row(config: Path, statement: str, *values: object) -> None:
    """Change what stands in the store of `config`, as time does."""
    with closing(sqlite3.connect(config.with_name("state.db"))) as db, db:
        assert db.execute(statement, values).rowcount == 1


def user(university: Site, *arguments: str) -> Ran:
    """`radius-mfa user`, at the site."""
    return run_cli("--config", university.config, "user", *arguments)


def log_in(university: Site, account: Account, code: str) -> str:
    """What a login with that code ends with."""
    with university.nas() as nas:
        challenge = nas.ask(account.name, account.password)
        if challenge.code != CHALLENGE:
            return challenge.code
        return nas.ask(account.name, code, state=challenge.state).code
