"""What a login does in the store: facts, the transaction or two of an answer, what is looked up beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent, FactorKind
from radius_mfa.core.store import Judge
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Consumption,
    Facts,
    MailCodeUse,
    NewDevice,
    RecoveryCode,
    RecoveryCodeUse,
    Refusal,
    Reserved,
    Settled,
    Settlement,
    TotpStep,
)
from radius_mfa.stores import mail_work as mail
from radius_mfa.stores.rows import COUNTERS, TOKEN, counters, steps, token
from radius_mfa.stores.work import Rows, Statement, Work

_FACTS = Statement(f"""
    SELECT c.failures, c.since_success, c.locks, c.locked_until, c.suspended,
           c.username, c.required, m.address,
           (SELECT count(*) FROM recovery_code r WHERE r.user_id = c.user_id AND NOT r.used),
           {TOKEN}, t.created
    FROM user_counters c LEFT JOIN mail_address m ON m.user_id = c.user_id
        LEFT JOIN totp_token t ON t.user_id = c.user_id
    WHERE c.user_id = ?""")
_COUNTERS = Statement(f"SELECT {COUNTERS} FROM user_counters WHERE user_id = ?")
_WRITE_COUNTERS = Statement("""
    INSERT INTO user_counters
        (user_id, failures, since_success, locks, locked_until, suspended, username, created, last_success)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET
        failures = excluded.failures, since_success = excluded.since_success, locks = excluded.locks,
        locked_until = excluded.locked_until, suspended = excluded.suspended,
        username = coalesce(nullif(excluded.username, ''), user_counters.username),
        last_success = coalesce(excluded.last_success, user_counters.last_success)""")

_SPENT = Statement("SELECT digest, decision, has_suspended FROM spent_state WHERE login = ? AND round = ?")
_SPEND = Statement("""
    INSERT INTO spent_state (login, round, user_id, digest, expires, has_suspended, decision)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (login, round) DO NOTHING RETURNING 1""")
_DECIDE = Statement("UPDATE spent_state SET decision = ? WHERE login = ? AND round = ?")
_WRITE_LOGIN = Statement("""
    INSERT INTO login
        (time, login, user_id, username, client, station, source, policy, factor, outcome, decision)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""")

_TAKE_STEP = Statement("""
    UPDATE totp_token SET last_step = ?, drift = ?
    WHERE id = ? AND user_id = ? AND last_step < ? AND confirmed
        AND ',' || told_steps || ',' NOT LIKE ? RETURNING 1""")
_TOLD = Statement("SELECT told_steps FROM totp_token WHERE id = ? AND user_id = ?")
_TELL = Statement("UPDATE totp_token SET told_steps = ? WHERE id = ? AND user_id = ?")
# All that can be told of at one time, and more: of these the newest are kept.
_MOST_TOLD = 40
_RECOVERY_CODES = Statement("SELECT id, code, used FROM recovery_code WHERE user_id = ? ORDER BY id")
_USE_RECOVERY_CODE = Statement("""
    UPDATE recovery_code SET used = TRUE WHERE id = ? AND user_id = ? AND NOT used RETURNING 1""")

_DISTRUST = Statement("DELETE FROM trusted_device WHERE user_id = ? AND station = ? AND scope = ?")
_TRUST = Statement("""
    INSERT INTO trusted_device (id, scope, user_id, station, client, factor, created, expires)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)""")
_TRUSTED = Statement("""
    SELECT scope, factor, created, expires FROM trusted_device WHERE user_id = ? AND station = ?""")
_SEEN = Statement("""
    INSERT INTO station_user (station, user_id, seen) VALUES (?, ?, ?)
    ON CONFLICT (station, user_id) DO UPDATE SET seen = excluded.seen""")
_OTHERS = Statement("""
    SELECT user_id FROM station_user WHERE station = ? AND seen >= ? AND user_id <> ?
    UNION SELECT user_id FROM trusted_device WHERE station = ? AND expires > ? AND user_id <> ? LIMIT ?""")


def facts(user_id: str, guess: FactorKind | None = None) -> Work[Facts]:
    """What is known of the user, with the recovery codes where one of them is guessed."""
    rows = yield _FACTS(user_id)
    if not rows:
        return Facts(user_id, Counters())
    if len(rows) > 1:
        rows = sorted(rows, key=lambda row: (row[17], row[9]))  # in the order they were added
    # A user without a token is one row of which the token's part is NULL.
    tokens = tuple([token(row[9:17]) for row in rows if row[9] is not None])
    username, required, address, left = rows[0][5:9]
    codes = (yield from mail.codes(user_id)) if address else ()
    recovery: tuple[RecoveryCode, ...] = ()
    if guess is FactorKind.RECOVERY_CODES:
        found = yield _RECOVERY_CODES(user_id)
        recovery = tuple(RecoveryCode(row[0], user_id, row[1], bool(row[2])) for row in found)
    return Facts(
        user_id, counters(rows[0][:5]), tokens, username, address or "", codes, bool(required), left, recovery
    )


# --- an answer ------------------------------------------------------------------------------------


def spend(
    attempt: Attempt, reserve: Callable[[Counters], Counters | None], judge: Judge | None, now: float
) -> Work[tuple[Reserved | AnsweredBefore | Refusal | Settlement, bool]]:
    """What becomes of the attempt, and whether a lock or a suspension came of it, now or when it came before."""
    known = yield from facts(attempt.user_id, attempt.guess)
    # First, so that no code is looked at for a State that is spent: nobody would count it.
    if rows := (yield _SPENT(attempt.login, attempt.round)):
        return _spent_before(attempt, rows, known, now)
    before = known.counters
    after = reserve(before)
    if after is None:
        return Refusal.BARRED, False
    reserved = Reserved(known.counting(after), has_suspended=after.suspended and not before.suspended)
    barred = (after.locked_until, after.suspended) != (before.locked_until, before.suspended)
    settlement = judge(reserved) if judge and not barred else None
    decision = settlement.decision if settlement else None
    spent = (attempt.login, attempt.round, attempt.user_id, attempt.digest, attempt.expires)
    if not (yield _SPEND(*spent, reserved.has_suspended, decision)):
        return Refusal.SPENT, False  # just now, under the name of another user, who is not waited for
    if settlement and (yield from _written(settlement, after, now)):
        return settlement, False
    if settlement:  # another login has consumed the code since the facts were read
        yield _DECIDE(None, attempt.login, attempt.round)
    if after != before:
        yield from _write_counters(attempt.user_id, after, now)
    if attempt.guess is FactorKind.MAIL:
        tried = yield from mail.count_try(attempt.user_id, now)
        codes = yield from mail.codes(attempt.user_id)
        reserved = replace(reserved, tried=tried, facts=replace(reserved.facts, mail_codes=codes))
    return reserved, barred


def _written(settlement: Settlement, reserved: Counters, now: float) -> Work[bool]:
    """Write the end of an attempt together with its reservation; False, and nothing written, without a code."""
    user_id, event = settlement.attempt.user_id, settlement.event
    # Who judges at once asks nobody, and settles nothing that has to last.
    assert (settlement.trust, settlement.notice, settlement.untried) == (None, None, ())
    if settlement.consume and not (yield from _consume(user_id, settlement.consume)):
        return False
    counters = settlement.adjust(reserved) if settlement.adjust else reserved
    accepted = event.time if event.decision == "accept" else None
    yield from _write_counters(user_id, counters, now, event.username if settlement.adjust else "", accepted)
    if told := settlement.told:
        yield from _tell(user_id, told)
    yield from _write_login(event, settlement.station)
    return True


def is_spent(login: bytes, round: int) -> Work[bool]:
    """Whether that State was answered already."""
    return bool((yield _SPENT(login, round)))


def _spent_before(
    attempt: Attempt, rows: Rows, known: Facts, now: float
) -> tuple[Reserved | AnsweredBefore | Refusal, bool]:
    """The same of a State that was spent already."""
    digest, decision, has_suspended = rows[0]
    # Whoever was first may have been cut off before it was on the disk.
    barred = known.counters.suspended or known.counters.locked_until > now
    if not attempt.is_digest(digest):
        return Refusal.SPENT, barred
    if decision is not None:
        return AnsweredBefore(decision), barred
    return Reserved(known, has_suspended=bool(has_suspended)), barred


def settle(settlement: Settlement, now: float) -> Work[Settled | AnsweredBefore]:
    """Write the end of an attempt."""
    attempt = settlement.attempt
    rows = yield _SPENT(attempt.login, attempt.round)
    if not rows or not attempt.is_digest(rows[0][0]):
        raise StoreError("no State was spent by the attempt to settle, or it was purged")
    if rows[0][1] is not None:
        return AnsweredBefore(rows[0][1])
    # Before anything is written: a code that is used ends the transaction with nothing in it.
    if settlement.consume and not (yield from _consume(attempt.user_id, settlement.consume)):
        return Settled.CODE_USED
    if settlement.adjust:
        yield from _adjust(attempt.user_id, settlement.adjust, settlement.event, now)
    if settlement.untried:
        yield from mail.take_tries_back(attempt.user_id, settlement.untried)
    if told := settlement.told:
        yield from _tell(attempt.user_id, told)
    if settlement.trust:
        yield from _trust(settlement.trust)
    if settlement.notice:
        yield from mail.post_notice(settlement.notice)
    yield _DECIDE(settlement.decision, attempt.login, attempt.round)
    yield from _write_login(settlement.event, settlement.station)
    return Settled.DONE


def _consume(user_id: str, what: Consumption) -> Work[bool]:
    """Whether it was there to be used up, which it is now."""
    match what:
        case MailCodeUse():
            return (yield from mail.use(user_id, what))
        case RecoveryCodeUse(code_id):
            return bool((yield _USE_RECOVERY_CODE(code_id, user_id)))
    step = what.step
    return bool((yield _TAKE_STEP(step, what.drift, what.token_id, user_id, step, f"%,{step},%")))


def _tell(user_id: str, told: TotpStep) -> Work[None]:
    """A step more that is not accepted; two that are told of at once are both kept."""
    for (before,) in (yield _TOLD(told.token_id, user_id)):
        newest = sorted(steps(before) | {told.step})[-_MOST_TOLD:]
        yield _TELL(",".join(map(str, newest)), told.token_id, user_id)


def _adjust(user_id: str, adjust: Callable[[Counters], Counters], event: AuditEvent, now: float) -> Work[None]:
    rows = yield _COUNTERS(user_id)
    before = counters(rows[0]) if rows else Counters()
    after = adjust(before)
    accepted = event.time if event.decision == "accept" else None
    if after != before or accepted is not None:
        yield from _write_counters(user_id, after, now, event.username, accepted)


def _write_counters(
    user_id: str, values: Counters, now: float, username: str = "", last_success: float | None = None
) -> Work[None]:
    """Where the user is known already, an empty name and a time of None leave what is there."""
    failures, since_success = values.failures, values.since_success
    lock = (values.locks, values.locked_until, values.suspended)
    yield _WRITE_COUNTERS(user_id, failures, since_success, *lock, username, now, last_success)


def _write_login(event: AuditEvent, station: str) -> Work[None]:
    """The row, and where a station is worth something, that this user is one of those who log in from there."""
    if station and event.decision == "accept":
        yield _SEEN(station, event.user_id, event.time)
    who = (event.time, event.login, event.user_id, event.username, event.client, event.station, event.source)
    yield _WRITE_LOGIN(*who, event.policy, event.factor, event.outcome.value, event.decision)


# --- trusted devices ------------------------------------------------------------------------------


def _trust(device: NewDevice) -> Work[None]:
    for scope in device.scopes:
        yield _DISTRUST(device.user_id, device.station, scope)
        who = (device.id, scope, device.user_id, device.station)
        yield _TRUST(*who, device.client, device.factor.value, device.created, device.expires)


def is_trusted(
    user_id: str, station: str, scopes: Sequence[str], factors: Collection[FactorKind], now: float
) -> Work[bool]:
    """Whether the user trusts that station in one of the scopes, by a code of one of the factors.

    From the future is no better than from the past: the clock was wrong then, or is now.
    """
    rows = yield _TRUSTED(user_id, station)
    return any(
        scope in scopes and factor in factors and created <= now < expires
        for scope, factor, created, expires in rows
    )


def others_at(user_id: str, station: str, since: float, now: float, most: int) -> Work[int]:
    """How many others have logged in from that station, or trust it: a row a user, however often they do."""
    return len((yield _OTHERS(station, since, user_id, station, now, user_id, most)))
