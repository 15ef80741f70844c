"""Ours beside FreeRADIUS, in front of the same OpenLDAP, and what a login costs ours by step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.beside import PUT_OFF, Run, Server, from_load_to_load, in_turn
from bench.budget import workbench
from bench.directory import slapd
from bench.freeradius import freeradius
from bench.load import refuses
from bench.report import Measured, Report, report_of
from bench.rig import SECRET, Rig, Site, cpu, resident, rig
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
        measured = run_on_loop(_runs(both, scale))
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


async def _runs(both: _Both, scale: Scale) -> Measured:
    """Ours and FreeRADIUS in turn and nothing between, so that both see the same of what else the machine does."""
    ours, other = both.servers
    at_start = {server.name: resident(server.pid) for server in both.servers}
    runs: dict[str, list[Run]] = {ours.name: [], other.name: []}
    for server, run in in_turn(both.servers, scale.runs, scale.logins):
        runs[server.name].append(run)
    await asyncio.sleep(PUT_OFF)
    whole = {
        server.name: from_load_to_load(runs[server.name], cpu(server.pid), scale.logins) for server in both.servers
    }
    parts = range(scale.loads, scale.loads + scale.runs * scale.pieces, scale.pieces)
    async with workbench(both.it.config) as bench:
        steps = [await bench.measure(range(first, first + scale.pieces)) for first in parts]
    return Measured(
        names=(ours.name, other.name),
        ready=both.starts,
        runs=(runs[ours.name], runs[other.name]),
        memory_at_start=(at_start[ours.name], at_start[other.name]),
        whole=(whole[ours.name], whole[other.name]),
        steps=steps,
    )
