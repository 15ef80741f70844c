"""The figures of a benchmark: as lines to read, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import AT_ONCE, Figures
from bench.rig import Rig

# What the server spends beyond the steps of the budget, which is all that tells of it.
REST = "loop and sockets"


@dataclass(frozen=True, slots=True)
class Run:
    """One load: what came of it, the CPU µs a login of the server and of slapd, the server's MB after it.

    `steps`: of the budget, taken right after it; the rest is not among them.
    """

    figures: Figures
    server: float
    directory: float
    memory: float
    steps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one round, in milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Report:
    """All figures; the fields are the keys of the JSON.

    `per_second`, and the CPU µs a login of the server and of slapd, are medians over the runs,
    `range_per_second` the slowest and the fastest of them.  Memory in MB (10⁶ octets), `memory_grown`
    over the second half of the runs.  `budget`: CPU µs a login by step, in all what the server used.
    """

    logins: int
    accepted: int
    resent: int
    failures: Mapping[str, int]
    per_second: float
    range_per_second: tuple[float, float]
    round_one: Latency
    round_two: Latency
    server: float
    directory: float
    memory_at_start: float
    memory_at_end: float
    memory_grown: float
    ready: float
    starts: int
    imported_per_second: float
    budget: Mapping[str, float]


def report_of(rig: Rig, at_start: float, runs: Sequence[Run], imported: int) -> Report:
    """`at_start`: MB before the first run."""
    loads = [run.figures for run in runs]
    accepted = sum(load.accepted for load in loads)
    failures = sum((load.failures for load in loads), Counter[str]())
    rates = [load.accepted / load.seconds for load in loads]
    server = median(run.server for run in runs)
    steps = {step: median(run.steps[step] for run in runs) for step in runs[0].steps}
    return Report(
        logins=accepted + failures.total(),
        accepted=accepted,
        resent=sum(load.resent for load in loads),
        failures=failures,
        per_second=median(rates),
        range_per_second=(min(rates), max(rates)),
        round_one=_latency(loads, 1),
        round_two=_latency(loads, 2),
        server=server,
        directory=median(run.directory for run in runs),
        memory_at_start=at_start,
        memory_at_end=runs[-1].memory,
        memory_grown=runs[-1].memory - runs[len(runs) // 2 - 1].memory,
        ready=median(rig.ready),
        starts=len(rig.ready),
        imported_per_second=imported / rig.import_seconds,
        budget={**steps, REST: server - sum(steps.values())},
    )


def _latency(loads: Sequence[Figures], round_: int) -> Latency:
    """Over all logins of all runs."""
    seconds = sorted(each for load in loads for each in load.rounds[round_])
    if not seconds:
        return Latency(float("nan"), float("nan"))
    p50, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
    return Latency(p50, p99)


def lines(report: Report) -> Iterator[str]:
    """The figures for people.  The last line is the budget, one line whatever comes to be in it."""
    one, two = report.round_one, report.round_two
    slowest, fastest = report.range_per_second
    yield f"accepted      {report.accepted} of {report.logins}, {AT_ONCE} at once, {report.resent} packets resent"
    for failure, times in report.failures.items():
        yield f"failed        {times} in {failure}"
    yield f"logins/s      {report.per_second:.0f} ({slowest:.0f} to {fastest:.0f})"
    yield f"round one     p50 {one.p50:.1f} ms, p99 {one.p99:.1f} ms"
    yield f"round two     p50 {two.p50:.1f} ms, p99 {two.p99:.1f} ms"
    yield f"CPU           {report.server:.0f} µs/login, slapd {report.directory:.0f}"
    yield (
        f"memory        {report.memory_at_start:.1f} MB at start, {report.memory_at_end:.1f} after the logins, "
        f"{report.memory_grown:+.1f} over their second half"
    )
    yield f"ready         {report.ready:.2f} s (median of {report.starts} starts)"
    yield f"token import  {report.imported_per_second:.0f} rows/s"
    yield budget_line(report.budget)


def budget_line(budget: Mapping[str, float]) -> str:
    """CPU µs a login by step, the rest among them."""
    steps = " + ".join(f"{step} {round(cost)}" for step, cost in budget.items())
    return f"budget µs/login: {steps} = {sum(budget.values()):.0f}"
