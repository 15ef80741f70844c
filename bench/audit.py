"""How fast `radius-mfa audit` finds a user's last week among a million events."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import as_record
from radius_mfa.observe.audit_files import every_line

EVENTS = 1_000_000
RUNS = 5
USERS = 5_000
ROTATED = 8  # files that the older events are in
_SPREADS = {"90 days": 90.0, "one week": 7.0}
_MASKED = 0.04  # of the events are about names that nobody has
_WRONG = 0.05
USER = "u02500"


@dataclass
class Report:
    """`seconds`: of each run, by what was searched; `found`, `expected`: how many events, by the same."""

    events: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all were found; a week has moved on by an event or so since they were counted."""
        return all(abs(self.found[name] - number) <= 1 for name, number in self.expected.items())


def events(number: int, days: float, now: float) -> Iterator[AuditEvent]:
    """Logins of several thousand users at two clients, two events each, as a server writes them."""
    chance = random.Random(1)
    for at in range(number):
        user = chance.randrange(USERS)
        then = now - days * 86400 * (1 - at / number) - 1
        name = f"u{user:05}"
        station = f"02-00-5E-{user >> 16:02X}-{user >> 8 & 255:02X}-{user & 255:02X}"
        said: dict[str, Any] = {
            "client": "wifi" if user % 3 else "vpn",
            "source": f"192.0.2.{user % 7}:{1024 + at % 60000}",
            "station": station,
            "called_station": "02-00-5E-10-00-01:eduroam",
            "nas_identifier": "gateway 1",
            "duration": 0.004321,
        }
        if chance.random() < _MASKED:
            yield AuditEvent(then, Outcome.UNKNOWN_USER, "reject", user_name=f"u…({user % 9 + 3})", **said)
            continue
        who: dict[str, Any] = {
            "user_name": name.upper() if user % 5 else name,
            "username": name,
            "user_id": f"{user:08x}-4d0e-9d53",
        }
        login = f"{at // 2:032x}"
        if at % 2 == 0:
            yield AuditEvent(
                then, Outcome.CHALLENGED, "challenge", **who, **said, login=login, round=1, policy="staff"
            )
        elif chance.random() < _WRONG:
            yield AuditEvent(
                then, Outcome.CODE_WRONG, "challenge", **who, **said, login=login, round=2, policy="staff"
            )
        else:
            last: dict[str, Any] = {"login": login, "round": 1, "policy": "staff", "factor": "totp"}
            yield AuditEvent(then, Outcome.ACCEPTED, "accept", **who, **said, **last)


def write(path: Path, days: float, number: int = EVENTS, rotated: int = 0) -> None:
    """An audit file of that many events; the older ones in so many rotated files, packed."""
    now = time.time()
    share = -(-number // (rotated + 1))
    lines: list[bytes] = []
    left = rotated
    for at, event in enumerate(events(number, days, now), 1):
        lines.append(orjson.dumps(as_record(event), option=orjson.OPT_APPEND_NEWLINE))
        if at % share == 0 or at == number:
            to = path.with_name(f"{path.name}.{left}.gz") if left else path
            octets = b"".join(lines)
            to.write_bytes(gzip.compress(octets, 6) if left else octets)
            os.utime(to, (event.time, event.time))
            lines, left = [], left - 1


def plainly(path: Path, since: datetime) -> int:
    """How many events of the user there are, counted the plain way."""
    found = 0
    for each in path.parent.glob(f"{path.name}*"):
        octets = each.read_bytes()
        for _, line in every_line(gzip.decompress(octets) if each.suffix == ".gz" else octets):
            event = json.loads(line)
            found += event.get("username") == USER and datetime.fromisoformat(event["time"]) >= since
    return found


def measure(runs: int = RUNS, number: int = EVENTS) -> Report:
    """Each kind of files is searched `runs` times, by a process of its own each time."""
    report = Report(number)
    for spread, days in _SPREADS.items():
        for kind, rotated in (("one file", 0), (f"{ROTATED} packed files and one", ROTATED)):
            name = f"{spread}, {kind}"
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "audit.jsonl")
                write(path, days, number, rotated)
                took = [_search(path) for _ in range(runs)]
                report.expected[name] = plainly(path, datetime.now(UTC) - timedelta(days=7))
            report.seconds[name] = [seconds for seconds, _ in took]
            report.found[name] = took[-1][1]
    return report


def _search(path: Path) -> tuple[float, int]:
    """Seconds from start to end, and how many events were printed."""
    command = [sys.executable, "-m", "radius_mfa", "audit", "--file", str(path)]
    asked = ["--user", USER, "--since", "7d", "--last", "0", "--json"]
    began = time.perf_counter()
    done = subprocess.run([*command, *asked], capture_output=True, check=True)
    return time.perf_counter() - began, done.stdout.count(b"\n")


def lines(report: Report) -> Sequence[str]:
    """The report for people."""
    said = [f"a user's last week among {report.events:,} events, from start to end of the command"]
    for name, seconds in report.seconds.items():
        median = sorted(seconds)[len(seconds) // 2]
        said.append(f"  {name:40} {median:5.2f} s ({max(seconds):.2f} at worst), {report.found[name]} found")
    return said
