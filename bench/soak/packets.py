"""`python -m bench.soak.packets [--packets N] [--seed S]`: try packets in three ways, print, fail on any trouble.

Most are mutations sent to the server within this process, in houses of their own; a tenth goes over UDP to
`radius-mfa serve`; some are made up by hypothesis.  The seed fixes which packets are made and how they are spoilt;
States, mailed codes and the time of day are different in every run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from random import Random

from bench.soak.inside import try_inside
from bench.soak.made_up import try_made_up
from bench.soak.mutate import Craft
from bench.soak.oracle import Oracle
from bench.soak.over_udp import try_over_udp
from bench.soak.site import CLIENTS, accounts
from bench.soak.tally import Figures, Tally

_PER_HOUSE = 20_000
_OVER_UDP, _MADE_UP = 0.1, 0.01  # of all packets


@dataclass(frozen=True, slots=True)
class _Part:
    """A share of the packets, tried by one process.  `total`: of the whole run."""

    way: str
    number: int
    packets: int
    total: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.way}-{self.number}"


def try_packets(packets: int, seed: int, *, workers: int = 2, only: str = "") -> Figures:
    """Try at least so many packets, in so many processes.  `only`: one part, as a failure names it."""
    began = time.perf_counter()
    parts = [each for each in _parts(packets, seed) if only in ("", each.name)]
    if workers == 1 or len(parts) == 1:
        figures = sum(map(_try, parts), Figures())
    else:
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=fresh) as pool:
            figures = sum(pool.map(_try, parts), Figures())
    return figures.in_all(time.perf_counter() - began)


def _parts(packets: int, seed: int) -> Iterator[_Part]:
    over_udp, made_up = round(packets * _OVER_UDP), round(packets * _MADE_UP)
    yield _Part("udp", 0, over_udp, packets, seed)
    yield _Part("made-up", 0, made_up, packets, seed)
    left = packets - over_udp - made_up
    houses = max(-(-left // _PER_HOUSE), 1)
    for number in range(houses):
        yield _Part("inside", number, -(-left // houses), packets, seed)


def _try(part: _Part) -> Figures:
    began = time.perf_counter()
    again = f"python -m bench.soak.packets --packets {part.total} --seed {part.seed} --only {part.name}"
    everybody = accounts()
    tally = Tally(Oracle(CLIENTS, everybody), again)
    random = Random(f"{part.seed} {part.name}")
    craft = Craft(random, tally.oracle, everybody)
    if part.way == "udp":
        try_over_udp(tally, craft, everybody, part.packets)
    elif part.way == "inside":
        try_inside(tally, craft, everybody, part.packets)
    else:
        try_made_up(tally, everybody, part.packets, random.getrandbits(32))
    return tally.figures(time.perf_counter() - began)


def main() -> int:
    """0 when nothing came of any packet that must not."""
    parser = argparse.ArgumentParser(prog="bench.soak.packets", description=__doc__)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", metavar="PART", help="one part, as a failure names it")
    asked = parser.parse_args()
    figures = try_packets(asked.packets, asked.seed, workers=asked.workers, only=asked.only)
    for line in figures.lines():
        print(line)
    return 1 if figures.troubles else 0


if __name__ == "__main__":
    sys.exit(main())
