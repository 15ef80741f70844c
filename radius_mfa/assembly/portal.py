"""What the portal asks of the world, put together from a configuration.

It is a client of its own (`core.visits.PORTAL`) with a policy of its own, over the store, the directory and the
factors of the server; what it has to mail lies in the outbox until the server, which looks there, delivers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import tzinfo
from ipaddress import IPv4Network, IPv6Network
from socket import socket
from ssl import SSLContext

import structlog

from radius_mfa.assembly.answering import conversation_of
from radius_mfa.assembly.backends import Backends, Shields, audit_of, backends_of, open_directory
from radius_mfa.assembly.footing import Footing
from radius_mfa.assembly.lookout import Lookout
from radius_mfa.assembly.portal_events import Events, events_of
from radius_mfa.assembly.rules import dictionary_of, enrolment_rules_of, rules_of, texts_of
from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.config.model_portal import Portal
from radius_mfa.config.values import Endpoint
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.groups import fold_group
from radius_mfa.core.help_desk import HelpDesk
from radius_mfa.core.messages import AuditEvent, FactorKind, Nas, Profile
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.ports import Clock, Directory, Entropy, Sealer
from radius_mfa.core.self_service import AllStore, SelfService, SelfServiceRules
from radius_mfa.core.signing_in import SigningIn
from radius_mfa.core.visits import PORTAL
from radius_mfa.observe.health import DIRECTORY, STORE, Health
from radius_mfa.service.texts import Texts
from radius_mfa.transports.sockets import open_tcp, why_not
from radius_mfa.transports.tls import certify, web_context, why

_NAS = Nas(PORTAL, Profile(PORTAL, rounds=5), timeout=10.0, retries=0)
_BY_PASSWORD = f"{PORTAL}-password"  # the policy of who shows that alone, and is then shown hardly anything

log = structlog.get_logger()


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


def _nothing() -> None:
    """There is no file."""


async def _all_works() -> tuple[str, ...]:
    """There is nothing that could fail."""
    return ()


@dataclass(frozen=True, slots=True)
class PortalPorts:
    """`texts`: what gateways are told, which is put in here where there is nothing better.

    `events`: the latest events of the audit file about a user, the newest first, by id and name; empty where that
    may not be read.  `reopen_audit`: goes on in a new audit file where the old one was rotated away.
    `unready`: what does not work that nobody could sign in without; it is looked at once in a while, however often
    somebody asks.
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
    events: Events
    reopen_audit: Callable[[], None] = _nothing
    unready: Callable[[], Awaitable[tuple[str, ...]]] = _all_works


@asynccontextmanager
async def open_portal(loaded: Loaded) -> AsyncIterator[PortalPorts]:
    """Open store, directory and audit file; close them in the end.

    An older store is left to the server.  Raises ConfigurationError, KeyFileError and StoreError.
    """
    configuration = loaded.configuration
    async with AsyncExitStack() as stack:
        footing = await Footing.open(loaded, stack, PORTAL, upgrade=False)
        directory = open_directory(configuration, Shields())
        stack.push_async_callback(directory.close)
        backends = backends_of(configuration, footing.store, footing.sealer, directory, client=PORTAL)
        audit = audit_of(loaded, asyncio.get_running_loop().call_soon, footing.meter)
        stack.callback(audit.close)
        ports = _ports_of(loaded, backends, audit)
        readiness = _Readiness(
            Lookout(footing.health, lambda: directory, footing.store, footing.clock), footing.health
        )
        stack.push_async_callback(readiness.close)
        # As a server does: no key is retired that the portal still seals with.
        stack.push_async_callback(footing.presence.leave)
        stack.push_async_callback(footing.tasks.cancel)
        footing.tasks.begin(footing.presence.keep())
        await footing.presence.known()
        yield replace(ports, reopen_audit=audit.reopen, unready=readiness.unready)


class _Readiness:
    """Whether somebody could sign in: looked at when somebody asks, for all who ask meanwhile."""

    def __init__(self, lookout: Lookout, health: Health) -> None:
        self._lookout = lookout
        self._health = health
        self._looking: asyncio.Task[None] | None = None

    async def unready(self) -> tuple[str, ...]:
        """What does not work."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._lookout.look_where_due())
        await asyncio.shield(self._looking)
        return tuple(part for part in (DIRECTORY, STORE) if not self._health.works(part))

    async def close(self) -> None:
        """Nobody is told any more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})


def _ports_of(loaded: Loaded, backends: Backends, audit: Callable[[AuditEvent], None]) -> PortalPorts:
    configuration, enrolment = loaded.configuration, backends.enrolment
    settings = _settings_of(configuration, backends.issuer)
    store, clock, entropy, directory = backends.store, backends.clock, backends.entropy, backends.directory
    rules = SelfServiceRules(settings.served, settings.wait, settings.initialise)
    return PortalPorts(
        settings=settings,
        signing_in=_signing_in(loaded, backends, audit),
        self_service=SelfService(enrolment, store, backends.sealer, clock, entropy, audit, rules),
        help_desk=HelpDesk(enrolment, store, directory, clock, entropy, audit, vouchers=settings.voucher),
        directory=directory,
        store=store,
        sealer=backends.sealer,
        clock=clock,
        entropy=entropy,
        texts=texts_of(configuration),
        events=events_of(configuration.audit.file),
    )


def _settings_of(configuration: model.Configuration, issuer: str) -> PortalSettings:
    portal, enrolment, ldap = _portal_of(configuration), configuration.enrolment, configuration.directory.ldap
    return PortalSettings(
        url=portal.url,
        issuer=issuer,
        contact=configuration.contact,
        networks=enrolment.networks,
        voucher=enrolment.voucher,
        wait=enrolment.wait,
        initialise=enrolment.initialise,
        help_desk=frozenset(map(fold_group, portal.help_desk)),
        idle_timeout=portal.idle_timeout,
        visit_lifetime=portal.visit_lifetime,
        served=configuration.factors.kinds,
        first=enrolment_rules_of(configuration).first,
        zone=configuration.timezone,
        password_url=ldap.password_url if ldap else None,
    )


def _signing_in(loaded: Loaded, backends: Backends, audit: Callable[[AuditEvent], None]) -> SigningIn:
    """Over the conversation of every gateway, under two policies of the portal's own.

    Where the directory fails they are told so: there is no other server that a browser could ask.
    """
    rules = rules_of(loaded.configuration, dictionary_of(loaded))

    def under(policy: Policy) -> Conversation:
        own = replace(rules, policies=(policy,), discard_when_broken=False)
        return conversation_of(own, backends, backends.directory, _Outbox())

    return SigningIn(
        conversation=under(Policy(PORTAL, factors=loaded.configuration.factors.kinds)),
        by_password=under(Policy(_BY_PASSWORD, second_factor=SecondFactor.NEVER)),
        directory=backends.directory,
        nas=_NAS,
        clock=backends.clock,
        audit=audit,
    )


class _Outbox:
    """`core.ports.Mailer`: the server looks into it every few seconds."""

    def wake(self) -> None:
        """Nobody sleeps here."""


# --- how it is reached ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Door:
    """Where browsers, or a proxy, come in.  `proxies`: whose word is taken about where requests come from.

    `health`: where it is asked whether all is well.
    """

    sock: socket
    tls: SSLContext | None
    proxies: Sequence[IPv4Network | IPv6Network]
    health: socket | None

    @property
    def asked_at(self) -> list[tuple[str, int]]:
        """The addresses of `health`: one or none."""
        return [] if self.health is None else [self.health.getsockname()[:2]]


def open_door(loaded: Loaded, stack: AsyncExitStack) -> Door:
    """What is to be opened while there may still be root; closed with `stack`.  Raises ConfigurationError."""
    portal = _portal_of(loaded.configuration)
    sock = _listening(loaded, portal.listen, "listen", stack)
    health = None if portal.health is None else _listening(loaded, portal.health, "health", stack)
    tls = None
    if portal.certificate and portal.key:
        try:
            tls = web_context(portal.certificate, portal.key)
        except OSError as broken:  # of which SSLError is one
            text = f"certificate and key cannot be used: {why(broken)}"
            raise ConfigurationError(loaded.places.cite(text, "portal")) from None
    return Door(sock, tls, portal.trusted_proxies, health)


def _listening(loaded: Loaded, at: Endpoint, key: str, stack: AsyncExitStack) -> socket:
    try:
        sock = open_tcp(at.host, at.port, both=True)
    except OSError as broken:
        text = f"cannot listen on {at.host} port {at.port}: {why_not(broken)}"
        raise ConfigurationError(loaded.places.cite(text, "portal", key)) from None
    stack.callback(sock.close)
    return sock


def renew_certificate(loaded: Loaded, door: Door) -> str:
    """Show what is in the files now; what cannot be used is logged, changes nothing, and the reason returned."""
    portal = _portal_of(loaded.configuration)
    if door.tls is None or portal.certificate is None or portal.key is None:
        return ""
    try:
        web_context(portal.certificate, portal.key)  # half of a new pair must not take the place of a whole one
        certify(door.tls, portal.certificate, portal.key)
    except OSError as broken:
        log.error("certificate_refused", error=why(broken), note="the one in use stays")
        return f"certificate: {why(broken)}"
    return ""


def _portal_of(configuration: model.Configuration) -> Portal:
    if configuration.portal is None:
        raise ConfigurationError("there is no portal in the configuration")
    return configuration.portal
