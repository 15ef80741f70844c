"""The logins of the store among the events of the audit file: those of other nodes, and those whose file is gone.

What the store has of a login is a part of its event: who, where, when, by what, and what it came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge

import orjson

from radius_mfa.core.messages import AuditEvent
from radius_mfa.observe.audit import as_record
from radius_mfa.observe.audit_search import Event, Hit, Search

_STORED = 1  # where a file has its number: behind the same event of any file


def with_stored(search: Search, stored: Iterable[AuditEvent], most: int) -> Iterator[Hit]:
    """The newest `most` (0: all) of what `search` finds and of the `stored` that no file has; in order."""
    rows = sorted(filter(lambda hit: search.matches(hit.event), map(_hit, enumerate(stored))))
    hits = search.hits(most)
    if not most:
        yield from _merged(hits, rows)
        return
    found = [*hits]
    if search.more:  # files have more from before the oldest of these, and so what the store has may be there
        rows = [row for row in rows if row >= found[0]]
    together = [*_merged(found, rows)]
    search.more = search.more or len(together) > most
    yield from together[-most:]


def _merged(hits: Iterable[Hit], rows: list[Hit]) -> Iterator[Hit]:
    """An event and its row have one time, and the event comes first."""
    missing = {_key(row.event) for row in rows}
    for hit in merge(hits, rows):
        key = _key(hit.event)
        if hit.file != _STORED:
            missing.discard(key)
        elif key not in missing:
            continue
        yield hit


def _key(event: Event) -> tuple[object, ...]:
    return event.get("login"), event.get("round"), event["outcome"]


def _hit(numbered: tuple[int, AuditEvent]) -> Hit:
    at, row = numbered
    event = {**as_record(row), "origin": "store"}
    return Hit(event["time"], _STORED, at, orjson.dumps(event), event)
