"""The latest events of the audit file about one user, as the help desk is shown them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from radius_mfa.observe.audit_search import Query, Search

Events = Callable[[str, str], Awaitable[Sequence[Mapping[str, Any]]]]

LOOK_BACK = timedelta(days=90)
MOST_EVENTS = 150
PATIENCE = 1.5  # seconds of reading, for which other pages are slower: the newest are found first


def events_of(path: Path | None) -> Events:
    """What `PortalPorts.events` is.  `path`: of the audit file; None where events go to the log."""

    async def events(user_id: str, username: str) -> Sequence[Mapping[str, Any]]:
        if path is None:
            return ()
        return await asyncio.to_thread(recent_events, path, user_id, username, MOST_EVENTS)

    return events


def recent_events(
    path: Path, user_id: str, username: str, most: int, patience: float = PATIENCE
) -> Sequence[Mapping[str, Any]]:
    """The newest first, as the file has them; what `patience` seconds did not suffice for is left out.

    None where there is no file, or it is not ours to read: the portal has a user of its own.
    """
    end = monotonic() + patience
    query = Query(users=(user_id, username), since=datetime.now(UTC) - LOOK_BACK)
    search = Search(path, query, is_enough=lambda: monotonic() >= end)
    return [hit.event for hit in search.hits(most)][::-1]
