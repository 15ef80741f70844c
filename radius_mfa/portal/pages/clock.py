"""The server's clock, for comparing a phone with it: codes are made of the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from radius_mfa.portal.context import Context


@dataclass(frozen=True, slots=True)
class ClockShown:
    """`time`: as on a wall; `zone`: its name; `moment`: the same for programs; `milliseconds`: since 1970."""

    time: str
    zone: str
    moment: str
    milliseconds: int


def clock_of(it: Context) -> ClockShown:
    """What it says now."""
    now = it.house.clock.wall()
    here = datetime.fromtimestamp(now, it.house.settings.zone)
    return ClockShown(f"{here:%H:%M:%S}", f"{here:%Z}", here.isoformat(timespec="seconds"), int(now * 1000))
