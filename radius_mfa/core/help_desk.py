"""What the help desk does for others, in the portal.

Whoever helps has shown a second factor themselves, and just now; nobody helps themselves.  Every act is audited
with who did it, those that were refused as well, and whose account it is hears of it where they can be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from radius_mfa.core.acts import Act
from radius_mfa.core.enrolment import AddressRefusal, Enrolment
from radius_mfa.core.kept import Device, Proposal, Voucher
from radius_mfa.core.messages import AuditEvent, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.portal_store import Case, PastLogin, TokenDetails
from radius_mfa.core.ports import Clock, Directory, Entropy
from radius_mfa.core.self_service import OF_ADDRESS, PATIENCE, AllStore, Result
from radius_mfa.core.stored import Facts, MailKind, Notice
from radius_mfa.core.usernames import KEPT, looked_up
from radius_mfa.core.visits import PORTAL, Visit

_DAY = 86400.0
LOOK_BACK = 90 * _DAY  # seconds of logins that are shown
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Account:
    """What the help desk is shown of a user.  `waiting`: an address, and a voucher; `logins`: the newest first."""

    user: User
    facts: Facts
    tokens: Sequence[TokenDetails]
    devices: Sequence[Device]
    waiting: tuple[Proposal | None, Voucher | None]
    logins: Sequence[PastLogin]


class HelpDesk:
    """Acts of the one who makes the visit `by`, for somebody else.

    Raises StoreError and DirectoryError, and PermissionError for who is not of the help desk, to whom none of this
    should have been offered.  `vouchers`: whether they are taken.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        store: AllStore,
        directory: Directory,
        clock: Clock,
        entropy: Entropy,
        audit: Callable[[AuditEvent], None],
        *,
        vouchers: bool = True,
    ) -> None:
        self._enrolment = enrolment
        self._store = store
        self._directory = directory
        self._clock = clock
        self._entropy = entropy
        self._audit = audit
        self._vouchers = vouchers

    async def find(self, by: Visit, name: str) -> User | Outcome:
        """Whom the desk means; NAME_UNREADABLE, UNKNOWN_USER, AMBIGUOUS_USER or USER_ID_UNUSABLE for nobody."""
        _must_help(by)
        read = looked_up(name, KEPT)
        if isinstance(read, Outcome):
            return read
        return await self._directory.find(read, self._soon())

    async def account(self, by: Visit, user: User) -> Account:
        """All that is to be seen of a user; that somebody looked is audited too."""
        _must_help(by)
        facts = await self._store.facts(user.id, self._soon())
        now = self._clock.wall()
        account = Account(
            user,
            facts,
            await self._store.token_details(user.id),
            await self._store.devices(user.id, now),
            await self._store.waiting(user.id, now),
            await self._store.logins(user.id, now - LOOK_BACK, MOST_SHOWN),
        )
        self._done(by, user, Act.LOOKED_AT, Result.DONE)
        return account

    async def cases(self, by: Visit) -> Sequence[Case]:
        """The queue, the oldest first."""
        _must_help(by)
        return await self._store.cases(MOST_SHOWN)

    def may_act(self, by: Visit, user_id: str) -> Result:
        """DONE, or why not: AGAIN, or OWN_ACCOUNT."""
        _must_help(by)
        if by.user_id == user_id:
            return Result.OWN_ACCOUNT
        return Result.DONE if by.is_fresh(self._clock.wall()) else Result.AGAIN

    async def unlock(self, by: Visit, user: User) -> Result:
        """Lift a lock or suspension."""
        how = self.may_act(by, user.id)
        if how is Result.DONE and not await self._store.unlock(user.id):
            how = Result.GONE
        return self._done(by, user, Act.UNLOCKED, how)

    async def reset(self, by: Visit, user: User) -> Result:
        """End every factor of the user, and their visits."""
        how = self.may_act(by, user.id)
        if how is Result.DONE:
            facts = await self._store.facts(user.id, self._soon())
            how = Result.DONE if await self._enrolment.reset(user.id) else Result.GONE
            if how is Result.DONE:
                await self._tell(user, facts, MailKind.RESET)
        return self._done(by, user, Act.RESET, how)

    async def issue_voucher(self, by: Visit, user: User) -> tuple[str, float] | Result:
        """A voucher as it is shown, once, and until when it is good; in place of any other."""
        how = self.may_act(by, user.id)
        if how is Result.DONE and not self._vouchers:
            how = Result.NOT_SERVED
        elif how is Result.DONE and not user.active:
            how = Result.NOT_ACTIVATED
        self._done(by, user, Act.VOUCHER_ISSUED, how)
        return await self._enrolment.issue_voucher(user.id, user.username) if how is Result.DONE else how

    async def set_address(self, by: Visit, user: User, address: str) -> Result:
        """Keep an address that the desk has checked, along with the card."""
        how = self.may_act(by, user.id)
        if how is Result.DONE:
            facts = await self._store.facts(user.id, self._soon())
            kept = await self._enrolment.set_address(user.id, user.username, address)
            if isinstance(kept, AddressRefusal):
                how = OF_ADDRESS[kept]
            else:
                await self._tell(user, facts, MailKind.ADDRESS_SET, kept)
        return self._done(by, user, Act.ADDRESS_SET, how)

    async def answer(self, by: Visit, case_id: str) -> Result:
        """Take somebody out of the queue; what was done for them are acts of their own."""
        now = self._clock.wall()
        case = next((each for each in await self._store.cases(MOST_SHOWN) if each.id == case_id), None)
        if case is None:
            return Result.GONE
        how = self.may_act(by, case.user_id)
        if how is Result.DONE and await self._store.answer_case(case_id, by.username, now) is None:
            how = Result.GONE
        user = User(case.user_id, case.username, "")
        return self._done(by, user, Act.CASE_ANSWERED, how, f"{case.kind} {case.detail}".strip())

    async def _tell(self, user: User, facts: Facts, kind: MailKind, *others: str) -> None:
        now = self._clock.wall()
        known = [facts.mail_address] if facts.mail_address else []
        notices = []
        for address in dict.fromkeys((*known, *others)):
            notice_id = self._entropy.octets(8).hex()
            notices.append(Notice(notice_id, user.id, kind, address, user.language, PORTAL, now, now + _DAY))
        await self._store.post(notices)

    def _done(self, by: Visit, user: User, act: Act, result: Result, detail: str = "") -> Result:
        said = "; ".join(filter(None, ("" if result is Result.DONE else result.value, detail)))
        decision = "done" if result is Result.DONE else "refused"
        now, name = self._clock.wall(), user.username
        who = name, user.id, name
        event = AuditEvent(now, act, decision, PORTAL, by.source, *who, detail=said)
        self._audit(replace(event, by=by.username, by_id=by.user_id))
        return result

    def _soon(self) -> float:
        return self._clock.monotonic() + PATIENCE


def _must_help(by: Visit) -> None:
    if not by.may_help:
        raise PermissionError("not of the help desk")
