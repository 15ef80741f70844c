"""What an answer is answered with: another Access-Challenge, or the Access-Reject that ends the login."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from radius_mfa.core import challenge
from radius_mfa.core.guard import Counters, Guard
from radius_mfa.core.judgement import Case, End
from radius_mfa.core.login import Login
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import Attribute, Challenge, FactorKind, Reject
from radius_mfa.core.outcomes import MAIL_SENT_LOG_IN_AGAIN, ROUNDS_OVER, Outcome
from radius_mfa.core.ports import Clock, Sealer
from radius_mfa.core.stored import Facts, NearMiss

# What an answer may turn out to be without anybody having guessed.
_NO_GUESS = frozenset({Outcome.CODE_USED, Outcome.CODE_WRONG_AGAIN, Outcome.SECRET_UNREADABLE})
# Told with the last wrong answer as well: what to do next is more than that the rounds are over.
_TOLD_TO_THE_END = frozenset({Outcome.CODE_USED, Outcome.CLOCK_WRONG, Outcome.SECRET_UNREADABLE})


@dataclass(frozen=True, slots=True)
class Asking:
    """Puts questions.  `lifetime`: seconds a State is good for.  `mailing`: as in `Ports`."""

    sealer: Sealer
    clock: Clock
    guard: Guard
    lifetime: float
    mailing: Mailing | None = None

    def challenge(self, login: Login, outcome: Outcome, **said: str) -> Challenge:
        """A Challenge for `login.round`, its State sealed."""
        request = login.request
        content = challenge.Content(
            login.id,
            self.clock.wall() + self.lifetime,
            login.round,
            login.factors,
            challenge.client_digest(request.nas.name),
            challenge.name_digest(request.first(Attribute.USER_NAME) or b""),
            login.user_id,
            login.policy.name if login.policy else "",
            login.language,
            login.values,
            login.mails,
        )
        state = self.sealer.seal("state", challenge.pack(content))
        return Challenge(outcome, state, login.message(outcome, **said))

    def wrong(self, case: Case, wrong: Outcome, near: NearMiss | None = None) -> End:
        """How a wrong answer ends: the failure stays counted unless it was no guess."""
        has_suspended = case.spent.has_suspended
        given_back = partial(self.guard.given_back, has_suspended=has_suspended)
        adjust = given_back if wrong in _NO_GUESS else None
        counters = case.spent.facts.counters
        counters = adjust(counters) if adjust else counters
        said = {"minutes": str(max(1, round(abs(near.seconds) / 60)))} if near else {}
        decision = self.after_wrong(wrong, case.login, counters, **said)
        notice = None
        if self.mailing and has_suspended and counters.suspended:
            notice = self.mailing.suspended(case.spent.facts, case.login.language, case.login.request.nas.name)
        return End(decision, adjust=adjust, told=near.step if near else None, notice=notice)

    def after_wrong(self, wrong: Outcome, login: Login, counters: Counters, **said: str) -> Reject | Challenge:
        """What a wrong answer is answered with."""
        barred = self.guard.barred(counters, self.clock.wall(), login.factors)
        if barred:
            return Reject(wrong, login.told(barred, counters, self.clock.wall()))
        login = replace(login, factors=self.guard.open(counters, login.factors))
        if not login.is_last_round:
            return self.challenge(replace(login, round=login.round + 1), wrong, **said)
        if wrong in _TOLD_TO_THE_END:
            return Reject(wrong, login.message(wrong, **said))
        return Reject(wrong, login.message(ROUNDS_OVER))

    async def mailed(self, login: Login, facts: Facts, deadline: float) -> str:
        """The reference of a code that is on its way, empty where no more are mailed today.  Raises StoreError."""
        assert self.mailing is not None  # or nobody could use a mailed code
        return await self.mailing.send(facts, login.language, login.request.nas.name, deadline)

    def after_mail(self, login: Login, reference: str) -> Reject | Challenge:
        """What is asked once a code is on its way; `login` is already in the round that brings it.

        `reference`: empty where no more are mailed today.
        """
        outcome = Outcome.MAIL_SENT if reference else Outcome.MAIL_LIMIT
        if login.asks_in_one_field:
            key = MAIL_SENT_LOG_IN_AGAIN if reference else outcome
            return Reject(outcome, login.message(key, reference=reference))
        if not reference and not login.factors - {FactorKind.MAIL}:
            return Reject(outcome, login.message(outcome))
        return self.challenge(login, outcome, reference=reference)
