"""Servers beside each other: the same load at each of them, in turn, and who used the cores meanwhile.

On a machine whose cores the server shares with its directory and with the load, what counts is what it leaves
idle.  What else the machine does, it does to both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.load import PERIOD, Figures, Load
from bench.rig import SECRET, busy, cpu, resident

# Seconds after which nothing of a login is left to be done.  FreeRADIUS tidies up after five (its cleanup_delay).
PUT_OFF = 6.0


@dataclass(frozen=True, slots=True)
class Server:
    """One of those that are compared: its process, its port, its directory's process."""

    name: str
    pid: int
    port: int
    directory: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one round, in milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one load came to.

    `cpu`, `slapd`: their CPU µs a login.  `began`: CPU seconds that the server had used before.  `memory`: the
    server's, after it, in MB (10⁶ octets).  `shares`: of all cores, meanwhile.
    """

    accepted: int
    failures: dict[str, int]
    resent: int
    per_second: float
    round_one: Latency
    round_two: Latency
    cpu: float
    slapd: float
    began: float
    memory: float
    shares: dict[str, float]


def load(it: Server, users: range) -> Run:
    """One login of each of these users."""
    return measured(it, len(users), Load(it.port, SECRET, users).run)


def measured(it: Server, logins: int, work: Callable[[], Figures]) -> Run:
    """What so many logins came to, which are the work."""
    before, began = _used(it), time.perf_counter()
    figures = work()
    seconds = time.perf_counter() - began
    everything, server, directory, ourselves = (now - then for now, then in zip(_used(it), before, strict=True))
    cores = seconds * (os.cpu_count() or 1)
    named = {"server": server, "slapd": directory, "load": ourselves}
    shares = {**named, "others": max(everything - sum(named.values()), 0.0)}
    return Run(
        accepted=figures.accepted,
        failures=dict(figures.failures),
        resent=figures.resent,
        per_second=figures.accepted / figures.seconds,
        round_one=_latency(figures, 1),
        round_two=_latency(figures, 2),
        cpu=server / logins * 1e6,
        slapd=directory / logins * 1e6,
        began=before[1],
        memory=resident(it.pid),
        shares={name: used / cores for name, used in shares.items()},
    )


def _used(it: Server) -> tuple[float, float, float, float]:
    """CPU seconds so far: of everything, the server, the directory, and the load itself."""
    return busy(), cpu(it.pid), cpu(it.directory), time.process_time()


def _latency(figures: Figures, round_: int) -> Latency:
    seconds = sorted(figures.rounds[round_])
    if not seconds:
        return Latency(float("nan"), float("nan"))
    p50, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
    return Latency(p50, p99)


@dataclass(frozen=True, slots=True)
class Loads:
    """Those of one server.  `at_start`: its memory before them, in MB.

    `whole`: CPU µs a login from each load to the next, so with what is put off.
    """

    at_start: float
    runs: list[Run]
    whole: list[float]


def compare(
    servers: Sequence[Server], runs: int, logins: int, put_off: float = PUT_OFF, people: int = 0
) -> list[Loads]:
    """In turn and nothing between, so that all see the same of what else the machine does.

    `put_off`: seconds to wait in the end for what a server does later.  `people`: see `in_turn`.
    """
    at_start = [resident(server.pid) for server in servers]
    mine: dict[int, list[Run]] = {server.pid: [] for server in servers}
    for server, run in in_turn(servers, runs, logins, people):
        mine[server.pid].append(run)
    time.sleep(put_off)
    return [
        Loads(before, mine[server.pid], from_load_to_load(mine[server.pid], cpu(server.pid), logins))
        for server, before in zip(servers, at_start, strict=True)
    ]


def from_load_to_load(runs: Sequence[Run], end: float, logins: int) -> list[float]:
    """CPU µs a login from each load to the next, or to the `end`, in CPU seconds of the server."""
    begins = [*(run.began for run in runs), end]
    return [(then - now) / logins * 1e6 for now, then in pairwise(begins)]


def in_turn(servers: Sequence[Server], runs: int, logins: int, people: int = 0) -> Iterator[tuple[Server, Run]]:
    """So many loads at each: the first server, the second, the first again …

    No code is good twice, so that everybody logs in once; or, where there are but so many `people`, once in the
    period of a code.
    """
    people = people or runs * logins
    for number in range(runs):
        first = number * logins % people
        if number and first == 0:
            _until_new_codes()
        for server in servers:
            yield server, load(server, range(first, first + logins))


def _until_new_codes() -> None:
    time.sleep(PERIOD - time.time() % PERIOD)
