"""The States we have given out: sealed, opened again, and what can be said of one without answering it."""

from __future__ import annotations

from dataclasses import dataclass

from radius_mfa.core import challenge
from radius_mfa.core.messages import AccessRequest, Attribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Sealer
from radius_mfa.core.store import LoginStore


@dataclass(frozen=True, slots=True)
class States:
    """Reads what `challenge.Content` was sealed into."""

    sealer: Sealer
    store: LoginStore
    clock: Clock

    def read(self, state: bytes) -> challenge.Content | None:
        """What a State holds; None where it was not sealed by us."""
        opened = self.sealer.open("state", state)
        return challenge.unpack(opened) if opened is not None else None

    def of(self, request: AccessRequest) -> tuple[challenge.Content | None, Outcome | None]:
        """What its State holds, None where it was not sealed by us; and why it may not be honoured, if so."""
        states = request.all(Attribute.STATE)
        content = self.read(states[0]) if len(states) == 1 else None  # at most one (RFC 2865 §5.44)
        if content is None:
            return None, Outcome.STATE_UNREADABLE
        user_name = request.first(Attribute.USER_NAME) or b""
        return content, challenge.refusal(content, request.nas.name, user_name, self.clock.wall())

    def vouch_for(self, request: AccessRequest) -> bool:
        """Whether the request has a State that its client and user may still answer; nobody is asked."""
        return self.of(request)[1] is None

    async def is_open(self, state: bytes, deadline: float) -> bool:
        """Whether a State of ours was answered nowhere yet.  Raises StoreError."""
        content = self.read(state)
        return content is not None and not await self.store.is_spent(content.login, content.round, deadline)
