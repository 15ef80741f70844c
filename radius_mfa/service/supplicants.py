"""802.1X: what comes in EAP (RFC 3579), on its way to the same conversation that PAP has.

Inside the tunnel there are a name and a text.  With them an Access-Request is made as a gateway would have sent
it, and decided on like any other; what that comes to is said in EAP again.  Through TTLS/PAP there is one field,
and through GTC there are Access-Challenges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from radius_mfa.core.login import Conclusion, Login, event_of
from radius_mfa.core.messages import (
    AccessRequest,
    Attribute,
    AuditEvent,
    Code,
    Discard,
    Nas,
    Reject,
    Reply,
    ReplyAttribute,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Entropy, Meter, Sealer
from radius_mfa.core.sessions import Session
from radius_mfa.eap import packet
from radius_mfa.eap.dialogue import Dialogue, End, Say, TakenUp
from radius_mfa.eap.inner import Asked
from radius_mfa.eap.tunnel import Terms
from radius_mfa.service.talks import Talk, Talks
from radius_mfa.wire.packet import bare_reject
from radius_mfa.wire.walker import LONGEST_VALUE

_HANDSHAKE = 60.0  # seconds that a supplicant may say nothing until its password has come
_WHY_GONE = "nobody here knows the conversation: it took too long, or the server or its worker was started anew"
_REPLACED = frozenset({Attribute.USER_NAME, Attribute.EAP_MESSAGE, Attribute.STATE})
_FRAMED_MTU, _CHARGEABLE_USER_IDENTITY = 12, 89
# What makes a TLS session worth something: a code was right in its login, or some days ago on that device.
_WORTH = frozenset({Outcome.ACCEPTED, Outcome.ACCEPTED_BY_DEVICE})

Decide = Callable[[AccessRequest, str, Session | None], Awaitable[tuple[Conclusion, Reply | None]]]
"""Decides on what was said within a tunnel, by which method, or on a session that is taken up again; reports that,
and words it."""

Report = Callable[[AccessRequest, Conclusion], Reply | None]
"""Has an end in the audit file and the counts, and words it, where nobody got as far as to be decided on."""


@dataclass(frozen=True, slots=True)
class Eap:
    """What is configured.

    `methods`: the first is proposed.  `session_lifetime`: seconds for which a TLS session is worth something, 0:
    it never is.  `identity`: which name of the user an Access-Accept has.  `challenge_lifetime`: seconds for a
    code.
    """

    methods: Sequence[packet.Type]
    terms: Terms
    session_lifetime: float
    identity: str
    challenge_lifetime: float


class Supplicants:
    """Answers Access-Requests with an EAP-Message."""

    def __init__(
        self,
        eap: Eap,
        talks: Talks,
        decide: Decide,
        report: Report,
        sealer: Sealer,
        clock: Clock,
        entropy: Entropy,
        meter: Meter,
    ) -> None:
        self._eap = eap
        self._talks = talks
        self._decide = decide
        self._report = report
        self._sealer = sealer
        self._clock = clock
        self._entropy = entropy
        self._meter = meter
        self._nases: dict[tuple[str, int | None], tuple[Nas, Nas]] = {}

    def vouches(self, request: AccessRequest) -> bool:
        """Whether the request goes on with a conversation of ours."""
        state = request.first(Attribute.STATE)
        talk = self._talks.find(state) if state is not None else None
        return talk is not None and self._why_not(talk, request) is None

    async def answer(self, request: AccessRequest) -> Reply | None:
        """What to send back, None for nothing."""
        eap, state = request.eap or b"", request.first(Attribute.STATE)
        if state is None:
            return self._begin(request, eap)
        talk = self._talks.find(state)
        if talk is None:
            return self._gone(request)
        if refused := self._why_not(talk, request):
            return self._refused(request, refused)
        return await self._go_on(talk, state, eap, request)

    def _why_not(self, talk: Talk, request: AccessRequest) -> Outcome | None:
        """Why somebody may not go on with it, if so."""
        if talk.client != request.nas.name:
            return Outcome.STATE_OF_ANOTHER_CLIENT
        if talk.outer_name != (request.first(Attribute.USER_NAME) or b""):
            return Outcome.STATE_OF_ANOTHER_USER  # RFC 3579 §2.1: it is that of the Identity, in all of them
        return None

    # --- the beginning ----------------------------------------------------------------------------

    def _begin(self, request: AccessRequest, eap: bytes) -> Reply | None:
        if not eap:  # RFC 3579 §2.1: EAP-Start, by a NAS that does not ask for the Identity itself
            asked = packet.request(self._entropy.octets(1)[0], packet.Type.IDENTITY)
            return Reply(Code.ACCESS_CHALLENGE, eap=asked)
        identity = packet.read_response(eap)
        if identity is None:
            self._withhold(request, "no EAP response")
            return None
        if identity.type != packet.Type.IDENTITY:
            return self._gone(request)
        mtu = request.first(_FRAMED_MTU)
        dialogue = Dialogue(
            identity,
            self._eap.methods,
            self._eap.terms,
            self._session,
            int.from_bytes(mtu, "big") if mtu else None,
        )
        talk = Talk(request.nas.name, request.first(Attribute.USER_NAME) or b"", dialogue)
        if not self._talks.begin(talk):
            self._withhold(request, "too many conversations at once")
            return None
        self._meter.count("eap", event="began")
        return self._said(talk, dialogue.begin(), request)

    def _session(self, name: bytes) -> Session | None:
        return self._talks.sessions.find(name, self._clock.wall(), self._eap.session_lifetime)

    # --- on and on --------------------------------------------------------------------------------

    async def _go_on(self, talk: Talk, state: bytes, eap: bytes, request: AccessRequest) -> Reply | None:
        """What is heard is heard once: again with the same State it gets the same reply (RFC 3748 §4.1)."""
        if talk.heard == (state, eap):
            if talk.answering is not None:
                return await asyncio.shield(talk.answering)
            if talk.reply is not None:
                return talk.reply
        elif talk.answering is not None or state != talk.states[-1] or talk.dialogue is None:
            return None  # somebody has been quicker, or this is late
        else:
            response = packet.read_response(eap)
            event = talk.dialogue.hear(response) if response is not None else None
            if event is None:
                self._withhold(request, "no EAP response to what was asked")
                return None
            talk.heard, talk.event, talk.reply = (state, eap), event, None
        talk.answering = asyncio.get_running_loop().create_future()
        try:
            talk.reply = await self._reply(talk, request)
            if talk.reply is not None:
                talk.event = None  # a password is no longer needed
        finally:
            talk.answering.set_result(talk.reply)
            talk.answering = None
        return talk.reply

    async def _reply(self, talk: Talk, request: AccessRequest) -> Reply | None:
        event = talk.event
        assert event is not None  # there is something to reply to,
        assert talk.dialogue is not None  # and it is not over
        if isinstance(event, Say | End):
            return self._said(talk, event, request)
        inner = self._within(request, event, talk)
        if isinstance(event, TakenUp):
            conclusion, reply = await self._decide(inner, talk.dialogue.method, event.session)
        else:
            conclusion, reply = await self._decide(inner, event.method, None)
        if reply is None:
            return None  # nobody could decide: the NAS asks again
        return self._say(talk, reply, conclusion.event, inner)

    def _say(self, talk: Talk, reply: Reply, event: AuditEvent, inner: AccessRequest) -> Reply:
        """A decision, in EAP."""
        dialogue, name = talk.dialogue, inner.first(Attribute.USER_NAME) or b""
        assert dialogue is not None  # who decides is waited for
        if reply.code is Code.ACCESS_CHALLENGE and _may_answer(talk):
            talk.challenges += 1
            talk.inner_state = reply.state
            return self._said(talk, dialogue.challenge(reply.messages[0]), inner, delayed=reply.delayed)
        if reply.code is not Code.ACCESS_ACCEPT:
            if isinstance(talk.event, TakenUp):
                self._talks.sessions.forget(talk.event.session)
            return self._said(talk, dialogue.refuse(), inner, delayed=reply.delayed)
        talk.accepted = replace(reply, attributes=self._with_identity(reply.attributes, event, inner))
        if isinstance(talk.event, TakenUp):
            talk.session, talk.is_resumed = talk.event.session, True
        elif event.outcome in _WORTH and self._eap.session_lifetime:
            talk.session = Session(event.user_id, name.decode(), event.policy, event.time, event.factor)
        return self._said(talk, dialogue.accept(keep=talk.session is not None), inner)

    def _with_identity(
        self, attributes: tuple[ReplyAttribute, ...], event: AuditEvent, inner: AccessRequest
    ) -> tuple[ReplyAttribute, ...]:
        """Who it is, for the NAS's accounting: it has seen the outer name only."""
        match self._eap.identity:
            case "user-name" if all(each.name != "User-Name" for each in attributes):
                # As the directory spells it: users type as they like.
                name = event.username or (inner.first(Attribute.USER_NAME) or b"").decode()
                return (*attributes, ReplyAttribute("User-Name", name))
            # RFC 4372 §2.1: only to who asks for it.
            case "chargeable-user-identity" if inner.first(_CHARGEABLE_USER_IDENTITY) is not None:
                alias = self._sealer.digest("chargeable user identity", event.user_id.encode()).hex()
                return (*attributes, ReplyAttribute("Chargeable-User-Identity", alias))
        return attributes

    # --- what is said -----------------------------------------------------------------------------

    def _said(self, talk: Talk, event: Say | End, request: AccessRequest, *, delayed: bool = False) -> Reply:
        """An event as a reply."""
        if event.why:
            talk.has_failed = True
            inside = _named(request, talk)
            self._report(inside, self._conclusion(inside, Outcome.EAP_FAILED, event.why))
        if isinstance(event, Say):
            past_password = talk.inner_state is not None or talk.accepted is not None
            # Longer than the State within it, so that who is late is refused by name.
            lasting = self._eap.challenge_lifetime + request.nas.window if past_password else _HANDSHAKE
            state = self._talks.turn(talk, lasting, past_password=past_password)
            return Reply(Code.ACCESS_CHALLENGE, state, eap=event.packet, delayed=delayed)
        if event.keys is None:
            self._ended(talk, request, "failed" if talk.has_failed else "refused")
            return Reply(Code.ACCESS_REJECT, eap=event.packet, delayed=delayed or talk.has_failed)
        if event.session and talk.session is not None:
            self._talks.sessions.keep(event.session, talk.session)
        self._ended(talk, request, "resumed" if talk.is_resumed else "accepted")
        assert talk.accepted is not None  # there are keys only then
        return replace(talk.accepted, eap=event.packet, msk=event.keys.msk, key_name=event.keys.name)

    def _ended(self, talk: Talk, request: AccessRequest, how: str) -> None:
        self._meter.count("eap", event=how)
        self._talks.end(talk, request.nas.window)

    def _gone(self, request: AccessRequest) -> Reply:
        """Nobody here knows the conversation (any more)."""
        self._meter.count("eap", event="gone")
        return self._refused(request, Outcome.EAP_GONE, _WHY_GONE)

    def _refused(self, request: AccessRequest, outcome: Outcome, why: str = "") -> Reply:
        """Whatever conversation there is, it is not touched by it."""
        self._report(request, self._conclusion(request, outcome, why))
        return bare_reject(request)

    def _withhold(self, request: AccessRequest, why: str) -> None:
        self._report(request, self._concluded(request, Discard(Outcome.EAP_FAILED), why))

    def _conclusion(self, request: AccessRequest, outcome: Outcome, detail: str = "") -> Conclusion:
        return self._concluded(request, Reject(outcome, Login.of(request).message(outcome)), detail)

    def _concluded(self, request: AccessRequest, decision: Reject | Discard, detail: str) -> Conclusion:
        return Conclusion(decision, event_of(Login.of(request), decision, self._clock.wall(), detail))

    # --- what was said within ---------------------------------------------------------------------

    def _within(self, request: AccessRequest, event: Asked | TakenUp, talk: Talk) -> AccessRequest:
        """The Access-Request that a gateway would have sent."""
        if isinstance(event, Asked):
            text = event.text if len(event.text) <= LONGEST_VALUE else None
            return _inside(request, self._nas(request.nas, event.answers), event.name, text, talk)
        return _inside(request, self._nas(request.nas, None), event.session.name.encode(), None, talk)

    def _nas(self, nas: Nas, answers: int | None) -> Nas:
        """The NAS as one that can show so many challenges."""
        known = self._nases.get((nas.name, answers))
        if known is None or known[0] is not nas:
            profile = nas.profile
            rounds = min(profile.rounds, answers) if answers else profile.rounds
            asking = replace(nas, profile=replace(profile, suffix=None, rounds=rounds))
            known = nas, nas.in_one_field() if answers == 0 else asking
            self._nases[nas.name, answers] = known
        return known[1]


def _may_answer(talk: Talk) -> bool:
    """Whether one challenge more can be answered."""
    asked = talk.event
    return isinstance(asked, Asked) and (asked.answers is None or talk.challenges < asked.answers)


def _named(request: AccessRequest, talk: Talk) -> AccessRequest:
    """The request by the name inside the tunnel, as far as there is one."""
    name = None if talk.dialogue is None else talk.dialogue.name
    return request if name is None else _inside(request, request.nas, name, None, talk)


def _inside(request: AccessRequest, nas: Nas, name: bytes, text: bytes | None, talk: Talk) -> AccessRequest:
    """With the User-Name, the text and the State that are inside the tunnel in place of those outside."""
    rest = tuple(each for each in request.attributes if each[0] not in _REPLACED)
    said: tuple[tuple[int, bytes], ...] = ((Attribute.USER_NAME, name if len(name) <= LONGEST_VALUE else b""),)
    if talk.inner_state is not None:
        said += ((Attribute.STATE, talk.inner_state),)
    return AccessRequest(nas, said + rest, text, request.source, request.arrived, outer_name=talk.outer_name)
