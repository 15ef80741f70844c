"""What a transaction of the SQLite store is made of: rows as the ports' values, and values as rows.

The SQL is what PostgreSQL understands too, but for the form of the parameters.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.ports import (
    AnsweredBefore,
    Attempt,
    Consumption,
    Facts,
    MailCodeUse,
    NewToken,
    Refusal,
    Reserved,
    Token,
)
from radius_mfa.stores import sqlite_mail as mail

_FACTS = """
    SELECT c.failures, c.since_success, c.locks, c.locked_until, c.suspended,
           c.username, m.address, t.id, t.label, t.seed, t.last_step, t.drift, t.confirmed
    FROM user_counters c LEFT JOIN mail_address m ON m.user_id = c.user_id
        LEFT JOIN totp_token t ON t.user_id = c.user_id
    WHERE c.user_id = ? ORDER BY t.created, t.id"""
_COUNTERS = "SELECT failures, since_success, locks, locked_until, suspended FROM user_counters WHERE user_id = ?"
_WRITE_COUNTERS = """
    INSERT INTO user_counters
        (user_id, failures, since_success, locks, locked_until, suspended, username, created, last_success)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET
        failures = excluded.failures, since_success = excluded.since_success, locks = excluded.locks,
        locked_until = excluded.locked_until, suspended = excluded.suspended,
        username = coalesce(nullif(excluded.username, ''), user_counters.username),
        last_success = coalesce(excluded.last_success, user_counters.last_success)"""
_WRITE_USERNAME = """
    INSERT INTO user_counters (user_id, username, created) VALUES (?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET
        username = coalesce(nullif(excluded.username, ''), user_counters.username)"""
_TAKE_STEP = """
    UPDATE totp_token SET last_step = ?, drift = ?
    WHERE id = ? AND user_id = ? AND last_step < ? AND confirmed"""
_WRITE_LOGIN = """
    INSERT INTO login
        (time, login, user_id, username, client, station, source, policy, factor, outcome, decision)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_TOKEN = """
    INSERT INTO totp_token (id, user_id, label, seed, fingerprint, confirmed, last_step, drift, created)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)
    ON CONFLICT (user_id, fingerprint) DO NOTHING"""


def facts_of(db: sqlite3.Connection, user_id: str) -> Facts:
    rows = db.execute(_FACTS, (user_id,)).fetchall()
    if not rows:
        return Facts(user_id, Counters())
    # A user without a token is one row of which the token's half is NULL.
    tokens = tuple(_token(user_id, row) for row in rows if row[7] is not None)
    username, address = rows[0][5:7]
    codes = mail.codes_of(db, user_id) if address else ()
    return Facts(user_id, _counters(rows[0]), tokens, username, address or "", codes)


def counters_of(db: sqlite3.Connection, user_id: str) -> Counters:
    """What is counted of the user; nothing yet of one never seen."""
    row = db.execute(_COUNTERS, (user_id,)).fetchone()
    return _counters(row) if row else Counters()


def _counters(row: tuple[Any, ...]) -> Counters:
    failures, since_success, locks, locked_until, suspended = row[:5]
    return Counters(failures, since_success, locks, locked_until, bool(suspended))


def _token(user_id: str, row: tuple[Any, ...]) -> Token:
    token_id, label, seed, last_step, drift, confirmed = row[7:]
    return Token(token_id, user_id, label, seed, last_step, drift, bool(confirmed))


def consume(db: sqlite3.Connection, user_id: str, what: Consumption) -> bool:
    """Whether it was there to be used up, which it is now."""
    if isinstance(what, MailCodeUse):
        return mail.use(db, user_id, what)
    return db.execute(_TAKE_STEP, (what.step, what.drift, what.token_id, user_id, what.step)).rowcount == 1


def write_counters(
    db: sqlite3.Connection,
    user_id: str,
    counters: Counters,
    now: float,
    username: str = "",
    last_success: float | None = None,
) -> None:
    """Where the user is known already, an empty name and a time of None leave what is there."""
    failures, since_success = counters.failures, counters.since_success
    lock = (counters.locks, counters.locked_until, counters.suspended)
    db.execute(_WRITE_COUNTERS, (user_id, failures, since_success, *lock, username, now, last_success))


def spent_before(
    attempt: Attempt, row: tuple[bytes, bytes | None], facts: Facts
) -> Reserved | AnsweredBefore | Refusal:
    digest, decision = row
    if digest != attempt.digest:
        return Refusal.SPENT
    return Reserved(facts) if decision is None else AnsweredBefore(decision)


def write_login(db: sqlite3.Connection, event: AuditEvent) -> None:
    who = (event.time, event.login, event.user_id, event.username, event.client, event.station, event.source)
    db.execute(_WRITE_LOGIN, (*who, event.policy, event.factor, event.outcome.value, event.decision))


def write_username(db: sqlite3.Connection, user_id: str, username: str, now: float) -> None:
    """Make the user known; an empty name leaves what is there."""
    db.execute(_WRITE_USERNAME, (user_id, username, now))


def add_token(db: sqlite3.Connection, token: NewToken, now: float) -> bool:
    write_username(db, token.user_id, token.username, now)
    what = (token.id, token.user_id, token.label, token.seed, token.fingerprint)
    return db.execute(_ADD_TOKEN, (*what, token.confirmed, token.last_step, now)).rowcount == 1
