"""What is kept of mail: the verified address of a user, the codes sent there, and the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from radius_mfa.core.kept import Proposal
from radius_mfa.core.mailing import DAY
from radius_mfa.core.stored import Mail, MailCode, MailCodeUse, MailKind, NewMailCode, Notice
from radius_mfa.stores.work import Rows, Statement, Work

_CODES = Statement("""
    SELECT id, reference, code, created, expires, tries, used, client FROM mail_code
    WHERE user_id = ? ORDER BY number""")
_NEWEST = Statement("SELECT id FROM mail_code WHERE user_id = ? ORDER BY number DESC LIMIT 1")
_ADDRESS = Statement("SELECT address FROM mail_address WHERE user_id = ?")
_ADD_CODE = Statement("""
    INSERT INTO mail_code (id, user_id, reference, code, created, expires, tries, used, client)
    VALUES (?, ?, ?, ?, ?, ?, 0, FALSE, ?)""")
_COUNT_TRY = Statement("""
    UPDATE mail_code SET tries = tries + 1 WHERE user_id = ? AND NOT used AND expires > ? RETURNING id""")
_UNCOUNT_TRY = Statement("UPDATE mail_code SET tries = tries - 1 WHERE id = ? AND user_id = ? AND tries > 0")
_USE = Statement("UPDATE mail_code SET used = TRUE WHERE id = ? AND user_id = ? AND NOT used RETURNING 1")

_ADD_MAIL = Statement("""
    INSERT INTO outbox (id, kind, user_id, address, language, client, created, expires, attempts, due)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)""")
# What is due further ahead than any claim or pause goes was written before the clock was set back.
_AHEAD = 3600.0
_DUE = Statement("SELECT id FROM outbox WHERE due <= ? OR due > ? ORDER BY due, id LIMIT ?")
_WAITING = Statement("SELECT count(*), coalesce(min(created), 0) FROM outbox")
_CLAIM = Statement("UPDATE outbox SET due = ?, attempts = attempts + 1 WHERE id = ? RETURNING 1")
_MAIL = Statement("""
    SELECT o.id, o.user_id, coalesce(u.username, ''), o.address, o.language, o.client,
           coalesce(c.reference, p.reference, ''), coalesce(c.code, p.code), o.created, o.expires,
           o.attempts, o.kind
    FROM outbox o LEFT JOIN mail_code c ON c.id = o.id LEFT JOIN proposal p ON p.id = o.id
        LEFT JOIN user_counters u ON u.user_id = o.user_id
    WHERE o.id = ?""")
_POSTPONE = Statement("UPDATE outbox SET due = ? WHERE id = ?")
_DROP = Statement("DELETE FROM outbox WHERE id = ?")

_VOID_ELSEWHERE = Statement(
    "DELETE FROM mail_code WHERE user_id = ? AND ? NOT IN (SELECT address FROM mail_address WHERE user_id = ?)"
)
_DISTRUST_ELSEWHERE = Statement("""
    DELETE FROM trusted_device
    WHERE user_id = ? AND factor = 'mail' AND ? NOT IN (SELECT address FROM mail_address WHERE user_id = ?)""")
# Nor does a code that was sent elsewhere let anybody in any more by a TLS session.
_CODES_SINCE_ELSEWHERE = Statement("""
    UPDATE user_counters SET codes_since = ?
    WHERE user_id = ? AND EXISTS (SELECT 1 FROM mail_address WHERE user_id = ? AND address <> ?)""")
# A link that was mailed elsewhere starts nothing anew any more; it counts for `post_link` all the same.
_VOID_LINKS_ELSEWHERE = Statement("""
    UPDATE link SET used = TRUE
    WHERE user_id = ? AND NOT used AND ? NOT IN (SELECT address FROM mail_address WHERE user_id = ?)""")
# Nor does whoever came by one start anew any more.
_END_ANEW_ELSEWHERE = Statement("""
    DELETE FROM visit
    WHERE user_id = ? AND anew AND ? NOT IN (SELECT address FROM mail_address WHERE user_id = ?)""")
_VOID_LINKS = Statement("UPDATE link SET used = TRUE WHERE user_id = ? AND NOT used")
_DROP_LINK_MAILS = Statement("DELETE FROM outbox WHERE user_id = ? AND kind = 'link'")
# What is good for something, or is about a login, is for the verified address alone.  What tells of a change is
# also for the address that was: whoever has just replaced it must not stop the mail that says so.
_DROP_MAILS_ELSEWHERE = Statement("""
    DELETE FROM outbox
    WHERE user_id = ? AND (kind = 'address' OR (address <> ? AND kind IN ('code', 'link', 'suspended')))""")
_SET_ADDRESS = Statement("""
    INSERT INTO mail_address (user_id, address, verified) VALUES (?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET address = excluded.address, verified = excluded.verified""")
_REMOVE_ADDRESS = Statement("DELETE FROM mail_address WHERE user_id = ?")

_PROPOSAL = "id, user_id, address, reference, code, created, expires, tries, good_from"
_DROP_PROPOSAL_MAIL = Statement("DELETE FROM outbox WHERE user_id = ? AND kind = 'address'")
_DROP_PROPOSAL = Statement("DELETE FROM proposal WHERE user_id = ? RETURNING 1")
_ADD_PROPOSAL = Statement(f"INSERT INTO proposal ({_PROPOSAL}) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)")
_FIND_PROPOSAL = Statement(f"SELECT {_PROPOSAL} FROM proposal WHERE user_id = ? AND expires > ?")
# One that waits for its time has no code to guess any more, and is not taken before.
_TRY_PROPOSAL = Statement("UPDATE proposal SET tries = tries + 1 WHERE user_id = ? AND good_from = 0 RETURNING 1")
_TAKE_PROPOSAL = Statement("DELETE FROM proposal WHERE id = ? AND user_id = ? AND good_from = 0 RETURNING address")
_LET_PROPOSAL_WAIT = Statement("""
    UPDATE proposal SET good_from = ?, expires = ? WHERE id = ? AND user_id = ? AND good_from = 0 RETURNING 1""")
_TAKE_RIPE_PROPOSAL = Statement("""
    DELETE FROM proposal WHERE user_id = ? AND good_from > 0 AND good_from <= ? RETURNING address""")


def codes(user_id: str) -> Work[tuple[MailCode, ...]]:
    """The user's codes, in the order they were issued."""
    rows = yield _CODES(user_id)
    return tuple(_code(user_id, row) for row in rows)


def _code(user_id: str, row: Sequence[Any]) -> MailCode:
    code_id, reference, code, created, expires, tries, used, client = row
    return MailCode(code_id, user_id, reference, code, created, expires, tries, bool(used), client)


def count_try(user_id: str, now: float) -> Work[tuple[str, ...]]:
    """A guess is a try of every code it might be: their ids."""
    rows = yield _COUNT_TRY(user_id, now)
    return tuple(row[0] for row in rows)


def take_tries_back(user_id: str, code_ids: Iterable[str]) -> Work[None]:
    for code_id in code_ids:
        yield _UNCOUNT_TRY(code_id, user_id)


def use(user_id: str, code: MailCodeUse) -> Work[bool]:
    """Whether the code was there to be used up, which it is now; if its mail is still to leave, it need not."""
    used = yield _USE(code.code_id, user_id)
    if used:
        yield _DROP(code.code_id)
    return bool(used)


def issue(code: NewMailCode) -> Work[bool]:
    """Code and mail, unless a newer code than `after` is there, or another address."""
    newest = yield _NEWEST(code.user_id)
    address = yield _ADDRESS(code.user_id)
    if newest and newest[0][0] == code.id:
        return True  # done before, by whom the answer did not reach
    if (newest[0][0] if newest else "") != code.after or not address or address[0][0] != code.address:
        return False
    yield _ADD_CODE(code.id, code.user_id, code.reference, code.code, code.created, code.expires, code.client)
    where = (code.address, code.language, code.client)
    yield _ADD_MAIL(code.id, MailKind.CODE.value, code.user_id, *where, code.created, code.expires, code.created)
    return True


def post_notice(notice: Notice) -> Work[bool]:
    """A mail without a code, unless its address is the user's no longer."""
    address = yield _ADDRESS(notice.user_id)
    if not address or address[0][0] != notice.address:
        return False
    yield from post(notice)
    return True


def post(notice: Notice) -> Work[None]:
    """The same, whoever's address it is."""
    where = (notice.address, notice.language, notice.client)
    times = (notice.created, notice.expires, notice.created)
    yield _ADD_MAIL(notice.id, notice.kind.value, notice.user_id, *where, *times)


# --- the outbox -----------------------------------------------------------------------------------


def any_due(now: float) -> Work[bool]:
    """Whether there is anything to claim.  Mostly there is nothing: then no lock need be taken."""
    rows = yield _DUE(now, now + _AHEAD, 1)
    return bool(rows)


def claim(now: float, until: float, most: int) -> Work[Sequence[Mail]]:
    """What is due, and not due again before `until`."""
    mails = []
    for (mail_id,) in (yield _DUE(now, now + _AHEAD, most)):
        # Its user may have dropped it meanwhile, which waits for nobody at the outbox.
        if (yield _CLAIM(until, mail_id)):
            (row,) = yield _MAIL(mail_id)
            mails.append(_mail(row))
    return mails


def _mail(row: Sequence[Any]) -> Mail:
    mail_id, user_id, username, address, language, client, reference, code, created, expires, attempts, kind = row
    where = (address, language, client)
    times = (created, expires, attempts)
    return Mail(mail_id, user_id, username, *where, reference, code or b"", *times, MailKind(kind))


def waiting() -> Work[tuple[int, float]]:
    """How many mails there are, and since when the oldest is."""
    ((number, since),) = yield _WAITING()
    return number, since


def postpone(mail_id: str, due: float) -> Work[None]:
    yield _POSTPONE(due, mail_id)


def drop(mail_id: str) -> Work[None]:
    yield _DROP(mail_id)


# --- addresses ------------------------------------------------------------------------------------


def set_address(user_id: str, address: str, now: float) -> Work[None]:
    """What was sent elsewhere is void, as is what was trusted by it, and what is not sent yet never will be."""
    yield _CODES_SINCE_ELSEWHERE(now, user_id, user_id, address)
    yield _VOID_ELSEWHERE(user_id, address, user_id)
    yield _VOID_LINKS_ELSEWHERE(user_id, address, user_id)
    yield _END_ANEW_ELSEWHERE(user_id, address, user_id)
    yield _DISTRUST_ELSEWHERE(user_id, address, user_id)
    yield _DROP_MAILS_ELSEWHERE(user_id, address)
    yield _DROP_PROPOSAL(user_id)
    if address:
        yield _SET_ADDRESS(user_id, address, now)
    else:
        yield _REMOVE_ADDRESS(user_id)


def propose(proposal: Proposal, language: str) -> Work[None]:
    """An address in place of any other that waits, and the mail that asks whose it is."""
    yield _DROP_PROPOSAL_MAIL(proposal.user_id)
    yield _DROP_PROPOSAL(proposal.user_id)
    who = (proposal.id, proposal.user_id, proposal.address)
    yield _ADD_PROPOSAL(*who, proposal.reference, proposal.code, proposal.created, proposal.expires)
    where = (proposal.address, language, "")
    times = (proposal.created, proposal.expires, proposal.created)
    yield _ADD_MAIL(proposal.id, MailKind.ADDRESS.value, proposal.user_id, *where, *times)


def proposal_of(user_id: str, now: float) -> Work[Proposal | None]:
    """What waits to be confirmed."""
    rows = yield _FIND_PROPOSAL(user_id, now)
    return Proposal(*rows[0]) if rows else None


def try_proposal(user_id: str, now: float) -> Work[Proposal | None]:
    """The same with a guess more."""
    tried = yield _TRY_PROPOSAL(user_id)
    return (yield from proposal_of(user_id, now)) if tried else None


def accept_proposal(proposal_id: str, user_id: str, now: float) -> Work[bool]:
    """Make the proposed address the verified one."""
    return (yield from _taken(user_id, (yield _TAKE_PROPOSAL(proposal_id, user_id)), now))


def take_ripe_proposal(user_id: str, now: float) -> Work[bool]:
    """The same of one that has waited long enough."""
    return (yield from _taken(user_id, (yield _TAKE_RIPE_PROPOSAL(user_id, now)), now))


def _taken(user_id: str, rows: Rows, now: float) -> Work[bool]:
    if rows:
        yield from set_address(user_id, rows[0][0], now)
    return bool(rows)


def let_proposal_wait(proposal_id: str, user_id: str, good_from: float) -> Work[bool]:
    """Its code was seen, and it is the verified one from then on; it is kept for a day more, to be taken."""
    waits = yield _LET_PROPOSAL_WAIT(good_from, good_from + DAY, proposal_id, user_id)
    if waits:
        yield _DROP_PROPOSAL_MAIL(user_id)
    return bool(waits)


def void_links(user_id: str) -> Work[None]:
    """No link that was mailed starts anything anew, nor is one mailed that waits."""
    yield _VOID_LINKS(user_id)
    yield _DROP_LINK_MAILS(user_id)


def drop_proposal(user_id: str) -> Work[bool]:
    """Nor is its mail sent any more."""
    yield _DROP_PROPOSAL_MAIL(user_id)
    return bool((yield _DROP_PROPOSAL(user_id)))


# --- what is past its time ------------------------------------------------------------------------

PURGE_OUTBOX = Statement("""
    DELETE FROM outbox WHERE id IN
        (SELECT o.id FROM outbox o LEFT JOIN mail_code c ON c.id = o.id
         WHERE o.expires < ? OR (o.kind = 'code' AND c.id IS NULL) LIMIT ?) RETURNING 1""")
PURGE_CODES = Statement("""
    DELETE FROM mail_code WHERE id IN
        (SELECT id FROM mail_code WHERE expires < ? AND created < ? ORDER BY expires LIMIT ?) RETURNING 1""")
PURGE_PROPOSALS = Statement("""
    DELETE FROM proposal WHERE id IN
        (SELECT id FROM proposal WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING 1""")


def forgettable(now: float) -> tuple[float, float]:
    """The parameters of PURGE_CODES: expired, and not counted by `per_day` any more."""
    return now, now - DAY
