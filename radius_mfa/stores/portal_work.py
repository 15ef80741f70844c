"""What the portal does in the store: visits, mailed links, the help desk's queue, and what people are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from radius_mfa.core.kept import NewToken
from radius_mfa.core.mailing import DAY
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.portal_store import Case, CaseKind, Link, PastLogin, TokenDetails
from radius_mfa.core.stored import Notice
from radius_mfa.core.visits import Visit
from radius_mfa.stores import life_work as life
from radius_mfa.stores import mail_work as mail
from radius_mfa.stores.work import Statement, Work

_MOST_VISITS = 10  # of a user
_AHEAD = 30.0  # seconds that a transaction may have waited for, or that the clock of a node is ahead
_SEEN_WITHIN = 30.0  # seconds for which `seen` is near enough
LINKS_KEPT = DAY  # after they have expired
CASES_KEPT = 90 * DAY  # after they were answered

_VISIT = """id, user_id, username, language, factor, desk, source, begun, shown, seen, expires, voucher, anew,
    pending"""
_ADD_VISIT = Statement(f"INSERT INTO visit ({_VISIT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
# Whoever is resetting the user is waited for.
_LOCK_USER = Statement("UPDATE user_counters SET required = required WHERE user_id = ? RETURNING codes_since")
_FIND_VISIT = Statement(f"SELECT {_VISIT} FROM visit WHERE id = ? AND expires > ?")
_REPLACE_VISIT = Statement("DELETE FROM visit WHERE id = ? AND expires > ? RETURNING 1")
_DROP_OLDEST = Statement("""
    DELETE FROM visit WHERE user_id = ? AND id NOT IN
        (SELECT id FROM visit WHERE user_id = ? ORDER BY seen DESC, begun DESC, id LIMIT ?)""")
# Of a clock that was set back as well: else a visit would be idle for longer than it may.
_SEE_VISIT = Statement("UPDATE visit SET seen = ? WHERE id = ? AND (seen <= ? OR seen >= ?)")
_KEEP_PENDING = Statement("""
    UPDATE visit SET pending = ?, voucher = ? WHERE id = ? AND expires > ? RETURNING 1""")
_END_VISIT = Statement("DELETE FROM visit WHERE id = ? RETURNING 1")
_END_VISITS = Statement("DELETE FROM visit WHERE user_id = ? AND id <> ? RETURNING 1")
_STARTS_ANEW = Statement("""
    UPDATE visit SET anew = FALSE, factor = ?, pending = ?, voucher = ''
    WHERE id = ? AND user_id = ? AND anew AND expires > ? RETURNING 1""")

_LINK = "id, user_id, username, created, expires"
_ADD_LINK = Statement(f"INSERT INTO link ({_LINK}, used) VALUES (?, ?, ?, ?, ?, FALSE)")
_LINKS_SINCE = Statement("SELECT 1 FROM link WHERE user_id = ? AND created >= ? LIMIT ?")
_FIND_LINK = Statement(f"SELECT {_LINK} FROM link WHERE id = ? AND NOT used AND expires > ?")
_USE_LINK = Statement("UPDATE link SET used = TRUE WHERE id = ? AND NOT used AND expires > ? RETURNING 1")

_CASE = "id, user_id, username, kind, detail, source, created, answered, answered_by"
_IN_QUEUE = Statement("SELECT 1 FROM help_case WHERE user_id = ? AND kind = ? AND answered = 0")
_ADD_CASE = Statement(f"INSERT INTO help_case ({_CASE}) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '')")
_CASES = Statement(f"SELECT {_CASE} FROM help_case WHERE answered = 0 ORDER BY created, id LIMIT ?")
_ANSWER = Statement(f"""
    UPDATE help_case SET answered = ?, answered_by = ? WHERE id = ? AND answered = 0 RETURNING {_CASE}""")

_TOKENS = Statement("""
    SELECT id, label, confirmed, created, last_success, good_from FROM totp_token
    WHERE user_id = ? ORDER BY created, id""")
_DROP_WAITING = Statement("DELETE FROM totp_token WHERE user_id = ? AND good_from > 0")
_LABEL = Statement("UPDATE totp_token SET label = ? WHERE user_id = ? AND id = ? RETURNING 1")
_RIPE = Statement("""
    SELECT user_id FROM totp_token WHERE good_from > 0 AND good_from <= ?
    UNION SELECT user_id FROM proposal WHERE good_from > 0 AND good_from <= ? LIMIT ?""")
_LOGINS = Statement("""
    SELECT time, login, round, client, station, source, policy, factor, outcome, decision FROM login
    WHERE user_id = ? AND time >= ? ORDER BY time DESC, login DESC, round DESC LIMIT ?""")

PURGE_VISITS = Statement("""
    DELETE FROM visit WHERE id IN
        (SELECT id FROM visit WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING 1""")
PURGE_LINKS = Statement("""
    DELETE FROM link WHERE id IN
        (SELECT id FROM link WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING 1""")
PURGE_CASES = Statement("""
    DELETE FROM help_case WHERE id IN
        (SELECT id FROM help_case WHERE answered > 0 AND answered < ? ORDER BY answered LIMIT ?) RETURNING 1""")


# --- visits ---------------------------------------------------------------------------------------


def begin_visit(visit: Visit, instead_of: str, now: float) -> Work[bool]:
    """Of a user's others those stay that were seen last."""
    rows = yield _LOCK_USER(visit.user_id)
    # Of the future it says nothing: a clock was set back.  But whoever is waited for comes from a little ahead.
    if rows and visit.shown < rows[0][0] <= now + _AHEAD:
        return False
    if instead_of and not (yield _REPLACE_VISIT(instead_of, now)):
        return False
    yield _DROP_OLDEST(visit.user_id, visit.user_id, _MOST_VISITS - 1)
    who = (visit.id, visit.user_id, visit.username, visit.language)
    times = (visit.begun, visit.shown, visit.seen, visit.expires)
    more = (visit.voucher, visit.anew, visit.pending)
    yield _ADD_VISIT(*who, visit.factor.value if visit.factor else "", visit.desk, visit.source, *times, *more)
    return True


def visit(visit_id: str, now: float) -> Work[Visit | None]:
    rows = yield _FIND_VISIT(visit_id, now)
    return _visit(rows[0]) if rows else None


def _visit(row: Sequence[Any]) -> Visit:
    visit_id, user_id, username, language, factor, desk, source, *times, voucher, anew, pending = row
    who = (visit_id, user_id, username, language, FactorKind(factor) if factor else None)
    begun, shown, seen, expires = times
    return Visit(*who, bool(desk), source, begun, shown, seen, expires, voucher, bool(anew), pending)


def see_visit(visit_id: str, now: float) -> Work[None]:
    yield _SEE_VISIT(now, visit_id, now - _SEEN_WITHIN, now + _SEEN_WITHIN)


def keep_pending(visit_id: str, pending: bytes, voucher: str, now: float) -> Work[bool]:
    return bool((yield _KEEP_PENDING(pending, voucher, visit_id, now)))


def end_visit(visit_id: str) -> Work[bool]:
    return bool((yield _END_VISIT(visit_id)))


def end_visits(user_id: str, but: str) -> Work[int]:
    return len((yield _END_VISITS(user_id, but)))


# --- starting anew --------------------------------------------------------------------------------


def post_link(link: Link, notice: Notice, since: float, most: int) -> Work[bool]:
    """The mail has the link's id, by which whoever delivers it makes the link."""
    if len((yield _LINKS_SINCE(link.user_id, since, most))) >= most:
        return False
    if not (yield from mail.post_notice(notice)):
        return False
    yield _ADD_LINK(link.id, link.user_id, link.username, link.created, link.expires)
    return True


def link(link_id: str, now: float) -> Work[Link | None]:
    rows = yield _FIND_LINK(link_id, now)
    return Link(*rows[0]) if rows else None


def use_link(link_id: str, now: float) -> Work[bool]:
    used = yield _USE_LINK(link_id, now)
    if used:
        yield from mail.drop(link_id)
    return bool(used)


def start_anew(token: NewToken, visit_id: str, now: float) -> Work[bool]:
    """Everything that there was ends; the token, and the visit in which it was set up, begin."""
    factor = FactorKind.TOTP.value
    yield _LOCK_USER(token.user_id)
    if not (yield _STARTS_ANEW(factor, b"", visit_id, token.user_id, now)):
        return False
    yield from life.reset(token.user_id, now, visit_id)
    yield from life.add_tokens([token], now)
    return True


def disown(user_id: str, but: str, now: float) -> Work[None]:
    yield from life.revoke_devices(user_id, None, now)  # which begins with the user's row
    yield _END_VISITS(user_id, but)
    yield from mail.void_links(user_id)
    yield _DROP_WAITING(user_id)
    yield from mail.drop_proposal(user_id)


# --- the help desk's queue ------------------------------------------------------------------------


def open_case(case: Case) -> Work[bool]:
    if (yield _IN_QUEUE(case.user_id, case.kind.value)):
        return False
    what = (case.kind.value, case.detail, case.source, case.created)
    yield _ADD_CASE(case.id, case.user_id, case.username, *what)
    return True


def cases(most: int) -> Work[list[Case]]:
    return [_case(row) for row in (yield _CASES(most))]


def answer_case(case_id: str, by: str, now: float) -> Work[Case | None]:
    rows = yield _ANSWER(now, by, case_id)
    return _case(rows[0]) if rows else None


def _case(row: Sequence[Any]) -> Case:
    case_id, user_id, username, kind, *more = row
    return Case(case_id, user_id, username, CaseKind(kind), *more)


# --- tokens, logins, mails ------------------------------------------------------------------------


def token_details(user_id: str) -> Work[list[TokenDetails]]:
    rows = yield _TOKENS(user_id)
    return [TokenDetails(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]


def label_token(user_id: str, token_id: str, label: str) -> Work[bool]:
    return bool((yield _LABEL(label, user_id, token_id)))


def ripe(now: float, most: int) -> Work[list[str]]:
    """Users of whom something has waited long enough."""
    return [row[0] for row in (yield _RIPE(now, now, most))]


def logins(user_id: str, since: float, most: int) -> Work[list[PastLogin]]:
    return [PastLogin(*row) for row in (yield _LOGINS(user_id, since, most))]


def post(notices: Sequence[Notice]) -> Work[None]:
    for notice in notices:
        yield from mail.post(notice)
