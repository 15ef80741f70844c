"""The counts, and what prometheus-client makes of them."""

from __future__ import annotations

import ast
import os
import resource
import threading
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, process_time

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

import radius_mfa
from bench.rig import cpu
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Meter
from radius_mfa.observe.durations import BUCKETS
from radius_mfa.observe.metrics import COUNTED, TIMED, WATCHED, Counts

PACKAGE = Path(radius_mfa.__file__).parent


def shown(counts: Collector) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of what Prometheus would fetch, by name and labels."""
    registry = CollectorRegistry()
    registry.register(counts)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(each.name, frozenset(each.labels.items())): each.value for one in families for each in one.samples}


def labels(**these: str) -> frozenset[tuple[str, str]]:
    return frozenset(these.items())


def test_what_happens_is_counted_by_its_labels() -> None:
    counts = Counts()
    meter: Meter = counts
    for client in ("vpn", "wifi", "vpn"):
        meter.count("repeated", client=client)
    meter.count("repeated", 3, client="wifi")

    assert counts.total("repeated") == 6
    assert counts.total("decisions") == 0
    assert shown(counts)["radius_mfa_repeated_total", labels(client="vpn")] == 2
    assert shown(counts)["radius_mfa_repeated_total", labels(client="wifi")] == 4


def test_labels_may_come_in_any_order() -> None:
    counts = Counts()
    counts.count("discarded", client="vpn", reason="closing")
    assert shown(counts)["radius_mfa_discarded_total", labels(reason="closing", client="vpn")] == 1


def test_what_is_counted_by_its_values_is_counted_with_the_rest() -> None:
    counts = Counts()
    repeated, requests = counts.counter("repeated"), counts.counter("requests")
    assert not counts.counted, "nothing is shown before it has happened"
    counts.count("repeated", 3, client="vpn")
    for client in ("vpn", "wifi", "vpn"):
        repeated[client,] += 1
        requests[client, "access_request"] += 1
    counts.count("requests", code="access_request", client="vpn")

    assert counts.total("repeated") == 6
    assert counts.counted["repeated", (("client", "vpn"),)] == 5
    assert shown(counts)["radius_mfa_repeated_total", labels(client="wifi")] == 1
    assert shown(counts)["radius_mfa_requests_total", labels(client="vpn", code="access_request")] == 3


def test_what_is_timed_by_its_values_is_timed_with_the_rest() -> None:
    counts, other = Counts(), Counts()
    counts.timer("step")["store_spend",](0.3)
    step = counts.timer("step")
    assert len(counts.durations) == 1
    for seconds in (0.0001, 0.0005, 0.2, 31.0):
        step["store_spend",](seconds)
        step["store_facts",](seconds)
        other.timer("step")["store_facts",](seconds)
    at, there = counts.durations["step", (("step", "store_facts"),)], [*other.durations.values()]

    assert counts.durations["step", (("step", "store_spend"),)].count == 5
    assert [(at.buckets, at.seconds)] == [(each.buckets, each.seconds) for each in there]


def test_whatever_kind_of_text_is_counted_first_a_series_has_plain_ones() -> None:
    counts = Counts()
    decisions = counts.counter("decisions")
    for outcome in (Outcome.CODE_WRONG, "code_wrong", Outcome.CODE_WRONG):
        decisions["vpn", "reject", outcome, "totp"] += 1
    ((_, given),) = counts.counted
    assert counts.total("decisions") == 3
    assert [type(value) for _, value in given] == [str] * 4
    assert dict(given)["outcome"] == "code_wrong"


@pytest.mark.parametrize("values", [(), ("vpn", "access_request", "more")])
def test_as_many_values_as_labels_are_counted(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not as many as there are labels"):
        Counts().counter("requests")[values] += 1
    with pytest.raises(ValueError, match="zip"):
        Counts().timer("step")[values]


def test_durations_are_in_buckets_up_to_their_bounds() -> None:
    counts = Counts()
    for seconds in (0.0001, 0.0005, 0.2, 31.0):
        counts.timer("step")["store_spend",](seconds)
    samples, name = shown(counts), "radius_mfa_step_seconds"

    def below(bound: str) -> float:
        return samples[f"{name}_bucket", labels(step="store_spend", le=bound)]

    assert [below(bound) for bound in ("0.0005", "0.1", "0.25", "30.0", "+Inf")] == [2, 2, 3, 3, 4]
    assert samples[f"{name}_count", labels(step="store_spend")] == 4
    assert samples[f"{name}_sum", labels(step="store_spend")] == pytest.approx(31.2006)
    assert list(BUCKETS) == sorted(BUCKETS)


def test_what_is_watched_is_looked_at_when_it_is_asked_for() -> None:
    counts, works = Counts(), [True]
    counts.watch("up", lambda: {("store",): works[0]})
    assert shown(counts)["radius_mfa_up", labels(part="store")] == 1
    works[0] = False
    assert shown(counts)["radius_mfa_up", labels(part="store")] == 0


def test_whoever_fetches_while_it_is_counted_gets_sums_that_fit_each_other() -> None:
    counts, ended = Counts(), threading.Event()

    def work() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            counts.count(
                "decisions", client=f"c{number % 500}", decision="accept", outcome="accepted", factor="totp"
            )
            counts.timer("step")[f"s{number % 50}",](number % 7 / 10)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        until = perf_counter() + 1.0
        while perf_counter() < until:
            buckets: dict[str, list[tuple[float, float]]] = {}
            for (name, given), value in shown(counts).items():
                if name == "radius_mfa_step_seconds_bucket":
                    said = dict(given)
                    buckets.setdefault(said["step"], []).append((float(said["le"]), value))
            for series in buckets.values():
                assert [value for _, value in sorted(series)] == sorted(value for _, value in series)
    finally:
        ended.set()
        worker.join()
    samples = shown(counts)
    counted = {given: value for (name, given), value in samples.items() if name == "radius_mfa_step_seconds_count"}
    assert len(counted) == 50
    assert all(samples["radius_mfa_step_seconds_bucket", each | {("le", "+Inf")}] for each in counted)


def test_a_process_is_watched_by_its_name() -> None:
    counts = Counts()
    counts.watch_process("worker 1")
    samples, whose = shown(counts), labels(process="worker 1")

    assert samples["radius_mfa_processes", labels()] == 1
    said = Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]
    assert samples["radius_mfa_process_memory_bytes", whose] == pytest.approx(int(said) * 1024, rel=0.1)
    spent = samples["radius_mfa_process_cpu_seconds", whose]
    assert 0 < spent <= cpu(os.getpid())
    until = process_time() + 0.1
    while process_time() < until:
        pass
    assert shown(counts)["radius_mfa_process_cpu_seconds", whose] >= spent + 0.08


def test_without_descriptors_a_process_shows_what_it_can() -> None:
    counts = Counts()
    counts.watch_process("worker 1")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        samples = shown(counts)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert samples["radius_mfa_processes", labels()] == 1
    assert ("radius_mfa_process_memory_bytes", labels(process="worker 1")) not in samples


def test_every_name_that_is_counted_says_what_it_is() -> None:
    tables: dict[object, Mapping[str, tuple[tuple[str, ...], str]]] = {"count": COUNTED, "observe": TIMED}
    met: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        attr="count" | "observe" as call, value=ast.Attribute(attr="_meter" | "meter")
                    ),
                    args=[ast.Constant(value=str(name)), *_],
                    keywords=given,
                ):
                    met.add(name)
                    names = {each.arg for each in given}
                    assert None in names or names == set(tables[call][name][0]), (path, name)
                case ast.Call(
                    func=ast.Attribute(attr="counter" | "timer" as call, value=value),
                    args=[ast.Constant(value=str(name))],
                ) if ast.unparse(value).endswith("meter"):
                    met.add(name)
                    assert name in (COUNTED if call == "counter" else TIMED), (path, name)
                case ast.Call(
                    func=ast.Name(id="watch") | ast.Attribute(attr="watch"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    met.add(name)
    assert met == {*COUNTED, *TIMED, *WATCHED}
