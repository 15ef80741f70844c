"""Nobody looks into the memory of a process that holds secrets."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def no_core_dumps() -> None:
    """Passwords in memory are not written to a disk in a crash, nor read by another process of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where core dumps are piped to a program, the kernel does not ask for the limit (core(5)).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
