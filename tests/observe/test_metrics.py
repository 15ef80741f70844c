"""The counts."""

from radius_mfa.core.ports import Meter
from radius_mfa.observe.metrics import Counts, Duration


def test_what_happens_is_counted_by_its_labels() -> None:
    counts = Counts()
    meter: Meter = counts
    for client in ("vpn", "wifi", "vpn"):
        meter.count("discards", client=client)

    assert counts.counted["discards", (("client", "vpn"),)] == 2
    assert counts.total("discards") == 3
    assert counts.total("decisions") == 0


def test_durations_keep_how_often_how_long_in_all_and_the_longest() -> None:
    counts = Counts()
    for seconds in (0.5, 2.0, 1.0):
        counts.observe("decision", seconds, client="vpn")

    assert counts.durations["decision", (("client", "vpn"),)] == Duration(3, 3.5, 2.0)
