"""Finds events in the audit file and in what logrotate has put beside it, the newest first.

Files are read from their ends, block by block, and no further than it takes: what happened within the
last hour is found at once, however large the file has grown.
"""

from __future__ import annotations

import glob
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from radius_mfa.core.login import masked
from radius_mfa.core.usernames import fold

Event = dict[str, Any]
"""An event as the file has it, see `core.messages.AuditEvent`."""

_BLOCK = 1 << 18  # octets
# Several processes write one file, each when its own decision was made: lines are in order but for so long.
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: all of it must hold, of each kind one of several; an empty one holds always.

    `users`: names as typed or as the directory has them, or its ids.  Also found is what was masked, and
    would look so.  `stations`: as the NAS sends them.  `sources`: addresses, without a port.
    `since`, `until`: the first moment, and the first that is none any more.
    """

    users: Sequence[str] = ()
    clients: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    decisions: Sequence[str] = ()
    stations: Sequence[str] = ()
    sources: Sequence[str] = ()
    logins: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class Found:
    """`events`: in the order they happened.  `more`: there were others, older ones.

    `odd`: lines that are no events, how many of which file; `unread`: files that could not be read, and why.
    """

    events: list[Event] = field(default_factory=list)
    more: bool = False
    odd: Counter[Path] = field(default_factory=Counter)
    unread: dict[Path, str] = field(default_factory=dict)


def search(path: Path, query: Query, most: int) -> Found:
    """The newest `most` events (0: all) that `query` is about, in the audit file and in those rotated from it."""
    found, matcher = Found(), _Matcher(query)
    for file in files_of(path):
        try:
            _look_in(file, matcher, most, found)
        except (OSError, EOFError, zlib.error) as broken:  # the last two of what is half compressed
            reason = broken.strerror if isinstance(broken, OSError) else None
            found.unread[file] = reason or "is not whole"
        if found.more:
            break
    found.events.reverse()
    found.events.sort(key=lambda event: str(event["time"]))
    return found


def _look_in(file: Path, matcher: _Matcher, most: int, found: Found) -> None:
    for line in backwards(file):
        event = _event(line)
        if event is None:
            found.odd[file] += 1
        elif matcher.is_over(event):
            return
        elif matcher.matches(event):
            if most and len(found.events) == most:
                found.more = True
                return
            found.events.append(event)


def files_of(path: Path) -> list[Path]:
    """The file, then those it was rotated to, the newest first: `audit.jsonl.1`, `audit.jsonl-20261101.gz`."""
    rotated = []
    for each in path.parent.glob(f"{glob.escape(path.name)}[.-]*"):
        with suppress(OSError):  # rotated once more, this moment
            rotated.append((each.stat().st_mtime, each))
    rotated_files = [each for _, each in sorted(rotated, reverse=True)]
    # Just rotated, and nothing has happened since.
    return [path, *rotated_files] if path.exists() or not rotated_files else rotated_files


def backwards(file: Path, block: int = _BLOCK) -> Iterator[bytes]:
    """The lines of the file from its end, empty ones left out; a compressed one is read as a whole first."""
    if file.suffix == ".gz":
        with gzip.open(file) as packed:
            yield from filter(None, reversed(packed.read().split(b"\n")))
        return
    with file.open("rb") as opened:
        end = opened.seek(0, os.SEEK_END)
        rest = b""  # the beginning of a line whose end has been read
        while end:
            start = max(end - block, 0)
            opened.seek(start)
            first, *lines = (opened.read(end - start) + rest).split(b"\n")
            yield from filter(None, reversed(lines))
            rest, end = first, start
        if rest:
            yield rest


def _event(line: bytes) -> Event | None:
    try:
        event = orjson.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("time"), str) else None


class _Matcher:
    """A query, made ready.  The file's times are all written alike, and so in order as texts."""

    def __init__(self, query: Query) -> None:
        self._users = frozenset(map(fold, query.users))
        self._masked = frozenset(masked(name) for name in query.users)
        self._ids = frozenset(query.users)
        self._wanted = [
            (key, frozenset(these))
            for key, these in (
                ("client", query.clients),
                ("outcome", query.outcomes),
                ("decision", query.decisions),
                ("station", query.stations),
                ("login", query.logins),
            )
            if these
        ]
        self._sources = frozenset(query.sources)
        self._since = _written(query.since)
        self._over = _written(query.since - _MARGIN) if query.since else ""
        self._until = _written(query.until)

    def is_over(self, event: Event) -> bool:
        """Whether all that is older than this is too old."""
        return bool(self._over) and event["time"] < self._over

    def matches(self, event: Event) -> bool:
        if event["time"] < self._since or (self._until and event["time"] >= self._until):
            return False
        if not all(event.get(key) in these for key, these in self._wanted):
            return False
        if self._sources and _host(event.get("source")) not in self._sources:
            return False
        return not self._ids or self._is_about(event)

    def _is_about(self, event: Event) -> bool:
        if event.get("user_id") in self._ids or event.get("user_name") in self._masked:
            return True
        names = (event.get("user_name"), event.get("username"))
        return any(isinstance(name, str) and fold(name) in self._users for name in names)


def _written(moment: datetime | None) -> str:
    """As the file has it; "" for none."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else ""


def _host(source: object) -> str:
    """`192.0.2.1` of `192.0.2.1:1645`, without the brackets of IPv6."""
    return source.rpartition(":")[0].strip("[]") if isinstance(source, str) else ""
