"""Durations are put on lists and added up later: that comes to the same as one by one, and loses none."""

from __future__ import annotations

from bisect import bisect_left
from threading import Event, Thread

from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.observe.durations import BUCKETS, Duration, Durations

SECONDS = st.lists(st.floats(0, 60) | st.sampled_from(BUCKETS))


def one_by_one(seconds: list[float]) -> tuple[list[int], float]:
    """Each put in its bucket at its own time."""
    buckets, in_all = [0] * (len(BUCKETS) + 1), 0.0
    for each in seconds:
        buckets[bisect_left(BUCKETS, each)] += 1
        in_all += each
    return buckets, in_all


@given(st.lists(SECONDS, max_size=4))
def test_added_up_together_they_come_to_the_same_as_one_by_one(parts: list[list[float]]) -> None:
    durations: Durations[str] = Durations()
    put = durations.list_of("spend")
    for part in parts:
        for each in part:
            put(each)
        durations.add_up()
    found = durations.add_up().get("spend", Duration())

    everything = [each for part in parts for each in part]
    assert ([*found.buckets], found.seconds) == one_by_one(everything)
    assert found.count == len(everything)


@given(SECONDS, SECONDS)
def test_two_are_added_bucket_by_bucket(first: list[float], second: list[float]) -> None:
    one, other = Duration().plus_each([*first]), Duration().plus_each([*second])
    both = one.plus(other.buckets, other.seconds)
    assert [*both.buckets] == one_by_one(first + second)[0]
    assert both.seconds == one.seconds + other.seconds


def test_a_key_is_there_once_something_took_time_or_was_expected_to() -> None:
    durations: Durations[str] = Durations()
    put = durations.list_of("spend")
    durations.list_of("facts")
    assert not durations.add_up()
    durations.add("settle", Duration())
    put(0.1)
    assert {key: each.count for key, each in durations.add_up().items()} == {"settle": 0, "spend": 1}
    durations.add("spend", Duration().plus_each([0.2, 0.3]))
    assert durations.add_up()["spend"].count == 3


def test_what_somebody_has_been_given_does_not_change() -> None:
    durations: Durations[str] = Durations()
    put = durations.list_of("spend")
    put(1.0)
    before = durations.add_up()["spend"]
    put(1.0)
    assert (durations.add_up()["spend"].count, before.count, before.seconds) == (2, 1, 1.0)


def test_none_is_lost_and_none_counted_twice_while_others_add_up() -> None:
    durations: Durations[str] = Durations()
    ended, times = Event(), 200_000

    def add_up() -> None:
        while not ended.is_set():
            for each in durations.add_up().values():
                assert each.seconds == each.count, "whoever looks has a sum that fits"

    others = [Thread(target=add_up) for _ in range(2)]
    for other in others:
        other.start()
    try:
        put = durations.list_of("spend")
        for _ in range(times):
            put(1.0)
    finally:
        ended.set()
        for other in others:
            other.join()
    found = durations.add_up()["spend"]
    assert (found.count, found.seconds) == (times, times)
