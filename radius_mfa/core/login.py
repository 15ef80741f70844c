"""What is known of a login while it is under way, and what is reported of it when a round ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

from radius_mfa.core import usernames
from radius_mfa.core.challenge import Content, primary_language
from radius_mfa.core.messages import (
    Accept,
    AccessRequest,
    Attribute,
    AuditEvent,
    Challenge,
    Decision,
    Discard,
    FactorKind,
    Message,
    Reject,
    User,
)
from radius_mfa.core.outcomes import REFUSED, Outcome, told_to_user
from radius_mfa.core.policy import Policy

_LONGEST_SHOWN = 128
_DECISIONS = {Accept: "accept", Reject: "reject", Challenge: "challenge", Discard: "discard"}


@dataclass(frozen=True, slots=True)
class Login:
    """One login as far as it is known: it grows from round to round, and never changes otherwise.

    `id`: 16 octets, the same in every round.  `typed`: the User-Name that was typed, empty when
    unreadable.  `user_id` is empty until the directory, or a State, has said who it is.
    `factors`: those that may answer, until `expires` (wall seconds).
    """

    request: AccessRequest
    id: bytes
    typed: str
    round: int = 0
    user_id: str = ""
    username: str = ""
    language: str = ""
    policy: Policy | None = None
    factors: frozenset[FactorKind] = frozenset()
    expires: float = 0.0
    factor: str = ""

    @classmethod
    def of(cls, request: AccessRequest, login_id: bytes) -> Login:
        """A login of which only the request is known."""
        return cls(request, login_id, usernames.read(request.first(Attribute.USER_NAME)) or "")

    def about(self, user: User, policy: Policy | None) -> Login:
        """The directory has said who it is, and the policies what is asked."""
        return replace(
            self,
            user_id=user.id,
            username=user.username,
            language=primary_language(user.language),
            policy=policy,
        )

    def resumed(self, content: Content) -> Login:
        """A State has said so."""
        return replace(
            self,
            id=content.login,
            expires=content.expires,
            round=content.round,
            user_id=content.user_id,
            language=content.language,
            factors=content.factors,
        )

    def under(self, policy: Policy) -> Login:
        """The policy as it is now: what it no longer allows may not answer, whatever the State says."""
        return replace(self, policy=policy, factors=self.factors & policy.factors)

    def message(self, outcome: Outcome, **parameters: str) -> Message:
        """What this user is told of `outcome`."""
        key = told_to_user(outcome)
        # Words in the user's own language would tell that there is such a user.
        language = "" if key == REFUSED else self.language
        return Message(key, language, tuple(parameters.items()))


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How one request ended."""

    decision: Decision
    event: AuditEvent


def conclude(login: Login, decision: Decision, now: float, detail: str = "") -> Conclusion:
    """The decision with the audit event that goes with it.

    A name that no directory entry has stood behind is masked: people type passwords there.
    """
    request = login.request
    address = request.first(Attribute.NAS_IP_ADDRESS) or b""
    event = AuditEvent(
        time=now,
        outcome=decision.outcome,
        decision=_DECISIONS[type(decision)],
        client=request.nas.name,
        source=request.source,
        user_name=login.typed if login.user_id else masked(login.typed),
        user_id=login.user_id,
        username=login.username,
        login=login.id.hex(),
        round=login.round,
        policy=login.policy.name if login.policy else "",
        factor=login.factor,
        station=shown(request.first(Attribute.CALLING_STATION_ID)),
        called_station=shown(request.first(Attribute.CALLED_STATION_ID)),
        nas_address=".".join(map(str, address)) if len(address) == 4 else "",
        nas_identifier=shown(request.first(Attribute.NAS_IDENTIFIER)),
        detail=detail,
    )
    return Conclusion(decision, event)


def shown(octets: bytes | None) -> str:
    """Octets that a stranger chose, as text for a log: no control characters, not endless."""
    if octets is None:
        return ""
    text = octets[:_LONGEST_SHOWN].decode(errors="replace")
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def masked(name: str) -> str:
    """A name that may be a password: its first character and how many there were."""
    return f"{name[0]}…({len(name)})" if name else ""
