"""What SQLite keeps of mail: the verified address of a user, the codes sent there, and the outbox.

Functions over a connection; each is a part of somebody's transaction, or one statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from radius_mfa.core.mailing import DAY
from radius_mfa.core.ports import Mail, MailCode, MailCodeUse, NewMailCode
from radius_mfa.stores.sqlite_connection import transaction

_CODES = """
    SELECT id, reference, code, created, expires, tries, used FROM mail_code
    WHERE user_id = ? ORDER BY number"""
_NEWEST = "SELECT id FROM mail_code WHERE user_id = ? ORDER BY number DESC LIMIT 1"
_ADDRESS = "SELECT address FROM mail_address WHERE user_id = ?"
_ADD_CODE = """
    INSERT INTO mail_code (id, user_id, reference, code, created, expires, tries, used)
    VALUES (?, ?, ?, ?, ?, ?, 0, FALSE)"""
_COUNT_TRY = """
    UPDATE mail_code SET tries = tries + 1 WHERE user_id = ? AND NOT used AND expires > ? RETURNING id"""
_UNCOUNT_TRY = "UPDATE mail_code SET tries = tries - 1 WHERE id = ? AND user_id = ? AND tries > 0"
_USE = "UPDATE mail_code SET used = TRUE WHERE id = ? AND user_id = ? AND NOT used"

_ADD_MAIL = "INSERT INTO outbox (id, address, language, client, attempts, due) VALUES (?, ?, ?, ?, 0, ?)"
# What is due further ahead than any claim or pause goes was written before the clock was set back.
_AHEAD = 3600.0
_DUE = "SELECT id FROM outbox WHERE due <= ? OR due > ? ORDER BY due, id LIMIT ?"
_CLAIM = "UPDATE outbox SET due = ?, attempts = attempts + 1 WHERE id = ?"
_MAIL = """
    SELECT o.id, c.user_id, coalesce(u.username, ''), o.address, o.language, o.client,
           c.reference, c.code, c.created, c.expires, o.attempts
    FROM outbox o JOIN mail_code c ON c.id = o.id LEFT JOIN user_counters u ON u.user_id = c.user_id
    WHERE o.id = ?"""
_POSTPONE = "UPDATE outbox SET due = ? WHERE id = ?"
_DROP = "DELETE FROM outbox WHERE id = ?"

_VOID_ELSEWHERE = """
    DELETE FROM mail_code WHERE user_id = ? AND NOT EXISTS
        (SELECT 1 FROM mail_address a WHERE a.user_id = mail_code.user_id AND a.address = ?)"""
_DROP_ORPHANS = "DELETE FROM outbox WHERE NOT EXISTS (SELECT 1 FROM mail_code c WHERE c.id = outbox.id)"
_SET_ADDRESS = """
    INSERT INTO mail_address (user_id, address, verified) VALUES (?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET address = excluded.address, verified = excluded.verified"""
_REMOVE_ADDRESS = "DELETE FROM mail_address WHERE user_id = ?"

PURGE_OUTBOX = """
    DELETE FROM outbox WHERE id IN
        (SELECT o.id FROM outbox o LEFT JOIN mail_code c ON c.id = o.id WHERE c.id IS NULL LIMIT ?)"""
PURGE_CODES = """
    DELETE FROM mail_code WHERE id IN
        (SELECT id FROM mail_code WHERE expires < ? AND created < ? ORDER BY expires LIMIT ?)"""


def codes_of(db: sqlite3.Connection, user_id: str) -> tuple[MailCode, ...]:
    """The user's codes, in the order they were issued."""
    rows = db.execute(_CODES, (user_id,)).fetchall()
    return tuple(MailCode(row[0], user_id, row[1], row[2], row[3], row[4], row[5], bool(row[6])) for row in rows)


def count_try(db: sqlite3.Connection, user_id: str, now: float) -> tuple[str, ...]:
    """A guess is a try of every code it might be: their ids."""
    return tuple(row[0] for row in db.execute(_COUNT_TRY, (user_id, now)).fetchall())


def take_tries_back(db: sqlite3.Connection, user_id: str, code_ids: Iterable[str]) -> None:
    db.executemany(_UNCOUNT_TRY, [(code_id, user_id) for code_id in code_ids])


def use(db: sqlite3.Connection, user_id: str, code: MailCodeUse) -> bool:
    """Whether the code was there to be used up, which it is now; if its mail is still to leave, it need not."""
    used = db.execute(_USE, (code.code_id, user_id)).rowcount == 1
    if used:
        db.execute(_DROP, (code.code_id,))
    return used


def issue(db: sqlite3.Connection, code: NewMailCode) -> bool:
    """Code and mail, unless a newer code than `after` is there, or another address."""
    with transaction(db):
        newest = db.execute(_NEWEST, (code.user_id,)).fetchone() or ("",)
        address = db.execute(_ADDRESS, (code.user_id,)).fetchone()
        if newest != (code.after,) or address != (code.address,):
            return False
        db.execute(_ADD_CODE, (code.id, code.user_id, code.reference, code.code, code.created, code.expires))
        db.execute(_ADD_MAIL, (code.id, code.address, code.language, code.client, code.created))
    return True


def claim(db: sqlite3.Connection, now: float, until: float, most: int) -> Sequence[Mail]:
    """What is due, and not due again before `until`.  Mostly there is nothing: then no lock is taken."""
    due = (now, now + _AHEAD, most)
    if not db.execute(_DUE, due).fetchall():
        return []
    with transaction(db):
        ids = db.execute(_DUE, due).fetchall()
        db.executemany(_CLAIM, [(until, mail_id) for (mail_id,) in ids])
        return [Mail(*row) for mail_id in ids for row in db.execute(_MAIL, mail_id)]


def postpone(db: sqlite3.Connection, mail_id: str, due: float) -> None:
    db.execute(_POSTPONE, (due, mail_id))


def drop(db: sqlite3.Connection, mail_id: str) -> None:
    db.execute(_DROP, (mail_id,))


def set_address(db: sqlite3.Connection, user_id: str, address: str, now: float) -> None:
    """Part of a transaction.  What was sent elsewhere is void, and what is not sent yet never will be."""
    db.execute(_VOID_ELSEWHERE, (user_id, address))
    db.execute(_DROP_ORPHANS)
    if address:
        db.execute(_SET_ADDRESS, (user_id, address, now))
    else:
        db.execute(_REMOVE_ADDRESS, (user_id,))


def forgettable(now: float) -> tuple[float, float]:
    """The parameters of PURGE_CODES: expired, and not counted by `per_day` any more."""
    return now, now - DAY
