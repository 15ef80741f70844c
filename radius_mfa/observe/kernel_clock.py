"""What the kernel knows of its own clock, which TOTP codes are as right as: adjtimex(2), asked and never told.

The kernel has no idea of the time itself.  Whoever keeps its clock (ntpd, chronyd, systemd-timesyncd) lets it know
how far it may be off, and the kernel adds 500 ppm to that for as long as it hears nothing more; after some nine
hours it takes its clock for kept by nobody.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

_NOBODY_KEEPS_IT = 0x0040  # STA_UNSYNC
_IN_NANOSECONDS = 0x2000  # STA_NANO: `offset` is, and nothing else
_ERROR = 5  # TIME_ERROR, which the call returns: likewise nobody
_MICRO, _NANO = 1e-6, 1e-9
# What the call is numbered on a 64-bit machine.
_NUMBERS = {"x86_64": 159, "aarch64": 171}


class Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), as far as it is read here.  `modes` 0: nothing is to be changed."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),  # there are fewer
    )


Ask = Callable[[Timex], int]
"""Has the kernel fill it in; what it returned, -1 where it refuses."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """`is_kept`: whether somebody keeps it.  Else nobody knows the rest, which is None; both are seconds.

    `offset`: what it is still being corrected by; little with who steers the rate instead, as chronyd does.
    `error`: the most that it is off by.
    """

    is_kept: bool
    offset: float | None = None
    error: float | None = None


def kernel_clock() -> KernelClock | None:
    """None where the kernel does not say: it is another one, or a sandbox lets nobody ask."""
    for ask in (by_name, by_number):
        timex = Timex()
        try:
            said = ask(timex)
        except (OSError, AttributeError):  # no such library, no such function in it
            continue
        if said >= 0:
            return clock_of(said, timex)
    return None


def clock_of(said: int, timex: Timex) -> KernelClock:
    """What it means that the call returned `said`."""
    if said == _ERROR or timex.status & _NOBODY_KEEPS_IT:
        return KernelClock(is_kept=False)
    unit = _NANO if timex.status & _IN_NANOSECONDS else _MICRO
    return KernelClock(True, timex.offset * unit, timex.maxerror * _MICRO)


def by_name(timex: Timex) -> int:
    """As the C library asks, which calls clock_adjtime(2) instead where there is that."""
    return int(ctypes.CDLL(None).adjtimex(ctypes.byref(timex)))


def by_number(timex: Timex) -> int:
    """Without the library: what containers let pass is adjtimex(2) alone.  AttributeError: not on this machine."""
    number = _NUMBERS.get(os.uname().machine) if sys.maxsize > 1 << 32 else None
    if number is None:
        raise AttributeError("its number is not known")
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.byref(timex)))
