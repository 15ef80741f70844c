"""What the kernel says of its own clock, against what the C library makes of it."""

from __future__ import annotations

import ctypes

import pytest

from radius_mfa.observe.kernel_clock import KernelClock, Timex, by_name, by_number, clock_of, kernel_clock

_UNSYNC, _NANO = 0x0040, 0x2000
_OK, _ERROR = 0, 5


class NtpTime(ctypes.Structure):
    """`struct ntptimeval` of ntp_gettime(3)."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("part", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("rest", ctypes.c_long * 8),
    )


@pytest.mark.parametrize(
    ("said", "status", "clock"),
    [
        (_OK, 0, KernelClock(True, -1.5, 0.25)),
        (_OK, _NANO, KernelClock(True, -0.0015, 0.25)),
        (_OK, _UNSYNC, KernelClock(False)),
        (_ERROR, 0, KernelClock(False)),
    ],
)
def test_what_is_known_is_in_seconds_and_of_a_clock_that_is_kept(
    said: int, status: int, clock: KernelClock
) -> None:
    """adjtimex(2): `offset` is in nanoseconds with STA_NANO, `maxerror` in microseconds whatever is set."""
    found = clock_of(said, Timex(offset=-1_500_000, maxerror=250_000, status=status))
    assert found.is_kept == clock.is_kept
    assert found.offset == pytest.approx(clock.offset)
    assert found.error == pytest.approx(clock.error)


@pytest.mark.parametrize("ask", [by_name, by_number])
def test_either_way_the_kernel_says_what_the_library_says(ask: object) -> None:
    assert callable(ask)
    timex, ntp = Timex(), NtpTime()
    said = ask(timex)
    assert said == ctypes.CDLL(None).ntp_gettime(ctypes.byref(ntp)) >= 0
    assert abs(timex.maxerror - ntp.maxerror) <= 100_000  # it grows while nobody says anything
    assert timex.esterror == ntp.esterror


def test_this_machine_says_whether_its_clock_is_kept() -> None:
    clock = kernel_clock()
    assert clock is not None
    assert (clock.error is not None) == (clock.offset is not None) == clock.is_kept
