"""Two servers beside each other: the same load at both, in turn, and who used the cores meanwhile.

On a machine whose cores the server shares with its directory and with the load, two workers are not twice one:
what counts is what they leave idle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import Load
from bench.rig import SECRET, Rig, busy, cpu


@dataclass(frozen=True, slots=True)
class Used:
    """What one load came to: logins a second, CPU µs a login of the server, and shares of all cores.

    `of`: how many workers the server has, or policies.
    """

    of: int
    accepted: int
    failed: int
    per_second: float
    cpu: float
    shares: dict[str, float]


def load(it: Rig, of: int, users: range) -> Used:
    """One login of each of these users."""
    before, began = (busy(), cpu(it.server), cpu(it.directory), time.process_time()), time.perf_counter()
    figures = Load(it.port, SECRET, users).run()
    seconds = time.perf_counter() - began
    after = busy(), cpu(it.server), cpu(it.directory), time.process_time()
    everything, server, directory, ourselves = (now - then for now, then in zip(after, before, strict=True))
    cores = seconds * (os.cpu_count() or 1)
    named = {"server": server, "slapd": directory, "load": ourselves}
    shares = {**named, "others": max(everything - sum(named.values()), 0.0)}
    return Used(
        of,
        figures.accepted,
        figures.failures.total(),
        figures.accepted / figures.seconds,
        server / len(users) * 1e6,
        {name: seconds / cores for name, seconds in shares.items()},
    )


def beside(rigs: Sequence[tuple[int, Rig]], runs: int, logins: int) -> Iterator[Used]:
    """So many loads at each, in turn."""
    for run in range(runs):
        for of, it in rigs:
            yield load(it, of, range(run * logins, (run + 1) * logins))


def lines(what: str, loads: Sequence[Used]) -> Iterator[str]:
    """The figures for people: medians over the loads, the slowest and the fastest.  `what` they differ in."""
    rates, costs = {}, {}
    for of in sorted({each.of for each in loads}):
        mine = [each for each in loads if each.of == of]
        per_second = [each.per_second for each in mine]
        rates[of], costs[of] = median(per_second), median(each.cpu for each in mine)
        accepted, failed = sum(each.accepted for each in mine), sum(each.failed for each in mine)
        shares = {name: median(each.shares[name] for each in mine) for name in mine[0].shares}
        used = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        yield f"{f'{what} {of}':<13} {accepted} of {accepted + failed} logins accepted"
        yield f"  logins/s    {rates[of]:.0f} ({min(per_second):.0f} to {max(per_second):.0f})"
        yield f"  CPU         {costs[of]:.0f} µs/login"
        yield f"  cores       {used}"
    if len(rates) > 1:
        fewest, most = min(rates), max(rates)
        ratios = rates[most] / rates[fewest], costs[most] / costs[fewest]
        yield "ratio         {:.2f} times the logins/s, {:.2f} times the CPU of {} with {}".format(
            *ratios, fewest, most
        )
