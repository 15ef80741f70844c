"""The store on SQLite: one file for all processes of a machine, or in memory.

There are two connections.  What a login needs runs on the event loop, since each statement takes
microseconds; the loop is never kept waiting: a locked store is tried again after a pause, until the
deadline.  These commits are not synced (after a power cut, what was lost may be replayed for as
long as a code is good).  What must not be lost, and what takes its time, goes to the second
connection, which syncs and waits in a thread of its own; copying the write-ahead log back into the
file, which SQLite would do in the middle of some login's commit, is among that.

The SQL is what PostgreSQL understands too, but for the form of the parameters.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.ports import (
    AnsweredBefore,
    Attempt,
    Clock,
    Facts,
    NewToken,
    Refusal,
    Reserved,
    Settled,
    Settlement,
    Token,
    TotpStep,
)
from radius_mfa.stores.migrate import migrate
from radius_mfa.stores.sqlite_connection import (
    broken,
    connect,
    is_locked,
    name_of,
    path_of,
    store_errors,
    transaction,
)

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.016  # seconds between two tries; a transaction takes 0.0001
_PATIENCE = 10.0  # seconds the thread waits for a lock
_CHECKPOINT_PATIENCE = 0.05  # seconds a checkpoint may wait, and others for it
_BATCH = 500  # rows deleted in one transaction
_COMMITS_PER_CHECKPOINT = 256  # about as many pages as SQLite's own 1000

_FACTS = """
    SELECT c.failures, c.since_success, c.locks, c.locked_until, c.suspended,
           c.username, t.id, t.label, t.seed, t.last_step, t.drift, t.confirmed
    FROM user_counters c LEFT JOIN totp_token t ON t.user_id = c.user_id
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
    ON CONFLICT (user_id) DO UPDATE SET username = excluded.username"""

_SPENT = "SELECT digest, decision FROM spent_state WHERE login = ? AND round = ?"
_SPEND = "INSERT INTO spent_state (login, round, user_id, digest, expires) VALUES (?, ?, ?, ?, ?)"
_DECIDE = "UPDATE spent_state SET decision = ? WHERE login = ? AND round = ?"
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
_CONFIRM = """
    UPDATE totp_token SET confirmed = TRUE, last_step = CASE WHEN last_step < ? THEN ? ELSE last_step END
    WHERE id = ? AND NOT confirmed"""
_UNLOCK = """
    UPDATE user_counters SET failures = 0, since_success = 0, locks = 0, locked_until = 0, suspended = FALSE
    WHERE user_id = ?"""
_NOTE_SOURCE = """
    INSERT INTO message_authenticator_seen (client, source, since) VALUES (?, ?, ?)
    ON CONFLICT (client, source) DO NOTHING"""
_ADD_FIRST_PROOF = """
    INSERT INTO key_check (key_id, proof) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM key_check)"""
_PURGE_SPENT = """
    DELETE FROM spent_state WHERE (login, round) IN
        (SELECT login, round FROM spent_state WHERE expires < ? ORDER BY expires LIMIT ?)"""
_PURGE_LOGINS = """
    DELETE FROM login WHERE id IN (SELECT id FROM login WHERE time < ? ORDER BY time LIMIT ?)"""


class SqliteStore:
    """`core.ports.Store` on SQLite.  Opened after a fork, closed by whoever opened it."""

    def __init__(self, name: str, clock: Clock, hot: sqlite3.Connection, durable: sqlite3.Connection) -> None:
        self._name = name
        self._clock = clock
        self._hot = hot
        self._durable = durable
        # In memory there is one connection, nothing to sync and nobody to wait for.
        self._thread = None if durable is hot else ThreadPoolExecutor(1, thread_name_prefix="store")
        self._commits = 0
        self._closed = False

    @classmethod
    def open(cls, url: str, clock: Clock) -> SqliteStore:
        """The store at `url`, `sqlite:////path` or `sqlite://`, in the newest schema version.

        Blocks: for opening, before the event loop serves.  Raises StoreError.
        """
        name = name_of(url)
        with ExitStack() as on_error, store_errors(name):
            hot = durable = connect(url, wait=_PATIENCE)
            on_error.callback(durable.close)
            migrate(durable, name)
            if path_of(url):
                hot = connect(url, wait=_PATIENCE)
                on_error.callback(hot.close)
                _prepare(durable, name, "FULL")
                _prepare(hot, name, "NORMAL")
                hot.execute("PRAGMA busy_timeout = 0")
                hot.execute("PRAGMA wal_autocheckpoint = 0")  # `_checkpoint` does it, in the thread
            on_error.pop_all()
        return cls(name, clock, hot, durable)

    # --- the way of a login -------------------------------------------------------------------------

    async def facts(self, user_id: str, deadline: float) -> Facts:
        return await self._on_loop(partial(_facts, self._hot, user_id), deadline)

    async def spend(
        self, attempt: Attempt, reserve: Callable[[Counters], Counters | None], deadline: float
    ) -> Reserved | AnsweredBefore | Refusal:
        spent = await self._on_loop(partial(self._spend, attempt, reserve), deadline)
        self._count_commit()
        return spent

    def _spend(
        self, attempt: Attempt, reserve: Callable[[Counters], Counters | None]
    ) -> Reserved | AnsweredBefore | Refusal:
        db = self._hot
        with transaction(db):
            facts = _facts(db, attempt.user_id)
            row = db.execute(_SPENT, (attempt.login, attempt.round)).fetchone()
            if row is not None:
                return _spent_before(attempt, row, facts)
            counters = reserve(facts.counters)
            if counters is None:
                return Refusal.BARRED
            spent = (attempt.login, attempt.round, attempt.user_id, attempt.digest, attempt.expires)
            db.execute(_SPEND, spent)
            if counters != facts.counters:
                self._write_counters(attempt.user_id, counters)
        return Reserved(Facts(attempt.user_id, counters, facts.tokens, facts.username))

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        settled = await self._on_loop(partial(self._settle, settlement), deadline)
        self._count_commit()
        return settled

    def _settle(self, settlement: Settlement) -> Settled | AnsweredBefore:
        db, attempt, event = self._hot, settlement.attempt, settlement.event
        with transaction(db):
            row = db.execute(_SPENT, (attempt.login, attempt.round)).fetchone()
            if row is None or row[0] != attempt.digest:
                raise StoreError(f"{self._name}: no State was spent by the attempt to settle, or it was purged")
            if row[1] is not None:
                return AnsweredBefore(row[1])
            # Before anything is written: a code that is used ends the transaction with nothing in it.
            if settlement.consume and not self._consume(attempt.user_id, settlement.consume):
                return Settled.CODE_USED
            if settlement.adjust:
                self._adjust(attempt.user_id, settlement.adjust, event)
            db.execute(_DECIDE, (settlement.decision, attempt.login, attempt.round))
            db.execute(_WRITE_LOGIN, _login_row(event))
        return Settled.DONE

    def _consume(self, user_id: str, step: TotpStep) -> bool:
        """Whether it was there to be used up, which it is now."""
        taken = self._hot.execute(_TAKE_STEP, (step.step, step.drift, step.token_id, user_id, step.step))
        return taken.rowcount == 1

    def _adjust(self, user_id: str, adjust: Callable[[Counters], Counters], event: AuditEvent) -> None:
        row = self._hot.execute(_COUNTERS, (user_id,)).fetchone()
        before = _counters(row) if row else Counters()
        after = adjust(before)
        accepted = event.time if event.decision == "accept" else None
        if after != before or accepted is not None:
            self._write_counters(user_id, after, event.username, accepted)

    def _write_counters(
        self, user_id: str, counters: Counters, username: str = "", last_success: float | None = None
    ) -> None:
        """Where the user is known already, an empty name and a time of None leave what is there."""
        failures, since_success = counters.failures, counters.since_success
        lock = (counters.locks, counters.locked_until, counters.suspended)
        rest = (username, self._clock.wall(), last_success)
        self._hot.execute(_WRITE_COUNTERS, (user_id, failures, since_success, *lock, *rest))

    async def _on_loop(self, work: Callable[[], T], deadline: float) -> T:
        """What `work` returns, tried again for as long as somebody else holds the lock.

        `work` is one transaction and does not wait for anything, so nothing of this process comes between.
        """
        pause = _FIRST_PAUSE
        while (left := deadline - self._clock.monotonic()) > 0:
            try:
                return work()
            except sqlite3.Error as error:
                if not is_locked(error):
                    raise broken(self._name, error) from error
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise StoreError(f"{self._name}: could not be read or written in time")

    # --- what must last, and what takes its time ----------------------------------------------------

    async def add_tokens(self, tokens: Sequence[NewToken]) -> Sequence[bool]:
        now = self._clock.wall()

        def add(db: sqlite3.Connection) -> list[bool]:
            with transaction(db):
                return [_add_token(db, token, now) for token in tokens]

        return await self._durably(add)

    async def confirm_token(self, token_id: str, step: int) -> bool:
        return await self._durably(lambda db: db.execute(_CONFIRM, (step, step, token_id)).rowcount == 1)

    async def unlock(self, user_id: str) -> bool:
        return await self._durably(lambda db: db.execute(_UNLOCK, (user_id,)).rowcount == 1)

    async def seen_message_authenticator(self) -> frozenset[tuple[str, str]]:
        query = "SELECT client, source FROM message_authenticator_seen"
        return await self._durably(lambda db: frozenset(db.execute(query).fetchall()))

    async def note_message_authenticator(self, client: str, source: str) -> None:
        row = (client, source, self._clock.wall())
        await self._durably(lambda db: db.execute(_NOTE_SOURCE, row))

    async def key_proofs(self) -> Mapping[bytes, bytes]:
        """What is kept to tell whether a key file is the store's: by key id, what that key sealed."""
        return await self._durably(lambda db: dict(db.execute("SELECT key_id, proof FROM key_check").fetchall()))

    async def add_first_key_proof(self, key_id: bytes, proof: bytes) -> None:
        """Keep a proof, unless there is one already."""
        await self._durably(lambda db: db.execute(_ADD_FIRST_PROOF, (key_id, proof)))

    async def purge(self, now: float, logins_before: float) -> int:
        return await self._purge(_PURGE_SPENT, now) + await self._purge(_PURGE_LOGINS, logins_before)

    async def _purge(self, statement: str, before: float) -> int:
        """Delete in small transactions, and leave the lock alone between two for longer than anybody pauses."""
        total = 0
        while True:
            deleted = await self._durably(lambda db: db.execute(statement, (before, _BATCH)).rowcount)
            total += deleted
            if deleted < _BATCH:
                return total
            await asyncio.sleep(2 * _LONGEST_PAUSE)

    async def _durably(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, in the thread that may wait for locks and for the disk."""
        if self._closed:
            raise StoreError(f"{self._name}: is closed")
        with store_errors(self._name):
            if self._thread is None:
                return work(self._durable)
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._durable)

    def _count_commit(self) -> None:
        self._commits += 1
        if self._thread and not self._closed and self._commits % _COMMITS_PER_CHECKPOINT == 0:
            self._thread.submit(_checkpoint, self._durable)

    async def close(self) -> None:
        """Finish what the thread has begun, and let go of the file.  A second time is nothing."""
        if self._closed:
            return
        self._closed = True
        self._hot.close()
        if self._thread:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._durable.close)
            self._thread.shutdown()


def _prepare(connection: sqlite3.Connection, name: str, synchronous: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"{name}: its file system cannot keep a write-ahead log; use a local disk")
    connection.execute(f"PRAGMA synchronous = {synchronous}")


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Copy the log back into the file: most of it beside the writers, then the rest, and begin it anew.

    Hardly waits for a reader that is in the way, because writers would have to wait with it.  What
    cannot be done now is done the next time.
    """
    connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_PATIENCE * 1000:.0f}")
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000:.0f}")


def _facts(db: sqlite3.Connection, user_id: str) -> Facts:
    rows = db.execute(_FACTS, (user_id,)).fetchall()
    if not rows:
        return Facts(user_id, Counters())
    # A user without a token is one row of which the token's half is NULL.
    tokens = tuple(_token(user_id, row) for row in rows if row[6] is not None)
    return Facts(user_id, _counters(rows[0]), tokens, rows[0][5])


def _counters(row: tuple[Any, ...]) -> Counters:
    failures, since_success, locks, locked_until, suspended = row[:5]
    return Counters(failures, since_success, locks, locked_until, bool(suspended))


def _token(user_id: str, row: tuple[Any, ...]) -> Token:
    token_id, label, seed, last_step, drift, confirmed = row[6:]
    return Token(token_id, user_id, label, seed, last_step, drift, bool(confirmed))


def _spent_before(
    attempt: Attempt, row: tuple[bytes, bytes | None], facts: Facts
) -> Reserved | AnsweredBefore | Refusal:
    digest, decision = row
    if digest != attempt.digest:
        return Refusal.SPENT
    return Reserved(facts) if decision is None else AnsweredBefore(decision)


def _login_row(event: AuditEvent) -> tuple[object, ...]:
    who = (event.time, event.login, event.user_id, event.username, event.client, event.station, event.source)
    return (*who, event.policy, event.factor, event.outcome.value, event.decision)


def _add_token(db: sqlite3.Connection, token: NewToken, now: float) -> bool:
    db.execute(_WRITE_USERNAME, (token.user_id, token.username, now))
    what = (token.id, token.user_id, token.label, token.seed, token.fingerprint)
    return db.execute(_ADD_TOKEN, (*what, token.confirmed, token.last_step, now)).rowcount == 1
