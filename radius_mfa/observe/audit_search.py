"""Finds events in the audit file and in what logrotate has put beside it.

The newest events are looked for from the ends of the files, block by block, and no further than it takes:
what happened within the last hour is found at once, however large a file has grown.  Where all events are
asked for, nothing is kept but what is out of order.  Lines that cannot be about who is asked for are not read as
JSON (`audit_sieve`), nor missed where they only look like events.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush, heappushpop, merge
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from radius_mfa.core import usernames
from radius_mfa.core.login import masked
from radius_mfa.observe.audit_files import (
    BARREN,
    BLOCK,
    LONGEST,
    AuditPart,
    Line,
    Watch,
    every_line,
    open_parts,
    real_file,
    why,
)
from radius_mfa.observe.audit_sieve import NameSieve

Event = dict[str, Any]
"""An event as the file has it, see `core.messages.AuditEvent`."""

# Several processes write one file, each when its own decision was made: lines are in order but for so long.
_MARGIN = timedelta(minutes=1)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}\+00:00")  # so they are in order as texts
_NAMES_KEPT = 4096  # a user's name, a station and a source come again and again


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: all of it must hold, of each kind one of several; an empty one holds always.

    `users`: names as typed or as the directory has them, or its ids.  `masked`: also a name that nobody
    stands behind, which the file has masked, and which could be one of them.  `stations`: a MAC address in any
    spelling, else as the NAS sends them.  `sources`: addresses; a port is not looked at.  `since`, `until`: the
    first moment, and the first that is none any more; neither is before 1970.  `by`: who of the
    help desk, by name.
    """

    users: Sequence[str] = ()
    clients: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    decisions: Sequence[str] = ()
    stations: Sequence[str] = ()
    sources: Sequence[str] = ()
    logins: Sequence[str] = ()
    masked: bool = False
    since: datetime | None = None
    until: datetime | None = None
    by: Sequence[str] = ()


class Hit(NamedTuple):
    """An event that was looked for.  The first three are its order.

    `time`: as the file has it.  `file`: 0 is the newest, older ones are below.  `at`: where its line begins.
    `line`: what is in the file.
    """

    time: str
    file: int
    at: int
    line: bytes
    event: Event


class Search:
    """A search in the audit file at `path` and in those rotated from it.

    Good for one.  Once everything has been taken from `hits`: `more`: older events were left out.  `odd`: how
    many lines were no events, with the first of the newest file that has any in `first_odd`.  `unread`: files
    that could not be read to their ends, and why.  `looks_masked`: a masked name could be one of those looked
    for, and was left out.
    """

    def __init__(
        self, path: Path, query: Query, block: int = BLOCK, is_enough: Callable[[], bool] | None = None
    ) -> None:
        """`is_enough`: asked before each line and each block; once it says so no more is read, in any file."""
        self._path = real_file(path)
        self._matcher = _Matcher(query)
        self._sieve = NameSieve(self._matcher.names) if query.users else every_line
        self._block = block
        self._is_enough = is_enough or _never
        self._since = query.since - _MARGIN if query.since else None
        self._floor = _written(self._since)  # what is older is not looked for; it rises
        self.more = False
        self.odd = 0
        self.first_odd: tuple[Path, int] | None = None
        self.unread: dict[Path, str] = {}

    def matches(self, event: Event) -> bool:
        """Whether that is what is looked for, wherever it is kept."""
        return self._matcher.matches(event)

    @property
    def looks_masked(self) -> bool:
        return self._matcher.passed_over

    def hits(self, most: int) -> Iterator[Hit]:
        """The newest `most` (0: all), in the order they happened."""
        with ExitStack() as stack:
            since = self._since.timestamp() if self._since else 0.0
            parts, self.unread = open_parts(self._path, since, stack)
            if not (parts or self.unread or self._path.exists()):
                self.unread[self._path] = "is not there; the server makes it when it starts"
            yield from self._newest(parts, most) if most else self._all(parts)

    def _newest(self, parts: list[AuditPart], most: int) -> list[Hit]:
        found: list[Hit] = []  # a heap, one longer than asked for: then it is known that there are more
        for age, part in enumerate(parts):
            if _written(datetime.fromtimestamp(part.changed, UTC)) < self._floor:
                continue
            watch = Watch(self._is_enough)
            for hit in self._matching(part, -age, part.backwards(self._block, self._sieve, watch), watch):
                if hit.time < self._floor:
                    if part.packed:
                        continue
                    break
                if not self._matcher.matches(hit.event):
                    continue
                if len(found) <= most:
                    heappush(found, hit)
                else:
                    heappushpop(found, hit)
                if len(found) > most:
                    self._floor = max(self._floor, _before(found[0].time))
        self.more = self.more or len(found) > most
        return sorted(found)[-most:]

    def _all(self, parts: list[AuditPart]) -> Iterator[Hit]:
        return merge(*(self._in_order(self._from(part, -age)) for age, part in enumerate(parts)))

    def _from(self, part: AuditPart, file: int) -> Iterator[Hit]:
        """What is looked for in one file, from where it begins."""
        watch = Watch(self._is_enough)
        for hit in self._matching(part, file, self._lines(part, watch), watch):
            if self._matcher.matches(hit.event):
                yield hit

    def _lines(self, part: AuditPart, watch: Watch) -> Iterator[Line]:
        start = self._start(part) if self._floor and not part.packed else 0
        yield from part.forwards(start, self._sieve, watch)

    def _start(self, part: AuditPart) -> int:
        """Where a line begins before which all is too old: halving what is in question finds it."""
        first, last = 0, part.size()
        while last - first > 1:
            middle = (first + last) // 2
            time, at = next(_times(part.after(middle)), ("", last))
            if at < last and time < self._floor:
                first = at
            else:
                last = middle
        return first

    @staticmethod
    def _in_order(hits: Iterator[Hit]) -> Iterator[Hit]:
        waiting: list[Hit] = []
        newest = settled = ""
        for hit in hits:
            heappush(waiting, hit)
            if hit.time > newest:
                newest, settled = hit.time, _before(hit.time)
            while waiting[0].time < settled:
                yield heappop(waiting)
        yield from sorted(waiting)

    def _matching(self, part: AuditPart, file: int, lines: Iterator[Line], watch: Watch) -> Iterator[Hit]:
        """The events of a file; what is none is counted."""
        try:
            for at, line in lines:
                if self._is_enough():
                    self.more = True
                    return
                event = event_of(line)
                if event is not None:
                    watch.found()
                    yield Hit(event["time"], file, at, line.lstrip(b"\0"), event)
                    continue
                self.odd += 1
                if self.first_odd is None or (self.first_odd[0] == part.path and at < self.first_odd[1]):
                    self.first_odd = (part.path, at)
            self.more = self.more or watch.was_enough
            if watch.is_barren:
                self.unread[part.path] = BARREN
        except (OSError, EOFError, zlib.error) as broken:  # the last two of what is half compressed
            self.unread[part.path] = why(broken) if isinstance(broken, OSError) else "is not whole"


def _times(lines: Iterator[Line]) -> Iterator[tuple[str, int]]:
    """Of the events among them, with where each begins."""
    for at, line in lines:
        if (event := event_of(line)) is not None:
            yield event["time"], at


def _never() -> bool:
    return False


def event_of(line: bytes) -> Event | None:
    """The event in a line.  Zeros before it are what a power failure leaves in a file."""
    if len(line) > LONGEST:
        return None
    try:
        event: Event = orjson.loads(line.lstrip(b"\0"))
        time = event["time"]
        if not (_TIME.fullmatch(time) and isinstance(event["outcome"], str)):
            return None
        datetime.fromisoformat(time)
    except (ValueError, TypeError, LookupError):
        return None
    return event


class _Matcher:
    """A query, made ready.  `passed_over`: a masked name could be one of the users, and was not asked for."""

    def __init__(self, query: Query) -> None:
        self._users = frozenset(map(_fold, query.users)) - {""}
        self._ids = frozenset(query.users)
        self._maskings = frozenset(_fold(masked(each)) for each in self._users)
        self._with_masked = query.masked
        self._wanted = [
            (key, frozenset(these))
            for key, these in (
                ("client", query.clients),
                ("outcome", query.outcomes),
                ("decision", query.decisions),
                ("login", [each.lower() for each in query.logins]),
                ("by", query.by),
            )
            if these
        ]
        self._stations = frozenset(map(_station, query.stations))
        self._sources = frozenset(map(address_of, query.sources))
        self._since = _written(query.since)
        self._until = _written(query.until)
        self.passed_over = False

    @property
    def names(self) -> frozenset[str]:
        """What stands in an event that is about a user: a name, folded, or an id as it is."""
        return self._users | self._ids | self._maskings

    def matches(self, event: Event) -> bool:
        if event["time"] < self._since or (self._until and event["time"] >= self._until):
            return False
        for key, these in self._wanted:
            value = event.get(key)
            if not (isinstance(value, str) and value in these):
                return False
        if self._stations and _station(_text(event, "station")) not in self._stations:
            return False
        if self._sources and address_of(_text(event, "source")) not in self._sources:
            return False
        return not self._ids or self._is_about(event)

    def _is_about(self, event: Event) -> bool:
        typed = _fold(_text(event, "user_name"))
        if typed in self._users or _fold(_text(event, "username")) in self._users:
            return True
        if _text(event, "user_id"):
            return event["user_id"] in self._ids
        if typed not in self._maskings:
            return False
        self.passed_over = self.passed_over or not self._with_masked
        return self._with_masked


def _text(event: Event, key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""


@lru_cache(_NAMES_KEPT)
def _fold(name: str) -> str:
    return usernames.fold(name)


@lru_cache(_NAMES_KEPT)
def _station(said: str) -> str:
    """One spelling for all of a MAC address; case is nothing in any other."""
    folded = said.strip().casefold()
    bare = re.sub("[-:. ]", "", folded)
    return bare if re.fullmatch("[0-9a-f]{12}", bare) else folded


@lru_cache(_NAMES_KEPT)
def address_of(source: str) -> IPv4Address | IPv6Address | None:
    """The address in `192.0.2.1:1645`, `[2001:db8::1]:1645`, or without a port; None without one."""
    for host in (source, source.rpartition(":")[0]):
        try:
            address = ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            continue
        return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return None


def _written(moment: datetime | None) -> str:
    """As the file has it; "" for none."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else ""


def _before(time: str) -> str:
    """What cannot have been written before an event of that time was, unless it is older than this."""
    try:
        return _written(datetime.fromisoformat(time) - _MARGIN)
    except OverflowError:
        return ""
