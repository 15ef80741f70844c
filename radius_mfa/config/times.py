"""Days, hours and time zones as policies have them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from radius_mfa.config.forms import Form, written
from radius_mfa.core.conditions import DAYS

_DAY = "(?:" + "|".join("".join(f"[{each.upper()}{each}]" for each in day) for day in DAYS) + ")"
_SPAN = f" *{_DAY} *(?:- *{_DAY} *)?"
_CLOCK = "([01][0-9]|2[0-3]):([0-5][0-9])"
_HOURS = rf"{_CLOCK} *- *(?:{_CLOCK}|24:00)"


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` until before `end`, in minutes of one day: end > start."""

    start: int
    end: int


@written(Form(says="a time zone: Europe/Vienna, UTC"))
def zone(written: str) -> ZoneInfo:
    try:
        return ZoneInfo(written)
    except (OSError, ValueError, LookupError):  # a directory of zones; a bad key; not there
        raise ValueError("must be a time zone such as Europe/Vienna or UTC, not {it}") from None


@written(Form(says="days: mon, mon-fri, sat,sun", pattern=f"{_SPAN}(?:,{_SPAN})*"))
def days(written: str) -> frozenset[int]:
    """0 is Monday: of `mon`, `mon-fri`, `fri-mon`, or several of these with commas between."""
    found: set[int] = set()
    for part in written.casefold().split(","):
        first, dash, last = (each.strip() for each in part.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"must be days such as mon-fri or sat,sun (of {' '.join(DAYS)}), not {{it}}")
        start, end = DAYS.index(first), DAYS.index(last if dash else first)
        found.update((start + ahead) % 7 for ahead in range((end - start) % 7 + 1))
    return frozenset(found)


@written(Form(says='hours of a day: "08:00-20:00", "22:00-24:00"', pattern=_HOURS))
def hours(written: str) -> Hours:
    """`08:00-20:00`; `24:00` may end.

    Not past midnight: of which of the two days `days` speak would be anybody's guess.
    """
    found = re.fullmatch(_HOURS, written)
    if found is None:
        raise ValueError('must be hours such as "08:00-20:00", not {it}')
    start = int(found[1]) * 60 + int(found[2])
    end = int(found[3]) * 60 + int(found[4]) if found[3] else 24 * 60
    if start == end:
        raise ValueError('begins and ends at the same time; for a whole day write "00:00-24:00"')
    if end == 0:
        raise ValueError(f'ends where a day begins; write "{written[:5]}-24:00"')
    if start > end:
        first, last = (each.strip() for each in written.split("-"))
        raise ValueError(f'goes past midnight; write ["{first}-24:00", "00:00-{last}"]')
    return Hours(start, end)
