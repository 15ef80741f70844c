"""`python -m bench.soak [--quick] [--only PART] [--json FILE]`: print all figures, fail if a bound is broken."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.soak.floods import try_floods
from bench.soak.house import house
from bench.soak.memory import try_memory
from bench.soak.outages import try_fail_over, try_restarts
from bench.soak.packets import try_packets
from bench.soak.report import Figure, lines, status
from bench.soak.tunnels import try_tunnels

PARTS = ("packets", "tunnels", "memory", "floods", "outages")


@dataclass(frozen=True, slots=True)
class Scale:
    """`packets`: mutations and the like; `inputs`: of what supplicants say.

    `requests`: of the memory run, after `warm_up` others, over which it may grow by `growth` MB.

    `flood`: datagrams a second; `logins`: good ones a second meanwhile; `seconds`: of each flood and outage.
    """

    packets: int
    inputs: int
    requests: int
    warm_up: int
    flood: float
    logins: float
    seconds: float
    users: int
    growth: float = 10


FULL = Scale(1_000_000, 1_000_000, 200_000, 60_000, flood=5000, logins=20, seconds=15, users=4000)
QUICK = Scale(10_000, 10_000, 8_000, 8_000, flood=2000, logins=10, seconds=2, users=1000)


def soak(scale: Scale, seed: int, parts: tuple[str, ...] = PARTS) -> Iterator[Figure]:
    """Each part, one after another; what it needs runs no longer than it does."""
    if "packets" in parts:
        yield from _packets(scale.packets, seed)
    if "tunnels" in parts:
        yield from _tunnels(scale.inputs, seed)
    if "memory" in parts:
        with house(scale.users) as it:
            yield from try_memory(it, scale.requests, scale.warm_up, scale.growth, seed)
    if "floods" in parts:
        with house(scale.users) as it:
            yield from try_floods(it, scale.flood, scale.logins, scale.seconds)
    if "outages" in parts:
        with house(scale.users, directories=2) as it:
            yield from try_fail_over(it, scale.logins, scale.seconds)
            yield from try_restarts(it, scale.logins, scale.seconds)


def _packets(packets: int, seed: int) -> Iterator[Figure]:
    figures = try_packets(packets, seed)
    for failure in figures.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    yield Figure("packets tried", figures.tried, least=packets, note=f"seed {seed}, {figures.seconds:.0f} s")
    yield Figure("exceptions out", figures.exceptions, most=0)
    yield Figure("wrong accepts", figures.wrong_accepts, most=0)
    yield Figure("replies to what must be discarded", figures.replies_to_silent, most=0)
    yield Figure("any trouble, other kinds as well", figures.troubles, most=0)


def _tunnels(inputs: int, seed: int) -> Iterator[Figure]:
    figures = try_tunnels(inputs, seed)
    for failure in figures.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    for stage, tried in figures.tried.items():
        yield Figure(f"EAP: {stage}", tried)
    became = ", ".join(f"{what} {times}" for what, times in sorted(figures.became.items()))
    note = f"seed {seed}, {figures.seconds:.0f} s; {became}"
    yield Figure("EAP: all inputs tried", sum(figures.tried.values()), least=inputs, note=note)
    yield Figure("EAP: exceptions out", figures.exceptions, most=0)
    yield Figure("EAP: keys, though nobody was let in", figures.wrong_keys, most=0)


def main() -> int:
    """0 when every bound is kept."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--packets", type=int, help="packets that are tried")
    parser.add_argument("--inputs", type=int, help="what is said by supplicants")
    parser.add_argument("--requests", type=int, help="requests over which memory is measured")
    parser.add_argument("--warm-up", type=int, metavar="N", help="requests before those")
    parser.add_argument("--growth", type=float, metavar="MB", help="what it may grow by over them")
    parser.add_argument("--seconds", type=float, help="of each flood and outage")
    parser.add_argument("--quick", action="store_true", help="a minute instead of a quarter of an hour")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    names = ("packets", "inputs", "requests", "warm_up", "growth", "seconds")
    given = {name: value for name in names if (value := getattr(asked, name)) is not None}
    scale = replace(QUICK if asked.quick else FULL, **given)
    began, figures = time.perf_counter(), []
    for figure in soak(scale, asked.seed, tuple(asked.only or PARTS)):
        figures.append(figure)
        print(figure.line(), flush=True)
    *_, verdict = lines(figures)
    print(f"{verdict}, {time.perf_counter() - began:.0f} s")
    if asked.json is not None:
        asked.json.write_text(json.dumps([each.as_record() for each in figures], indent=1) + "\n")
    return status(figures)


if __name__ == "__main__":
    sys.exit(main())
