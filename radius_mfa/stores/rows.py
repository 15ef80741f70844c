"""Rows as the values that `core.stored` and `core.kept` know: SQLite has numbers where PostgreSQL has booleans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from radius_mfa.core.guard import Counters
from radius_mfa.core.stored import Token

COUNTERS = "failures, since_success, locks, locked_until, suspended"
TOKEN = "t.id, t.user_id, t.label, t.seed, t.last_step, t.drift, t.confirmed, t.told_steps"


def counters(row: Sequence[Any]) -> Counters:
    """Those of a row that has the columns of COUNTERS."""
    failures, since_success, locks, locked_until, suspended = row
    return Counters(failures, since_success, locks, locked_until, bool(suspended))


def token(row: Sequence[Any]) -> Token:
    """That of a row that has the columns of TOKEN."""
    token_id, user_id, label, seed, last_step, drift, confirmed, told = row
    return Token(token_id, user_id, label, seed, last_step, drift, bool(confirmed), steps(told))


def steps(text: str) -> frozenset[int]:
    """The steps that a column has, with commas between."""
    return frozenset(map(int, text.split(","))) if text else frozenset()
