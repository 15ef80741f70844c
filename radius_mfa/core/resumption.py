"""What a TLS session of 802.1X stands for, which is a second factor, and for how long it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from radius_mfa.core.judgement import usable
from radius_mfa.core.login import Login
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.ports import Factor
from radius_mfa.core.sessions import Session
from radius_mfa.core.store import LoginStore
from radius_mfa.core.trust import TrustedDevices


@dataclass(frozen=True, slots=True)
class Resumption:
    """Knows what a session is worth once it is known whose it is, and by which policy."""

    store: LoginStore
    trusted: TrustedDevices
    factors: Mapping[FactorKind, Factor]

    async def why_over(self, session: Session, login: Login, policy: Policy, deadline: float) -> str:
        """Why it stands for no second factor any more, for staff; empty where it does.  Raises StoreError.

        A lock is no reason: as at a trusted device no code is asked, and so none is guessed.
        """
        if policy.second_factor is SecondFactor.NEVER:
            return "the policy goes by the password, and there is none"
        facts = await self.store.facts(login.user_id, deadline)
        if facts.codes_since > session.since:
            return "codes of that time do not count any more"
        if not usable(self.factors, facts, policy.factors):
            return "the user has no factor that the policy takes"
        if session.factor and session.factor not in policy.factors:
            return "the policy does not take the factor of that code"
        if not session.factor and not await self.trusted.knows(login, deadline):
            return "the device is not trusted any more"
        return ""
