"""What the portal asks of the world, put together from a configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from radius_mfa.core.help_desk import HelpDesk
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.ports import Clock, Directory, Entropy, Sealer
from radius_mfa.core.self_service import AllStore, SelfService
from radius_mfa.core.signing_in import SigningIn
from radius_mfa.service.texts import Texts


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """What the configuration fixes.  `url`: scheme and host, without a path.  Times are seconds.

    `networks`: from which a first factor is set up.  `help_desk`: groups, as `policy.fold_group` leaves them.
    `first`: the factor that is set up before any other.  `zone`: of the times that are shown.
    """

    url: str
    issuer: str
    contact: str
    networks: Sequence[IPv4Network | IPv6Network]
    voucher: bool
    wait: float
    initialise: bool
    help_desk: frozenset[str]
    idle_timeout: float
    visit_lifetime: float
    served: Collection[FactorKind]
    first: FactorKind | None
    zone: tzinfo
    password_url: str | None = None


@dataclass(frozen=True, slots=True)
class PortalPorts:
    """`texts`: what gateways are told, which is put in here where there is nothing better.

    `events`: the latest events of the audit file about a user, the newest first, by id and name; empty where that
    may not be read.
    """

    settings: PortalSettings
    signing_in: SigningIn
    self_service: SelfService
    help_desk: HelpDesk
    directory: Directory
    store: AllStore
    sealer: Sealer
    clock: Clock
    entropy: Entropy
    texts: Texts
    events: Callable[[str, str], Awaitable[Sequence[Mapping[str, Any]]]]
