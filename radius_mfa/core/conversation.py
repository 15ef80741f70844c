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
 5. **A failure is counted before the code is looked at**, in the transaction that spends the
    State, and taken back if the code was right.  So a thousand answers sent at once gain
    nothing over one.  An answer that cannot be right is not a guess and is not counted.
 6. **A code is used up in the transaction that accepts it**: whoever comes second with the same code
    is refused.  A used code, resent by a supplicant, is refused but not counted.
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
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import partial

from radius_mfa.core import answers, challenge, decisions, usernames
from radius_mfa.core.answers import Answer, CodeAnswer, MailAsked, Unreadable
from radius_mfa.core.asking import Asking
from radius_mfa.core.conditions import Situation
from radius_mfa.core.entries import values_again
from radius_mfa.core.errors import BackendError, DirectoryError
from radius_mfa.core.guard import Counters, Guard, cleared
from radius_mfa.core.judgement import Case, End, settlement_of
from radius_mfa.core.login import Conclusion, Login, conclude
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import (
    Accept,
    AccessRequest,
    Attribute,
    Decision,
    Discard,
    FactorKind,
    Reject,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policies, Policy, SecondFactor
from radius_mfa.core.ports import Clock, Directory, Entropy, Factor, Password, Sealer
from radius_mfa.core.states import States
from radius_mfa.core.store import LoginStore
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Consumption,
    Facts,
    NearMiss,
    NewDevice,
    Refusal,
    Reserved,
    Settled,
)
from radius_mfa.core.trust import TrustedDevices

# What an answer may turn out to be without anybody having guessed.
_NO_GUESS = frozenset({Outcome.CODE_USED, Outcome.SECRET_UNREADABLE})


@dataclass(frozen=True, slots=True)
class Ports:
    """What the conversation asks of the world.  `mailing`: None where nothing is mailed to anybody."""

    directory: Directory
    store: LoginStore
    factors: Mapping[FactorKind, Factor]
    sealer: Sealer
    clock: Clock
    entropy: Entropy
    trusted: TrustedDevices
    mailing: Mailing | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration fixes.  `challenge_lifetime`: seconds a State is good for.

    `zone`: of days and hours.  `discard_when_broken`: no answer where directory or store fail, so that the NAS
    asks another server.
    """

    policies: Sequence[Policy]
    guard: Guard
    challenge_lifetime: float
    zone: tzinfo
    discard_when_broken: bool = False


class Conversation:
    """Decides Access-Requests; keeps nothing between them.  `states`: of the challenges it has made."""

    def __init__(self, ports: Ports, rules: Rules) -> None:
        self._directory = ports.directory
        self._store = ports.store
        self._factors = ports.factors
        self._sealer = ports.sealer
        self._clock = ports.clock
        self._entropy = ports.entropy
        self._mailing = ports.mailing
        self._trusted = ports.trusted
        self._rules = rules
        self._guard = rules.guard
        self._asking = Asking(ports.sealer, ports.clock, rules.guard, rules.challenge_lifetime)
        self.states = States(ports.sealer, ports.store, ports.clock)
        self._policies = Policies(rules.policies)

    async def answer(self, request: AccessRequest, deadline: float) -> Conclusion:
        """The decision on one Access-Request, by `deadline` (monotonic seconds)."""
        login = Login.of(request, self._entropy.octets(16))
        states = request.all(Attribute.STATE)
        try:
            if not states:
                return await self._round_one(login, deadline)
            if len(states) > 1:  # at most one (RFC 2865 §5.44)
                return self._refuse(login, Outcome.STATE_UNREADABLE)
            return await self._later_round(login, states[0], deadline)
        except BackendError as broken:
            return self._broken(login, broken)

    # --- round one: a name and a password ---------------------------------------------------------

    async def _round_one(self, login: Login, deadline: float) -> Conclusion:
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
        login = login.about(user)
        if not user.active:
            await self._directory.dummy_check(name, password, deadline)
            return self._refuse(login, Outcome.NOT_ACTIVATED)
        verdict = await self._directory.check_password(user, password, deadline)
        if verdict is not Password.RIGHT:
            return self._refuse(login, verdict.outcome)

        # Only now: groups may take many questions, which nobody is asked for who has merely a name.
        user = await self._directory.with_groups(user, deadline)
        situation = Situation(login.request, user, self._clock.wall(), self._rules.zone)
        policy = self._policies.deciding(situation)
        if policy is None:
            return self._refuse(login, Outcome.NO_POLICY)
        login = login.under(policy).returning(policy.reply.known_of(user))
        if login.cannot_return:
            return self._refuse(login, Outcome.REPLY_UNUSABLE, login.cannot_return)
        return await self._ask(login, policy, answer, deadline)

    async def _ask(self, login: Login, policy: Policy, answer: Answer | None, deadline: float) -> Conclusion:
        """The password was right: ask for the second factor, or judge it where it came along."""
        if policy.second_factor is SecondFactor.NEVER:
            return self._accept_without(login, Outcome.ACCEPTED_BY_PASSWORD)

        facts = await self._store.facts(login.user_id, deadline)
        expires = self._clock.wall() + self._rules.challenge_lifetime
        login = replace(login, factors=self._usable(facts) & policy.factors, round=1, expires=expires)
        if not login.factors:
            # Whoever has held any factor is enrolled, even where this policy takes another.
            let_in = None if facts.required else policy.lets_in_unenrolled(self._clock.wall())
            return self._accept_without(login, let_in) if let_in else self._refuse(login, Outcome.UNENROLLED)
        # With a code in the line or without: a VPN that negotiates its keys anew sends the line it was given.
        if not isinstance(answer, MailAsked) and await self._trusted.knows(login, deadline):
            return self._accept_without(login, Outcome.ACCEPTED_BY_DEVICE)
        barred = self._guard.barred(facts.counters, self._clock.wall(), login.factors)
        if barred:
            return self._refuse_barred(login, barred, facts.counters)
        login = replace(login, factors=self._guard.open(facts.counters, login.factors))

        typed = answer.kind if isinstance(answer, CodeAnswer) else None
        if login.factors - {FactorKind.RECOVERY_CODES} == {FactorKind.MAIL} and typed not in login.factors:
            # Nothing else can be waited for.
            return await self._ask_by_mail(login, facts, deadline)
        if not login.asks_in_one_field:
            return self._conclude(login, self._asking.challenge(login, Outcome.CHALLENGED))
        if answer is None:
            return self._conclude(login, Reject(Outcome.CODE_MISSING, login.how_to_type()))
        return await self._judge(login, answer, deadline)

    async def _ask_by_mail(self, login: Login, facts: Facts, deadline: float) -> Conclusion:
        """Ask for a code that leaves by mail at the same time."""
        reference = await self._mailed(login, facts, deadline)
        return self._conclude(login, self._asking.after_mail(login, reference), reference)

    # --- later rounds: a State and an answer --------------------------------------------------------

    async def _later_round(self, login: Login, state: bytes, deadline: float) -> Conclusion:
        content = self.states.read(state)
        if content is None:
            return self._refuse(login, Outcome.STATE_UNREADABLE)

        refused = self.states.refusal(content, login.request)
        if refused and refused is not Outcome.STATE_EXPIRED:
            return self._refuse(login, refused)  # nobody stands behind the name that came with it
        login = login.resumed(content)
        if refused:
            return self._refuse(login, refused)
        policy = self._policies.named(content.policy)
        if policy is None:
            return self._refuse(login, Outcome.POLICY_GONE)

        try:
            return await self._answered(login.under(policy), policy, state, deadline)
        except BackendError as broken:  # here, where it is known whose login it is
            return self._broken(login, broken)

    async def _answered(self, login: Login, policy: Policy, state: bytes, deadline: float) -> Conclusion:
        """A State that may be honoured has come back with an answer."""
        text = login.text
        if isinstance(text, Outcome):
            return self._refuse(login, text)
        if policy.reply.is_known_by(login.values):
            login = login.returning(login.values)
        elif await self.states.is_open(state, deadline):  # or all is decided, and nobody need be asked
            values = await values_again(login, policy, self._directory, deadline)
            if isinstance(values, Outcome):
                return self._refuse(login, values)
            login = login.returning(values)
        if login.cannot_return:
            return self._refuse(login, Outcome.REPLY_UNUSABLE, login.cannot_return)
        return await self._judge(login, answers.read_answer(text), deadline)

    # --- the answer ---------------------------------------------------------------------------------

    async def _judge(self, login: Login, answer: Answer, deadline: float) -> Conclusion:
        """Spend the State, then look at the answer, then write down what became of it."""
        guess = answer.kind if isinstance(answer, CodeAnswer) and answer.kind in login.factors else None
        kinds = login.factors if guess is None else frozenset({guess})
        admission = self._guard.admission(self._clock.wall(), kinds, guess)
        attempt, spent = await self._spend(login.attempts(answer, guess, self._sealer), admission, deadline)
        if spent is Refusal.SPENT or isinstance(spent, AnsweredBefore):
            return self._repeat(login, attempt, spent)
        if isinstance(spent, Refusal):
            facts = await self._store.facts(login.user_id, deadline)
            barred = self._guard.barred(facts.counters, self._clock.wall(), kinds) or Outcome.LOCKED
            return self._refuse_barred(login, barred, facts.counters)

        login = replace(login, username=login.username or spent.facts.username)
        if isinstance(answer, CodeAnswer):
            login = replace(login, factor=answer.kind.value)
        case = Case(login, attempt, spent, deadline)
        if isinstance(answer, MailAsked) and FactorKind.MAIL in login.factors & self._usable(spent.facts):
            return await self._settle_mail(case)
        judged = self._look_at(answer, login.factors, spent.facts)
        if isinstance(judged, Outcome):
            return await self._settle_wrong(case, judged)
        if isinstance(judged, NearMiss):
            return await self._settle_wrong(case, Outcome.CLOCK_WRONG, judged)
        assert isinstance(answer, CodeAnswer)  # nothing else is ever right
        return await self._settle_right(case, judged, answer)

    async def _spend(
        self,
        attempts: Iterable[Attempt],
        admission: Callable[[Counters], Counters | None],
        deadline: float,
    ) -> tuple[Attempt, Reserved | AnsweredBefore | Refusal]:
        """Spend the first that was not decided so long ago that no NAS asks again any more."""
        for attempt in attempts:
            spent = await self._store.spend(attempt, admission, deadline)
            if not isinstance(spent, AnsweredBefore) or self._given_before(attempt, spent):
                break
        return attempt, spent

    def _look_at(
        self, answer: Answer, allowed: frozenset[FactorKind], facts: Facts
    ) -> Consumption | NearMiss | Outcome:
        if isinstance(answer, Unreadable):
            return Outcome.ANSWER_UNREADABLE
        if isinstance(answer, MailAsked) or answer.kind not in allowed:
            return Outcome.FACTOR_NOT_ALLOWED
        return self._factors[answer.kind].judge(facts, answer.code, self._clock.wall())

    async def _settle_right(self, case: Case, consume: Consumption, answer: CodeAnswer) -> Conclusion:
        accept = Accept(Outcome.ACCEPTED, case.login.returned)
        device: NewDevice | str = ""
        if answer.trust:
            device = await self._trusted.asked(case.login, answer.kind, case.deadline)
        trust, refused = (device, "") if isinstance(device, NewDevice) else (None, device)
        detail = "; ".join(filter(None, (refused, case.wrong_before)))
        end = End(accept, consume=consume, adjust=cleared, trust=trust, detail=detail)
        settled = await self._settle(case, end)
        return settled or await self._settle_wrong(case, Outcome.CODE_USED)

    async def _settle_wrong(self, case: Case, wrong: Outcome, near: NearMiss | None = None) -> Conclusion:
        """Another round if there is one; the failure stays counted unless the guess was none."""
        has_suspended = case.spent.has_suspended
        given_back = partial(self._guard.given_back, has_suspended=has_suspended)
        adjust = given_back if wrong in _NO_GUESS else None
        counters = case.spent.facts.counters
        counters = adjust(counters) if adjust else counters
        said = {"minutes": str(max(1, round(abs(near.seconds) / 60)))} if near else {}
        decision = self._asking.after_wrong(wrong, case.login, counters, **said)
        notice = None
        if self._mailing and has_suspended and counters.suspended:
            notice = self._mailing.suspended(case.spent.facts, case.login.language, case.login.request.nas.name)
        end = End(decision, adjust=adjust, told=near.step if near else None, notice=notice)
        settled = await self._settle(case, end)
        assert settled is not None  # there was no code to be used
        return settled

    async def _settle_mail(self, case: Case) -> Conclusion:
        """`mail` was typed.  That is no wrong answer, so there is a round more, until it was typed too often."""
        login = case.login
        if login.mails == challenge.MOST_MAILS and login.is_last_round:
            return await self._settle_wrong(case, Outcome.MAIL_LIMIT)
        reference = await self._mailed(login, case.spent.facts, case.deadline)
        login = replace(login, round=login.round + 1, mails=min(login.mails + 1, challenge.MOST_MAILS))
        settled = await self._settle(case, End(self._asking.after_mail(login, reference), detail=reference))
        assert settled is not None  # there was no code to be used
        return settled

    async def _mailed(self, login: Login, facts: Facts, deadline: float) -> str:
        assert self._mailing is not None  # or nobody could use a mailed code
        return await self._mailing.send(facts, login.language, login.request.nas.name, deadline)

    async def _settle(self, case: Case, end: End) -> Conclusion | None:
        """Write the end down; None, and nothing written, where another login consumed the code first."""
        conclusion = self._conclude(case.login, end.decision, end.detail)
        sealed = decisions.seal(end.decision, conclusion.event.time, case.attempt, self._sealer)
        settled = await self._store.settle(settlement_of(case, end, sealed, conclusion.event), case.deadline)
        if isinstance(settled, AnsweredBefore):
            return self._repeat(case.login, case.attempt, settled)
        if end.notice and self._mailing:
            self._mailing.mailer.wake()
        return None if settled is Settled.CODE_USED else conclusion

    def _usable(self, facts: Facts) -> frozenset[FactorKind]:
        return frozenset(kind for kind, factor in self._factors.items() if factor.usable(facts))

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
        return self._conclude(login, before, "the same answer again")

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
        return conclude(login, decision, self._clock.wall(), detail)
