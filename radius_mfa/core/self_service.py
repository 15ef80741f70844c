"""What people do about their own second factors in the portal: `core.visits` has the rules, here they are kept.

Every act is audited, and what changes how somebody is let in is told to every address that is known of them.
"""

from __future__ import annotations

from dataclasses import replace

from radius_mfa.core.acting import DAY, OF_ADDRESS, OF_TEST, PATIENCE, AllStore, Result, SelfServiceRules, label_of
from radius_mfa.core.acts import Act
from radius_mfa.core.enrolment import AddressRefusal, Seed
from radius_mfa.core.kept import NewToken
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.portal_store import CaseKind, PastLogin
from radius_mfa.core.starting_anew import StartingAnew
from radius_mfa.core.stored import Facts, MailKind, NearMiss, TotpStep
from radius_mfa.core.visits import Visit, is_enrolled, suffices

__all__ = ["OF_ADDRESS", "PATIENCE", "AllStore", "Result", "SelfService", "SelfServiceRules"]

MOST_TOKENS = 10  # of one user: each is one more that a guess may be right for, and that every code is judged by
_ADDS = (Result.DONE, Result.WAITING)
_PENDING = "visit"  # what a seed that is being set up is sealed for


class SelfService(StartingAnew):
    """Acts of the one who makes the visit.  Raises StoreError.

    `inside`: whether they are in one of the administrator's networks.
    """

    # --- may they -----------------------------------------------------------------------------------

    async def show_voucher(self, visit: Visit, typed: str) -> Result:
        """Keep in the visit that a voucher was shown; it is used up by the first factor."""
        if visit.factor is not None:
            return self._done(visit, Act.VOUCHER_SHOWN, Result.ALREADY)  # whoever has a factor needs none
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
            # Of the help desk by a password alone, and be it from within: no.
            is_admitted = bool(visit.voucher) or (inside and not visit.desk)
            return Result.DONE if is_admitted else Result.NOT_ADMITTED
        if not visit.is_fresh(self._clock.wall()):
            return Result.AGAIN
        return Result.DONE if self.suffices(visit, facts) or not self._wait_of(visit) else Result.WAITING

    def how_to_change(self, visit: Visit, facts: Facts) -> Result:
        """Whether the visit may end or replace what there is: DONE, else why not."""
        if visit.factor is None or not visit.is_fresh(self._clock.wall()):
            return Result.AGAIN
        return Result.DONE if self.suffices(visit, facts) else Result.NEEDS_STRONGER

    def suffices(self, visit: Visit, facts: Facts) -> bool:
        """Whether what was shown is as strong as the strongest that they hold."""
        if visit.desk and visit.factor is FactorKind.MAIL:
            return False  # a mailbox must not become all that a help desk may do
        return suffices(visit.factor, facts, self._rules.served)

    async def _uses_voucher(self, visit: Visit, *, inside: bool) -> bool:
        """Whether a first factor may be set up now; what was shown for it is used up."""
        if visit.factor is not None or visit.anew or (inside and not visit.desk):
            return True
        return await self._store.use_voucher(visit.voucher, visit.user_id)

    async def _is_another(self, visit: Visit, token_id: str = "") -> bool:
        """Whether what was meant for the first factor was not: another was set up at the same time.

        `token_id`: of the token that it was; empty: it was the address.
        """
        if visit.factor is not None:
            return False
        facts = await self.facts(visit.user_id)
        tokens = tuple(each for each in facts.tokens if each.id != token_id)
        others = replace(facts, tokens=tokens, mail_address=facts.mail_address if token_id else "")
        return is_enrolled(others, self._rules.served)

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
        seed, facts, label = self._pending(visit), await self.facts(visit.user_id), label_of(label)
        how = self.how_to_add(visit, facts, inside=inside)
        if FactorKind.TOTP not in self._rules.served:
            how = Result.NOT_SERVED
        elif not visit.anew and self._enrolment.is_out_of_order(facts, FactorKind.TOTP):
            how = Result.OUT_OF_ORDER
        elif seed is None and how in _ADDS:
            how = Result.GONE
        elif len(facts.tokens) >= MOST_TOKENS and how in _ADDS and not visit.anew:
            how = Result.FULL
        if seed is None or how not in _ADDS:
            return self._done(visit, Act.TOKEN_ADDED, how)
        new = Seed(visit.user_id, visit.username, seed, label)
        step = self._enrolment.first_step(new, code)
        if not isinstance(step, TotpStep):
            wrong = Result.CLOCK_WRONG if isinstance(step, NearMiss) else Result.WRONG
            return self._done(visit, Act.TOKEN_ADDED, wrong)
        if not await self._uses_voucher(visit, inside=inside):
            return self._done(visit, Act.TOKEN_ADDED, Result.NOT_ADMITTED)
        token = self._enrolment.token_of(new, step, self._good_from(visit, how))
        if visit.anew:
            return await self._start_anew(visit, facts, token)
        added = await self._added(visit, token)
        if added is not Result.DONE:
            return self._done(visit, Act.TOKEN_ADDED, added, label)
        kind = MailKind.TOKEN_WAITING if how is Result.WAITING else MailKind.TOKEN_ADDED
        self._done(visit, Act.TOKEN_ADDED, how, label)
        await self._tell(visit, kind, await self._known_addresses(facts), token.good_from)
        return how

    async def _added(self, visit: Visit, token: NewToken) -> Result:
        """Add it, but for what has happened in the meantime; nothing is being set up any more."""
        (added,) = await self._store.add_tokens([token])
        is_there = await self._store.keep_pending(visit.id, b"", "")
        if not added:
            return Result.ALREADY
        # All was reset, the visit too: what it has added since is not to stay.
        result = Result.GONE if not is_there else Result.DONE
        if is_there and await self._is_another(visit, token.id):
            result = Result.SIGN_IN_ANEW
        if result is not Result.DONE:
            await self._enrolment.remove_token(visit.user_id, token.id)
        return result

    async def _start_anew(self, visit: Visit, facts: Facts, token: NewToken) -> Result:
        """With this token; whatever the user held before is gone."""
        known = await self._known_addresses(facts)
        if not await self._store.start_anew(token, visit.id):
            return self._done(visit, Act.STARTED_ANEW, Result.GONE)
        self._done(visit, Act.STARTED_ANEW, Result.DONE, token.label)
        await self._tell(visit, MailKind.STARTED_ANEW, known)
        return Result.DONE

    async def test_token(self, visit: Visit, token_id: str, code: str) -> Result:
        """Whether a code of that token is right; it is used up."""
        facts = await self.facts(visit.user_id)
        result = Result.AGAIN
        if visit.factor is not None and visit.is_fresh(self._clock.wall()):
            result = OF_TEST[await self._enrolment.try_token(facts, token_id, code)]
        return self._done(visit, Act.TOKEN_TESTED, result)

    async def rename_token(self, visit: Visit, token_id: str, label: str) -> Result:
        """Call a token something else."""
        label = label_of(label)
        renamed = visit.factor is not None and await self._store.label_token(visit.user_id, token_id, label)
        return self._done(visit, Act.TOKEN_RENAMED, Result.DONE if renamed else Result.GONE, label)

    async def remove_token(self, visit: Visit, token_id: str) -> Result:
        """End a token, but for what somebody signs in with last; one that waits is merely cancelled.

        With it end the other visits: perhaps somebody else has that phone.
        """
        facts = await self.facts(visit.user_id)
        token = next((each for each in facts.tokens if each.id == token_id), None)
        if token is None or visit.factor is None:
            return self._done(visit, Act.TOKEN_REMOVED, Result.GONE)
        if not token.confirmed:
            gone = await self._enrolment.remove_token(visit.user_id, token_id)
            return self._done(visit, Act.WAITING_CANCELLED, Result.DONE if gone else Result.GONE, token.label)
        how = self.how_to_change(visit, facts)
        others = any(each.confirmed and each.id != token_id for each in facts.tokens)
        if how is Result.DONE and not (others or self._has_address(facts)):
            how = Result.LAST_FACTOR
        if how is Result.DONE and not await self._enrolment.remove_token(visit.user_id, token_id):
            how = Result.GONE
        self._done(visit, Act.TOKEN_REMOVED, how, token.label)
        if how is Result.DONE:
            await self._store.end_visits(visit.user_id, but=visit.id)
        return how

    # --- the address --------------------------------------------------------------------------------

    async def propose_address(self, visit: Visit, address: str, *, inside: bool) -> Result:
        """Mail a code to an address, to be shown with `confirm_address`."""
        facts = await self.facts(visit.user_id)
        how = self.how_to_add(visit, facts, inside=inside)
        if FactorKind.MAIL not in self._rules.served:
            how = Result.NOT_SERVED
        elif visit.anew:
            how = Result.OUT_OF_ORDER  # all is reset with the new token, and not before
        if how in _ADDS:
            deadline = self._clock.monotonic() + PATIENCE
            who = visit.user_id, visit.username
            proposed = await self._enrolment.propose_address(*who, address, visit.language, deadline)
            how = OF_ADDRESS[proposed] if isinstance(proposed, AddressRefusal) else Result.SENT
        return self._done(visit, Act.ADDRESS_PROPOSED, how)

    async def confirm_address(self, visit: Visit, code: str, *, inside: bool) -> Result:
        """Make the address the verified one that the code was mailed to."""
        facts = await self.facts(visit.user_id)
        how = self.how_to_add(visit, facts, inside=inside)
        if FactorKind.MAIL not in self._rules.served:
            how = Result.NOT_SERVED
        elif visit.anew:
            how = Result.OUT_OF_ORDER
        if how not in _ADDS:
            return self._done(visit, Act.ADDRESS_SET, how)
        proposal = await self._enrolment.look_at_proposal(visit.user_id, code)
        if proposal is None:
            return self._done(visit, Act.ADDRESS_SET, Result.WRONG)
        if not await self._uses_voucher(visit, inside=inside):
            return self._done(visit, Act.ADDRESS_SET, Result.NOT_ADMITTED)
        good_from, kind = self._good_from(visit, how), MailKind.ADDRESS_SET
        if how is Result.WAITING:
            kind = MailKind.ADDRESS_WAITING
            accepted = await self._store.accept_proposal_from(proposal.id, visit.user_id, good_from)
        else:
            accepted = await self._store.accept_proposal(proposal.id, visit.user_id)
        if not accepted:
            return self._done(visit, Act.ADDRESS_SET, Result.GONE)
        if await self._is_another(visit):
            await self._enrolment.remove_address(visit.user_id)
            return self._done(visit, Act.ADDRESS_SET, Result.SIGN_IN_ANEW)
        self._done(visit, Act.ADDRESS_SET, how)
        known = await self._known_addresses(facts)
        await self._tell(visit, kind, (*known, proposal.address), good_from)
        return how

    async def cancel_address(self, visit: Visit) -> Result:
        """Forget the address that is to be confirmed, or that waits."""
        dropped = visit.factor is not None and await self._store.drop_proposal(visit.user_id)
        return self._done(visit, Act.WAITING_CANCELLED, Result.DONE if dropped else Result.GONE)

    def _good_from(self, visit: Visit, how: Result) -> float:
        return self._clock.wall() + self._wait_of(visit) if how is Result.WAITING else 0.0

    def _wait_of(self, visit: Visit) -> float:
        """Of the help desk it is a day even where nobody else waits, or a mailbox would be enough."""
        return self._rules.wait or (DAY if visit.desk else 0.0)

    # --- recovery codes, devices, logins ------------------------------------------------------------

    async def new_recovery_codes(self, visit: Visit) -> list[str] | Result:
        """Recovery codes in place of all there were, to be shown once; the other visits end."""
        facts = await self.facts(visit.user_id)
        how = self.how_to_change(visit, facts)
        if FactorKind.RECOVERY_CODES not in self._rules.served:
            how = Result.NOT_SERVED
        if how is not Result.DONE:
            return self._done(visit, Act.RECOVERY_CODES_MADE, how)
        codes = await self._enrolment.new_recovery_codes(visit.user_id, visit.username)
        if await self._store.visit(visit.id, self._clock.wall()) is None:
            # All was reset, the visit too: what it has made since is not to stay.
            await self._store.set_recovery_codes(visit.user_id, "", [])
            return self._done(visit, Act.RECOVERY_CODES_MADE, Result.GONE)
        self._done(visit, Act.RECOVERY_CODES_MADE, how)
        await self._store.end_visits(visit.user_id, but=visit.id)
        await self._tell(visit, MailKind.RECOVERY_CODES_MADE, await self._known_addresses(facts))
        return list(codes)

    async def revoke_devices(self, visit: Visit, device_id: str | None) -> Result:
        """Trust a device no longer, or (None) none."""
        if visit.factor is None:
            return self._done(visit, Act.DEVICE_REVOKED, Result.AGAIN)
        gone = await self._store.revoke_devices(visit.user_id, device_id)
        return self._done(visit, Act.DEVICE_REVOKED, Result.DONE if gone or device_id is None else Result.GONE)

    async def disown(self, visit: Visit, login: PastLogin) -> Result:
        """That was not them: nothing goes on that somebody else may have begun, and the desk is told."""
        if visit.factor is None:
            return self._done(visit, Act.LOGIN_DISOWNED, Result.AGAIN)
        await self._store.disown(visit.user_id, visit.id)
        where = login.station or login.source
        detail = (
            f"{login.client}, {login.outcome}, {login.factor or 'no factor'}, from {where}, login {login.login}"
        )
        who = visit.user_id, visit.username
        is_new = await self._open_case(CaseKind.DISOWNED, *who, detail, visit.source)
        self._done(visit, Act.LOGIN_DISOWNED, Result.DONE, detail)
        if is_new:  # said again it is no news, and no end of mails
            known = await self._known_addresses(await self.facts(visit.user_id))
            await self._tell(visit, MailKind.LOGIN_DISOWNED, known)
        return Result.DONE
