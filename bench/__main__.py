"""`python -m bench [quick] [--ldaps] [--postgresql] [--json FILE]`: measure, print, fail if any login failed.

`python -m bench workers`: one worker beside two, in turn; `policies`: 5 policies beside 500.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench.beside import beside
from bench.beside import lines as lines_beside
from bench.budget import workbench
from bench.load import Load
from bench.policies import deciding
from bench.report import REST, Report, Run, budget_line, lines, report_of
from bench.rig import SECRET, Rig, cpu, resident, rig
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
# What two servers may differ in, and by how many.
_BESIDE = {"workers": (1, 2), "policies": (5, 500)}
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


def compare(what: str, numbers: tuple[int, int], scale: Scale, *, postgresql: bool) -> int:
    """So many `workers` or `policies` beside as many others; 0 when every login was accepted."""
    users, more = scale.runs * scale.logins, scale.pieces
    fewest, most = numbers
    with (
        _differing(what, fewest, users + more, postgresql=postgresql) as one,
        _differing(what, most, users + more, postgresql=postgresql) as other,
    ):
        loads = list(beside([(fewest, one), (most, other)], scale.runs, scale.logins))
        steps = {
            of: run_on_loop(_apart(it, range(users, users + more))) for of, it in ((fewest, one), (most, other))
        }
        alone = {of: deciding(it.config) for of, it in ((fewest, one), (most, other))}
    for line in lines_beside(what, loads):
        print(line)
    for of, (found, looked_through) in alone.items() if what == "policies" else ():
        print(f"  of {of}: {found:.1f} µs until the policy is found, {looked_through:.0f} by looking at each")
    for of, cost in steps.items():
        whole = median(each.cpu for each in loads if each.of == of)
        print(budget_line({**cost, REST: whole - sum(cost.values())}))
    return 1 if any(each.failed for each in loads) else 0


def _differing(what: str, of: int, users: int, *, postgresql: bool) -> AbstractContextManager[Rig]:
    if what == "workers":
        return rig(users, 1, postgresql=postgresql, workers=of)
    return rig(users, 1, postgresql=postgresql, policies=of)


async def _apart(it: Rig, users: range) -> dict[str, float]:
    """Logins of these users taken apart: CPU µs a login by step."""
    async with workbench(it.config) as bench:
        return await bench.measure(users)


def main() -> int:
    """0 when every login was accepted."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("scale", nargs="?", choices=["full", "quick", *_BESIDE], default="full")
    parser.add_argument("--runs", type=int, help="loads, with other users each")
    parser.add_argument("--logins", type=int, help="logins in each of them")
    parser.add_argument("--starts", type=int, help="starts of the server that are timed")
    parser.add_argument("--ldaps", action="store_true", help="speak TLS to the directory")
    parser.add_argument("--postgresql", action="store_true", help="keep the state in PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    given = {name: value for name in ("runs", "logins", "starts") if (value := getattr(asked, name)) is not None}
    if asked.scale in _BESIDE:
        large = replace(QUICK, **{"logins": 1000, **given})
        return compare(asked.scale, _BESIDE[asked.scale], large, postgresql=asked.postgresql)
    scale = replace(QUICK if asked.scale == "quick" else FULL, **given)
    report = measure(scale, ldaps=asked.ldaps, postgresql=asked.postgresql)
    for line in lines(report):
        print(line)
    if asked.json is not None:
        asked.json.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    return 0 if report.accepted == report.logins else 1


if __name__ == "__main__":
    sys.exit(main())
