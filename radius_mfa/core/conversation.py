"""A login, from the first Access-Request to the Access-Accept: the whole of it can be read here.

A login is a conversation of rounds (RFC 2865 §4.4, RFC 2869 §5.14).  In round one the NAS sends
a name and a password; we answer with an Access-Challenge whose State carries everything we have to
know again.  In every later round it sends that State and what the user typed.  The rules:

 1. **Nothing that fails yields an Access-Accept.**  One is made in two places, both below, and given
    again in a third (rule 7); a broken backend is an exception that only `answer` turns into a decision.
 2. **Until the password was right, every refusal looks the same.**  Afterwards the user is told
    what to do next.  The exact reason is always in the audit event.
 3. **One reading.**  What is password and what is code is settled by the client's profile before
    either is checked, and never tried the other way round.
 4. **A State belongs to one client and one User-Name**, is honoured for a time, and is spent by the
    first answer to it (RFC 2865 §5.24 leaves its content to us).  Until something is answered
    nothing is written, but for a code that has to be mailed.
 5. **A failure is counted in the transaction that spends the State**, before the code is looked at, and taken
    back if it was right.  A TOTP code is judged within that transaction, and nobody hears of what is not
    committed.  So a thousand answers sent at once gain nothing over one.  An answer that cannot be right is
    not a guess and is not counted.
 6. **A code is used up in the transaction that accepts it**: whoever comes second with the same code
    is refused.  A used code, resent by a supplicant, is refused but not counted.  In one-field mode it sends the
    whole line for days: there a used code is known for as long as the login's row is kept, and a wrong one, which
    is counted once, for 7 days from then.  Until then neither is accepted, even where its time comes round.
 7. **The identical answer again gets the identical decision** while the NAS may still be asking, at
    whichever worker or node it arrives, because the decision is kept with the spent State
    (RFC 5080 §2.2.2 asks for no less).  Later it is an answer to a spent State like any other.
 8. **In one-field mode the line stands for the State**: the same one again counts once.  But it does
    not bring an Access-Accept to another node: whoever has read the line has all that it takes.
 9. **The current configuration decides.**  A policy that is gone since round one is a refusal.  What it returns
    is made of the user's entry as round one has found it, and is the same whichever round ends the login; where
    State had no room for that, or the policy asks for more by now, the user is looked up once more.
10. **A device is trusted only once a code was given there**, for a time that is never renewed, where client
    and policy allow it.  The password is asked all the same; a code that comes in one field with it is not
    looked at there.
11. **A code is mailed only after the right password**, once in a while, and no answer waits for it.  It
    is good at any challenge of its user, so that a gateway that timed out costs nothing.
12. **A TLS session taken up again is authorised again**, by all but password and code: by the entry, the policy,
    a factor, the trust in the device as they are now.  No code counts that is from before a reset or revocation.
13. **The name outside of a tunnel is nobody's, or the user's own**: it is what the NAS accounts.

A login costs some hundred microseconds.  What is written for that alone is small and stands in files of its own,
and tests hold it to what it stands for: `core.record`, `directories.ldap_quick`, `directories.time_limits`,
`stores.sqlite_together`, `stores.postgresql_together`, `stores.entropy`, `observe.durations`,
`assembly.collector`; and among other things `stores.work.Chain`, the turns of `transports.udp` and the HMAC of
`factors.totp`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from radius_mfa.core import answers, challenge, decisions, outer, usernames
from radius_mfa.core.answers import Answer, CodeAnswer, MailAsked
from radius_mfa.core.asking import Asking
from radius_mfa.core.conditions import Situation
from radius_mfa.core.entries import values_again
from radius_mfa.core.errors import BackendError, DirectoryError
from radius_mfa.core.guard import ALONE, Counters, cleared
from radius_mfa.core.judgement import Case, End, Judged, look_at, settlement_of, usable
from radius_mfa.core.login import AGAIN, Conclusion, Login, event_of
from radius_mfa.core.messages import Accept, AccessRequest, Attribute, Decision, Discard, FactorKind, Reject, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policies, Policy, SecondFactor
from radius_mfa.core.ports import Password
from radius_mfa.core.resumption import Resumption
from radius_mfa.core.rules import Rules
from radius_mfa.core.sessions import Session
from radius_mfa.core.states import States
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    NearMiss,
    NewDevice,
    Refusal,
    Reserved,
    Settled,
    Settlement,
)
from radius_mfa.core.world import Ports

# Where nothing but a mailed code can be waited for: a list on paper asks for nothing.
_BY_MAIL_ALONE = (ALONE[FactorKind.MAIL], frozenset({FactorKind.MAIL, FactorKind.RECOVERY_CODES}))
_SENT_BEFORE = {Settled.CODE_USED: Outcome.CODE_USED, Settled.CODE_WRONG_AGAIN: Outcome.CODE_WRONG_AGAIN}


class Conversation:
    """Decides Access-Requests; keeps nothing between them.  `states`: of the challenges it has made."""

    def __init__(self, ports: Ports, rules: Rules) -> None:
        self._directory = ports.directory
        self._store = ports.store
        self._factors = ports.factors
        self._usable = partial(usable, ports.factors)
        self._sealer = ports.sealer
        self._clock = ports.clock
        self._entropy = ports.entropy
        self._mailing = ports.mailing
        self._trusted = ports.trusted
        self._rules = rules
        self._guard = rules.guard
        self._asking = Asking(ports.sealer, ports.clock, rules.guard, rules.challenge_lifetime, ports.mailing)
        self._resumption = Resumption(ports.store, ports.trusted, ports.factors)
        self.states = States(ports.sealer, ports.store, ports.clock)
        self._policies = Policies(rules.policies)

    async def answer(self, request: AccessRequest, deadline: float) -> Conclusion:
        """The decision on one Access-Request, by `deadline` (monotonic seconds)."""
        login, state = Login.of(request), request.first(Attribute.STATE)
        try:
            if state is None:
                return await self._round_one(login, deadline)
            return await self._later_round(login, state, deadline)
        except BackendError as broken:
            return self._broken(login, broken)

    async def resume(self, request: AccessRequest, session: Session, deadline: float) -> Conclusion:
        """The same on one that takes up a TLS session, and has no password.  How old that is, is not looked at."""
        login = Login.of(request)
        try:
            return await self._authorise_again(login, session, deadline)
        except BackendError as broken:
            return self._broken(login, broken)

    def _begins(self, login: Login) -> None:
        """It goes on with none that was before, so it gets a name of its own."""
        login.id = challenge.new_login_id(self._clock.wall(), self._entropy)

    # --- round one: a name and a password ---------------------------------------------------------

    async def _round_one(self, login: Login, deadline: float) -> Conclusion:
        self._begins(login)
        text = login.text
        if isinstance(text, Outcome):
            return self._refuse(login, text)
        name = usernames.looked_up(login.typed, login.request.nas.naming)
        if isinstance(name, Outcome):
            return self._refuse(login, name)
        suffix = login.request.nas.profile.suffix
        typed, answer = (text, None) if suffix is None else answers.split(text, suffix)
        password = typed.encode()

        user = await self._directory.find(name, deadline)
        if isinstance(user, Outcome):
            # At what a wrong password of somebody costs, wherever the directory can make it so.
            await self._directory.dummy_check(name, password, deadline)
            return self._refuse(login, user)
        login.about(user)
        if not user.active:
            await self._directory.dummy_check(name, password, deadline)
            return self._refuse(login, Outcome.NOT_ACTIVATED)
        verdict = await self._directory.check_password(user, password, deadline)
        if verdict is not Password.RIGHT:
            return self._refuse(login, verdict.outcome)

        # Only now: groups may take many questions, which nobody is asked for who has merely a name.
        policy = await self._deciding(login, user, deadline)
        if policy is None:
            return self._refuse(login, Outcome.NO_POLICY)
        if unfit := await self._unfit(login, deadline):
            return unfit
        return await self._ask(login, policy, answer, deadline)

    async def _deciding(self, login: Login, user: User, deadline: float) -> Policy | None:
        """The policy that decides for this user here and now, under which the login goes on."""
        if user.lacks_groups:
            user = await self._directory.with_groups(user, deadline)
        policy = self._policies.deciding(Situation(login.request, user, self._clock.wall(), self._rules.zone))
        if policy is not None:
            login.under(policy)
            login.returning(policy.reply.known_of(user))
        return policy

    async def _unfit(self, login: Login, deadline: float) -> Conclusion | None:
        """The refusal of a user whom the policy would let in, and whom the NAS could not serve as it should."""
        if login.cannot_return:
            return self._refuse(login, Outcome.REPLY_UNUSABLE, login.cannot_return)
        if login.request.outer_name is not None and await outer.is_of_another(login, self._directory, deadline):
            return self._refuse(login, Outcome.OUTER_NAME_OF_ANOTHER)
        return None

    async def _ask(self, login: Login, policy: Policy, answer: Answer | None, deadline: float) -> Conclusion:
        """The password was right: ask for the second factor, or judge it where it came along."""
        if policy.second_factor is SecondFactor.NEVER:
            return self._accept_without(login, Outcome.ACCEPTED_BY_PASSWORD)

        facts = await self._store.facts(login.user_id, deadline)
        now = self._clock.wall()
        login.factors, login.round = self._usable(facts, policy.factors), 1
        login.expires = now + self._rules.challenge_lifetime
        if not login.factors:
            # Whoever has held any factor is enrolled, even where this policy takes another.
            let_in = None if facts.required else policy.lets_in_unenrolled(now)
            return self._accept_without(login, let_in) if let_in else self._refuse(login, Outcome.UNENROLLED)
        # With a code in the line or without: a VPN that negotiates its keys anew sends the line it was given.
        may_trust = policy.trust_device and not isinstance(answer, MailAsked)
        if may_trust and await self._trusted.knows(login, deadline):
            return self._accept_without(login, Outcome.ACCEPTED_BY_DEVICE)
        barred = self._guard.barred(facts.counters, self._clock.wall(), login.factors)
        if barred:
            return self._refuse_barred(login, barred, facts.counters)
        login.factors = self._guard.open(facts.counters, login.factors)

        typed = answer.kind if isinstance(answer, CodeAnswer) else None
        if login.factors in _BY_MAIL_ALONE and typed not in login.factors:
            # Nothing else can be waited for, so the code leaves at the same time.
            reference = await self._asking.mailed(login, facts, deadline)
            return self._conclude(login, self._asking.after_mail(login, reference), reference)
        if not login.asks_in_one_field:
            return self._conclude(login, self._asking.challenge(login, Outcome.CHALLENGED))
        if answer is None:
            return self._conclude(login, Reject(Outcome.CODE_MISSING, login.how_to_type()))
        return await self._judge(login, answer, deadline)

    # --- a TLS session taken up again: a name, and what somebody of that name has shown before --------------

    async def _authorise_again(self, login: Login, session: Session, deadline: float) -> Conclusion:
        self._begins(login)
        name = usernames.looked_up(login.typed, login.request.nas.naming)
        if isinstance(name, Outcome):
            return self._refuse(login, name)
        user = await self._directory.find(name, deadline)
        if isinstance(user, Outcome):
            return self._refuse(login, Outcome.SESSION_OVER, user)
        login.about(user)
        if not user.active or user.id != session.user_id:
            return self._refuse(login, Outcome.SESSION_OVER, Outcome.USER_GONE)
        policy = await self._deciding(login, user, deadline)
        if policy is None or policy.name != session.policy:
            return self._refuse(login, Outcome.SESSION_OVER, "another policy decides, or none")
        if unfit := await self._unfit(login, deadline):
            return unfit
        if over := await self._resumption.why_over(session, login, policy, deadline):
            return self._refuse(login, Outcome.SESSION_OVER, over)
        return self._accept_without(login, Outcome.ACCEPTED_BY_SESSION)

    # --- later rounds: a State and an answer --------------------------------------------------------

    async def _later_round(self, login: Login, state: bytes, deadline: float) -> Conclusion:
        policy = self._goes_on(login)
        if isinstance(policy, Outcome):
            return self._refuse(login, policy)
        text = login.text
        if isinstance(text, Outcome):
            return self._refuse(login, text)
        if policy.reply.is_known_by(login.values):
            login.returning(login.values)
        elif await self.states.is_open(state, deadline):  # or all is decided, and nobody need be asked
            values = await values_again(login, policy, self._directory, deadline)
            if isinstance(values, Outcome):
                return self._refuse(login, values)
            login.returning(values)
        if login.cannot_return:
            return self._refuse(login, Outcome.REPLY_UNUSABLE, login.cannot_return)
        return await self._judge(login, answers.read_answer(text), deadline)

    def _goes_on(self, login: Login) -> Policy | Outcome:
        """Go on with the login that its State is of: its policy, or why the State may not be honoured."""
        content, refused = self.states.of(login.request)
        if content is None or (refused and refused is not Outcome.STATE_EXPIRED):
            self._begins(login)
            return refused or Outcome.STATE_UNREADABLE  # nobody stands behind the name that came with it
        login.goes_on(content)
        policy = self._policies.named(content.policy)
        if refused or policy is None:
            return refused or Outcome.POLICY_GONE
        login.under(policy)
        return policy

    # --- the answer ---------------------------------------------------------------------------------

    async def _judge(self, login: Login, answer: Answer, deadline: float) -> Conclusion:
        """Spend the State, look at the answer, write down what became of it: at once if nobody else is asked."""
        guess = answer.kind if isinstance(answer, CodeAnswer) and answer.kind in login.factors else None
        kinds = login.factors if guess is None else ALONE[guess]
        admission = self._guard.admission(self._clock.wall(), kinds, guess)
        for attempt in login.attempts(answer, guess, self._sealer):
            at_once = guess is FactorKind.TOTP and isinstance(answer, CodeAnswer) and not answer.trust
            mistakes: list[Exception] = []
            judge = partial(self._judged, login, answer, attempt, mistakes) if at_once else None
            spent = await self._store.spend(attempt, admission, deadline, judge)
            if mistakes:
                raise mistakes[0]
            # Decided so long ago that no NAS asks again any more: it stands for another login.
            if not isinstance(spent, AnsweredBefore) or self._given_before(attempt, spent):
                break
        if isinstance(spent, Settlement):
            return Conclusion(spent.given, spent.event)
        if spent is Refusal.SPENT or isinstance(spent, AnsweredBefore):
            return self._repeat(login, attempt, spent)
        if isinstance(spent, Refusal):
            facts = await self._store.facts(login.user_id, deadline)
            barred = self._guard.barred(facts.counters, self._clock.wall(), kinds) or Outcome.LOCKED
            return self._refuse_barred(login, barred, facts.counters)
        return await self._judge_reserved(Case.of(login, answer, attempt, spent), deadline)

    def _judged(
        self, login: Login, answer: Answer, attempt: Attempt, mistakes: list[Exception], spent: Reserved
    ) -> Settlement | None:
        """What becomes of an answer that waits for nobody; in the store's own transaction, and perhaps again.

        `mistakes`: one of ours, which must not undo the failure that is counted.
        """
        mistakes.clear()
        try:
            case = Case.of(login, answer, attempt, spent)
            judged = look_at(case, self._factors, self._clock.wall())
            return settlement_of(case, self._end(case, judged), self._clock.wall(), self._sealer)
        except Exception as mistake:
            mistakes.append(mistake)
            return None

    async def _judge_reserved(self, case: Case, deadline: float) -> Conclusion:
        """The same of one for which somebody else is asked, or that is not good for so short a time."""
        login, answer = case.login, case.answer
        if isinstance(answer, MailAsked) and FactorKind.MAIL in self._usable(case.spent.facts, login.factors):
            return await self._settle_mail(case, deadline)
        judged = look_at(case, self._factors, self._clock.wall())
        device: NewDevice | str = ""
        if isinstance(answer, CodeAnswer) and answer.trust and not isinstance(judged, Outcome | NearMiss):
            device = await self._trusted.asked(login, answer.kind, deadline)
        settled = await self._settle(case, self._end(case, judged, device), deadline)
        return await self._settle_wrong(case, settled, deadline) if isinstance(settled, Outcome) else settled

    def _end(self, case: Case, judged: Judged, device: NewDevice | str = "") -> End:
        """How it ends.  `device`: to trust from now on, or why not."""
        if isinstance(judged, Outcome):
            return self._asking.wrong(case, judged)
        if isinstance(judged, NearMiss):
            return self._asking.wrong(case, Outcome.CLOCK_WRONG, judged)
        accept, detail = Accept(Outcome.ACCEPTED, case.login.returned), case.wrong_before
        if isinstance(device, NewDevice):
            return End(accept, judged, cleared, trust=device, detail=detail)
        return End(accept, judged, cleared, detail="; ".join(filter(None, (device, detail))) if device else detail)

    async def _settle_wrong(self, case: Case, wrong: Outcome, deadline: float) -> Conclusion:
        settled = await self._settle(case, self._asking.wrong(case, wrong), deadline)
        assert isinstance(settled, Conclusion)  # there was no code to be known again
        return settled

    async def _settle_mail(self, case: Case, deadline: float) -> Conclusion:
        """`mail` was typed.  That is no wrong answer, so there is a round more, until it was typed too often."""
        login = case.login
        if login.mails == challenge.MOST_MAILS and login.is_last_round:
            return await self._settle_wrong(case, Outcome.MAIL_LIMIT, deadline)
        reference = await self._asking.mailed(login, case.spent.facts, deadline)
        login = replace(login, round=login.round + 1, mails=min(login.mails + 1, challenge.MOST_MAILS))
        end = End(self._asking.after_mail(login, reference), detail=reference)
        settled = await self._settle(case, end, deadline)
        assert isinstance(settled, Conclusion)  # there was no code
        return settled

    async def _settle(self, case: Case, end: End, deadline: float) -> Conclusion | Outcome:
        """Write the end down; nothing where the code was sent before, and what it comes to then."""
        settlement = settlement_of(case, end, self._clock.wall(), self._sealer)
        settled = await self._store.settle(settlement, deadline)
        if isinstance(settled, AnsweredBefore):
            return self._repeat(case.login, case.attempt, settled)
        if settled is not Settled.DONE:
            return _SENT_BEFORE[settled]
        if end.notice and self._mailing:
            self._mailing.mailer.wake()
        return Conclusion(settlement.given, settlement.event)

    # --- how a round ends ---------------------------------------------------------------------------

    def _accept_without(self, login: Login, outcome: Outcome) -> Conclusion:
        return self._conclude(login, Accept(outcome, login.returned))

    def _refuse(self, login: Login, outcome: Outcome, detail: str = "") -> Conclusion:
        return self._conclude(login, Reject(outcome, login.message(outcome)), detail)

    def _refuse_barred(self, login: Login, barred: Outcome, counters: Counters) -> Conclusion:
        return self._conclude(login, Reject(barred, login.told(barred, counters, self._clock.wall())))

    def _repeat(self, login: Login, attempt: Attempt, spent: AnsweredBefore | Refusal) -> Conclusion:
        """What was decided before on the identical answer, if it may be given once more."""
        before = self._given_before(attempt, spent) if isinstance(spent, AnsweredBefore) else None
        if before is None:
            return self._refuse(login, Outcome.STATE_SPENT)
        if isinstance(before, Accept) and login.request.first(Attribute.STATE) is None:
            return self._refuse(login, Outcome.CODE_USED)
        return self._conclude(login, before, AGAIN)

    def _given_before(self, attempt: Attempt, answered: AnsweredBefore) -> Decision | None:
        return decisions.given_before(answered.decision, attempt, self._sealer, self._clock.wall())

    def _broken(self, login: Login, broken: BackendError) -> Conclusion:
        """Where a backend's failure becomes a decision (`when_directory_fails`), and never an Accept."""
        directory = isinstance(broken, DirectoryError)
        outcome = Outcome.DIRECTORY_FAILED if directory else Outcome.STORE_FAILED
        if self._rules.discard_when_broken:
            return self._conclude(login, Discard(outcome), str(broken))
        told = Outcome.STORE_FAILED if login.round else outcome  # in a later round the password was right
        return self._conclude(login, Reject(outcome, login.message(told)), str(broken))

    def _conclude(self, login: Login, decision: Decision, detail: str = "") -> Conclusion:
        return Conclusion(decision, event_of(login, decision, self._clock.wall(), detail))
