"""What the life of a user's factors is in the store: tokens, recovery codes, vouchers, devices, and their end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from radius_mfa.core.kept import Device, KnownUser, NewRecoveryCode, NewToken, Proposal, TokenRecord, Voucher
from radius_mfa.stores import mail_work as mail
from radius_mfa.stores.rows import COUNTERS, TOKEN, counters, token
from radius_mfa.stores.work import Statement, Work, of_rows

_WRITE_USERNAMES = of_rows(
    """
    INSERT INTO user_counters (user_id, username, created, codes_since) VALUES {rows}
    ON CONFLICT (user_id) DO UPDATE SET
        username = coalesce(nullif(excluded.username, ''), user_counters.username)""",
    columns=4,
)
_REQUIRE = Statement("UPDATE user_counters SET required = TRUE WHERE user_id = ? AND NOT required")
_REQUIRE_ALL = of_rows(
    "UPDATE user_counters SET required = TRUE WHERE user_id IN (VALUES {rows}) AND NOT required", columns=1
)
# Whoever changes a user as a whole begins with this row: two who began elsewhere could wait for each other.
_LOCK_OWNER = Statement("""
    UPDATE user_counters SET required = required
    WHERE user_id = (SELECT user_id FROM totp_token WHERE id = ?) RETURNING user_id""")
_LOCK_USER = Statement("UPDATE user_counters SET required = required WHERE user_id = ?")
_UNLOCK = Statement("""
    UPDATE user_counters SET failures = 0, since_success = 0, locks = 0, locked_until = 0, suspended = FALSE
    WHERE user_id = ? RETURNING 1""")

# No code that was given until now lets anybody in without one: in any case, where the user has that token, and
# where there is that device to revoke.
_CODES_SINCE = Statement("UPDATE user_counters SET codes_since = ? WHERE user_id = ?")
_CODES_SINCE_TOKEN = Statement("""
    UPDATE user_counters SET codes_since = ?
    WHERE user_id = ? AND EXISTS (SELECT 1 FROM totp_token WHERE user_id = ? AND id = ?)""")
_CODES_SINCE_DEVICE = Statement("""
    UPDATE user_counters SET codes_since = ?
    WHERE user_id = ? AND EXISTS (SELECT 1 FROM trusted_device WHERE user_id = ? AND id = ?)""")

_SAME_SEED = Statement("SELECT 1 FROM totp_token WHERE user_id = ? AND fingerprint = ?")
_ADD_TOKENS = of_rows(
    """
    INSERT INTO totp_token
        (id, user_id, label, seed, fingerprint, confirmed, last_step, drift, good_from, created)
    VALUES {rows}
    ON CONFLICT (user_id, fingerprint) DO NOTHING RETURNING id""",
    columns=10,
)
_AT_ONCE = 50  # rows in one statement
# One that waits for its time is not confirmed sooner by another code.
_CONFIRM = Statement("""
    UPDATE totp_token SET confirmed = TRUE, drift = ?,
        last_step = CASE WHEN last_step < ? THEN ? ELSE last_step END
    WHERE id = ? AND NOT confirmed AND good_from = 0 RETURNING 1""")
_RIPEN_TOKENS = Statement("""
    UPDATE totp_token SET confirmed = TRUE, good_from = 0
    WHERE user_id = ? AND good_from > 0 AND good_from <= ? RETURNING 1""")
_RESYNC = Statement("UPDATE totp_token SET last_step = ?, drift = ? WHERE id = ? AND last_step < ? RETURNING 1")
# What a token knows of the last success, before it goes.
_KEEP_LAST_SUCCESS = Statement("""
    UPDATE user_counters SET last_success = t.latest
    FROM (SELECT max(last_success) AS latest FROM totp_token WHERE user_id = ?) t
    WHERE user_id = ? AND t.latest > coalesce(last_success, 0)""")
_REMOVE_TOKEN = Statement("DELETE FROM totp_token WHERE user_id = ? AND id = ? RETURNING 1")

_DROP_RECOVERY_CODES = Statement("DELETE FROM recovery_code WHERE user_id = ?")
_ADD_RECOVERY_CODE = Statement("INSERT INTO recovery_code (id, user_id, code, used) VALUES (?, ?, ?, FALSE)")

_DROP_VOUCHER = Statement("DELETE FROM voucher WHERE user_id = ?")
_ADD_VOUCHER = Statement("""
    INSERT INTO voucher (user_id, id, code, created, expires, tries) VALUES (?, ?, ?, ?, ?, 0)""")
_TRY_VOUCHER = Statement("UPDATE voucher SET tries = tries + 1 WHERE user_id = ?")
_VOUCHER = Statement("""
    SELECT id, user_id, code, created, expires, tries FROM voucher WHERE user_id = ? AND expires > ?""")
_USE_VOUCHER = Statement("DELETE FROM voucher WHERE id = ? AND user_id = ? RETURNING 1")

_DEVICES = """
    SELECT d.id, d.user_id, coalesce(u.username, ''), d.station, d.scope, d.client, d.factor,
           d.created, d.expires
    FROM trusted_device d LEFT JOIN user_counters u ON u.user_id = d.user_id WHERE d.expires > ?"""
_ALL_DEVICES = Statement(f"{_DEVICES} ORDER BY d.created DESC, d.id, d.scope")
_DEVICES_OF = Statement(f"{_DEVICES} AND d.user_id = ? ORDER BY d.created DESC, d.id, d.scope")
_REVOKE_ALL = Statement("DELETE FROM trusted_device WHERE user_id = ? RETURNING id")
_REVOKE = Statement("DELETE FROM trusted_device WHERE user_id = ? AND id = ? RETURNING id")

# Links before mails, as by whoever uses one (`portal_work`).
_DROP_FACTORS = tuple(
    Statement(f"DELETE FROM {table} WHERE user_id = ?")
    for table in (
        "totp_token",
        "mail_address",
        "mail_code",
        "proposal",
        "link",
        "outbox",
        "recovery_code",
        "voucher",
        "trusted_device",
    )
)
_DROP_VISITS = Statement("DELETE FROM visit WHERE user_id = ? AND id <> ?")
_DROP_TRACES = (
    Statement("DELETE FROM help_case WHERE user_id = ?"),
    Statement("DELETE FROM login WHERE user_id = ?"),
    Statement("DELETE FROM station_user WHERE user_id = ?"),
)
# A State that was answered must stay so for as long as it is good; no answer has an empty digest.
_EMPTY_SPENT = Statement("UPDATE spent_state SET user_id = '', digest = ?, decision = NULL WHERE user_id = ?")
_EMPTY_DECIDED = Statement("""
    UPDATE spent_state SET digest = ?, decision = NULL WHERE user_id = ? AND decision IS NOT NULL""")
_FORGET = Statement("DELETE FROM user_counters WHERE user_id = ? RETURNING 1")

_USERS = Statement(f"""
    SELECT c.user_id, c.username, {COUNTERS}, c.required,
           (SELECT count(*) FROM totp_token t WHERE t.user_id = c.user_id AND t.confirmed),
           coalesce(m.address, ''),
           (SELECT count(*) FROM recovery_code r WHERE r.user_id = c.user_id AND NOT r.used),
           c.created, c.last_success,
           (SELECT max(t.last_success) FROM totp_token t WHERE t.user_id = c.user_id)
    FROM user_counters c LEFT JOIN mail_address m ON m.user_id = c.user_id
    WHERE c.user_id > ? ORDER BY c.user_id LIMIT ?""")
_USERNAMES = Statement("SELECT user_id, username FROM user_counters")
_TOKENS = Statement(f"""
    SELECT {TOKEN}, coalesce(u.username, '')
    FROM totp_token t LEFT JOIN user_counters u ON u.user_id = t.user_id
    WHERE t.id > ? ORDER BY t.id LIMIT ?""")


def write_username(user_id: str, username: str, now: float) -> Work[None]:
    """Make the user known; an empty name leaves what is there."""
    yield _WRITE_USERNAMES(1)(user_id, username, now, now)


# --- tokens ---------------------------------------------------------------------------------------


def add_tokens(tokens: Sequence[NewToken], now: float) -> Work[list[bool]]:
    """Which were added.  Many in one statement: over a network each costs a journey."""
    added: set[str] = set()
    for first in range(0, len(tokens), _AT_ONCE):
        some = tokens[first : first + _AT_ONCE]
        yield from _write_usernames(some, now)
        new = yield from _with_new_seeds(some)
        added |= yield from _add_tokens(new, now)
    return [each.id in added for each in tokens]


def _write_usernames(some: Sequence[NewToken], now: float) -> Work[None]:
    """A user once, in the order of ids, so that two who do this never wait for each other."""
    names = {each.user_id: "" for each in some} | {each.user_id: each.username for each in some if each.username}
    rows = ((user_id, name, now, now) for user_id, name in sorted(names.items()))
    yield _WRITE_USERNAMES(len(names))(*_flat(rows))


def _with_new_seeds(some: Sequence[NewToken]) -> Work[list[NewToken]]:
    """Without those whose seed is there already, kept under a key that seals no more, or not yet."""
    new = []
    for each in some:
        known = False
        for fingerprint in each.other_fingerprints:
            known = known or bool((yield _SAME_SEED(each.user_id, fingerprint)))
        if not known:
            new.append(each)
    return new


def _add_tokens(new: Sequence[NewToken], now: float) -> Work[set[str]]:
    """The ids of those that were added; their users are known."""
    if not new:
        return set()
    rows = ((*_identity(each), _counts(each), each.last_step, each.drift, each.good_from, now) for each in new)
    added = {row[0] for row in (yield _ADD_TOKENS(len(new))(*_flat(rows)))}
    required = sorted({each.user_id for each in new if _counts(each) and each.id in added})
    if required:
        yield _REQUIRE_ALL(len(required))(*required)
    return added


def _identity(new: NewToken) -> tuple[object, ...]:
    return new.id, new.user_id, new.label, new.seed, new.fingerprint


def _counts(new: NewToken) -> bool:
    return new.confirmed and not new.good_from


def _flat(rows: Iterable[Iterable[object]]) -> Iterator[object]:
    return chain.from_iterable(rows)


def confirm_token(token_id: str, step: int, drift: int) -> Work[bool]:
    owner = yield _LOCK_OWNER(token_id)
    confirmed = yield _CONFIRM(drift, step, step, token_id)
    if confirmed:
        yield _REQUIRE(owner[0][0])
    return bool(confirmed)


def resync_token(token_id: str, step: int, drift: int) -> Work[bool]:
    return bool((yield _RESYNC(step, drift, token_id, step)))


def remove_token(user_id: str, token_id: str, now: float) -> Work[bool]:
    """Mostly because it was lost, and who knows with what: no device stays trusted, and no code given counts."""
    yield _CODES_SINCE_TOKEN(now, user_id, user_id, token_id)
    yield _KEEP_LAST_SUCCESS(user_id, user_id)
    removed = yield _REMOVE_TOKEN(user_id, token_id)
    if removed:
        yield _REVOKE_ALL(user_id)
    return bool(removed)


def tokens(after: str, most: int) -> Work[list[TokenRecord]]:
    rows = yield _TOKENS(after, most)
    return [TokenRecord(token(row[:8]), row[8]) for row in rows]


# --- addresses, recovery codes, vouchers ------------------------------------------------------------


def set_mail_address(user_id: str, username: str, address: str, now: float) -> Work[None]:
    if address:
        yield from write_username(user_id, username, now)
    yield from mail.set_address(user_id, address, now)
    if address:
        yield _REQUIRE(user_id)


def propose_address(proposal: Proposal, username: str, language: str) -> Work[None]:
    yield from write_username(proposal.user_id, username, proposal.created)
    yield from mail.propose(proposal, language)


def accept_proposal(proposal_id: str, user_id: str, now: float) -> Work[bool]:
    accepted = yield from mail.accept_proposal(proposal_id, user_id, now)
    if accepted:
        yield _REQUIRE(user_id)
    return accepted


def ripen(user_id: str, now: float) -> Work[int]:
    """Let count what of the user has waited long enough: how many tokens and addresses."""
    yield _LOCK_USER(user_id)
    ripe = len((yield _RIPEN_TOKENS(user_id, now)))
    ripe += yield from mail.take_ripe_proposal(user_id, now)
    if ripe:
        yield _REQUIRE(user_id)
    return ripe


def set_recovery_codes(user_id: str, username: str, codes: Sequence[NewRecoveryCode], now: float) -> Work[None]:
    yield from write_username(user_id, username, now)
    yield _DROP_RECOVERY_CODES(user_id)
    for code in codes:
        yield _ADD_RECOVERY_CODE(code.id, user_id, code.code)
    if codes:
        yield _REQUIRE(user_id)


def set_voucher(voucher: Voucher, username: str) -> Work[None]:
    yield from write_username(voucher.user_id, username, voucher.created)
    yield _DROP_VOUCHER(voucher.user_id)
    yield _ADD_VOUCHER(voucher.user_id, voucher.id, voucher.code, voucher.created, voucher.expires)


def voucher_of(user_id: str, now: float) -> Work[Voucher | None]:
    rows = yield _VOUCHER(user_id, now)
    return Voucher(*rows[0]) if rows else None


def try_voucher(user_id: str, now: float) -> Work[Voucher | None]:
    yield _TRY_VOUCHER(user_id)
    return (yield from voucher_of(user_id, now))


def use_voucher(voucher_id: str, user_id: str) -> Work[bool]:
    return bool((yield _USE_VOUCHER(voucher_id, user_id)))


def waiting(user_id: str, now: float) -> Work[tuple[Proposal | None, Voucher | None]]:
    proposal = yield from mail.proposal_of(user_id, now)
    voucher = yield from voucher_of(user_id, now)
    return proposal, voucher


# --- trusted devices ------------------------------------------------------------------------------


def devices(user_id: str | None, now: float) -> Work[list[Device]]:
    rows = (yield _ALL_DEVICES(now)) if user_id is None else (yield _DEVICES_OF(now, user_id))
    return [Device(*row) for row in rows]


def revoke_devices(user_id: str, device_id: str | None, now: float) -> Work[int]:
    """How many devices there were: one that was trusted in several scopes is one.

    Who lost one may have a session there as well, which nobody tells from another.
    """
    if device_id is None:  # also of who has no more than a session
        yield _CODES_SINCE(now, user_id)
        rows = yield _REVOKE_ALL(user_id)
    else:
        yield _CODES_SINCE_DEVICE(now, user_id, user_id, device_id)
        rows = yield _REVOKE(user_id, device_id)
    return len({row[0] for row in rows})


# --- the user -------------------------------------------------------------------------------------


def unlock(user_id: str) -> Work[bool]:
    return bool((yield _UNLOCK(user_id)))


def reset(user_id: str, now: float, visit_id: str = "") -> Work[bool]:
    """End every factor, and every visit but that one."""
    known = yield _UNLOCK(user_id)
    yield _CODES_SINCE(now, user_id)
    yield _REQUIRE(user_id)
    yield _KEEP_LAST_SUCCESS(user_id, user_id)
    for statement in _DROP_FACTORS:
        yield statement(user_id)
    yield _DROP_VISITS(user_id, visit_id)
    yield _EMPTY_DECIDED(b"", user_id)  # nor does an answer from before get its Access-Accept again
    return bool(known)


def forget(user_id: str) -> Work[bool]:
    """The row by which all is found goes first: an import that is at it is waited for, and found."""
    known = yield _FORGET(user_id)
    for statement in (*_DROP_FACTORS, *_DROP_TRACES):
        yield statement(user_id)
    yield _DROP_VISITS(user_id, "")
    yield _EMPTY_SPENT(b"", user_id)
    return bool(known)


def users(after: str, most: int) -> Work[list[KnownUser]]:
    rows = yield _USERS(after, most)
    return [_known(row) for row in rows]


def usernames() -> Work[dict[str, str]]:
    rows = yield _USERNAMES()
    return {str(user_id): str(username) for user_id, username in rows}


def _known(row: Sequence[Any]) -> KnownUser:
    *row, by_no_token, by_token = row
    user_id, username, *counted, required, tokens, address, recovery_left, created = row
    who = (user_id, username, counters(counted), bool(required))
    latest = max((time for time in (by_no_token, by_token) if time is not None), default=None)
    return KnownUser(*who, tokens, address, recovery_left, created, latest)


PURGE_VOUCHERS = Statement("""
    DELETE FROM voucher WHERE user_id IN
        (SELECT user_id FROM voucher WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING 1""")
PURGE_DEVICES = Statement("""
    DELETE FROM trusted_device WHERE (id, scope) IN
        (SELECT id, scope FROM trusted_device WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING 1""")
PURGE_STATIONS = Statement("""
    DELETE FROM station_user WHERE (station, user_id) IN
        (SELECT station, user_id FROM station_user WHERE seen < ? ORDER BY seen LIMIT ?) RETURNING 1""")
PURGE_SPENT = Statement("""
    DELETE FROM spent_state WHERE (login, round) IN
        (SELECT login, round FROM spent_state WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING 1""")
PURGE_LOGINS = Statement("""
    DELETE FROM login WHERE (user_id, time, login, round) IN
        (SELECT user_id, time, login, round FROM login WHERE time < ? ORDER BY time LIMIT ?) RETURNING 1""")
