"""Signing in to the portal: a login like any other, with a browser in the place of the NAS.

So what counts, locks, spends and is audited at a gateway does so here: it is the same conversation.  Only what the
outcome means is said here: somebody without any factor is not let in by a gateway, and may set up the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from radius_mfa.core import usernames
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.login import Conclusion
from radius_mfa.core.messages import (
    Accept,
    AccessRequest,
    Attribute,
    AuditEvent,
    Challenge,
    FactorKind,
    Message,
    Nas,
    Reject,
    User,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Directory
from radius_mfa.core.record import record

MOST_OCTETS = 253  # of a name, as of any attribute (RFC 2865 §5)
MOST_PASSWORD = 512  # octets


@record(frozen=True, slots=True)
class Asked:
    """The password was right: a code of one of these factors is asked for.

    `state`: to be sent back with it.  `outcome`: why it is asked for (again); `message`: as a gateway is told.
    """

    state: bytes = field(repr=False)
    factors: frozenset[FactorKind]
    outcome: Outcome
    message: Message


@record(frozen=True, slots=True)
class Known:
    """It is this user.  `factor`: what was shown besides the password; None: they hold none.

    `since`: wall seconds, before it was looked at: what was ended after that has ended this too.
    """

    user: User
    factor: FactorKind | None
    since: float


@record(frozen=True, slots=True)
class Refused:
    """They are not let in.  `message`: what they may be told, in the words of a gateway."""

    outcome: Outcome
    message: Message


@dataclass(frozen=True, slots=True)
class SigningIn:
    """Lets people into the portal, which is the client `nas`.

    `conversation`: has a policy that asks for a second factor; `by_password`: the same house, with one that never
    does.  `directory`: the one both ask.  `audit`: is told of each round.
    """

    conversation: Conversation
    by_password: Conversation
    directory: Directory
    nas: Nas
    clock: Clock
    audit: Callable[[AuditEvent], None]

    async def password(self, username: str, password: str, source: str) -> Asked | Known | Refused:
        """Round one.  `source`: address and port of the browser.  Raises BackendError."""
        request = self._request(username, password, source)
        conclusion = await self._concluded(self.conversation, request)
        return await self._meant(request, conclusion, None)

    async def answer(self, username: str, state: bytes, answer: str, source: str) -> Asked | Known | Refused:
        """A later round: a code, or `mail`.  Raises BackendError."""
        request = self._request(username, answer, source, state)
        user = await self._found(request)  # before the code is used up: it may be all that somebody has
        return await self._meant(request, await self._concluded(self.conversation, request), user)

    async def password_alone(self, username: str, password: str, source: str) -> Known | Refused:
        """Whether name and password are right, whatever else the user holds; no code is asked for or mailed."""
        request = self._request(username, password, source)
        conclusion = await self._concluded(self.by_password, request)
        if isinstance(conclusion.decision, Accept):
            return _known(await self._found(request), conclusion.event, None)
        return _refused(conclusion)

    def _request(self, username: str, password: str, source: str, state: bytes | None = None) -> AccessRequest:
        """What a NAS would send.  The station is the browser's address: from another it is another answer."""
        station = source.rpartition(":")[0].strip("[]")
        attributes = [
            (Attribute.USER_NAME, username.encode()[: MOST_OCTETS + 1]),
            (Attribute.CALLING_STATION_ID, station.encode()),
        ]
        if state is not None:
            attributes.append((Attribute.STATE, state))
        typed = password.encode()
        if len(typed) > MOST_PASSWORD or len(attributes[0][1]) > MOST_OCTETS:
            typed = b""  # nobody's, and no directory is asked about it
        return AccessRequest(self.nas, tuple(attributes), typed, source, self.clock.monotonic())

    async def _concluded(self, conversation: Conversation, request: AccessRequest) -> Conclusion:
        conclusion = await conversation.answer(request, request.deadline)
        event = conclusion.event
        event.duration = round(self.clock.monotonic() - request.arrived, 6)
        self.audit(event)
        return conclusion

    async def _meant(
        self, request: AccessRequest, conclusion: Conclusion, user: User | Outcome | None
    ) -> Asked | Known | Refused:
        """`user`: whom the directory has by that name; None: not asked yet."""
        decision, event = conclusion.decision, conclusion.event
        if isinstance(decision, Accept):
            if conclusion.is_repeated:
                # A gateway whose reply was lost needs it again.  Here it would begin a visit that was ended.
                return Refused(Outcome.STATE_SPENT, Message(Outcome.STATE_SPENT.value))
            return _known(user or await self._found(request), event, FactorKind(event.factor))
        if isinstance(decision, Challenge):
            return Asked(decision.state, self._factors_of(request, decision), decision.outcome, decision.message)
        if event.outcome is Outcome.UNENROLLED:
            return _known(user or await self._found(request), event, None)
        return _refused(conclusion)

    def _factors_of(self, request: AccessRequest, challenge: Challenge) -> frozenset[FactorKind]:
        """Those that may answer, as State has them."""
        name = request.first(Attribute.USER_NAME) or b""
        attributes = ((Attribute.USER_NAME, name), (Attribute.STATE, challenge.state))
        answering = AccessRequest(self.nas, attributes, None, request.source, request.arrived)
        content, _ = self.conversation.states.of(answering)
        assert content is not None  # we have just made it
        return content.factors

    async def _found(self, request: AccessRequest) -> User | Outcome:
        """Who it is by the name that was typed, as in round one, with all their groups.

        The name that the store has may be from before a marriage.
        """
        deadline = self.clock.monotonic() + self.nas.patience
        typed = usernames.read(request.first(Attribute.USER_NAME)) or ""
        name = usernames.looked_up(typed, self.nas.naming)
        user = name if isinstance(name, Outcome) else await self.directory.find(name, deadline)
        if isinstance(user, User) and user.lacks_groups:
            return await self.directory.with_groups(user, deadline)
        return user


def _known(user: User | Outcome, event: AuditEvent, factor: FactorKind | None) -> Known | Refused:
    """Refused where the directory's entry is not the one of the login any more."""
    if not isinstance(user, User) or user.id != event.user_id or not user.active:
        return Refused(Outcome.USER_GONE, Message(Outcome.USER_GONE.value))
    return Known(user, factor, event.time)


def _refused(conclusion: Conclusion) -> Refused:
    decision, event = conclusion.decision, conclusion.event
    if event.outcome is Outcome.DIRECTORY_FAILED and not event.user_id:
        # It has not come as far as to know anybody, so it tells nothing of whoever was named.
        raise DirectoryError(event.detail)
    assert isinstance(event.outcome, Outcome)  # of a login, not of an act
    message = decision.message if isinstance(decision, Reject) else Message(Outcome.STORE_FAILED.value)
    return Refused(event.outcome, message)
