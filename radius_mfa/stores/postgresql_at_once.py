"""The usual end of a login as one statement: a right TOTP code of a user whom nobody else is busy with.

PostgreSQL is asked over a network, and what a login costs there is the number of questions.  In the usual
case there are two: what is known of the user, and this, which writes everything if that is still so.  In any other
case nothing is written, and the answer takes the way of all others: `login_work.spend`, under the user's lock.

Here too the work is under that lock, as long as the statement lasts.  A statement sees what was committed when it
began, which is before it has the lock: so the rows are locked as well, whereupon PostgreSQL looks at them again as
they are (READ COMMITTED), and what was read before must still hold of them.

A code is looked at here before its failure is counted, and accepted only if nothing was counted meanwhile.  So
whoever calls this lets no other answer of the user begin in this process until it is either accepted or counted:
guesses at once are one at a time in each process.
"""

from __future__ import annotations

from collections.abc import Callable

from radius_mfa.core.guard import Counters
from radius_mfa.core.store import Judge
from radius_mfa.core.stored import Attempt, Reserved, Settlement, TotpStep
from radius_mfa.stores.login_work import facts
from radius_mfa.stores.work import Statement, Work

_ACCEPT = Statement("""
    WITH mine AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1::bigint) AS held),
    known AS MATERIALIZED (
        SELECT 1 FROM mine, user_counters c, totp_token t
        WHERE mine.held AND c.user_id = $2 AND c.failures = $3 AND c.since_success = $4 AND c.locks = $5
            AND c.locked_until = $6 AND c.suspended = $7
            AND t.id = $8 AND t.user_id = $2 AND t.last_step < $9 AND t.confirmed
            AND ',' || t.told_steps || ',' NOT LIKE '%,' || $9::bigint || ',%'
        FOR UPDATE OF c, t),
    spent AS (
        INSERT INTO spent_state (login, round, user_id, digest, expires, has_suspended, decision)
        SELECT $11, $12::integer, $2, $13, $14::double precision, FALSE, $15 FROM known
        ON CONFLICT (login, round) DO NOTHING RETURNING 1),
    counted AS (
        UPDATE user_counters SET failures = 0, since_success = 0, locks = 0, locked_until = 0, suspended = FALSE,
            username = coalesce(nullif($16, ''), username), last_success = $17
        WHERE user_id = $2 AND EXISTS (SELECT 1 FROM spent)),
    stepped AS (
        UPDATE totp_token SET last_step = $9, drift = $10 WHERE id = $8 AND EXISTS (SELECT 1 FROM spent)),
    seen AS (
        INSERT INTO station_user (station, user_id, seen) SELECT $18, $2, $17 FROM spent WHERE $18 <> ''
        ON CONFLICT (station, user_id) DO UPDATE SET seen = excluded.seen),
    logged AS (
        INSERT INTO login
            (time, login, user_id, username, client, station, source, policy, factor, outcome, decision)
        SELECT $17, $19, $2, $16, $20, $21, $22, $23, $24, $25, $26 FROM spent)
    SELECT 1 FROM spent""")


def accept(
    lock: int, attempt: Attempt, reserve: Callable[[Counters], Counters | None], judge: Judge
) -> Work[Settlement | None]:
    """The settlement, written; None, and nothing written, where it is not the usual case.

    `lock`: the number of the user's.
    """
    known = yield from facts(attempt.user_id)
    before = known.counters
    after = reserve(before)
    # A lock or a suspension has to be kept before the code is looked at.
    if after is None or (after.locked_until, after.suspended) != (before.locked_until, before.suspended):
        return None
    settlement = judge(Reserved(known.counting(after)))
    step, event = settlement.consume, settlement.event
    if not isinstance(step, TotpStep) or not settlement.adjust or settlement.adjust(after) != Counters():
        return None
    if settlement.told or event.decision != "accept":
        return None
    counters = (before.failures, before.since_success, before.locks, before.locked_until, before.suspended)
    spent = (attempt.login, attempt.round, attempt.digest, attempt.expires, settlement.decision)
    row = (event.login, event.client, event.station, event.source, event.policy, event.factor)
    written = yield _ACCEPT(
        lock,
        attempt.user_id,
        *counters,
        step.token_id,
        step.step,
        step.drift,
        *spent,
        event.username,
        event.time,
        settlement.station,
        *row,
        event.outcome.value,
        event.decision,
    )
    return settlement if written else None
