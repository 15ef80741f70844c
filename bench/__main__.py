"""`python -m bench [quick]`: ours beside FreeRADIUS, and what a login costs ours by step.

`flat [quick]`: ours with few and with many users, clients, policies and open challenges; and the two stores.
`workers`, `policies`: one worker beside two, 5 policies beside 500.  Ends with 1 if any login failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import plot
from bench.directory import slapd
from bench.machine import this_machine
from bench.pairs import POLICIES, WORKERS, Beside, Compared, Pair, compare, flat, users_of
from bench.report import lines
from bench.side_by_side import FULL, QUICK, measure

_PAIRS: Mapping[str, Pair] = {"workers": WORKERS, "policies": POLICIES}


def main() -> int:
    """0 when every login was accepted."""
    asked = _asked()
    given = {name: value for name in ("runs", "logins", "starts") if (value := getattr(asked, name)) is not None}
    if asked.what in ("full", "quick"):
        return _beside_freeradius(asked, given)
    given.pop("starts", None)
    if asked.what == "flat":
        scale = replace(Beside(logins=200) if asked.quick else Beside(), **given)
        return _pairs(_chosen(flat(quick=asked.quick), asked.only), scale, asked)
    pair = _PAIRS[asked.what]
    if asked.postgresql:
        few, many = (replace(site, postgresql=True) for site in pair.sites)
        pair = replace(pair, sites=(few, many))
    return _pairs([pair], replace(Beside(pieces=125), **given), asked)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["full", "quick", "flat", *_PAIRS], default="full")
    parser.add_argument("quick", nargs="?", choices=["quick"], help="after flat: less of everything")
    parser.add_argument("--runs", type=int, help="loads at each, with other users each")
    parser.add_argument("--logins", type=int, help="logins in each of them")
    parser.add_argument("--starts", type=int, help="starts of the servers that are timed")
    parser.add_argument("--only", nargs="+", metavar="WHAT", help="of flat: users, clients, policies, …")
    parser.add_argument("--ldaps", action="store_true", help="speak TLS to the directory")
    parser.add_argument("--postgresql", action="store_true", help="keep our state in PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there (SVG)")
    return parser.parse_args()


def _beside_freeradius(asked: argparse.Namespace, given: Mapping[str, int]) -> int:
    scale = replace(QUICK if asked.what == "quick" else FULL, **given)
    report = measure(scale, ldaps=asked.ldaps, postgresql=asked.postgresql)
    for line in lines(report):
        print(line)
    _write(asked, asdict(report), plot.of_report(report))
    return 0 if report.is_whole else 1


def _chosen(pairs: Sequence[Pair], only: Sequence[str] | None) -> list[Pair]:
    unknown = set(only or ()) - {pair.what for pair in pairs}
    if unknown:
        sys.exit(
            f"bench: there is no {', '.join(sorted(unknown))}; there is {', '.join(pair.what for pair in pairs)}"
        )
    return [pair for pair in pairs if only is None or pair.what in only]


def _pairs(pairs: Sequence[Pair], scale: Beside, asked: argparse.Namespace) -> int:
    machine = this_machine()
    print(f"machine: {machine}; {scale.runs} runs of {scale.logins} logins at each, in turn", flush=True)
    found: list[Compared] = []
    with slapd(max(users_of(pair, scale) for pair in pairs), ldaps=asked.ldaps) as directory:
        for pair in pairs:
            for each in compare(pair, scale, directory):
                if isinstance(each, Compared):
                    found.append(each)
                else:
                    print(each, flush=True)
    figures = {"machine": asdict(machine), **asdict(scale), "pairs": [asdict(each) for each in found]}
    _write(asked, figures, plot.of_pairs(found))
    return 0 if all(each.is_whole for each in found) else 1


def _write(asked: argparse.Namespace, figures: dict[str, Any], drawn: str) -> None:
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    if asked.plot is not None:
        asked.plot.write_text(drawn)


if __name__ == "__main__":
    sys.exit(main())
