"""What people do about their own second factors in the portal: `core.visits` has the rules, here they are kept.

Every act is audited here, and what changes how somebody is let in is told to every address that is known of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from radius_mfa.core import links
from radius_mfa.core.acts import Act
from radius_mfa.core.enrolment import AddressRefusal, Confirmation, Enrolment, Seed
from radius_mfa.core.kept import NewToken
from radius_mfa.core.messages import AuditEvent, FactorKind, User
from radius_mfa.core.portal_store import Case, CaseKind, Link, PastLogin, PortalStore
from radius_mfa.core.ports import Clock, Entropy, Sealer
from radius_mfa.core.store import LifeStore
from radius_mfa.core.stored import Facts, MailKind, NearMiss, Notice, TotpStep
from radius_mfa.core.visits import PORTAL, Visit, is_enrolled, suffices

LINK_LIFETIME = 1800.0  # seconds
LINKS_A_DAY = 3
PATIENCE = 10.0  # seconds that the store may take
_DAY = 86400.0
_PENDING = "visit"  # what a seed that is being set up is sealed for


class Result(StrEnum):
    """What became of what somebody wanted; the value is the key of what they are told."""

    DONE = "done"
    WAITING = "waiting"  # done, and counts after a while
    WRONG = "wrong"
    CLOCK_WRONG = "clock_wrong"  # a right code, of another time
    USED = "used"
    ALREADY = "already"  # there before
    GONE = "gone"  # what it was about is not there any more
    AGAIN = "again"  # password and factor have to be shown once more
    NEEDS_STRONGER = "needs_stronger"  # it takes the app, or a recovery code
    NOT_ADMITTED = "not_admitted"  # a first factor is set up from within, or with a voucher
    SIGN_IN_ANEW = "sign_in_anew"  # there is a factor by now, and it was not shown
    OUT_OF_ORDER = "out_of_order"  # another factor comes first
    LAST_FACTOR = "last_factor"  # nothing would be left to sign in with
    UNREADABLE = "unreadable"
    BLOCKED = "blocked"
    TOO_MANY = "too_many"
    NOT_SERVED = "not_served"
    SENT = "sent"
    QUEUED = "queued"  # the help desk has it
    OWN_ACCOUNT = "own_account"  # nobody helps themselves
    NOT_ACTIVATED = "not_activated"


class AllStore(LifeStore, PortalStore, Protocol):
    """Both halves."""


@dataclass(frozen=True, slots=True)
class SelfServiceRules:
    """What the configuration fixes.

    `served`: the factors there are.  `wait`: seconds until a factor counts that a weaker one has added; 0: none.
    `initialise`: whether who can show no factor may start anew by a mailed link.
    """

    served: Collection[FactorKind]
    wait: float = _DAY
    initialise: bool = True


class SelfService:
    """Acts of the one who makes the visit.  Raises StoreError.

    `inside`: whether they are in one of the administrator's networks.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        store: AllStore,
        sealer: Sealer,
        clock: Clock,
        entropy: Entropy,
        audit: Callable[[AuditEvent], None],
        rules: SelfServiceRules,
    ) -> None:
        self._enrolment = enrolment
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._entropy = entropy
        self._audit = audit
        self._rules = rules

    async def facts(self, user_id: str) -> Facts:
        """What is known of a user."""
        return await self._store.facts(user_id, self._clock.monotonic() + PATIENCE)

    # --- may they -----------------------------------------------------------------------------------

    async def show_voucher(self, visit: Visit, typed: str) -> Result:
        """Keep in the visit that a voucher was shown; it is used up by the first factor."""
        if visit.factor is not None:
            return Result.ALREADY  # whoever has a factor needs none
        voucher_id = await self._enrolment.look_at_voucher(visit.user_id, typed)
        if voucher_id is None:
            return self._done(visit, Act.VOUCHER_SHOWN, Result.WRONG)
        kept = await self._store.keep_pending(visit.id, visit.pending, voucher_id)
        return self._done(visit, Act.VOUCHER_SHOWN, Result.DONE if kept else Result.GONE)

    def how_to_add(self, visit: Visit, facts: Facts, *, inside: bool) -> Result:
        """Whether the visit may add a factor: DONE for at once, WAITING for after a while, else why not."""
        if visit.anew:
            return Result.DONE
        if visit.factor is None:
            if is_enrolled(facts, self._rules.served):
                return Result.SIGN_IN_ANEW
            return Result.DONE if inside or visit.voucher else Result.NOT_ADMITTED
        if not visit.is_fresh(self._clock.wall()):
            return Result.AGAIN
        return Result.DONE if suffices(visit.factor, facts) or not self._rules.wait else Result.WAITING

    def how_to_change(self, visit: Visit, facts: Facts) -> Result:
        """Whether the visit may end or replace what there is: DONE, else why not."""
        if visit.factor is None or not visit.is_fresh(self._clock.wall()):
            return Result.AGAIN
        return Result.DONE if suffices(visit.factor, facts) else Result.NEEDS_STRONGER

    async def _uses_voucher(self, visit: Visit, *, inside: bool) -> bool:
        """Whether a first factor may be set up now; what was shown for it is used up."""
        if visit.factor is not None or visit.anew or inside:
            return True
        return await self._store.use_voucher(visit.voucher, visit.user_id)

    # --- tokens -------------------------------------------------------------------------------------

    async def seed_for(self, visit: Visit) -> bytes | None:
        """The seed that the visit is setting up, a new one if there is none yet; None where the visit is gone."""
        seed = self._pending(visit)
        if seed is not None:
            return seed
        seed = self._enrolment.new_seed()
        sealed = self._sealer.seal(_PENDING, seed, visit.id, visit.user_id)
        return seed if await self._store.keep_pending(visit.id, sealed, visit.voucher) else None

    def _pending(self, visit: Visit) -> bytes | None:
        return self._sealer.open(_PENDING, visit.pending, visit.id, visit.user_id) if visit.pending else None

    async def add_token(self, visit: Visit, label: str, code: str, *, inside: bool) -> Result:
        """Add the token whose seed the visit was shown, by its first code, which is used up."""
        seed, facts = self._pending(visit), await self.facts(visit.user_id)
        how = self.how_to_add(visit, facts, inside=inside)
        if seed is None:
            how = Result.GONE
        elif not visit.anew and self._enrolment.is_out_of_order(facts, FactorKind.TOTP):
            how = Result.OUT_OF_ORDER
        if seed is None or how not in (Result.DONE, Result.WAITING):
            return self._done(visit, Act.TOKEN_ADDED, how)
        new = Seed(visit.user_id, visit.username, seed, label)
        step = self._enrolment.first_step(new, code)
        if not isinstance(step, TotpStep):
            wrong = Result.CLOCK_WRONG if isinstance(step, NearMiss) else Result.WRONG
            return self._done(visit, Act.TOKEN_ADDED, wrong)
        if not await self._uses_voucher(visit, inside=inside):
            return self._done(visit, Act.TOKEN_ADDED, Result.NOT_ADMITTED)
        good_from = self._good_from(how)
        token = self._enrolment.token_of(new, step, good_from)
        if visit.anew:
            return await self._start_anew(visit, facts, token)
        (added,) = await self._store.add_tokens([token])
        if not added:
            return self._done(visit, Act.TOKEN_ADDED, Result.ALREADY, label)
        if not await self._store.keep_pending(visit.id, b"", visit.voucher):
            # All was reset meanwhile, the visit too: what it has added since is not to stay.
            await self._enrolment.remove_token(visit.user_id, token.id)
            return self._done(visit, Act.TOKEN_ADDED, Result.GONE, label)
        waiting = how is Result.WAITING
        await self._tell(visit, facts, MailKind.TOKEN_WAITING if waiting else MailKind.TOKEN_ADDED, good_from)
        return self._done(visit, Act.TOKEN_ADDED, how, label)

    async def _start_anew(self, visit: Visit, facts: Facts, token: NewToken) -> Result:
        """With this token; whatever the user held before is gone."""
        if not await self._store.start_anew(token, visit.id):
            return self._done(visit, Act.STARTED_ANEW, Result.GONE)
        await self._tell(visit, facts, MailKind.STARTED_ANEW)
        return self._done(visit, Act.STARTED_ANEW, Result.DONE, token.label)

    async def test_token(self, visit: Visit, token_id: str, code: str) -> Result:
        """Whether a code of that token is right; it is used up."""
        facts = await self.facts(visit.user_id)
        result = Result.AGAIN
        if visit.factor is not None and visit.is_fresh(self._clock.wall()):
            result = _OF_TEST[await self._enrolment.try_token(facts, token_id, code)]
        return self._done(visit, Act.TOKEN_TESTED, result)

    async def rename_token(self, visit: Visit, token_id: str, label: str) -> Result:
        """Call a token something else."""
        renamed = visit.factor is not None and await self._store.label_token(visit.user_id, token_id, label)
        return self._done(visit, Act.TOKEN_RENAMED, Result.DONE if renamed else Result.GONE, label)

    async def remove_token(self, visit: Visit, token_id: str) -> Result:
        """End a token, but for what somebody signs in with last; one that waits is merely cancelled."""
        facts = await self.facts(visit.user_id)
        token = next((each for each in facts.tokens if each.id == token_id), None)
        if token is None or visit.factor is None:
            return self._done(visit, Act.TOKEN_REMOVED, Result.GONE)
        if not token.confirmed:
            await self._enrolment.remove_token(visit.user_id, token_id)
            return self._done(visit, Act.WAITING_CANCELLED, Result.DONE, token.label)
        how = self.how_to_change(visit, facts)
        others = any(each.confirmed and each.id != token_id for each in facts.tokens)
        if how is Result.DONE and not (others or self._has_address(facts)):
            how = Result.LAST_FACTOR
        if how is Result.DONE and not await self._enrolment.remove_token(visit.user_id, token_id):
            how = Result.GONE
        return self._done(visit, Act.TOKEN_REMOVED, how, token.label)

    # --- the address --------------------------------------------------------------------------------

    async def propose_address(self, visit: Visit, address: str, *, inside: bool) -> Result:
        """Mail a code to an address, to be shown with `confirm_address`."""
        facts = await self.facts(visit.user_id)
        how = self.how_to_add(visit, facts, inside=inside)
        if FactorKind.MAIL not in self._rules.served:
            how = Result.NOT_SERVED
        elif visit.anew:
            how = Result.OUT_OF_ORDER  # all is reset with the new token, and not before
        if how in (Result.DONE, Result.WAITING):
            deadline = self._clock.monotonic() + PATIENCE
            who = visit.user_id, visit.username
            proposed = await self._enrolment.propose_address(*who, address, visit.language, deadline)
            how = OF_ADDRESS[proposed] if isinstance(proposed, AddressRefusal) else Result.SENT
        return self._done(visit, Act.ADDRESS_PROPOSED, how)

    async def confirm_address(self, visit: Visit, code: str, *, inside: bool) -> Result:
        """Make the address the verified one that the code was mailed to."""
        facts = await self.facts(visit.user_id)
        how = self.how_to_add(visit, facts, inside=inside)
        if visit.anew or how not in (Result.DONE, Result.WAITING):
            return self._done(visit, Act.ADDRESS_SET, Result.OUT_OF_ORDER if visit.anew else how)
        proposal = await self._enrolment.look_at_proposal(visit.user_id, code)
        if proposal is None:
            return self._done(visit, Act.ADDRESS_SET, Result.WRONG)
        if not await self._uses_voucher(visit, inside=inside):
            return self._done(visit, Act.ADDRESS_SET, Result.NOT_ADMITTED)
        good_from = self._good_from(how)
        if how is Result.WAITING:
            accepted = await self._store.accept_proposal_from(proposal.id, visit.user_id, good_from)
        else:
            accepted = await self._store.accept_proposal(proposal.id, visit.user_id)
        if not accepted:
            return self._done(visit, Act.ADDRESS_SET, Result.GONE)
        kind = MailKind.ADDRESS_WAITING if how is Result.WAITING else MailKind.ADDRESS_SET
        await self._tell(visit, facts, kind, good_from, proposal.address)
        return self._done(visit, Act.ADDRESS_SET, how)

    async def cancel_address(self, visit: Visit) -> Result:
        """Forget the address that is to be confirmed, or that waits."""
        dropped = visit.factor is not None and await self._store.drop_proposal(visit.user_id)
        return self._done(visit, Act.WAITING_CANCELLED, Result.DONE if dropped else Result.GONE)

    def _has_address(self, facts: Facts) -> bool:
        return bool(facts.mail_address) and FactorKind.MAIL in self._rules.served

    # --- recovery codes, devices, logins ------------------------------------------------------------

    async def new_recovery_codes(self, visit: Visit) -> list[str] | Result:
        """Recovery codes in place of all there were, to be shown once."""
        facts = await self.facts(visit.user_id)
        how = self.how_to_change(visit, facts)
        if FactorKind.RECOVERY_CODES not in self._rules.served:
            how = Result.NOT_SERVED
        self._done(visit, Act.RECOVERY_CODES_MADE, how)
        if how is not Result.DONE:
            return how
        codes = await self._enrolment.new_recovery_codes(visit.user_id, visit.username)
        await self._tell(visit, facts, MailKind.RECOVERY_CODES_MADE)
        return list(codes)

    async def revoke_devices(self, visit: Visit, device_id: str | None) -> Result:
        """Trust a device no longer, or (None) none."""
        if visit.factor is None:
            return self._done(visit, Act.DEVICE_REVOKED, Result.AGAIN)
        gone = await self._store.revoke_devices(visit.user_id, device_id)
        return self._done(visit, Act.DEVICE_REVOKED, Result.DONE if gone or device_id is None else Result.GONE)

    async def disown(self, visit: Visit, login: PastLogin) -> Result:
        """That was not them: no device is trusted, no TLS session and no other visit goes on, the desk is told."""
        if visit.factor is None:
            return self._done(visit, Act.LOGIN_DISOWNED, Result.AGAIN)
        await self._store.revoke_devices(visit.user_id, None)
        await self._store.end_visits(visit.user_id, but=visit.id)
        where = login.station or login.source
        detail = (
            f"{login.client}, {login.outcome}, {login.factor or 'no factor'}, from {where}, login {login.login}"
        )
        await self._open_case(CaseKind.DISOWNED, visit.user_id, visit.username, detail, visit.source)
        await self._tell(visit, await self.facts(visit.user_id), MailKind.LOGIN_DISOWNED)
        return self._done(visit, Act.LOGIN_DISOWNED, Result.DONE, detail)

    # --- starting anew ------------------------------------------------------------------------------

    async def ask_for_link(self, user: User, language: str, source: str) -> Result:
        """Who has shown the right password and can show no factor any more: a mailed link, or the help desk."""
        facts, now = await self.facts(user.id), self._clock.wall()
        if not is_enrolled(facts, self._rules.served) and not facts.required:
            result = Result.NOT_ADMITTED  # there is nothing to start anew: sign in, and set up
        elif self._rules.initialise and self._has_address(facts):
            link = Link(self._new_id(), user.id, user.username, now, now + LINK_LIFETIME)
            where = (facts.mail_address, language, PORTAL)
            mail = Notice(link.id, user.id, MailKind.LINK, *where, now, link.expires)
            posted = await self._store.post_link(link, mail, now - _DAY, LINKS_A_DAY)
            result = Result.SENT if posted else Result.TOO_MANY
        else:
            await self._open_case(CaseKind.LOST, user.id, user.username, "", source)
            result = Result.QUEUED
        act = Act.HELP_ASKED if result is Result.QUEUED else Act.LINK_ASKED
        self._audit(self._event(user.id, user.username, source, act, result))
        return result

    async def link(self, token: str) -> Link | None:
        """The link that somebody has followed, as long as it is good; following it uses nothing up."""
        link_id = links.link_id_of(self._sealer, token)
        return None if link_id is None else await self._store.link(link_id, self._clock.wall())

    async def use_link(self, link: Link, source: str) -> Result:
        """Use it up, by whom the password was shown again: DONE lets them start anew."""
        used = self._rules.initialise and await self._store.use_link(link.id, self._clock.wall())
        result = Result.DONE if used else Result.GONE
        self._audit(self._event(link.user_id, link.username, source, Act.LINK_USED, result))
        return result

    # --- what goes with all of it -------------------------------------------------------------------

    def signed(self, visit: Visit, act: Act) -> None:
        """Have it audited that a visit has begun, or was ended."""
        self._done(visit, act, Result.DONE, f"by {visit.factor or 'password alone'}")

    async def _open_case(self, kind: CaseKind, user_id: str, username: str, detail: str, source: str) -> None:
        now = self._clock.wall()
        await self._store.open_case(Case(self._new_id(), user_id, username, kind, detail, source, now))

    async def _tell(
        self, visit: Visit, facts: Facts, kind: MailKind, good_from: float = 0.0, *others: str
    ) -> None:
        """Mail it to every address that is known, by which the user may hear of it in time."""
        now = self._clock.wall()
        known = await self._addresses(visit.user_id, facts, now)
        expires = good_from or now + _DAY
        await self._store.post(
            [
                Notice(self._new_id(), visit.user_id, kind, address, visit.language, PORTAL, now, expires)
                for address in dict.fromkeys((*known, *others))
            ]
        )

    async def _addresses(self, user_id: str, facts: Facts, now: float) -> tuple[str, ...]:
        """The verified one, and one that waits to become it."""
        proposal, _ = await self._store.waiting(user_id, now)
        waiting = (proposal.address,) if proposal is not None and proposal.good_from else ()
        return (*([facts.mail_address] if facts.mail_address else []), *waiting)

    def _good_from(self, how: Result) -> float:
        return self._clock.wall() + self._rules.wait if how is Result.WAITING else 0.0

    def _done(self, visit: Visit, act: Act, result: Result, detail: str = "") -> Result:
        self._audit(self._event(visit.user_id, visit.username, visit.source, act, result, detail))
        return result

    def _event(
        self, user_id: str, username: str, source: str, act: Act, result: Result, detail: str = ""
    ) -> AuditEvent:
        done = result in _DONE
        said = detail if result is Result.DONE else "; ".join(filter(None, (result.value, detail)))
        decision = "done" if done else "refused"
        return AuditEvent(
            self._clock.wall(), act, decision, PORTAL, source, username, user_id, username, detail=said
        )

    def _new_id(self) -> str:
        return self._entropy.octets(8).hex()


_DONE = frozenset({Result.DONE, Result.WAITING, Result.SENT, Result.QUEUED})
OF_ADDRESS = {
    AddressRefusal.UNREADABLE: Result.UNREADABLE,
    AddressRefusal.BLOCKED: Result.BLOCKED,
    AddressRefusal.OUT_OF_ORDER: Result.OUT_OF_ORDER,
}
_OF_TEST = {
    Confirmation.CONFIRMED: Result.DONE,
    Confirmation.WRONG: Result.WRONG,
    Confirmation.USED: Result.USED,
    Confirmation.NOTHING_OPEN: Result.GONE,
}
