"""The store on SQLite: one file for all processes of a machine, or in memory.

There are two connections.  What a login needs runs on the event loop, since each statement takes
microseconds; the loop is never kept waiting: a locked store is tried again after a pause, until the
deadline.  These commits are not synced (after a power cut, what was lost may be replayed for as
long as a code is good).  What must not be lost, and what takes its time, goes to the second
connection, which syncs and waits in a thread of its own; copying the write-ahead log back into the
file, which SQLite would do in the middle of some login's commit, is among that.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TypeVar

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent, FactorKind
from radius_mfa.core.ports import (
    AnsweredBefore,
    Attempt,
    Clock,
    Facts,
    Mail,
    MailCodeUse,
    NewMailCode,
    NewToken,
    Refusal,
    Reserved,
    Settled,
    Settlement,
)
from radius_mfa.stores import sqlite_mail as mail
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
from radius_mfa.stores.sqlite_rows import (
    add_token,
    consume,
    counters_of,
    facts_of,
    spent_before,
    write_counters,
    write_login,
    write_username,
)

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.016  # seconds between two tries; a transaction takes 0.0001
_PATIENCE = 10.0  # seconds the thread waits for a lock
_CHECKPOINT_PATIENCE = 0.05  # seconds a checkpoint may wait, and others for it
_BATCH = 500  # rows deleted in one transaction
_COMMITS_PER_CHECKPOINT = 256  # about as many pages as SQLite's own 1000

_SPENT = "SELECT digest, decision FROM spent_state WHERE login = ? AND round = ?"
_SPEND = "INSERT INTO spent_state (login, round, user_id, digest, expires) VALUES (?, ?, ?, ?, ?)"
_DECIDE = "UPDATE spent_state SET decision = ? WHERE login = ? AND round = ?"

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
        return await self._on_loop(partial(facts_of, self._hot, user_id), deadline)

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
            facts = facts_of(db, attempt.user_id)
            row = db.execute(_SPENT, (attempt.login, attempt.round)).fetchone()
            if row is not None:
                return spent_before(attempt, row, facts)
            counters = reserve(facts.counters)
            if counters is None:
                return Refusal.BARRED
            spent = (attempt.login, attempt.round, attempt.user_id, attempt.digest, attempt.expires)
            db.execute(_SPEND, spent)
            if counters != facts.counters:
                write_counters(db, attempt.user_id, counters, self._clock.wall())
            tried: tuple[str, ...] = ()
            if attempt.guess is FactorKind.MAIL:
                tried = mail.count_try(db, attempt.user_id, self._clock.wall())
                facts = replace(facts, mail_codes=mail.codes_of(db, attempt.user_id))
        return Reserved(replace(facts, counters=counters), tried)

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        if isinstance(settlement.consume, MailCodeUse):  # good for a day: it must not be good again after a crash
            return await self._durably_by(deadline, partial(self._settle, settlement))
        settled = await self._on_loop(partial(self._settle, settlement, self._hot), deadline)
        self._count_commit()
        return settled

    def _settle(self, settlement: Settlement, db: sqlite3.Connection) -> Settled | AnsweredBefore:
        attempt, event = settlement.attempt, settlement.event
        with transaction(db):
            row = db.execute(_SPENT, (attempt.login, attempt.round)).fetchone()
            if row is None or row[0] != attempt.digest:
                raise StoreError(f"{self._name}: no State was spent by the attempt to settle, or it was purged")
            if row[1] is not None:
                return AnsweredBefore(row[1])
            # Before anything is written: a code that is used ends the transaction with nothing in it.
            if settlement.consume and not consume(db, attempt.user_id, settlement.consume):
                return Settled.CODE_USED
            if settlement.adjust:
                self._adjust(db, attempt.user_id, settlement.adjust, event)
            if settlement.untried:
                mail.take_tries_back(db, attempt.user_id, settlement.untried)
            db.execute(_DECIDE, (settlement.decision, attempt.login, attempt.round))
            write_login(db, event)
        return Settled.DONE

    def _adjust(
        self, db: sqlite3.Connection, user_id: str, adjust: Callable[[Counters], Counters], event: AuditEvent
    ) -> None:
        before = counters_of(db, user_id)
        after = adjust(before)
        accepted = event.time if event.decision == "accept" else None
        if after != before or accepted is not None:
            write_counters(db, user_id, after, self._clock.wall(), event.username, accepted)

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        issued = await self._on_loop(partial(mail.issue, self._hot, code), deadline)
        self._count_commit()
        return issued

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
                return [add_token(db, token, now) for token in tokens]

        return await self._durably(add)

    async def confirm_token(self, token_id: str, step: int) -> bool:
        return await self._durably(lambda db: db.execute(_CONFIRM, (step, step, token_id)).rowcount == 1)

    async def claim_mails(self, now: float, until: float, most: int) -> Sequence[Mail]:
        return await self._durably(lambda db: mail.claim(db, now, until, most))

    async def postpone_mail(self, mail_id: str, due: float) -> None:
        await self._durably(lambda db: mail.postpone(db, mail_id, due))

    async def drop_mail(self, mail_id: str) -> None:
        await self._durably(lambda db: mail.drop(db, mail_id))

    async def set_mail_address(self, user_id: str, username: str, address: str) -> None:
        now = self._clock.wall()

        def keep(db: sqlite3.Connection) -> None:
            with transaction(db):
                write_username(db, user_id, username, now)
                mail.set_address(db, user_id, address, now)

        await self._durably(keep)

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
        return (
            await self._purge(_PURGE_SPENT, now)
            + await self._purge(_PURGE_LOGINS, logins_before)
            + await self._purge(mail.PURGE_CODES, *mail.forgettable(now))
            + await self._purge(mail.PURGE_OUTBOX)
        )

    async def _purge(self, statement: str, *before: float) -> int:
        """Delete in small transactions, and leave the lock alone between two for longer than anybody pauses."""
        total = 0
        while True:
            deleted = await self._durably(lambda db: db.execute(statement, (*before, _BATCH)).rowcount)
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

    async def _durably_by(self, deadline: float, work: Callable[[sqlite3.Connection], T]) -> T:
        """As `_durably`, for a login that cannot wait for ever; what is late may be done all the same."""
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                return await asyncio.shield(self._durably(work))
        except TimeoutError:
            raise StoreError(f"{self._name}: could not be written in time") from None

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
