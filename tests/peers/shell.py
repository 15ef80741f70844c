"""Somebody who sits at a terminal of a `Machine`, types commands, and answers what they ask.

    with Shell(machine, cwd) as terminal:
        terminal.answers["^Password: "] = lambda: "correct horse"
        terminal.do("radius-mfa login alice")
        terminal.do("radius-mfa serve &")
        terminal.until("ready")

All commands are of one shell, which knows what the ones before have set.  What they have started ends with it.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers.machine import Machine, as_root

_PATIENCE = 180.0  # seconds that some commands may say nothing, on a machine that has much else to do
# Commands come from a pipe, each with a NUL behind it; once one has ended a NUL is shown.  A failure ends all.
_LOOP = """
exec 3< "$FOLDER/commands"
while IFS= read -r -d '' text <&3; do
    eval "$text"
    printf '\\0'
done
"""


class Shell:
    """`said`: all that was shown.  `answers`: by the pattern that is shown, what is typed then."""

    def __init__(self, machine: Machine, cwd: Path, beside: Shell | None = None) -> None:
        """`beside`: one whose machine is on the same network as this one."""
        self.said = ""
        self.answers: dict[str, Callable[[], str]] = {}
        self._machine = machine
        self.cwd = cwd
        self._beside = beside
        self._seen = 0  # what is before it was a question, or is waited for no more

    def __enter__(self) -> Self:
        pipe = self._machine.folder / "commands"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        self._commands = os.open(pipe, os.O_RDWR)
        self._screen, theirs = pty.openpty()
        mode = termios.tcgetattr(theirs)
        mode[1] &= ~termios.ONLCR
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        beside = None if self._beside is None else self._beside.pid
        command = self._machine.command(_LOOP, self.cwd, beside=beside)
        # In a session of its own, or commands would ask for passwords at the terminal of whoever runs the tests.
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            if error is None:
                os.write(self._commands, b"exit 0\0")
            else:  # a command may wait for ever
                as_root("kill", "-KILL", str(self.pid))
        self._process.wait(_PATIENCE)
        os.close(self._commands)
        os.close(self._screen)

    @property
    def pid(self) -> int:
        """Of a process in its network: of unshare, which sudo may have started."""
        pid = self._process.pid
        while Path(f"/proc/{pid}/comm").read_text().strip() != "unshare":
            (pid,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return pid

    def do(self, commands: str) -> str:
        """Type them, and wait for their end; what was shown meanwhile.  An error if one of them fails."""
        begin = len(self.said)
        os.write(self._commands, commands.encode() + b"\0")
        self._read(lambda: "\0" in self.said[begin:])
        self.said = self.said[:begin] + self.said[begin:].replace("\0", "")
        self._seen = min(self._seen, len(self.said))
        return self.said[begin:]

    def until(self, pattern: str, since: int = 0) -> str:
        """Wait until it was shown, after `since` characters; what it has matched."""
        self._read(lambda: re.search(pattern, self.said[since:]) is not None)
        found = re.search(pattern, self.said[since:])
        assert found is not None
        return found[0]

    def _read(self, done: Callable[[], bool]) -> None:
        while not done():
            ready, _, _ = select.select([self._screen], [], [], _PATIENCE)
            assert ready, f"nothing comes any more, after:\n{self.said}"
            octets = b""
            with suppress(OSError):  # EIO: nobody is there any more
                octets = os.read(self._screen, 65536)
            assert octets, f"a command failed:\n{self.said}"
            self.said += octets.decode(errors="replace")
            self._answer()

    def _answer(self) -> None:
        for pattern, answer in self.answers.items():
            if found := re.compile(pattern, re.MULTILINE).search(self.said, self._seen):
                self._seen = found.end()
                os.write(self._screen, f"{answer()}\n".encode())
