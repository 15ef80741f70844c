"""What the store has of the logins of some users, as `radius-mfa audit` looks for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from radius_mfa.assembly.backends import store_of
from radius_mfa.config import model
from radius_mfa.core import usernames
from radius_mfa.core.acts import Act
from radius_mfa.core.errors import StoreError
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.portal_store import PastLogin

_PATIENCE = 5.0  # seconds
_MOST = 100_000  # logins of one user


async def rows_about(configuration: model.Configuration, users: Sequence[str], since: float) -> list[AuditEvent]:
    """The rounds that an answer has decided, of users by name or id.  `since`: seconds since 1970.

    Raises StoreError, also where the store does not answer in time.
    """
    path = configuration.storage.path
    if path is not None and not os.path.exists(path):
        return []  # the server makes it
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _rows_about(configuration, users, since)
    except TimeoutError:
        raise StoreError("does not answer") from None


async def _rows_about(configuration: model.Configuration, users: Sequence[str], since: float) -> list[AuditEvent]:
    store = await store_of(configuration, upgrade=False)
    try:
        called = await store.usernames()
        names = {usernames.fold(each) for each in users}
        ids = {*users, *(user_id for user_id, name in called.items() if usernames.fold(name) in names)}
        return [
            _event(user_id, called.get(user_id, ""), row)
            for user_id in sorted(ids)
            for row in await store.logins(user_id, since, _MOST)
        ]
    finally:
        await store.close()


def _event(user_id: str, username: str, row: PastLogin) -> AuditEvent:
    return AuditEvent(
        row.time,
        Outcome(row.outcome) if row.outcome in [*Outcome] else Act(row.outcome),
        row.decision,
        row.client,
        row.source,
        user_id=user_id,
        username=username,
        login=row.login,
        round=row.round,
        policy=row.policy,
        factor=row.factor,
        station=row.station,
    )
