"""`python -m bench [quick]`: ours beside FreeRADIUS, and what a login costs ours by step.

`flat [quick]`: ours with few and with many users, clients, policies and open challenges; and the two stores.
`workers`, `policies`: one worker beside two, 5 policies beside 500.  `eap [quick]`: 802.1X at ours beside
FreeRADIUS, full handshakes and resumed ones.  `inside [quick]`: our login inside of FreeRADIUS beside both.
`portal [quick]`: its pages, and signing in.  `audit`: finding a user's last week among a million events.
Ends with 1 if any login failed or the figures could not be written, with 2 where it cannot begin.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from bench import audit, directory, freeradius, inside, plot, portal
from bench.asked import arguments, need, need_writable, refuse, write
from bench.eap import report as eap_report
from bench.eap import side_by_side as eap
from bench.eap.certificates import KINDS
from bench.machine import this_machine
from bench.pairs import POLICIES, WORKERS, Beside, Compared, Pair, compare, flat, users_of
from bench.report import lines
from bench.side_by_side import FULL, QUICK, measure

_PAIRS: Mapping[str, Pair] = {"workers": WORKERS, "policies": POLICIES}
_POSTGRESQL = "/usr/lib/postgresql"  # where Debian has those it has


def main() -> int:
    """0 when every login was accepted."""
    asked = arguments(__doc__, _PAIRS)
    given = {name: value for name in ("runs", "logins", "starts") if (value := getattr(asked, name)) is not None}
    if asked.what in ("full", "quick"):
        return _beside_freeradius(asked, given)
    given.pop("starts", None)
    if asked.what == "eap":
        return _eap(asked, given)
    if asked.what == "inside":
        return _inside(asked, given)
    if asked.what == "portal":
        return _portal(asked, given)
    if asked.what == "audit":
        return _audit(asked, given)
    if asked.what == "flat":
        scale = replace(Beside(logins=200) if asked.quick else Beside(), **given)
        return _pairs(_chosen(flat(quick=asked.quick), asked.only), scale, asked)
    pair = _PAIRS[asked.what]
    if asked.postgresql:
        few, many = (replace(site, postgresql=True) for site in pair.sites)
        pair = replace(pair, sites=(few, many))
    return _pairs([pair], replace(Beside(pieces=125), **given), asked)


def _beside_freeradius(asked: argparse.Namespace, given: Mapping[str, int]) -> int:
    _need_servers(asked)
    need_writable(asked)
    scale = replace(QUICK if asked.what == "quick" else FULL, **given)
    report = measure(scale, ldaps=asked.ldaps, postgresql=asked.postgresql)
    for line in lines(report):
        print(line)
    written = write(asked, asdict(report), plot.of_report(report))
    return 0 if written and report.is_whole else 1


def _inside(asked: argparse.Namespace, given: Mapping[str, int]) -> int:
    _draws_nothing(asked)
    _need_servers(asked)
    need(inside.PROGRAMS)
    need_writable(asked)
    usual = inside.QUICK if asked.quick else inside.FULL
    scale = replace(usual, runs=given.get("runs", usual.runs), logins=given.get("logins", usual.logins))
    report = inside.measure(scale, ldaps=asked.ldaps, postgresql=asked.postgresql)
    for line in inside.lines(report):
        print(line)
    written = write(asked, asdict(report), "")
    return 0 if written and report.is_whole else 1


def _portal(asked: argparse.Namespace, given: Mapping[str, int]) -> int:
    _draws_nothing(asked)
    need(directory.PROGRAMS)
    need_writable(asked)
    usual = portal.QUICK if asked.quick else portal.FULL
    runs, people = given.get("runs", usual.runs), given.get("logins", usual.people)
    report = portal.measure(replace(usual, runs=runs, people=people))
    for line in portal.lines(report):
        print(line)
    written = write(asked, asdict(report), "")
    return 0 if written and report.is_whole else 1


def _audit(asked: argparse.Namespace, given: Mapping[str, int]) -> int:
    _draws_nothing(asked)
    need_writable(asked)
    report = audit.measure(given.get("runs", audit.RUNS))
    for line in audit.lines(report):
        print(line)
    return 0 if write(asked, asdict(report), "") and report.is_whole else 1


def _draws_nothing(asked: argparse.Namespace) -> None:
    if asked.plot is not None:
        refuse(f"of {asked.what} nothing is drawn: leave --plot out")


def _need_servers(asked: argparse.Namespace) -> None:
    need((*directory.PROGRAMS, *freeradius.PROGRAMS, *([_POSTGRESQL] if asked.postgresql else ())))


def _eap(asked: argparse.Namespace, given: Mapping[str, int]) -> int:
    _draws_nothing(asked)
    _need_servers(asked)
    need_writable(asked)
    scale = replace(eap.QUICK if asked.quick else eap.FULL, **given)
    machine = this_machine()
    print(f"machine   {machine}", flush=True)
    found: list[eap_report.Compared] = []
    try:
        for kind in KINDS:
            found.append(eap.measure(scale, kind, ldaps=asked.ldaps, postgresql=asked.postgresql))
            print(*eap_report.lines(found[-1]), sep="\n", flush=True)
    except eap.RefusedError as error:
        refuse(str(error))
    written = write(asked, {"machine": asdict(machine), "eap": [asdict(each) for each in found]}, "")
    return 0 if written and all(each.is_whole for each in found) else 1


def _chosen(pairs: Sequence[Pair], only: Sequence[str] | None) -> list[Pair]:
    unknown = set(only or ()) - {pair.what for pair in pairs}
    if unknown:
        refuse(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(pair.what for pair in pairs)}")
    return [pair for pair in pairs if only is None or pair.what in only]


def _pairs(pairs: Sequence[Pair], scale: Beside, asked: argparse.Namespace) -> int:
    need(directory.PROGRAMS)
    need(_POSTGRESQL for pair in pairs for site in pair.sites if site.postgresql)
    need_writable(asked)
    machine = this_machine()
    print(f"machine: {machine}; {scale.runs} runs of {scale.logins} logins at each, in turn", flush=True)
    found: list[Compared] = []
    written = True
    try:
        with directory.slapd(max(users_of(pair, scale) for pair in pairs), ldaps=asked.ldaps) as people:
            for pair in pairs:
                for each in compare(pair, scale, people):
                    if isinstance(each, Compared):
                        found.append(each)
                    else:
                        print(each, flush=True)
    finally:  # what was found before something went wrong is worth as much
        if found:
            figures = {"machine": asdict(machine), **asdict(scale), "pairs": [asdict(each) for each in found]}
            written = write(asked, figures, plot.of_pairs(found))
    return 0 if written and all(each.is_whole for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
