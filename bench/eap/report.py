"""The figures of 802.1X: as lines to read, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.beside import Run
from bench.report import row
from bench.spread import Spread, ratio, spread

# By the names in the JSON, and how it is called for people.
_FIGURES: Mapping[str, tuple[str, Callable[[Run], float]]] = {
    "cpu_in_loads": ("of it in the loads", lambda run: run.cpu),
    "slapd": ("slapd's, µs/login", lambda run: run.slapd),
    "per_second": ("logins/s", lambda run: run.per_second),
    "p50": ("p50, ms", lambda run: run.round_one.p50),
    "p99": ("p99, ms", lambda run: run.round_one.p99),
    "server": ("server's share of cores", lambda run: run.shares["server"]),
    "load": ("load's share of cores", lambda run: run.shares["load"]),
}


@dataclass(frozen=True, slots=True)
class Handshakes:
    """Those of one kind at one server.  `whole`: CPU µs a login from each load to the next."""

    runs: Sequence[Run]
    whole: Sequence[float]


@dataclass(frozen=True, slots=True)
class Side:
    """What they came to; the fields are keys of the JSON.  `core`: logins a second that keep a core busy."""

    accepted: int
    failures: Mapping[str, int]
    resent: int
    core: Spread
    figures: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same kind of handshake at both.  `ratios`: the first over the second."""

    logins: int
    sides: tuple[Side, Side]
    ratios: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two servers, with one certificate."""

    names: tuple[str, str]
    certificate: str
    runs: int
    logins_a_run: int
    full: Pair
    resumed: Pair

    @property
    def is_whole(self) -> bool:
        """Whether every login was accepted, in the way that was meant."""
        return all(side.accepted == pair.logins for pair in (self.full, self.resumed) for side in pair.sides)


def compared(
    names: tuple[str, str],
    certificate: str,
    logins: int,
    full: tuple[Handshakes, Handshakes],
    resumed: tuple[Handshakes, Handshakes],
) -> Compared:
    """`logins` a run."""
    return Compared(names, certificate, len(full[0].runs), logins, _pair(full, logins), _pair(resumed, logins))


def _pair(both: tuple[Handshakes, Handshakes], logins: int) -> Pair:
    ours, other = both
    ratios = {
        name: ratio([figure(run) for run in ours.runs], [figure(run) for run in other.runs])
        for name, (_, figure) in _FIGURES.items()
        if name != "slapd"  # of resumed ones it may have none
    }
    ratios["cpu"] = ratio(ours.whole, other.whole)
    return Pair(len(ours.runs) * logins, (_side(ours), _side(other)), ratios)


def _side(mine: Handshakes) -> Side:
    figures = {name: spread([figure(run) for run in mine.runs]) for name, (_, figure) in _FIGURES.items()}
    return Side(
        accepted=sum(run.accepted for run in mine.runs),
        failures=dict(
            sum((Counter(run.failures) for run in mine.runs), Counter[str]())
        ),  # `asdict` takes no Counter
        resent=sum(run.resent for run in mine.runs),
        core=spread([1e6 / cost for cost in mine.whole]),
        figures={"cpu": spread(mine.whole), **figures},
    )


def lines(it: Compared) -> Iterator[str]:
    """The figures for people."""
    yield ""
    yield f"EAP-TTLS/PAP, TLS 1.2, {it.certificate}: {it.runs} runs of {it.logins_a_run} logins at each in turn"
    for kind, pair in (("full", it.full), ("resumed", it.resumed)):
        yield ""
        for name, side in zip(it.names, pair.sides, strict=True):
            yield f"accepted  {name} {side.accepted} of {pair.logins} {kind}, {side.resent} packets resent"
            for failure, times in side.failures.items():
                yield f"failed    {name} {times} in {failure}"
        yield row(kind, it.names, "ratio")
        titles = {"cpu": "CPU, µs/login", **{name: title for name, (title, _) in _FIGURES.items()}}
        yield row("logins/s of one core", [side.core for side in pair.sides])
        for name, title in titles.items():
            yield row(title, [side.figures[name] for side in pair.sides], pair.ratios.get(name, ""))
