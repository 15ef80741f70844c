"""Our login inside of FreeRADIUS, beside our own server and beside FreeRADIUS alone.

All three are in front of the same OpenLDAP.  The two of ours have a store and a key each, since no code is good
twice.  The two FreeRADIUS have the same threads; one login at a time is all that rlm_python3 lets in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory

from bench import freeradius
from bench.beside import PUT_OFF, Loads, Server, compare
from bench.directory import Directory, slapd
from bench.load import AT_ONCE, refuses
from bench.machine import Machine, openldap_version, this_machine
from bench.report import TITLES, Side, accepted, ratios_of, row, side_of
from bench.rig import SECRET, Site, prepared, rig
from bench.running import Running
from bench.spread import Spread
from radius_mfa import __version__
from tests.peers.freeradius_inside import login_within
from tests.peers.ports import free_port

PROGRAMS = ("/usr/lib/freeradius/rlm_python3.so",)  # another package's
_OWN, _INSIDE, _ALONE = NAMES = ("own server", "inside FreeRADIUS", "FreeRADIUS alone")


@dataclass(frozen=True, slots=True)
class Scale:
    """`runs` of so many `logins` at each.  `put_off`: seconds to wait in the end for what a server does later.

    `rests`: after each load, until its people have new codes; what is remembered for a while is forgotten then.
    """

    runs: int
    logins: int
    put_off: float = PUT_OFF
    rests: bool = False

    @property
    def people(self) -> int:
        """0 where everybody logs in once."""
        return self.logins if self.rests else 0

    @property
    def users(self) -> int:
        """One of them is refused."""
        return (self.people or self.runs * self.logins) + 1


FULL = Scale(runs=12, logins=2000, rests=True)
QUICK = Scale(runs=6, logins=300)


@dataclass(frozen=True, slots=True)
class Report:
    """As it is in the JSON.  `sides`: in the order of NAMES.

    `ratios`: of what is inside over each of the others, by its name; as `bench.report` has them.
    `growth`: KB (10³ octets) of memory a 1,000 logins, in the second half of the runs.
    """

    machine: Machine
    openldap: str
    runs: int
    logins_a_run: int
    at_once: int
    sides: Sequence[Side]
    ratios: Mapping[str, Mapping[str, Spread]]
    growth: Sequence[float]

    @property
    def is_whole(self) -> bool:
        """Whether every login was accepted."""
        return all(side.accepted == side.logins for side in self.sides)


def measure(scale: Scale, *, ldaps: bool = False, postgresql: bool = False) -> Report:
    """Start all three, load them in turn, stop them.

    RuntimeError where a server accepts what it must not.
    """
    with _three(scale.users, ldaps, Site(postgresql=postgresql)) as (servers, ready):
        for server in servers:
            if not refuses(server.port, SECRET, scale.users - 1):
                raise RuntimeError(f"{server.name} has not refused a wrong password or code")
        own, inside, alone = loads = compare(servers, scale.runs, scale.logins, scale.put_off, scale.people)
    versions = (__version__, __version__, freeradius.version())
    sides = [
        side_of(name, version, each, scale.logins, [seconds])
        for name, version, each, seconds in zip(NAMES, versions, loads, ready, strict=True)
    ]
    return Report(
        machine=this_machine(),
        openldap=openldap_version(),
        runs=scale.runs,
        logins_a_run=scale.logins,
        at_once=AT_ONCE,
        sides=sides,
        ratios={_OWN: ratios_of(inside, own), _ALONE: ratios_of(inside, alone)},
        growth=[_growth(each, scale.logins) for each in loads],
    )


@contextmanager
def _three(users: int, ldaps: bool, site: Site) -> Iterator[tuple[list[Server], list[float]]]:
    """What is running, and the seconds until each was ready."""
    with ExitStack() as stack:
        directory = stack.enter_context(slapd(users, ldaps=ldaps))
        own = stack.enter_context(rig(users, directory, site=site))
        inside = stack.enter_context(freeradius_with_us(users, directory, site))
        alone, _ = stack.enter_context(freeradius.freeradius(directory, 1))
        pids, ports = (own.server, inside.pid, alone.pid), (own.port, inside.port, alone.port)
        servers = [Server(*each, directory.pid) for each in zip(NAMES, pids, ports, strict=True)]
        yield servers, [own.ready[-1], inside.ready, alone.ready]


@contextmanager
def freeradius_with_us(users: int, directory: Directory, site: Site) -> Iterator[Running]:
    """The files of deploy/freeradius, and what FreeRADIUS alone begins with here; the YAML is our own server's."""
    with ExitStack() as stack:
        config = stack.enter_context(prepared(users, directory, site)).config
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-freeradius-")))
        port = free_port()
        configuration = freeradius.head(folder) + login_within(folder, port, config)
        yield stack.enter_context(freeradius.serving(folder, configuration, port))


def _growth(loads: Loads, logins: int) -> float:
    """Of the second half, when all tables have had the time to fill."""
    memory = [(number * logins, run.memory) for number, run in enumerate(loads.runs)]
    half = memory[(len(memory) - 1) // 2 :]
    return linear_regression(*zip(*half, strict=True)).slope * 1e6 if len(half) > 1 else 0.0


def lines(report: Report) -> Iterator[str]:
    """The figures for people."""
    yield f"machine   {report.machine}"
    yield f"inside    radius_mfa {__version__} in rlm_python3 of FreeRADIUS {report.sides[-1].version}"
    yield f"          the same OpenLDAP {report.openldap} for all"
    yield f"load      {report.runs} runs of {report.logins_a_run} logins at each in turn, {report.at_once} at once"
    yield from accepted(report.sides)
    yield ""
    yield row("", NAMES, f"{'inside/own':<24}inside/alone")
    for name, title in TITLES.items():
        both = [f"{report.ratios[other][name]!s:<24}" for other in (_OWN, _ALONE)]
        yield row(title, [side.figures[name] for side in report.sides], "".join(both))
    for of_each in zip(*(side.memory for side in report.sides), strict=True):
        at = of_each[0][0]
        title = f"MB after {at} logins" if at else "MB at start"
        yield row(title, [f"{memory:.1f}" for _, memory in of_each])
    yield row("then KB a 1,000 logins", [f"{each:.1f}" for each in report.growth])
    yield row("start to ready, s", [f"{side.ready.median:.2f}" for side in report.sides])
