"""The counts: what happened how often, how long it took, and what is so at the moment.

Counting is a dictionary and a number, timing a list and a number; whatever Prometheus wants more is done when it
asks, which it does in a thread of its own.  So there a dictionary is copied before it is walked, which takes one
step of the interpreter, and a histogram is added up from its buckets, so that its sums fit each other.

Several processes are shown as one.  Each exports its counts about once a second to where the one that Prometheus
asks can read them (`Together`), and whoever takes its place begins with what it has left: so no sum goes back.
"""

from __future__ import annotations

import operator
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import Any

import orjson
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from radius_mfa.observe.durations import BUCKETS, Duration, Durations

PREFIX = "radius_mfa_"

# Every name that is counted, with its labels and what it is about: docs/reference/metrics.md is made of it.
COUNTED = {
    "requests": (("client", "code"), "Packets of clients, well formed and verified."),
    "replies": (("client", "code"), "Packets sent."),
    "repeated": (("client",), "Replies sent again because the same packet came again (RFC 5080 2.2.2)."),
    "discarded": (("reason", "client"), "Packets met with silence; no client: from an unknown source."),
    "unencodable": (("client",), "Replies that could not be put into a packet; an Access-Reject went instead."),
    "decisions": (("client", "decision", "outcome", "factor"), "What Access-Requests came to."),
    "audit_dropped": ((), "Audit events that syslog did not get, since too many waited for it."),
    "probes": (("client", "answered"), "Requests of probe users."),
    "mails": (("outcome",), "Tries to deliver a mail."),
    "send_failed": (("listener",), "Replies that the kernel did not take."),
    "receive_overflowed": (("listener",), "Datagrams that the kernel had no room for."),
    "radsec_refused": (("reason",), "Connections refused, by reason."),
    "eap": (("event",), "Conversations in EAP, by what became of them."),
    "radsec_closed": (("client", "reason"), "RadSec connections that ended."),
    "handed_over": (("outcome",), "Requests given to the worker that has their conversation."),
}
TIMED = {
    "decision": (("client",), "From the arrival of an Access-Request to its decision."),
    "step": (("step",), "What a decision waits for: a call of the directory or the store."),
}

Rule = Callable[[float, float], float]
"""What the numbers of two processes come to."""

_sum, _least, _most = operator.add, min, max

# With the rule for several processes.  What has `process` among its labels is of one, and no rule is asked.
WATCHED: dict[str, tuple[tuple[str, ...], str, Rule]] = {
    "up": (
        ("part",),
        "Whether the directory, the store, the mail server works, as its last answers say.",
        _least,
    ),
    "directory_server_up": (("server",), "Whether an LDAP server answers.", _least),
    "in_flight": ((), "Access-Requests that are being decided.", _sum),
    "held": ((), "Replies that wait for the reject delay to pass.", _sum),
    "connections": (("client",), "RadSec connections.", _sum),
    "handshakes": ((), "TLS handshakes under way.", _sum),
    "eap_conversations": ((), "Conversations in EAP that are known.", _sum),
    "certificate_expires_days": (("certificate",), "Days until a certificate that we show expires.", _least),
    "info": (("version",), "Which release this is; always 1.", _most),
    "outbox_waiting": (
        (),
        "Mails that wait to be delivered, those of other nodes at the same store included.",
        _most,
    ),
    "outbox_age_seconds": ((), "How long the oldest of them has waited, 0 while there is none.", _most),
    "clock_synchronised": ((), "Whether the kernel takes its clock for kept by somebody, such as NTP.", _least),
    "clock_offset_seconds": ((), "What the kernel still has to correct its clock by, while it is kept.", _most),
    "clock_error_seconds": ((), "The most that the clock can be wrong by, as whoever keeps it says.", _most),
    "config_reload_successful": ((), "Whether the last reload was taken over; 1 before the first.", _least),
    "config_reloaded_timestamp_seconds": ((), "When the configuration in force was taken over, Unix time.", _most),
    "processes": ((), "How many of our processes are alive.", _sum),
    "process_memory_bytes": (("process",), "Resident memory of one of our processes.", _most),
    "process_cpu_seconds": (("process",), "CPU time of one of our processes, user and system.", _most),
    "process_started_timestamp_seconds": (("process",), "When it began, Unix time.", _most),
}

FRESH = 10.0  # seconds after which what was so at a process, which says so every second, is so no more
_UNBELIEVABLE = 1 << 53  # more than a float holds exactly, or than anybody will ever count

Labels = tuple[tuple[str, str], ...]
Values = tuple[str, ...]
"""Those of a name's labels, in the order of the tables above."""
Table = Mapping[str, tuple[tuple[str, ...], str]]
Watch = Callable[[], Mapping[Values, float]]
"""What is so now: a number for the values of the labels, in order."""


class Tally(dict[Values, int]):
    """How often what goes by one name has happened, by the values of its labels."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __missing__(self, values: Values) -> int:
        """From now on shown, if as 0; under plain texts, whatever kind of text comes first."""
        self[_texts(COUNTED[self._name][0], [str(each) for each in values])] = 0
        return 0


class _Timers(dict[Values, Callable[[float], None]]):
    """What takes the seconds of one name, by the values of its labels."""

    def __init__(self, name: str, durations: Durations[tuple[str, Labels]]) -> None:
        self._name, self._durations = name, durations

    def __missing__(self, values: Values) -> Callable[[float], None]:
        return self.setdefault(values, self._durations.list_of((self._name, _labels(TIMED, self._name, values))))


class Counts:
    """Counts in memory; `core.ports.Meter`, and a collector for prometheus-client."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._durations: Durations[tuple[str, Labels]] = Durations()
        self._watched: dict[str, Watch] = {}

    @property
    def counted(self) -> Counter[tuple[str, Labels]]:
        """How often what was counted has happened so far, by name and labels."""
        counted: Counter[tuple[str, Labels]] = Counter()
        for name, tally in dict(self._tallies).items():
            counted.update({(name, _labels(COUNTED, name, values)): n for values, n in dict(tally).items()})
        return counted

    @property
    def durations(self) -> dict[tuple[str, Labels], Duration]:
        """How long what was timed has taken so far, by name and labels."""
        return self._durations.add_up()

    def add_up(self) -> None:
        """To be done now and then while logins are timed, whether anybody wants to know or not: `Durations`."""
        self._durations.add_up()

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self._tally_of(name)[_values(COUNTED, name, labels)] += amount

    def counter(self, name: str) -> MutableMapping[Values, int]:
        """`count` once more, for what every login counts: `[values] += 1`, in the order of `COUNTED`."""
        return self._tally_of(name)

    def timer(self, name: str) -> Mapping[Values, Callable[[float], None]]:
        """Times what logins wait for: `[values](seconds)`, in the order of `TIMED`."""
        return _Timers(name, self._durations)

    def expect(self, name: str, **labels: str) -> None:
        """Show it as 0 until it happens: the first time is to be seen as a change."""
        if name in TIMED:
            self._durations.add((name, _labels(TIMED, name, _values(TIMED, name, labels))), Duration())
        else:
            self.count(name, 0, **labels)

    def watch(self, name: str, look: Watch) -> None:
        """Have `look` asked for the numbers of `name` whenever somebody wants to know."""
        self._watched[name] = look

    def watch_process(self, process: str) -> None:
        """Watch this process under that name, and count it among those that are alive."""
        self.watch("processes", lambda: {(): 1})
        self.watch("process_memory_bytes", lambda: _resident(process))
        began = time()
        self.watch("process_started_timestamp_seconds", lambda: {(process,): began})
        self.watch("process_cpu_seconds", lambda: {(process,): sum(os.times()[:2])})

    def total(self, name: str) -> int:
        """How often `name` was counted, whatever its labels."""
        return sum(times for (each, _), times in self.counted.items() if each == name)

    def collect(self) -> Iterator[Metric]:
        """All there is, for prometheus-client."""
        numbers = Numbers()
        for (name, labels), times in self.counted.items():
            numbers.count(name, _values(COUNTED, name, labels), times)
        for (name, labels), duration in self.durations.items():
            numbers.add_duration(name, _values(TIMED, name, labels), duration)
        numbers.watched = {name: dict(look()) for name, look in dict(self._watched).items()}
        return numbers.families()

    def export(self) -> bytes:
        """All there is, for another process or the next one: `Together`, `begin_with`.

        JSON: when (monotonic seconds, which the processes of a machine share), what was counted, the durations,
        what is watched.  As it lies here, so that it takes little of the event loop; the reader puts it in order.
        """
        durations = [(key, each.buckets, each.seconds) for key, each in self.durations.items()]
        watched = {name: [*look().items()] for name, look in dict(self._watched).items()}
        return orjson.dumps((monotonic(), [*self.counted.items()], durations, watched))

    def begin_with(self, octets: bytes) -> bool:
        """Go on from what a predecessor has exported, as to what was counted and took time.

        False if it cannot be read, and then nothing has changed.  To be called once, before the first export.
        """
        before = Numbers.read(octets)
        if before is None:
            return False
        for name, counted in before.counted.items():
            tally = self._tally_of(name)
            for values, times in counted.items():
                tally[values] += times
        for name, durations in before.durations.items():
            for values, duration in durations.items():
                self._durations.add((name, _labels(TIMED, name, values)), duration)
        return True

    def _tally_of(self, name: str) -> Tally:
        return self._tallies.get(name) or self._tallies.setdefault(name, Tally(name))


class Together:
    """The counts of several processes as if it were one, for prometheus-client.

    `own`: of the process that is asked.  `others`: what each of the others has exported last, None where there is
    nothing to read; what makes no sense is left out.  What a process watches is shown while it is fresh.

    `keep` is given what `own` has exported before it is shown, so that a successor begins with no less than
    Prometheus has seen.  It is called in several threads, one at a time.
    """

    def __init__(
        self,
        own: Counts,
        others: Callable[[], Iterable[bytes | None]],
        keep: Callable[[bytes], object] | None = None,
    ) -> None:
        self._own = own
        self._others = others
        self._keep = keep
        self._keeping = Lock()

    def write_down(self) -> bytes:
        """Export what is our own, and keep it.  Raises what `keep` raises."""
        with self._keeping:
            octets = self._own.export()
            if self._keep is not None:
                self._keep(octets)
        return octets

    def collect(self) -> Iterator[Metric]:
        """All there is, for prometheus-client."""
        together, now = Numbers(), monotonic()
        for octets in (self._kept(), *self._others()):
            numbers = None if octets is None else Numbers.read(octets)
            if numbers is not None:
                together.add(numbers, watched=now - numbers.at < FRESH)
        return together.families()

    def _kept(self) -> bytes:
        with suppress(OSError, ValueError):  # no room for it: whoever writes it down every second will say so
            return self.write_down()
        return self._own.export()


class Numbers:
    """What one process has at one time, or several have together, by name and labels.  `at`: monotonic seconds."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at
        self.counted: dict[str, dict[Values, int]] = {}
        self.durations: dict[str, dict[Values, Duration]] = {}
        self.watched: dict[str, dict[Values, float]] = {}

    @classmethod
    def read(cls, octets: bytes) -> Numbers | None:
        """What was exported; None if it was not.

        Names and labels that we do not have are another release's, which is being installed: they are left out.
        """
        try:
            at, counted, durations, watched = orjson.loads(octets)
            numbers = cls(float(at))
            for (name, labels), times in counted:
                if (values := _known(COUNTED, name, labels)) is not None:
                    numbers.count(name, values, _natural(times))
            for (name, labels), buckets, seconds in durations:
                values = _known(TIMED, name, labels)
                if values is not None and len(buckets) == len(BUCKETS) + 1:
                    duration = Duration([*map(_natural, buckets)], _believable(seconds))
                    numbers.add_duration(name, values, duration)
            for name, looked in watched.items():
                if name in WATCHED:
                    numbers.watched[name] = {_texts(WATCHED[name][0], each): float(now) for each, now in looked}
        except (ValueError, TypeError, AttributeError):
            return None
        return numbers

    def count(self, name: str, values: Values, times: int) -> None:
        counted = self.counted.setdefault(name, {})
        counted[values] = counted.get(values, 0) + times

    def add_duration(self, name: str, values: Values, duration: Duration) -> None:
        durations = self.durations.setdefault(name, {})
        before = durations.get(values)
        durations[values] = before.plus(duration.buckets, duration.seconds) if before else duration

    def add(self, other: Numbers, *, watched: bool) -> None:
        """Those of another process; what it watches by its rule, or not at all."""
        for name, counted in other.counted.items():
            for values, times in counted.items():
                self.count(name, values, times)
        for name, durations in other.durations.items():
            for values, duration in durations.items():
                self.add_duration(name, values, duration)
        for name, looked in other.watched.items() if watched else ():
            rule, here = WATCHED[name][2], self.watched.setdefault(name, {})
            for values, number in looked.items():
                here[values] = rule(here[values], number) if values in here else number

    def families(self) -> Iterator[Metric]:
        """All of it, for prometheus-client."""
        for name, (labels, about) in COUNTED.items():
            counter = CounterMetricFamily(PREFIX + name, about, labels=labels)
            for values, times in self.counted.get(name, {}).items():
                counter.add_metric(values, times)
            yield counter
        for name, (labels, about) in TIMED.items():
            histogram = HistogramMetricFamily(f"{PREFIX}{name}_seconds", about, labels=labels)
            for values, duration in self.durations.get(name, {}).items():
                histogram.add_metric(values, _cumulated(duration), duration.seconds)
            yield histogram
        for name, looked in self.watched.items():
            labels, about, _ = WATCHED[name]
            gauge = GaugeMetricFamily(PREFIX + name, about, labels=labels)
            for values, number in looked.items():
                gauge.add_metric(values, number)
            yield gauge


def _cumulated(duration: Duration) -> list[tuple[str, float]]:
    """Each bucket with what is in it and in those below; the last is how often in all."""
    bounds = (*map(str, BUCKETS), "+Inf")
    return [*zip(bounds, map(float, accumulate(duration.buckets)), strict=True)]


def _values(table: Table, name: str, labels: Labels | Mapping[str, str]) -> Values:
    given = dict(labels)
    return tuple([given[label] for label in table[name][0]])


def _labels(table: Table, name: str, values: Values) -> Labels:
    return tuple(zip(table[name][0], values, strict=True))


def _known(table: Table, name: Any, labels: Any) -> Values | None:
    """None for what we do not have.  Raises ValueError or TypeError where these are no labels at all."""
    given = dict(labels)
    entry = table.get(name)
    if entry is None or given.keys() != frozenset(entry[0]):
        return None
    return _texts(entry[0], [given[label] for label in entry[0]])


def _texts(labels: tuple[str, ...], values: Any) -> Values:
    if not isinstance(values, list) or len(values) != len(labels):
        raise ValueError("not as many as there are labels")
    "".join(values)  # there are many, and this is the fastest way to learn that each is a text
    return tuple(values)


def _natural(times: Any) -> int:
    if not isinstance(times, int) or not 0 <= times < _UNBELIEVABLE:
        raise ValueError("never counted")
    return times


def _believable(seconds: Any) -> float:
    if not 0 <= seconds < _UNBELIEVABLE:
        raise ValueError("never measured")
    return float(seconds)


def _resident(process: str) -> Mapping[Values, float]:
    """Octets of memory that this process has; nothing where there is no descriptor left to look with."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return {}
    return {(process,): pages * os.sysconf("SC_PAGE_SIZE")}
