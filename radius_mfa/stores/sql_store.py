"""`core.store.Store` over SQL: which work is done for what is asked.  How it is done is an engine's business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from radius_mfa.core.guard import Counters
from radius_mfa.core.kept import Device, KnownUser, NewRecoveryCode, NewToken, Proposal, TokenRecord, Voucher
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.portal_store import Case, Link, PastLogin, TokenDetails
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import Judge, Node, Resealed, SealedRow, SourceTally
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Facts,
    Mail,
    MailCodeUse,
    NewMailCode,
    Notice,
    RecoveryCodeUse,
    Refusal,
    Reserved,
    Settled,
    Settlement,
)
from radius_mfa.core.trust import LOOK_BACK
from radius_mfa.core.visits import Visit
from radius_mfa.stores import key_work, life_work, login_work, mail_work, portal_work, source_work
from radius_mfa.stores.work import Rows, Statement, Work
from radius_mfa.wire.sources import MOST_SIGNERS

T = TypeVar("T")

_BATCH = 500  # rows deleted, or sources added, in one transaction; users looked up
# Whom work that concerns no one user is alone with.
_OUTBOX, _KEYS, _IMPORT, _SOURCES = "outbox", "keys", "import", "sources"


class SqlStore(ABC):
    """The store, but for how work is done.

    Work is given as what makes it, since it may have to be done again.  `alone`: work of the same name
    is done one after the other, all of it or nothing; None: it only reads.
    """

    _clock: Clock

    @abstractmethod
    def _in_time(
        self, work: Callable[[], Work[T]], alone: str | None, deadline: float, *, synced: bool = False
    ) -> Awaitable[T]:
        """Do it by the deadline; `synced`: it has to survive a power cut."""

    @abstractmethod
    async def _durably(self, work: Callable[[], Work[T]], alone: str | None) -> T:
        """Do it so that it survives a power cut, and take the time it takes."""

    @abstractmethod
    async def _sync(self, deadline: float) -> None:
        """Let all that was done so far survive a power cut."""

    @abstractmethod
    async def _pause(self) -> None:
        """Let others do their work between two pieces of a long one."""

    # --- the way of a login -------------------------------------------------------------------------

    async def facts(self, user_id: str, deadline: float) -> Facts:
        return await self._in_time(partial(login_work.facts, user_id), None, deadline)

    async def spend(
        self,
        attempt: Attempt,
        reserve: Callable[[Counters], Counters | None],
        deadline: float,
        judge: Judge | None = None,
    ) -> Reserved | AnsweredBefore | Refusal | Settlement:
        work = partial(login_work.spend, attempt, reserve, judge, self._clock.wall())
        spent, barred = await self._in_time(work, attempt.user_id, deadline)
        if barred:
            await self._sync(deadline)
        return spent

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        work = partial(login_work.settle, settlement, self._clock.wall())
        # A step is good for a minute or two; what is good for longer must not be good again after a crash.
        # And the suspension that a notice is about is on the disk already.
        lasting = isinstance(settlement.consume, MailCodeUse | RecoveryCodeUse) or bool(
            settlement.trust or settlement.notice
        )
        return await self._in_time(work, settlement.attempt.user_id, deadline, synced=lasting)

    async def is_spent(self, login: bytes, round: int, deadline: float) -> bool:
        return await self._in_time(partial(login_work.is_spent, login, round), None, deadline)

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        return await self._in_time(partial(mail_work.issue, code), code.user_id, deadline)

    async def is_trusted(
        self,
        user_id: str,
        station: str,
        scopes: Sequence[str],
        factors: Collection[FactorKind],
        now: float,
        deadline: float,
    ) -> bool:
        work = partial(login_work.is_trusted, user_id, station, scopes, factors, now)
        return await self._in_time(work, None, deadline)

    async def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> int:
        work = partial(login_work.others_at, user_id, station, since, now, most)
        return await self._in_time(work, None, deadline)

    # --- the outbox ---------------------------------------------------------------------------------

    async def claim_mails(self, now: float, until: float, most: int) -> Sequence[Mail]:
        if not await self._durably(partial(mail_work.any_due, now), None):
            return []
        return await self._durably(partial(mail_work.claim, now, until, most), _OUTBOX)

    async def waiting_mails(self) -> tuple[int, float]:
        return await self._durably(mail_work.waiting, None)

    async def postpone_mail(self, mail_id: str, due: float) -> None:
        await self._durably(partial(mail_work.postpone, mail_id, due), _OUTBOX)

    async def drop_mail(self, mail_id: str) -> None:
        await self._durably(partial(mail_work.drop, mail_id), _OUTBOX)

    # --- the life of a user's factors ---------------------------------------------------------------

    async def add_tokens(self, tokens: Sequence[NewToken]) -> Sequence[bool]:
        users = {token.user_id for token in tokens}
        alone = users.pop() if len(users) == 1 else _IMPORT
        return await self._durably(partial(life_work.add_tokens, tokens, self._clock.wall()), alone)

    async def confirm_token(self, token_id: str, step: int, drift: int) -> bool:
        return await self._durably(partial(life_work.confirm_token, token_id, step, drift), token_id)

    async def resync_token(self, token_id: str, step: int, drift: int) -> bool:
        return await self._durably(partial(life_work.resync_token, token_id, step, drift), token_id)

    async def remove_token(self, user_id: str, token_id: str) -> bool:
        work = partial(life_work.remove_token, user_id, token_id, self._clock.wall())
        return await self._durably(work, user_id)

    async def set_mail_address(self, user_id: str, username: str, address: str) -> None:
        now = self._clock.wall()
        await self._durably(partial(life_work.set_mail_address, user_id, username, address, now), user_id)

    async def propose_address(self, proposal: Proposal, username: str, language: str) -> None:
        await self._durably(partial(life_work.propose_address, proposal, username, language), proposal.user_id)

    async def try_proposal(self, user_id: str, now: float) -> Proposal | None:
        return await self._durably(partial(mail_work.try_proposal, user_id, now), user_id)

    async def accept_proposal(self, proposal_id: str, user_id: str) -> bool:
        now = self._clock.wall()
        return await self._durably(partial(life_work.accept_proposal, proposal_id, user_id, now), user_id)

    async def set_recovery_codes(self, user_id: str, username: str, codes: Sequence[NewRecoveryCode]) -> None:
        now = self._clock.wall()
        await self._durably(partial(life_work.set_recovery_codes, user_id, username, codes, now), user_id)

    async def set_voucher(self, voucher: Voucher, username: str) -> None:
        await self._durably(partial(life_work.set_voucher, voucher, username), voucher.user_id)

    async def try_voucher(self, user_id: str, now: float) -> Voucher | None:
        return await self._durably(partial(life_work.try_voucher, user_id, now), user_id)

    async def use_voucher(self, voucher_id: str, user_id: str) -> bool:
        return await self._durably(partial(life_work.use_voucher, voucher_id, user_id), user_id)

    async def waiting(self, user_id: str, now: float) -> tuple[Proposal | None, Voucher | None]:
        return await self._durably(partial(life_work.waiting, user_id, now), None)

    async def devices(self, user_id: str | None, now: float) -> Sequence[Device]:
        return await self._durably(partial(life_work.devices, user_id, now), None)

    async def revoke_devices(self, user_id: str, device_id: str | None) -> int:
        work = partial(life_work.revoke_devices, user_id, device_id, self._clock.wall())
        return await self._durably(work, user_id)

    async def unlock(self, user_id: str) -> bool:
        return await self._durably(partial(life_work.unlock, user_id), user_id)

    async def reset(self, user_id: str) -> bool:
        return await self._durably(partial(life_work.reset, user_id, self._clock.wall()), user_id)

    async def forget(self, user_id: str) -> bool:
        return await self._durably(partial(life_work.forget, user_id), user_id)

    async def users(self, after: str, most: int) -> Sequence[KnownUser]:
        return await self._durably(partial(life_work.users, after, most), None)

    async def usernames(self) -> Mapping[str, str]:
        return await self._durably(life_work.usernames, None)

    async def tokens(self, after: str, most: int) -> Sequence[TokenRecord]:
        return await self._durably(partial(life_work.tokens, after, most), None)

    # --- the portal ---------------------------------------------------------------------------------

    async def begin_visit(self, visit: Visit, instead_of: str = "") -> bool:
        work = partial(portal_work.begin_visit, visit, instead_of, self._clock.wall())
        return await self._durably(work, visit.user_id)

    async def visit(self, visit_id: str, now: float) -> Visit | None:
        return await self._durably(partial(portal_work.visit, visit_id, now), None)

    async def see_visit(self, visit_id: str, now: float) -> None:
        await self._durably(partial(portal_work.see_visit, visit_id, now), visit_id)

    async def keep_pending(self, visit_id: str, pending: bytes, voucher: str) -> bool:
        work = partial(portal_work.keep_pending, visit_id, pending, voucher, self._clock.wall())
        return await self._durably(work, visit_id)

    async def end_visit(self, visit_id: str) -> bool:
        return await self._durably(partial(portal_work.end_visit, visit_id), visit_id)

    async def end_visits(self, user_id: str, but: str = "") -> int:
        return await self._durably(partial(portal_work.end_visits, user_id, but), user_id)

    async def post_link(self, link: Link, mail: Notice, since: float, most: int) -> bool:
        return await self._durably(partial(portal_work.post_link, link, mail, since, most), link.user_id)

    async def link(self, link_id: str, now: float) -> Link | None:
        return await self._durably(partial(portal_work.link, link_id, now), None)

    async def use_link(self, link_id: str, now: float) -> bool:
        return await self._durably(partial(portal_work.use_link, link_id, now), link_id)

    async def start_anew(self, token: NewToken, visit_id: str) -> bool:
        work = partial(portal_work.start_anew, token, visit_id, self._clock.wall())
        return await self._durably(work, token.user_id)

    async def open_case(self, case: Case) -> bool:
        return await self._durably(partial(portal_work.open_case, case), case.user_id)

    async def cases(self, most: int) -> Sequence[Case]:
        return await self._durably(partial(portal_work.cases, most), None)

    async def answer_case(self, case_id: str, by: str, now: float) -> Case | None:
        return await self._durably(partial(portal_work.answer_case, case_id, by, now), case_id)

    async def token_details(self, user_id: str) -> Sequence[TokenDetails]:
        return await self._durably(partial(portal_work.token_details, user_id), None)

    async def label_token(self, user_id: str, token_id: str, label: str) -> bool:
        return await self._durably(partial(portal_work.label_token, user_id, token_id, label), user_id)

    async def accept_proposal_from(self, proposal_id: str, user_id: str, good_from: float) -> bool:
        work = partial(mail_work.let_proposal_wait, proposal_id, user_id, good_from)
        return await self._durably(work, user_id)

    async def disown(self, user_id: str, but: str) -> None:
        await self._durably(partial(portal_work.disown, user_id, but, self._clock.wall()), user_id)

    async def drop_proposal(self, user_id: str) -> bool:
        return await self._durably(partial(mail_work.drop_proposal, user_id), user_id)

    async def ripen(self, now: float) -> int:
        """A user at a time, so that each is alone with what else is done to them."""
        total = 0
        while True:
            users = await self._durably(partial(portal_work.ripe, now, _BATCH), None)
            for user_id in users:
                total += await self._durably(partial(life_work.ripen, user_id, now), user_id)
            if len(users) < _BATCH:
                return total
            await self._pause()

    async def logins(self, user_id: str, since: float, most: int) -> Sequence[PastLogin]:
        return await self._durably(partial(portal_work.logins, user_id, since, most), None)

    async def post(self, notices: Sequence[Notice]) -> None:
        if notices:
            await self._durably(partial(portal_work.post, notices), notices[0].user_id)

    # --- keys ---------------------------------------------------------------------------------------

    async def key_proofs(self) -> Mapping[bytes, bytes]:
        return await self._durably(key_work.key_proofs, None)

    async def add_key_proof(self, key_id: bytes, proof: bytes, *, first: bool = False) -> None:
        await self._durably(partial(key_work.add_key_proof, key_id, proof, first), _KEYS)

    async def drop_key_proof(self, key_id: bytes) -> None:
        await self._durably(partial(key_work.drop_key_proof, key_id), _KEYS)

    async def sealed_otherwise(self, purpose: str, key_id: bytes, after: str, most: int) -> Sequence[SealedRow]:
        return await self._durably(partial(key_work.sealed_otherwise, purpose, key_id, after, most), None)

    async def reseal(self, rows: Sequence[Resealed]) -> int:
        return await self._durably(partial(key_work.reseal, rows), _KEYS)

    async def note_node(self, node: Node) -> None:
        await self._durably(partial(key_work.note_node, node), _KEYS)

    async def drop_node(self, node_id: str) -> None:
        await self._durably(partial(key_work.drop_node, node_id), _KEYS)

    async def nodes(self, since: float) -> Sequence[Node]:
        return await self._durably(partial(key_work.nodes, since), None)

    # --- the rest -----------------------------------------------------------------------------------

    async def add_sources(self, tallies: Sequence[SourceTally]) -> None:
        for start in range(0, len(tallies), _BATCH):
            await self._durably(partial(source_work.add, tallies[start : start + _BATCH]), _SOURCES)

    async def sources(self) -> Sequence[SourceTally]:
        return await self._durably(source_work.sources, None)

    async def forget_sources(self, client: str, source: str | None) -> int:
        work = partial(source_work.forget, client, source, self._clock.wall())
        return await self._durably(work, _SOURCES)

    async def purge(self, now: float, logins_before: float) -> int:
        return (
            await self._purge(life_work.PURGE_SPENT, now)
            + await self._purge(life_work.PURGE_LOGINS, logins_before)
            + await self._purge(mail_work.PURGE_CODES, *mail_work.forgettable(now))
            + await self._purge(mail_work.PURGE_OUTBOX, now)
            + await self._purge(mail_work.PURGE_PROPOSALS, now)
            + await self._purge(life_work.PURGE_VOUCHERS, now)
            + await self._purge(life_work.PURGE_DEVICES, now)
            + await self._purge(life_work.PURGE_STATIONS, now - LOOK_BACK)
            + await self._purge(portal_work.PURGE_VISITS, now)
            + await self._purge(portal_work.PURGE_LINKS, now - portal_work.LINKS_KEPT)
            + await self._purge(portal_work.PURGE_CASES, now - portal_work.CASES_KEPT)
            + await self._purge(key_work.PURGE_NODES, now)
            + await self._purge(source_work.PURGE, now - source_work.KEPT)
            + await self._purge(source_work.PURGE_STRANGERS, source_work.MOST_STRANGERS)
            + await self._purge(source_work.PURGE_SIGNERS, MOST_SIGNERS)
            + await self._purge(source_work.PURGE_FORGOTTEN, now - source_work.REMEMBERED)
        )

    async def _purge(self, statement: Statement, *before: float) -> int:
        """Delete in small transactions, and let others in between two."""
        total = 0
        while True:
            deleted = len(await self._durably(partial(_rows, statement, *before, _BATCH), "purge"))
            total += deleted
            if deleted < _BATCH:
                return total
            await self._pause()


def _rows(statement: Statement, *parameters: object) -> Work[Rows]:
    """One statement, and its rows."""
    return (yield statement(*parameters))
