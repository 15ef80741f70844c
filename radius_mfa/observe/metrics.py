"""The counts: what happened how often, how long it took, and what is so at the moment.

Counting is a dictionary and a number; whatever Prometheus wants more is done when it asks, which it
does in a thread of its own.  So there a dictionary is copied before it is walked, which takes one step of
the interpreter, and a histogram is added up from its buckets, so that its sums fit each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

PREFIX = "radius_mfa_"

# Upper bounds in seconds: from a look into the store to a NAS's whole patience.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# Every name that is counted, with its labels and what it is about: docs/metrics.md has the same.
COUNTED = {
    "requests": (("client", "code"), "Packets of clients, well formed and verified."),
    "replies": (("client", "code"), "Packets sent."),
    "repeated": (("client",), "Replies sent again because the same packet came again (RFC 5080 2.2.2)."),
    "discarded": (("reason", "client"), "Packets met with silence; no client: from an unknown source."),
    "unencodable": (("client",), "Replies that could not be put into a packet; an Access-Reject went instead."),
    "decisions": (("client", "decision", "outcome", "factor"), "What Access-Requests came to."),
    "probes": (("client", "answered"), "Requests of probe users."),
    "mails": (("outcome",), "Tries to deliver a mail."),
    "send_failed": (("listener",), "Replies that the kernel did not take."),
    "receive_overflowed": (("listener",), "Datagrams that the kernel had no room for."),
}
TIMED = {
    "decision": (("client",), "From the arrival of an Access-Request to its decision."),
    "step": (("step",), "What a decision waits for: a call of the directory or the store."),
}
WATCHED = {
    "up": (("part",), "Whether the directory, the store, the mail server works, as its last answers say."),
    "directory_server_up": (("server",), "Whether an LDAP server answers."),
    "in_flight": ((), "Access-Requests that are being decided."),
    "held": ((), "Replies that wait for the reject delay to pass."),
    "info": (("version",), "Which release this is; always 1."),
}

Labels = tuple[tuple[str, str], ...]
Watch = Callable[[], Mapping[tuple[str, ...], float]]
"""What is so now: a number for the values of the labels, in order."""


class Duration:
    """How often in each bucket, the last for what is longer than all, and how many seconds in all."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    @property
    def count(self) -> int:
        return sum(self.buckets)


class Counts:
    """Counts in memory; `core.ports.Meter`, and a collector for prometheus-client."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, Labels]] = Counter()
        self.durations: dict[tuple[str, Labels], Duration] = {}
        self._watched: dict[str, Watch] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted[name, tuple(labels.items())] += amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        key = (name, tuple(labels.items()))
        duration = self.durations.get(key)
        if duration is None:
            duration = self.durations[key] = Duration()
        duration.add(seconds)

    def expect(self, name: str, **labels: str) -> None:
        """Show it as 0 until it happens: the first time is to be seen as a change."""
        if name in TIMED:
            self.durations.setdefault((name, tuple(labels.items())), Duration())
        else:
            self.counted[name, tuple(labels.items())] += 0

    def watch(self, name: str, look: Watch) -> None:
        """Have `look` asked for the numbers of `name` whenever somebody wants to know."""
        self._watched[name] = look

    def total(self, name: str) -> int:
        """How often `name` was counted, whatever its labels."""
        return sum(times for (each, _), times in self.counted.items() if each == name)

    def collect(self) -> Iterator[Metric]:
        """All there is, for prometheus-client."""
        yield from self._counters()
        yield from self._histograms()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        counted = dict(self.counted)
        for name, (labels, about) in COUNTED.items():
            family = CounterMetricFamily(PREFIX + name, about, labels=labels)
            for (each, given), times in counted.items():
                if each == name:
                    family.add_metric(_values(given, labels), times)
            yield family

    def _histograms(self) -> Iterator[Metric]:
        durations = dict(self.durations)
        for name, (labels, about) in TIMED.items():
            family = HistogramMetricFamily(f"{PREFIX}{name}_seconds", about, labels=labels)
            for (each, given), duration in durations.items():
                if each == name:
                    family.add_metric(_values(given, labels), _cumulated(duration), duration.seconds)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        for name, look in dict(self._watched).items():
            labels, about = WATCHED[name]
            family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
            for values, number in look().items():
                family.add_metric(values, number)
            yield family


def _cumulated(duration: Duration) -> list[tuple[str, float]]:
    """Each bucket with what is in it and in those below; the last is how often in all."""
    bounds = (*map(str, BUCKETS), "+Inf")
    return [*zip(bounds, map(float, accumulate(tuple(duration.buckets))), strict=True)]


def _values(labels: Labels, names: tuple[str, ...]) -> list[str]:
    given = dict(labels)
    return [given[name] for name in names]
