"""What the configuration fixes of every login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from radius_mfa.core.guard import Guard
from radius_mfa.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """`policies`: in order.  `challenge_lifetime`: seconds a State is good for.

    `zone`: of days and hours.  `discard_when_broken`: no answer where directory or store fail, so that the NAS
    asks another server.
    """

    policies: Sequence[Policy]
    guard: Guard
    challenge_lifetime: float
    zone: tzinfo
    discard_when_broken: bool = False
