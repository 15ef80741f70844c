"""The benchmark of searching the audit files finds what is there."""

from __future__ import annotations

from bench.audit import lines, measure


def test_all_events_of_the_week_are_found_and_timed() -> None:
    report = measure(runs=1, number=5_000)
    assert report.is_whole
    assert report.found["one week, one file"] == report.found["one week, 8 packed files and one"] > 0
    assert all(0 < seconds < 60 for each in report.seconds.values() for seconds in each)
    assert len(lines(report)) == 5
