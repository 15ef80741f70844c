"""Days, hours and time zones."""

from __future__ import annotations

import pytest

from radius_mfa.config import times
from radius_mfa.config.times import Hours
from tests.config.support import refused


class TestTimes:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("mon", {0}),
            ("mon-fri", {0, 1, 2, 3, 4}),
            ("sat,sun", {5, 6}),
            ("fri-mon", {4, 5, 6, 0}),
            ("mon, wed-thu", {0, 2, 3}),
            ("Mon-Fri", {0, 1, 2, 3, 4}),
            ("sun-sun", {6}),
        ],
    )
    def test_days_are_names_and_ranges(self, written: str, expected: set[int]) -> None:
        assert times.days(written) == expected

    @pytest.mark.parametrize(
        "written", ["", "monday", "mon-", "-fri", "mon,,tue", "1-5", "mon-wed-fri", "mon fri", "mon,"]
    )
    def test_days_have_no_other_form(self, written: str) -> None:
        assert refused(times.days, written).startswith("must be days such as mon-fri")

    @pytest.mark.parametrize(
        ("written", "start", "end"),
        [("08:00-20:00", 480, 1200), ("00:00-24:00", 0, 1440), ("08:00 - 20:00", 480, 1200)],
    )
    def test_hours_are_of_one_day(self, written: str, start: int, end: int) -> None:
        assert times.hours(written) == Hours(start, end)

    @pytest.mark.parametrize(
        ("written", "problem"),
        [
            ("22:00-06:30", 'goes past midnight; write ["22:00-24:00", "00:00-06:30"]'),
            ("22:00 - 06:30", 'goes past midnight; write ["22:00-24:00", "00:00-06:30"]'),
            ("22:00-00:00", 'ends where a day begins; write "22:00-24:00"'),
            ("08:00-08:00", 'begins and ends at the same time; for a whole day write "00:00-24:00"'),
            ("00:00-00:00", 'begins and ends at the same time; for a whole day write "00:00-24:00"'),
        ],
    )
    def test_hours_that_are_not_of_one_day_are_told_how_to_be(self, written: str, problem: str) -> None:
        assert refused(times.hours, written) == problem

    @pytest.mark.parametrize(
        "written", ["", "8-20", "8:00-20:00", "08:00", "24:00-08:00", "08:60-09:00", "08:00-25:00", "٠٨:00-09:00"]
    )
    def test_hours_have_no_other_form(self, written: str) -> None:
        assert refused(times.hours, written).startswith("must be hours such as")

    def test_zones_are_the_machines_own(self) -> None:
        assert times.zone("Asia/Tokyo").key == "Asia/Tokyo"

    @pytest.mark.parametrize(
        "written", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "JST+9", "a\0b"]
    )
    def test_zones_that_are_not_known_are_refused(self, written: str) -> None:
        assert refused(times.zone, written).startswith("must be a time zone")
