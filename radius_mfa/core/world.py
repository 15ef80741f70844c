"""All that the conversation asks of the world, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.ports import Clock, Directory, Entropy, Factor, Sealer
from radius_mfa.core.store import LoginStore
from radius_mfa.core.trust import TrustedDevices


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
