"""The figures of ours beside FreeRADIUS: as lines to read, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.beside import Loads, Run
from bench.freeradius import version as freeradius_version
from bench.load import AT_ONCE
from bench.machine import Machine, openldap_version, this_machine
from bench.spread import Spread, ratio, spread
from radius_mfa import __version__

# What the server spends beyond the steps of the budget, which is all that tells of it.
REST = "loop and sockets"

# What is set beside each other, by the names in the JSON, and how it is called for people.
FIGURES: Mapping[str, tuple[str, Callable[[Run], float]]] = {
    "cpu_in_loads": ("of it in the loads", lambda run: run.cpu),
    "slapd": ("slapd's, µs/login", lambda run: run.slapd),
    "per_second": ("logins/s", lambda run: run.per_second),
    "round_one_p50": ("round one p50, ms", lambda run: run.round_one.p50),
    "round_one_p99": ("round one p99, ms", lambda run: run.round_one.p99),
    "round_two_p50": ("round two p50, ms", lambda run: run.round_two.p50),
    "round_two_p99": ("round two p99, ms", lambda run: run.round_two.p99),
}

TITLES = {"cpu": "CPU, µs/login", **{name: title for name, (title, _) in FIGURES.items()}}


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, of ours and of FreeRADIUS in that order.

    `steps`: of ours, a budget a run; the rest is not among them.
    """

    names: tuple[str, str]
    ready: tuple[tuple[float, ...], tuple[float, ...]]
    loads: tuple[Loads, Loads]
    steps: Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Side:
    """One of those compared; the fields are keys of the JSON.  `memory`: MB (10⁶ octets) after so many logins."""

    name: str
    version: str
    logins: int
    accepted: int
    failures: Mapping[str, int]
    resent: int
    figures: Mapping[str, Spread]
    memory: Sequence[tuple[int, float]]
    ready: Spread


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, as it is in the JSON.

    `ratios`: ours over FreeRADIUS, of the medians, with the lowest and highest of the pairs in turn; under
    `memory` of the last.  `budget`: CPU µs a login of ours by step, in all the median of its CPU.
    """

    machine: Machine
    openldap: str
    ldaps: bool
    store: str
    runs: int
    logins_a_run: int
    at_once: int
    ours: Side
    freeradius: Side
    ratios: Mapping[str, Spread]
    imported_per_second: float
    budget: Mapping[str, float]

    @property
    def is_whole(self) -> bool:
        """Whether every login was accepted."""
        return all(side.accepted == side.logins for side in (self.ours, self.freeradius))


def report_of(measured: Measured, logins: int, imported: float, ldaps: bool, postgresql: bool) -> Report:
    """`logins` a run; tokens `imported` a second."""
    ours, other = measured.loads
    steps = {step: median(each[step] for each in measured.steps) for step in measured.steps[0]}
    return Report(
        machine=this_machine(),
        openldap=openldap_version(),
        ldaps=ldaps,
        store="PostgreSQL" if postgresql else "SQLite",
        runs=len(ours.runs),
        logins_a_run=logins,
        at_once=AT_ONCE,
        ours=side_of(measured.names[0], __version__, ours, logins, measured.ready[0]),
        freeradius=side_of(measured.names[1], freeradius_version(), other, logins, measured.ready[1]),
        ratios=ratios_of(ours, other),
        imported_per_second=imported,
        budget={**steps, REST: median(ours.whole) - sum(steps.values())},
    )


def ratios_of(these: Loads, those: Loads) -> dict[str, Spread]:
    """These over those; of memory in the end."""
    ratios = {
        name: ratio([figure(run) for run in these.runs], [figure(run) for run in those.runs])
        for name, (_, figure) in FIGURES.items()
    }
    ratios["cpu"] = ratio(these.whole, those.whole)
    ratios["memory"] = ratio([these.runs[-1].memory], [those.runs[-1].memory])
    return ratios


def side_of(name: str, version: str, loads: Loads, logins: int, ready: Sequence[float]) -> Side:
    """`logins` a run."""
    runs = loads.runs
    failures = sum((Counter(run.failures) for run in runs), Counter[str]())
    return Side(
        name=name,
        version=version,
        logins=len(runs) * logins,
        accepted=sum(run.accepted for run in runs),
        failures=dict(failures),  # `asdict` takes no Counter
        resent=sum(run.resent for run in runs),
        figures={
            "cpu": spread(loads.whole),
            **{name: spread([figure(run) for run in runs]) for name, (_, figure) in FIGURES.items()},
        },
        memory=[
            (0, loads.at_start),
            *((number * logins, run.memory) for number, run in enumerate(runs, 1)),
        ],
        ready=spread(ready),
    )


def lines(report: Report) -> Iterator[str]:
    """The figures for people.  The last line is the budget, one line whatever comes to be in it."""
    sides = (report.ours, report.freeradius)
    spoken = "LDAPS" if report.ldaps else "LDAP"
    yield f"machine   {report.machine}"
    yield f"beside    {' and '.join(f'{side.name} {side.version}' for side in sides)}, {report.store} in ours"
    yield f"          {spoken} to the same OpenLDAP {report.openldap}"
    yield f"load      {report.runs} runs of {report.logins_a_run} logins at each in turn, {report.at_once} at once"
    yield from accepted(sides)
    yield ""
    yield row("", [side.name for side in sides], "ratio")
    for name, title in TITLES.items():
        yield row(title, [side.figures[name] for side in sides], report.ratios[name])
    for place in _places(report.ours.memory):
        at = report.ours.memory[place][0]
        figures = [side.memory[place][1] for side in sides]
        title = f"MB after {at} logins" if at else "MB at start"
        yield row(title, [f"{each:.1f}" for each in figures], f"{figures[0] / figures[1]:.2f}")
    yield row("start to ready, s", [side.ready for side in sides])
    yield row("token import, rows/s", [f"{report.imported_per_second:.0f}", ""])
    yield ""
    yield budget_line(report.budget)


def accepted(sides: Sequence[Side]) -> Iterator[str]:
    """How many, and what the others ended with."""
    for side in sides:
        yield f"accepted  {side.name} {side.accepted} of {side.logins}, {side.resent} packets resent"
        for failure, times in side.failures.items():
            yield f"failed    {side.name} {times} in {failure}"


def _places(memory: Sequence[object]) -> list[int]:
    """The start, the middle and the end."""
    return sorted({0, len(memory) // 2, len(memory) - 1})


def row(title: str, sides: Sequence[object], compared: object = "") -> str:
    """A line of the table."""
    return f"{title:<24}{''.join(f'{side!s:<24}' for side in sides)}{compared!s}".rstrip()


def budget_line(budget: Mapping[str, float]) -> str:
    """CPU µs a login by step, the rest among them."""
    steps = " + ".join(f"{step} {round(cost)}" for step, cost in budget.items())
    return f"budget µs/login: {steps} = {sum(budget.values()):.0f}"
