"""Processes with a wall clock of their own, by libfaketime."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path


def hurried(command: Sequence[str | Path], times: int) -> Sequence[str | Path]:
    """The command of a process for which so many seconds pass in one, as far as its wall clock goes."""
    return command if times == 1 else at_other_time(f"+0 x{times}", command)


def at_other_time(time: str, command: Sequence[str | Path]) -> Sequence[str | Path]:
    """The command of a process with that clock; `time` as in `other_clock`."""
    return ["env", *(f"{name}={value}" for name, value in other_clock(time).items()), *command]


def other_clock(time: str) -> dict[str, str]:
    """The environment in which a process has another wall clock; `time` as faketime(1) has it, in UTC.

    `+6m` runs ahead, `2026-10-14 12:00:15` stands still.  Only the wall clock: timers run on.
    """
    _forget_the_dead()
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME": time,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # what older releases call it
        "NO_FAKE_STAT": "1",
        "TZ": "UTC",
    }


@cache
def _library() -> str:
    # faketime itself would stand between us and the process, and keep our signals to itself.
    found = subprocess.run(["faketime", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, check=True)
    return found.stdout.decode().strip()


def _forget_the_dead() -> None:
    """Who was killed leaves a file behind, with which the next process that has its id does not begin."""
    for file in Path("/dev/shm").glob("*faketime_*"):
        process = file.name.rpartition("_")[2]
        if not Path("/proc", process).exists():
            with suppress(FileNotFoundError):
                file.unlink()
