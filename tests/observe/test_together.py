"""The counts of several processes shown as one, and those of a process that goes on where another was killed."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from threading import Thread
from time import monotonic

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.observe.durations import BUCKETS
from radius_mfa.observe.metrics import COUNTED, TIMED, WATCHED, Counts, Together, Watch
from radius_mfa.observe.slate import Slate
from tests.observe.test_metrics import labels, shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(), each, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["repeated", "discarded", "no_such_name"])
LABELS = st.sampled_from([[["client", "vpn"]], [["reason", "x"], ["client", "vpn"]], [["client", 1]], [], 5])
# What an export looks like, with something wrong here and there.
NEARLY = st.tuples(
    st.just(0.0) | JSON,
    st.lists(st.tuples(st.tuples(NAMES, LABELS), st.integers(0, 9) | JSON), max_size=3) | JSON,
    st.lists(
        st.tuples(
            st.tuples(st.sampled_from(["step", "decision"]), st.just([["step", "a"]]) | LABELS),
            st.lists(st.integers(0, 9), min_size=16, max_size=16) | JSON,
            st.floats(0, 9) | JSON,
        ),
        max_size=3,
    )
    | JSON,
    st.dictionaries(st.sampled_from(["held", "up"]), st.lists(st.tuples(LABELS, JSON), max_size=3) | JSON) | JSON,
)
GARBAGE = st.binary(max_size=64) | JSON.map(orjson.dumps) | NEARLY.map(orjson.dumps)


def together(own: Counts, *others: Counts) -> Together:
    return Together(own, lambda: [each.export() for each in others])


def always(numbers: Mapping[tuple[str, ...], float]) -> Watch:
    return lambda: numbers


def a_minute_old(octets: bytes) -> bytes:
    """What a process exported that has said nothing since."""
    _, *rest = orjson.loads(octets)
    return orjson.dumps([monotonic() - 60, *rest])


def test_what_several_have_counted_is_added_up() -> None:
    first, second, third = Counts(), Counts(), Counts()
    first.count("repeated", client="vpn")
    second.count("repeated", 5, client="vpn")
    second.count("repeated", client="wifi")
    third.expect("repeated", client="lab")
    samples = shown(together(first, second, third))

    assert {
        client: samples["radius_mfa_repeated_total", labels(client=client)] for client in ("vpn", "wifi", "lab")
    } == {
        "vpn": 6,
        "wifi": 1,
        "lab": 0,
    }


def test_labels_in_another_order_are_of_the_same_series() -> None:
    first, second = Counts(), Counts()
    first.count("discarded", client="vpn", reason="closing")
    second.count("discarded", reason="closing", client="vpn")
    second.count("discarded", client="vpn", reason="closing")
    assert (
        shown(together(first, second))["radius_mfa_discarded_total", labels(reason="closing", client="vpn")] == 3
    )


def test_durations_are_added_up_bucket_by_bucket() -> None:
    first, second = Counts(), Counts()
    for counts, seconds in ((first, 0.0001), (first, 31.0), (second, 0.0002), (second, 0.2)):
        counts.timer("step")["store_spend",](seconds)
    samples, name = shown(together(first, second)), "radius_mfa_step_seconds"
    below = [samples[f"{name}_bucket", labels(step="store_spend", le=at)] for at in ("0.0005", "0.25", "+Inf")]

    assert below == [2, 3, 4]
    assert samples[f"{name}_count", labels(step="store_spend")] == 4
    assert samples[f"{name}_sum", labels(step="store_spend")] == pytest.approx(31.2003)


@pytest.mark.parametrize(
    ("name", "label", "numbers", "comes_to"),
    [
        ("in_flight", {}, (3, 4), 7),
        ("held", {}, (3, 0), 3),
        ("handshakes", {}, (1, 2), 3),
        ("connections", {"client": "vpn"}, (3, 4), 7),
        ("up", {"part": "directory"}, (1, 0), 0),
        ("up", {"part": "directory"}, (True, True), 1),
        ("directory_server_up", {"server": "ldaps://one.example"}, (0, 1), 0),
        ("info", {"version": "0.1.0"}, (1, 1), 1),
    ],
)
def test_what_is_so_at_each_comes_to_something_by_the_rule_of_its_name(
    name: str, label: dict[str, str], numbers: tuple[float, float], comes_to: float
) -> None:
    for order in (numbers, numbers[::-1]):
        each = Counts(), Counts(), Counts()
        for counts, number in zip(each, order, strict=False):
            counts.watch(name, always({tuple(label.values()): number}))
        assert shown(together(*each))[f"radius_mfa_{name}", labels(**label)] == comes_to


def test_processes_are_shown_by_name_and_counted() -> None:
    each = Counts(), Counts(), Counts()
    for number, counts in enumerate(each):
        counts.watch_process(f"worker {number}")
    samples = shown(together(*each))
    assert samples["radius_mfa_processes", labels()] == 3
    for number in range(3):
        assert samples["radius_mfa_process_memory_bytes", labels(process=f"worker {number}")] > 1e6


def test_of_a_process_that_says_nothing_any_more_only_what_it_has_counted_is_shown() -> None:
    own, other = Counts(), Counts()
    for counts, name in ((own, "background"), (other, "worker 1")):
        counts.watch_process(name)
        counts.count("repeated", client="vpn")
        counts.timer("step")["store_spend",](1.0)
    other.watch("in_flight", lambda: {(): 5})
    last = other.export()
    samples = shown(Together(own, lambda: [a_minute_old(last)]))

    assert samples["radius_mfa_processes", labels()] == 1
    assert not any(name == "radius_mfa_in_flight" for name, _ in samples)
    assert samples["radius_mfa_repeated_total", labels(client="vpn")] == 2
    assert samples["radius_mfa_step_seconds_count", labels(step="store_spend")] == 2


@given(st.lists(GARBAGE | st.none(), max_size=3))
def test_what_cannot_be_read_is_left_out(garbage: list[bytes | None]) -> None:
    own, other = Counts(), Counts()
    for counts in (own, other):
        counts.count("replies", client="own", code="access_accept")
    samples = shown(Together(own, lambda: [*garbage, other.export()]))
    assert samples["radius_mfa_replies_total", labels(client="own", code="access_accept")] == 2


def test_what_another_release_counts_is_left_out_and_the_rest_is_not() -> None:
    octets = orjson.dumps(
        [
            monotonic(),
            [
                [["no_such_name", [["client", "vpn"]]], 1],
                [["repeated", [["client", "vpn"], ["no_such_label", "x"]]], 1],
                [["repeated", []], 1],
                [["repeated", [["client", "vpn"]]], 4],
            ],
            [[["step", [["step", "other_buckets"]]], [1, 2, 3], 1.0], [["no_such_name", []], [1] * 16, 1.0]],
            {"no_such_name": [[["x"], 1]], "held": [[[], 3]]},
        ]
    )
    samples = shown(Together(Counts(), lambda: [octets]))
    assert {key: value for key, value in samples.items() if not math.isnan(value)} == {
        ("radius_mfa_repeated_total", labels(client="vpn")): 4,
        ("radius_mfa_held", labels()): 3,
    }
    successor = Counts()
    assert successor.begin_with(octets)
    assert successor.total("repeated") == 4


# --- a successor ------------------------------------------------------------------------------------


def test_a_successor_goes_on_from_what_was_counted_and_took_time() -> None:
    before, after = Counts(), Counts()
    before.count("discarded", 3, reason="closing", client="vpn")
    before.timer("step")["store_spend",](0.2)
    before.watch("held", lambda: {(): 9})
    after.expect("discarded", client="vpn", reason="closing")
    after.timer("step")["store_spend",](31.0)
    assert after.begin_with(before.export())
    after.count("discarded", client="vpn", reason="closing")
    samples, step = shown(after), labels(step="store_spend")

    assert samples["radius_mfa_discarded_total", labels(reason="closing", client="vpn")] == 4
    assert after.total("discarded") == 4
    assert samples["radius_mfa_step_seconds_count", step] == 2
    assert samples["radius_mfa_step_seconds_sum", step] == pytest.approx(31.2)
    assert samples["radius_mfa_step_seconds_bucket", step | labels(le="0.25")] == 1
    assert not any(name == "radius_mfa_held" for name, _ in samples), "that was so of another process"


def everything(counts: Counts, number: int) -> None:
    """Count, time and watch under every name there is."""
    for name, (names, _) in COUNTED.items():
        counts.count(name, number, **dict.fromkeys(names, 'a "\\\n山田'))
    for name, (names, _) in TIMED.items():
        for seconds in BUCKETS:
            counts.timer(name)[("",) * len(names)](seconds)
    for name, (names, *_) in WATCHED.items():
        counts.watch(name, always({names: number}))


def test_a_successor_of_a_successor_shows_the_same_of_every_name() -> None:
    counts = Counts()
    everything(counts, 7)
    octets = counts.export()
    for _ in range(3):
        successor = Counts()
        assert successor.begin_with(octets)
        octets = successor.export()
    assert orjson.loads(octets)[1:3] == orjson.loads(counts.export())[1:3]


@given(GARBAGE)
def test_garbage_is_told_and_changes_nothing(garbage: bytes) -> None:
    counts = Counts()
    counts.count("repeated", client="vpn")
    before = orjson.loads(counts.export())[1:]
    if not counts.begin_with(garbage):
        assert orjson.loads(counts.export())[1:] == before
    assert counts.total("repeated") >= 1


@pytest.mark.parametrize("times", [-1, 1.5, "1", None, 1 << 53, [1]])
def test_what_nobody_can_have_counted_is_garbage(times: object) -> None:
    octets = orjson.dumps([0.0, [[["repeated", [["client", "vpn"]]], times]], [], {}])
    assert not Counts().begin_with(octets)


@pytest.mark.parametrize("looked", [[[["x"], 1]], [["", 1]], [[[], None]], [[[]]], 5])
def test_what_nobody_can_watch_is_garbage(looked: object) -> None:
    octets = orjson.dumps([0.0, [], [], {"held": looked}])
    assert not Counts().begin_with(octets)


@pytest.mark.parametrize("seconds", [-1.0, 1e300, "1", None])
def test_what_nobody_can_have_waited_is_garbage(seconds: object) -> None:
    octets = orjson.dumps([0.0, [], [[["step", [["step", "x"]]], [0] * 16, seconds]], {}])
    assert not Counts().begin_with(octets)


# --- killed and replaced ----------------------------------------------------------------------------


class Site:
    """Two workers and the process that is asked; each exports to a slate, and its successor begins with that."""

    def __init__(self) -> None:
        self.slates = [Slate.made("test") for _ in range(3)]
        self.counts = [Counts() for _ in self.slates]
        self.seen = 0.0

    def count(self, process: int) -> None:
        self.counts[process].count("repeated", client="vpn")
        self.counts[process].timer("step")["store_spend",](0.1)

    def write(self, process: int) -> None:
        self.slates[process].write(self.counts[process].export())

    def kill(self, process: int) -> None:
        self.counts[process] = Counts()
        octets = self.slates[process].read()
        assert octets is None or self.counts[process].begin_with(octets)

    def fetch(self, process: int) -> None:
        others = self.slates[1:]
        it = Together(self.counts[0], lambda: (each.read() for each in others), self.slates[0].write)
        samples = shown(it)
        now = samples.get(("radius_mfa_repeated_total", labels(client="vpn")), 0)
        assert now == samples.get(("radius_mfa_step_seconds_count", labels(step="store_spend")), 0)
        assert now >= self.seen
        self.seen = now


STEPS: Iterable[Callable[[Site, int], None]] = (Site.count, Site.write, Site.kill, Site.fetch)


@given(st.lists(st.tuples(st.sampled_from([*STEPS]), st.integers(0, 2)), max_size=40))
def test_no_sum_goes_back_whoever_is_killed_and_replaced(
    steps: list[tuple[Callable[[Site, int], None], int]],
) -> None:
    site = Site()
    try:
        for step, process in steps:
            step(site, process)
        site.fetch(0)
    finally:
        for slate in site.slates:
            slate.close()


def test_what_cannot_be_kept_is_shown_all_the_same() -> None:
    own = Counts()
    own.count("repeated", client="vpn")
    with open("/dev/full", "wb") as full:
        it = Together(own, list, lambda octets: os.writev(full.fileno(), [octets]))
        assert shown(it)["radius_mfa_repeated_total", labels(client="vpn")] == 1
        with pytest.raises(OSError, match="No space left"):
            it.write_down()


def test_several_who_ask_at_once_keep_nothing_older_than_what_was_kept() -> None:
    own, kept = Counts(), list[int]()

    def keep(octets: bytes) -> None:
        successor = Counts()
        assert successor.begin_with(octets)
        kept.append(successor.total("repeated"))

    it = Together(own, list, keep)

    def ask() -> None:
        for _ in range(50):
            shown(it)

    threads = [Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        own.count("repeated", client="vpn")
    assert kept == sorted(kept)
    assert len(kept) == 150


WORKER = """
import os, sys
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.slate import Slate
slate, counts = Slate(int(sys.argv[1])), Counts()
begun = counts.begin_with(slate.read() or b"")
os.write(1, b"1" if begun else b"0")
while True:
    counts.count("repeated", client="vpn")
    counts.timer("step")["store_spend",](0.1)
    slate.write(counts.export())
    os.write(1, b".")
"""


def test_what_workers_have_counted_never_goes_back_while_they_are_killed() -> None:
    slates = [Slate.made("test") for _ in range(2)]
    it, name = Together(Counts(), lambda: [slate.read() for slate in slates]), "radius_mfa_repeated_total"
    last = 0.0
    for number in range(6):
        slate = slates[number % 2]
        command = [sys.executable, "-c", WORKER, str(slate.fileno())]
        with subprocess.Popen(command, pass_fds=[slate.fileno()], stdout=subprocess.PIPE, bufsize=0) as worker:
            assert worker.stdout is not None
            assert worker.stdout.read(1) == (b"0" if number < 2 else b"1"), "whether there was a predecessor"
            for _ in range(20):
                assert worker.stdout.read(1) == b"."
                now = shown(it)[name, labels(client="vpn")]
                assert now > last or now == last > 0
                last = now
            worker.kill()
    assert last >= 6 * 20
    for slate in slates:
        slate.close()
