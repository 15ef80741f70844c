"""`python -m bench [quick] [--ldaps] [--postgresql] [--json FILE]`: measure, print, fail if any login failed.

`python -m bench workers`: one worker beside two, in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench.budget import workbench
from bench.load import Load
from bench.report import REST, Report, Run, budget_line, lines, report_of
from bench.rig import SECRET, Rig, cpu, resident, rig
from bench.workers import beside
from bench.workers import lines as lines_of_workers
from radius_mfa.cli.common import run as run_on_loop


@dataclass(frozen=True, slots=True)
class Scale:
    """`runs` of so many `logins`, each followed by `pieces` logins taken apart; `starts` of the server."""

    runs: int
    logins: int
    pieces: int
    starts: int

    @property
    def users(self) -> int:
        """Everybody logs in once: no code is good for a second time."""
        return self.runs * (self.logins + self.pieces)


FULL = Scale(runs=10, logins=1000, pieces=500, starts=5)
QUICK = Scale(runs=6, logins=250, pieces=125, starts=5)


def measure(scale: Scale, *, ldaps: bool = False, postgresql: bool = False) -> Report:
    """Start everything, load it, take it apart, stop it."""
    with rig(scale.users, scale.starts, ldaps=ldaps, postgresql=postgresql) as it:
        at_start = resident(it.server)
        runs = run_on_loop(_runs(it, scale))
        return report_of(it, at_start, runs, scale.users)


async def _runs(it: Rig, scale: Scale) -> list[Run]:
    """Server and budget in turn, so that both see the same of what else the machine does."""
    runs = []
    async with workbench(it.config) as bench:
        for first in range(0, scale.users, scale.logins + scale.pieces):
            then = first + scale.logins
            before = cpu(it.server), cpu(it.directory)
            figures = Load(it.port, SECRET, range(first, then)).run()
            server = (cpu(it.server) - before[0]) / scale.logins * 1e6
            directory = (cpu(it.directory) - before[1]) / scale.logins * 1e6
            memory = resident(it.server)
            runs.append(
                Run(figures, server, directory, memory, await bench.measure(range(then, then + scale.pieces)))
            )
    return runs


def compare(scale: Scale, *, postgresql: bool) -> int:
    """One worker beside two; 0 when every login was accepted."""
    users, more = scale.runs * scale.logins, scale.pieces
    with (
        rig(users + more, 1, postgresql=postgresql, workers=1) as one,
        rig(users, 1, postgresql=postgresql, workers=2) as two,
    ):
        loads = list(beside([(1, one), (2, two)], scale.runs, scale.logins))
        steps = run_on_loop(_apart(one, range(users, users + more)))
    for line in lines_of_workers(loads):
        print(line)
    of_one = median(each.cpu for each in loads if each.workers == 1)
    print(budget_line({**steps, REST: of_one - sum(steps.values())}))
    return 1 if any(each.failed for each in loads) else 0


async def _apart(it: Rig, users: range) -> dict[str, float]:
    """Logins of these users taken apart: CPU µs a login by step."""
    async with workbench(it.config) as bench:
        return await bench.measure(users)


def main() -> int:
    """0 when every login was accepted."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("scale", nargs="?", choices=["full", "quick", "workers"], default="full")
    parser.add_argument("--runs", type=int, help="loads, with other users each")
    parser.add_argument("--logins", type=int, help="logins in each of them")
    parser.add_argument("--starts", type=int, help="starts of the server that are timed")
    parser.add_argument("--ldaps", action="store_true", help="speak TLS to the directory")
    parser.add_argument("--postgresql", action="store_true", help="keep the state in PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    given = {name: value for name in ("runs", "logins", "starts") if (value := getattr(asked, name)) is not None}
    if asked.scale == "workers":
        return compare(replace(QUICK, **{"logins": 1000, **given}), postgresql=asked.postgresql)
    scale = replace(QUICK if asked.scale == "quick" else FULL, **given)
    report = measure(scale, ldaps=asked.ldaps, postgresql=asked.postgresql)
    for line in lines(report):
        print(line)
    if asked.json is not None:
        asked.json.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    return 0 if report.accepted == report.logins else 1


if __name__ == "__main__":
    sys.exit(main())
