"""Ours beside FreeRADIUS, in front of the same OpenLDAP, and what a login costs ours by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.beside import Server, compare
from bench.budget import workbench
from bench.directory import slapd
from bench.freeradius import freeradius
from bench.load import refuses
from bench.report import Measured, Report, report_of
from bench.rig import SECRET, Rig, Site, rig
from radius_mfa.cli.common import run as run_on_loop


@dataclass(frozen=True, slots=True)
class Scale:
    """`runs` of so many `logins` at each, then as often `pieces` logins taken apart; `starts` of both."""

    runs: int
    logins: int
    pieces: int
    starts: int

    @property
    def loads(self) -> int:
        """Users of the loads; those after them are for the budget, and the last is for what is refused."""
        return self.runs * self.logins

    @property
    def users(self) -> int:
        """Everybody logs in once at each: no code is good for a second time."""
        return self.loads + self.runs * self.pieces + 1


FULL = Scale(runs=6, logins=4000, pieces=800, starts=5)
QUICK = Scale(runs=5, logins=600, pieces=125, starts=5)


@dataclass(frozen=True, slots=True)
class _Both:
    """What is running.  `starts`: the seconds until ours, and FreeRADIUS, were ready."""

    it: Rig
    servers: tuple[Server, Server]
    starts: tuple[tuple[float, ...], tuple[float, ...]]


def measure(scale: Scale, *, ldaps: bool = False, postgresql: bool = False) -> Report:
    """Start everything, load both in turn, take ours apart, stop everything.

    RuntimeError where a server accepts what it must not.
    """
    with _both(scale, ldaps=ldaps, postgresql=postgresql) as both:
        for server in both.servers:
            if not refuses(server.port, SECRET, scale.users - 1):
                raise RuntimeError(f"{server.name} has not refused a wrong password or code")
        ours, other = compare(both.servers, scale.runs, scale.logins)
        names, steps = (both.servers[0].name, both.servers[1].name), run_on_loop(_steps(both.it, scale))
        measured = Measured(names, both.starts, (ours, other), steps)
        return report_of(measured, scale.logins, scale.users / both.it.import_seconds, ldaps, postgresql)


@contextmanager
def _both(scale: Scale, *, ldaps: bool, postgresql: bool) -> Iterator[_Both]:
    with ExitStack() as stack:
        directory = stack.enter_context(slapd(scale.users, ldaps=ldaps))
        site = Site(postgresql=postgresql)
        it = stack.enter_context(rig(scale.users, directory, starts=scale.starts, site=site))
        other, ready = stack.enter_context(freeradius(directory, scale.starts))
        servers = (
            Server("radius_mfa", it.server, it.port, directory.pid),
            Server("FreeRADIUS", other.pid, other.port, directory.pid),
        )
        yield _Both(it, servers, (it.ready, ready))


async def _steps(it: Rig, scale: Scale) -> list[dict[str, float]]:
    """Ours taken apart, once for each of the runs."""
    parts = range(scale.loads, scale.loads + scale.runs * scale.pieces, scale.pieces)
    async with workbench(it.config) as bench:
        return [await bench.measure(range(first, first + scale.pieces)) for first in parts]
