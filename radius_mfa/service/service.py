"""One request's way: same login again, deadline, conversation, words, audit and counts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from radius_mfa.core.acts import Act
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.errors import BackendError, place_of
from radius_mfa.core.login import Conclusion, Login, event_of
from radius_mfa.core.messages import (
    Accept,
    AccessRequest,
    Attribute,
    AuditEvent,
    Code,
    Decision,
    Discard,
    Profile,
    Reject,
    Reply,
    ReplyAttribute,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Entropy, Meter
from radius_mfa.core.seldom import Seldom
from radius_mfa.core.sessions import Session
from radius_mfa.service.same_login import SameLogin
from radius_mfa.service.texts import Texts

_LOOK = 1.0  # seconds that may go into finding out whether a challenge is still open
_MOST_LINES = 1024  # of the log, in a minute
# What an administrator has to know soon, and nobody reads in the audit file while all logins fail.
_SAID: dict[Outcome | Act, str] = {
    Outcome.DIRECTORY_FAILED: "",
    Outcome.STORE_FAILED: "",
    Outcome.METHOD_NOT_OFFERED: "",
    Outcome.SECRET_UNREADABLE: "what is stored opens under no key of the key file",
    Outcome.PASSWORD_UNREADABLE: "no text anybody typed: the shared secret is probably wrong (RFC 2865 §5.2)",
}
# Whether the NAS is to show what is typed (RFC 2869 §5.10), where the profile has an opinion.
_PROMPTS = {
    None: (),
    True: (ReplyAttribute("Prompt", "Echo"),),
    False: (ReplyAttribute("Prompt", "No-Echo"),),
}
# An Access-Challenge that leaves at once: nobody has guessed.
_AT_ONCE = frozenset({Outcome.CHALLENGED, Outcome.MAIL_SENT})

if TYPE_CHECKING:  # with OpenSSL behind it, which most servers do without
    from radius_mfa.service.supplicants import Decide, Report, Supplicants

MakeSupplicants: TypeAlias = "Callable[[Decide, Report], Supplicants]"
"""Makes what answers EAP, given what decides on what is said within."""

log = structlog.get_logger()


class Service:
    """Answers Access-Requests of whatever transport."""

    def __init__(
        self,
        conversation: Conversation,
        texts: Texts,
        audit: Callable[[AuditEvent], None],
        clock: Clock,
        entropy: Entropy,
        meter: Meter,
        is_ready: Callable[[], bool] = lambda: True,
        supplicants: MakeSupplicants | None = None,
    ) -> None:
        """`is_ready`: whether those who only look are to find us there.

        `supplicants`: makes what answers EAP; None: that is not served.
        """
        self._conversation = conversation
        self._texts = texts
        self._audit = audit
        self._clock = clock
        self._meter = meter
        self._decisions, self._took = meter.counter("decisions"), meter.timer("decision")
        self._is_ready = is_ready
        self._same_login = SameLogin(clock, entropy, self._is_open)
        self._lines = Seldom(_MOST_LINES)
        self._supplicants = supplicants(self._decide_within, self._report) if supplicants else None

    def answer(self, request: AccessRequest) -> Coroutine[Any, Any, Reply | None]:
        """What to send back, None for nothing.  A plain function: each coroutine on the way costs every login."""
        if request.nas.probe_users and request.is_probe:
            return self._say_we_are_there(request)
        if self._supplicants is not None and request.first(Attribute.EAP_MESSAGE) is not None:
            return self._supplicants.answer(request)
        return self._same_login.once(request, self._decide)

    def vouches(self, request: AccessRequest) -> bool:
        """Whether the request goes on with a login of ours: under overload those come first."""
        if self._supplicants is not None and request.first(Attribute.EAP_MESSAGE) is not None:
            return self._supplicants.vouches(request)
        return self._conversation.states.vouch_for(request)

    async def _say_we_are_there(self, request: AccessRequest) -> Reply | None:
        """A refusal at once, which is an answer: no directory is asked, and nothing is written."""
        ready = self._is_ready()
        self._meter.count("probes", client=request.nas.name, answered="yes" if ready else "no")
        return Reply(Code.ACCESS_REJECT) if ready else None

    async def _is_open(self, state: bytes) -> bool:
        """Whether the State of a challenge may be given once more; where that cannot be known, it may not."""
        try:
            return await self._conversation.states.is_open(state, self._clock.monotonic() + _LOOK)
        except BackendError:
            return False

    async def _decide(self, request: AccessRequest) -> Reply | None:
        try:
            conclusion = await self._conversation.answer(request, request.deadline)
        except Exception as broken:  # a mistake of ours must end in a refusal and in the log
            conclusion = self._internal_error(request, broken)
        return self._report(request, conclusion)

    async def _decide_within(
        self, request: AccessRequest, method: str, session: Session | None
    ) -> tuple[Conclusion, Reply | None]:
        """The same of what has come through a tunnel, by that method; `session`: of one that is taken up again."""
        try:
            if session is None:
                conclusion = await self._conversation.answer(request, request.deadline)
            else:
                conclusion = await self._conversation.resume(request, session, request.deadline)
        except Exception as broken:
            conclusion = self._internal_error(request, broken)
        event = conclusion.event
        event.detail = "; ".join(filter(None, (method, event.detail)))
        return conclusion, self._report(request, conclusion)

    def _report(self, request: AccessRequest, conclusion: Conclusion) -> Reply | None:
        """Have it in the audit file and the counts, and put it into words."""
        event = conclusion.event
        took = self._clock.monotonic() - request.arrived
        event.duration = round(took * 1e6) / 1e6  # to the microsecond, and not by way of text
        self._audit(event)
        if event.outcome in _SAID:
            self._say_what_is_wrong(event)
        self._decisions[event.client, event.decision, event.outcome, event.factor] += 1
        self._took[event.client,](took)
        return self._reply(conclusion.decision, request.nas.profile)

    def _say_what_is_wrong(self, event: AuditEvent) -> None:
        """In the log as well, once a minute and client."""
        if self._lines.may_say((event.outcome, event.client), self._clock.monotonic()):
            log.error(event.outcome.value, detail=event.detail or _SAID[event.outcome], client=event.client)

    def _internal_error(self, request: AccessRequest, broken: Exception) -> Conclusion:
        """A refusal.  The log gets where and what kind, not the exception's text: it may quote a packet."""
        log.error("internal_error", error=type(broken).__name__, where=place_of(broken))
        login = Login.of(request, bytes(16))  # asking for more may be what is broken
        decision = Reject(Outcome.INTERNAL_ERROR, login.message(Outcome.INTERNAL_ERROR))
        return Conclusion(decision, event_of(login, decision, self._clock.wall(), type(broken).__name__))

    def _reply(self, decision: Decision, profile: Profile) -> Reply | None:
        """The decision in words.  Refusals and second tries are delayed: guessing takes its time."""
        if isinstance(decision, Accept):
            return Reply(Code.ACCESS_ACCEPT, attributes=decision.attributes, outcome=decision.outcome)
        if isinstance(decision, Discard):
            return None
        words = (self._texts.words(decision.message, profile.name),)
        if isinstance(decision, Reject):
            return Reply(Code.ACCESS_REJECT, messages=words, delayed=True, outcome=decision.outcome)
        prompt, delayed = _PROMPTS[profile.shows_answer], decision.outcome not in _AT_ONCE
        return Reply(Code.ACCESS_CHALLENGE, decision.state, words, prompt, delayed, outcome=decision.outcome)
