"""What a login does in the store: facts, the transaction or two of an answer, what is looked up beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent, FactorKind
from radius_mfa.core.store import Judge
from radius_mfa.core.stored import (
    WRONG_FOR,
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
from radius_mfa.stores.work import Chain, Rows, Statement, Work, given

_KNOWN = f"""
    SELECT c.failures, c.since_success, c.locks, c.locked_until, c.suspended,
           c.username, c.required, m.address,
           (SELECT count(*) FROM recovery_code r WHERE r.user_id = c.user_id AND NOT r.used), c.codes_since,
           {TOKEN}, t.created {{more}}
    FROM user_counters c LEFT JOIN mail_address m ON m.user_id = c.user_id
        LEFT JOIN totp_token t ON t.user_id = c.user_id {{joined}}
    WHERE c.user_id = ?"""
_FACTS = Statement(_KNOWN.format(more="", joined=""), types="text")
# The same, and after it in each row what is known of a State.
_FACTS_AND_SPENT = Statement(
    _KNOWN.format(
        more=", s.digest, s.decision, s.has_suspended",
        joined="LEFT JOIN spent_state s ON s.login = ? AND s.round = ?",
    ),
    types="bytea int text",
)
_SPENT_AT = 19  # where that begins in a row
_FRESH = (None, None, None)  # as it is of a State that was not answered
_COUNTERS = Statement(f"SELECT {COUNTERS} FROM user_counters WHERE user_id = ?")
_WRITE_COUNTERS = Statement("""
    INSERT INTO user_counters
        (user_id, failures, since_success, locks, locked_until, suspended, username,
         created, codes_since, last_success)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET
        failures = excluded.failures, since_success = excluded.since_success, locks = excluded.locks,
        locked_until = excluded.locked_until, suspended = excluded.suspended,
        username = coalesce(nullif(excluded.username, ''), user_counters.username),
        last_success = coalesce(excluded.last_success, user_counters.last_success)""")

_SPENT = Statement("SELECT digest, decision, has_suspended FROM spent_state WHERE login = ? AND round = ?")
_SPENDING = """
    INSERT INTO spent_state (login, round, user_id, digest, expires, has_suspended, decision)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (login, round) DO NOTHING"""
_SPEND = Statement(f"{_SPENDING} RETURNING 1")
_DECIDE = Statement("UPDATE spent_state SET decision = ? WHERE login = ? AND round = ?")
_LOGGING = """
    INSERT INTO login
        (time, login, round, user_id, username, client, station, source, policy, factor, outcome, decision,
         code)"""
_LOGGED = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
_WRITE_LOGIN = Statement(f"{_LOGGING} VALUES ({_LOGGED})")
# By what was decided then: one that was let in is known for as long as it is there, one that was refused since.
_SENT_BEFORE = Statement(
    """
    SELECT DISTINCT decision FROM login
    WHERE user_id = ? AND code = ? AND (decision = 'accept' OR time > ?)""",
    types="text bytea float8",
)

# Among the user's tokens, and not by way of the index of ids, which SQLite would take and which is elsewhere.
_TAKING = """
    UPDATE totp_token SET last_step = ?, drift = ?, last_success = coalesce(?, last_success)
    WHERE user_id = ? AND id || '' = ? AND last_step < ? AND confirmed
        AND (told_steps = '' OR ',' || told_steps || ',' NOT LIKE ?)"""
_TAKE_STEP = Statement(f"{_TAKING} RETURNING 1")
# The parameters of what follows, in PostgreSQL.
_SPENDING_AND_TAKING = given("""
    login bytea, round int, user_id text, digest bytea, expires float8, has_suspended bool, decision bytea,
    step bigint, drift int, accepted float8, token_of text, token_id text, not_before bigint, not_told text,
    time float8, login_id text, of_round int, of_user text, username text, client text, station text, source text,
    policy text, factor text, outcome text, decided text, code bytea""")
# A State is spent, if it was not; then the step is taken, if it can be; then the login is written.
_SPEND_AND_TAKE = Chain(
    (_SPENDING, _TAKING, f"{_LOGGING} VALUES ({_LOGGED})"),
    # The same of many.  Where two users answer one State, it is spent by one of them.
    together=f"""
        WITH given AS MATERIALIZED (SELECT * FROM {_SPENDING_AND_TAKING}),
            spent AS (
                INSERT INTO spent_state (login, round, user_id, digest, expires, has_suspended, decision)
                SELECT login, round, user_id, digest, expires, has_suspended, decision FROM given
                ON CONFLICT (login, round) DO NOTHING RETURNING login, round, user_id),
            spenders AS (SELECT given.* FROM given JOIN spent USING (login, round, user_id)),
            taken AS (
                UPDATE totp_token t
                SET last_step = step, drift = g.drift, last_success = coalesce(accepted, last_success)
                FROM spenders g
                WHERE t.user_id = token_of AND t.id = token_id AND last_step < not_before AND confirmed
                    AND (told_steps = '' OR ',' || told_steps || ',' NOT LIKE not_told)
                RETURNING number),
            logged AS (
                {_LOGGING}
                SELECT time, login_id, of_round, of_user, username, client, station, source,
                    policy, factor, outcome, decided, code
                FROM given JOIN taken USING (number))
        SELECT number, 1 FROM spenders
        UNION ALL SELECT number, 2 FROM taken UNION ALL SELECT number, 3 FROM taken""",
)
_WHOLE = 3
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
    return (yield from _facts_of(user_id, rows, _counters_in(rows), guess))


def _counters_in(rows: Rows) -> Counters:
    return counters(rows[0][:5]) if rows else Counters()


def _facts_of(user_id: str, rows: Rows, counted: Counters, guess: FactorKind | None) -> Work[Facts]:
    """What the rows of _FACTS say, one a token, and what has to be asked for beside them."""
    if not rows:
        return Facts(user_id, counted)
    if len(rows) > 1:
        rows = sorted(rows, key=lambda row: (row[18], row[10]))  # in the order they were added
    # A user without a token is one row of which the token's part is NULL.
    tokens = tuple([token(row[10:18]) for row in rows if row[10] is not None])
    username, required, address, left, since = rows[0][5:10]
    codes = (yield from mail.codes(user_id)) if address else ()
    recovery: tuple[RecoveryCode, ...] = ()
    if guess is FactorKind.RECOVERY_CODES:
        found = yield _RECOVERY_CODES(user_id)
        recovery = tuple(RecoveryCode(row[0], user_id, row[1], bool(row[2])) for row in found)
    return Facts(user_id, counted, tokens, username, address or "", codes, bool(required), left, recovery, since)


# --- an answer ------------------------------------------------------------------------------------


def spend(
    attempt: Attempt, reserve: Callable[[Counters], Counters | None], judge: Judge | None, now: float
) -> Work[tuple[Reserved | AnsweredBefore | Refusal | Settlement, bool]]:
    """What becomes of the attempt, and whether a lock or a suspension came of it, now or when it came before."""
    user_id = attempt.user_id
    rows = yield _FACTS_AND_SPENT(attempt.login, attempt.round, user_id)
    spent = rows[0][_SPENT_AT:] if rows else ((yield _SPENT(attempt.login, attempt.round)) or [_FRESH])[0]
    before = _counters_in(rows)
    # First, so that no code is looked at for a State that is spent: nobody would count it.
    if spent[0] is not None:
        known = yield from _facts_of(user_id, rows, before, attempt.guess)
        return _spent_before(attempt, spent, known, now)
    after = reserve(before)
    if after is None:
        return Refusal.BARRED, False
    known = yield from _facts_of(user_id, rows, after, attempt.guess)
    reserved = Reserved(known, has_suspended=after.suspended and not before.suspended)
    barred = (after.locked_until, after.suspended) != (before.locked_until, before.suspended)
    settlement = judge(reserved) if judge and not barred else None
    spending = (attempt.login, attempt.round, user_id, attempt.digest, attempt.expires, reserved.has_suspended)
    if settlement:
        done = yield from _spend_at_once(settlement, spending, known, before, now)
    else:
        done = len((yield _SPEND(*spending, None)))
    if not done:
        return Refusal.SPENT, False  # just now, under the name of another user, who is not waited for
    if settlement and done == _WHOLE:
        return settlement, False
    if settlement:  # another login has consumed the code since the facts were read, or it was sent before
        yield _DECIDE(None, attempt.login, attempt.round)
    if after != before:
        yield from _write_counters(user_id, after, now)
    if attempt.guess is FactorKind.MAIL:
        tried = yield from mail.count_try(attempt.user_id, now)
        codes = yield from mail.codes(attempt.user_id)
        reserved = replace(reserved, tried=tried, facts=replace(reserved.facts, mail_codes=codes))
    return reserved, barred


def _spend_at_once(
    settlement: Settlement, spending: tuple[Any, ...], known: Facts, before: Counters, now: float
) -> Work[int]:
    """Write the end of an attempt together with its reservation.  `before`: what was counted without that.

    How much was written: nothing, as the State is spent; that it is, and no more, as the code is used or was sent
    before; _WHOLE.
    """
    user_id, event, step = known.user_id, settlement.event, settlement.consume
    # Who judges at once asks nobody, and settles nothing that has to last.
    assert (settlement.trust, settlement.notice, settlement.untried) == (None, None, ())
    if (yield from _sent_before(settlement)) is not Settled.DONE:
        return len((yield _SPEND(*spending, None)))
    if step:
        assert isinstance(step, TotpStep)
        taking = (*_taking(user_id, step, _accepted(event)), *_logged(event, settlement.codes))
        done = len((yield _SPEND_AND_TAKE(*spending, settlement.decision, *taking)))
    else:
        done = _WHOLE if (yield _SPEND(*spending, settlement.decision)) else 0
    if done < _WHOLE:
        return done
    # Whoever always types it right costs no more: nothing is held against them, and nothing has changed.
    counters = settlement.adjust(known.counters) if settlement.adjust else known.counters
    if counters != before or (settlement.adjust and event.username not in ("", known.username)):
        yield from _write_counters(user_id, counters, now, event.username if settlement.adjust else "")
    if told := settlement.told:
        yield from _tell(user_id, told)
    yield from _write_seen(event, settlement.station)
    if not step:
        yield _WRITE_LOGIN(*_logged(event, settlement.codes))
    return done


def is_spent(login: bytes, round: int) -> Work[bool]:
    """Whether that State was answered already."""
    return bool((yield _SPENT(login, round)))


def _sent_before(settlement: Settlement) -> Work[Settled]:
    """DONE where its code was not; nothing is asked where none is to be known again."""
    user_id, since = settlement.attempt.user_id, settlement.event.time - WRONG_FOR
    decided: set[str] = set()
    for digest in settlement.codes:
        rows = yield _SENT_BEFORE(user_id, digest, since)
        decided.update(decision for (decision,) in rows)
    if not decided:
        return Settled.DONE
    return Settled.CODE_USED if "accept" in decided else Settled.CODE_WRONG_AGAIN


def _spent_before(
    attempt: Attempt, spent: Sequence[Any], known: Facts, now: float
) -> tuple[Reserved | AnsweredBefore | Refusal, bool]:
    """The same of a State that was spent already."""
    digest, decision, has_suspended = spent
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
    # Before anything is written: a code that is known ends the transaction with nothing in it.
    if (before := (yield from _sent_before(settlement))) is not Settled.DONE:
        return before
    if settlement.consume and not (yield from _consume(attempt.user_id, settlement.consume, settlement.event)):
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
    yield from _write_seen(settlement.event, settlement.station)
    yield _WRITE_LOGIN(*_logged(settlement.event, settlement.codes))
    return Settled.DONE


def _consume(user_id: str, what: Consumption, event: AuditEvent) -> Work[bool]:
    """Whether it was there to be used up, which it is now."""
    match what:
        case MailCodeUse():
            return (yield from mail.use(user_id, what))
        case RecoveryCodeUse(code_id):
            return bool((yield _USE_RECOVERY_CODE(code_id, user_id)))
    return bool((yield _TAKE_STEP(*_taking(user_id, what, _accepted(event)))))


def _taking(user_id: str, what: TotpStep, accepted: float | None) -> tuple[Any, ...]:
    step = what.step
    return step, what.drift, accepted, user_id, what.token_id, step, f"%,{step},%"


def _accepted(event: AuditEvent) -> float | None:
    """When the user was let in, if they were."""
    return event.time if event.decision == "accept" else None


def _tell(user_id: str, told: TotpStep) -> Work[None]:
    """A step more that is not accepted; two that are told of at once are both kept."""
    for (before,) in (yield _TOLD(told.token_id, user_id)):
        newest = sorted(steps(before) | {told.step})[-_MOST_TOLD:]
        yield _TELL(",".join(map(str, newest)), told.token_id, user_id)


def _adjust(user_id: str, adjust: Callable[[Counters], Counters], event: AuditEvent, now: float) -> Work[None]:
    rows = yield _COUNTERS(user_id)
    before = counters(rows[0]) if rows else Counters()
    after = adjust(before)
    accepted = _accepted(event)
    if after != before or accepted is not None:
        yield from _write_counters(user_id, after, now, event.username, accepted)


def _write_counters(
    user_id: str, values: Counters, now: float, username: str = "", last_success: float | None = None
) -> Work[None]:
    """Where the user is known already, an empty name and a time of None leave what is there."""
    failures, since_success = values.failures, values.since_success
    lock = (values.locks, values.locked_until, values.suspended)
    yield _WRITE_COUNTERS(user_id, failures, since_success, *lock, username, now, now, last_success)


def _write_seen(event: AuditEvent, station: str) -> Work[None]:
    """Where a station is worth something: that this user is one of those who log in from there."""
    if station and event.decision == "accept":
        yield _SEEN(station, event.user_id, event.time)


def _logged(event: AuditEvent, codes: tuple[bytes, ...]) -> tuple[Any, ...]:
    """The login's row."""
    when = event.time, event.login, event.round
    who = event.user_id, event.username, event.client, event.station, event.source
    how = event.policy, event.factor, event.outcome.value, event.decision
    return *when, *who, *how, codes[0] if codes else None


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
