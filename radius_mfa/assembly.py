"""The one place that puts it together: from a configuration to things that run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import structlog

from radius_mfa.config import model
from radius_mfa.config.load import Loaded, load_usable
from radius_mfa.config.messages import load_messages
from radius_mfa.core import usernames
from radius_mfa.core.conversation import Conversation, Ports, Rules
from radius_mfa.core.enrolment import Enrolment
from radius_mfa.core.errors import ConfigurationError, KeyFileError, RadiusMfaError
from radius_mfa.core.guard import Guard
from radius_mfa.core.messages import AuditEvent, FactorKind, Nas
from radius_mfa.core.policy import (
    ClientGroupIs,
    ClientIs,
    Condition,
    DaysAre,
    GroupIs,
    HoursAre,
    Policy,
    UserIs,
    fold_group,
)
from radius_mfa.core.ports import Clock, Entropy, Factor, Sealer, Store
from radius_mfa.data import CONFIG, DICTIONARIES
from radius_mfa.directories.chain import ChainedDirectory, OpenDirectory
from radius_mfa.factors.totp import TotpFactor
from radius_mfa.observe.audit import AuditFile, AuditLog
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.service import Service
from radius_mfa.service.texts import Texts
from radius_mfa.stores.seal import AeadSealer, read_key_file, verify_key
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.transports.udp import UdpListener, open_socket
from radius_mfa.wire.clients import Client, Clients
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.exchange import Exchange, Send

_PURGE_EVERY = 60.0  # seconds
_GRACE = 10.0  # seconds that what is in flight may take to end

log = structlog.get_logger()


class SystemClock:
    """The machine's clocks; the event loop counts by the same monotonic one."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class SystemEntropy:
    """The operating system's randomness."""

    def octets(self, count: int) -> bytes:
        return os.urandom(count)


def load(path: Path, environment: Mapping[str, str]) -> Loaded:
    """The configuration in `path`.  Raises ConfigurationError with every problem in it."""
    return load_usable(path, environment, Dictionary.load(DICTIONARIES / "dictionary"))


# --- from the YAML to the rules ---------------------------------------------------------------------


def nas_of(client: model.Client) -> Nas:
    """A client as the core knows it: without its secret."""
    return Nas(
        name=client.name,
        profile=client.profile,
        groups=frozenset(client.groups),
        timeout=client.timeout,
        retries=client.retries,
        station=client.station,
    )


def clients_of(configuration: model.Configuration) -> Clients:
    """The clients as the wire knows them."""
    return Clients(
        Client(
            nas_of(client),
            client.address,
            tuple(secret.reveal().encode() for secret in client.secret),
            client.message_authenticator,
        )
        for client in configuration.clients
    )


def policies_of(configuration: model.Configuration) -> tuple[Policy, ...]:
    """The policies, in the order they decide."""
    return tuple(
        Policy(
            name=policy.name,
            conditions=tuple(_conditions(policy.when)),
            second_factor=policy.second_factor,
            factors=configuration.factors_of(policy),
            trust_device=policy.trust_device,
            reply=policy.reply_attributes,
        )
        for policy in configuration.policies
    )


def _conditions(when: model.When) -> list[Condition]:
    """The conditions of a policy, the cheapest to refute first."""
    conditions: list[Condition] = []
    if when.client is not None:
        conditions.append(ClientIs(frozenset(when.client)))
    if when.client_group is not None:
        conditions.append(ClientGroupIs(frozenset(when.client_group)))
    if when.user is not None:
        conditions.append(UserIs(frozenset(map(usernames.fold, when.user))))
    if when.group is not None:
        conditions.append(GroupIs(frozenset(map(fold_group, when.group))))
    if when.days is not None:
        conditions.append(DaysAre(frozenset().union(*when.days)))
    if when.hours is not None:
        conditions.append(HoursAre(tuple((each.start, each.end) for each in when.hours)))
    return conditions


def rules_of(configuration: model.Configuration) -> Rules:
    """What the conversation goes by."""
    lockout = configuration.lockout
    return Rules(
        policies=policies_of(configuration),
        guard=Guard(lockout.failures, lockout.durations, lockout.suspend_after),
        challenge_lifetime=configuration.challenge_lifetime,
        zone=configuration.timezone,
        discard_when_broken=configuration.when_directory_fails == "discard",
    )


def loopback(loaded: Loaded) -> tuple[tuple[str, int], bytes]:
    """Where a client on this machine finds the server, and with which secret.  Raises ConfigurationError."""
    configuration = loaded.configuration
    endpoint = next(listener.udp for listener in configuration.listen if listener.udp is not None)
    host = endpoint.host
    if ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    client = clients_of(configuration).find(host)
    if client is None:
        raise ConfigurationError(f"no client has the address {host}: give --server and --secret, or add one")
    return (host, endpoint.port), client.secrets[0]


# --- what the commands work with --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backends:
    """What stands behind the conversation, opened."""

    directory: OpenDirectory
    store: Store
    sealer: Sealer
    factors: Mapping[FactorKind, Factor]
    enrolment: Enrolment
    issuer: str
    clock: Clock
    entropy: Entropy

    def soon(self, seconds: float) -> float:
        """The deadline that many seconds from now."""
        return self.clock.monotonic() + seconds


@asynccontextmanager
async def opened(loaded: Loaded) -> AsyncIterator[Backends]:
    """Open the store and the directory; close them in the end.  Raises KeyFileError and StoreError."""
    async with AsyncExitStack() as stack:
        store, sealer = await _open_store(loaded.configuration, stack)
        directory = _directory(loaded.configuration)
        stack.push_async_callback(directory.close)
        yield _backends(loaded.configuration, store, sealer, directory)


# --- the server -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Working:
    """What answers under one configuration; another one takes its place on a reload."""

    exchange: Exchange
    backends: Backends
    close_audit: Callable[[], None]

    async def finish(self) -> None:
        """End what is in flight, then let go."""
        await self.exchange.drain(_GRACE)
        await self.backends.directory.close()
        self.close_audit()


class Server:
    """The running server: its sockets and its store stay, what answers can be exchanged.

    `addresses`: what is listened on.  `dictionary`: the attributes by name.
    """

    def __init__(self, loaded: Loaded, store: Store, sealer: Sealer, dictionary: Dictionary) -> None:
        self._loaded = loaded
        self._store = store
        self._sealer = sealer
        self._meter = Counts()
        self._listeners: list[UdpListener] = []
        self._working: _Working
        self._background: set[asyncio.Task[None]] = set()
        self.dictionary = dictionary

    @classmethod
    async def start(cls, loaded: Loaded) -> Server:
        """Open everything and listen.  Raises ConfigurationError, KeyFileError, StoreError."""
        async with AsyncExitStack() as stack:
            store, sealer = await _open_store(loaded.configuration, stack)
            server = cls(loaded, store, sealer, Dictionary.load(DICTIONARIES / "dictionary"))
            server._working = await server._work(loaded)
            stack.push_async_callback(server._working.finish)
            for number, listener in enumerate(loaded.configuration.listen):
                assert listener.udp is not None  # the others are refused when loading
                server._listen(loaded, number, listener.udp.host, listener.udp.port)
            server._in_background(server._purge())
            stack.pop_all()
        log.info("ready", listen=server.addresses, policies=len(loaded.configuration.policies))
        return server

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [listener.address for listener in self._listeners]

    async def reload(self, loaded: Loaded) -> None:
        """Answer under another configuration from now on; what is in flight ends under the old one.

        Raises as `start` does, and then nothing has changed.
        """
        for key in ("listen", "storage", "key_file"):
            if getattr(loaded.configuration, key) != getattr(self._loaded.configuration, key):
                log.warning("restart_needed", key=key, note="stays as it was until then")
        before, self._working = self._working, await self._work(loaded)
        self._loaded = loaded
        self._in_background(before.finish())
        log.info("reloaded", policies=len(loaded.configuration.policies))

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, close."""
        await self._working.finish()
        for listener in self._listeners:
            listener.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._store.close()
        log.info("stopped", discarded=self._meter.total("discarded"))

    async def _work(self, loaded: Loaded) -> _Working:
        configuration = loaded.configuration
        audit = AuditFile(configuration.audit.file) if configuration.audit.file else AuditLog()
        backends = _backends(configuration, self._store, self._sealer, _directory(configuration))
        service = _service(configuration, backends, audit, self._meter)
        exchange = Exchange(
            clients_of(configuration),
            service.answer,
            self.dictionary,
            self._meter,
            backends.clock,
            log,
            note=self._store.note_message_authenticator,
            jitter=random.random,
            signers=await self._store.seen_message_authenticator(),
        )
        return _Working(exchange, backends, audit.close)

    def _listen(self, loaded: Loaded, number: int, host: str, port: int) -> None:
        try:
            sock = open_socket(host, port)
        except OSError as broken:
            text = f"cannot listen on {host} port {port}: {broken.strerror}"
            raise ConfigurationError(loaded.places.cite(text, "listen", number, "udp")) from None
        self._listeners.append(UdpListener(sock, self._receive, self._meter))

    def _receive(self, octets: bytes, source: tuple[str, int], socket: object, send: Send) -> None:
        self._working.exchange.receive(octets, source, socket, send)

    async def _purge(self) -> None:
        """Delete what nobody asks for any more, for ever."""
        while True:
            await asyncio.sleep(_PURGE_EVERY)
            now = time.time()
            try:
                await self._store.purge(now, now - self._loaded.configuration.audit.retention)
            except RadiusMfaError as broken:
                log.error("purge_failed", error=str(broken))

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


# --- piece by piece ---------------------------------------------------------------------------------


def _service(
    configuration: model.Configuration, backends: Backends, audit: Callable[[AuditEvent], None], meter: Counts
) -> Service:
    ports = Ports(
        backends.directory,
        backends.store,
        backends.factors,
        backends.sealer,
        backends.clock,
        backends.entropy,
    )
    return Service(
        Conversation(ports, rules_of(configuration)),
        Texts(load_messages(CONFIG / "messages"), configuration.contact),
        audit,
        backends.clock,
        backends.entropy,
        meter,
    )


def _backends(
    configuration: model.Configuration, store: Store, sealer: Sealer, directory: OpenDirectory
) -> Backends:
    totp_settings = configuration.factors.totp or model.Totp()
    clock, entropy = SystemClock(), SystemEntropy()
    totp = TotpFactor(sealer, totp_settings.window)
    return Backends(
        directory=directory,
        store=store,
        sealer=sealer,
        factors={FactorKind.TOTP: totp} if configuration.factors.totp else {},
        enrolment=Enrolment(store, sealer, totp, clock, entropy),
        issuer=totp_settings.issuer,
        clock=clock,
        entropy=entropy,
    )


async def _open_store(configuration: model.Configuration, stack: AsyncExitStack) -> tuple[Store, Sealer]:
    """The store, in the newest schema version, and the seal that is the store's own."""
    sealer = AeadSealer(read_key_file(configuration.key_file))
    store = SqliteStore.open(f"sqlite:///{configuration.storage.path}", SystemClock())
    stack.push_async_callback(store.close)
    try:
        await verify_key(store, sealer)
    except KeyFileError as wrong:
        raise KeyFileError(f"{configuration.key_file}: {wrong}") from None
    return store, sealer


def _directory(configuration: model.Configuration) -> OpenDirectory:
    """The static accounts, then LDAP, or the one of them there is."""
    directories: list[OpenDirectory] = []
    if configuration.directory.static is not None:
        directories.append(_static(configuration.directory.static))
    if configuration.directory.ldap is not None:
        directories.append(_ldap(configuration.directory.ldap))
    return directories[0] if len(directories) == 1 else ChainedDirectory(directories)


# argon2 and ldap3 are imported where they are needed: most servers do without the one or the other.


def _static(static: model.Static) -> OpenDirectory:
    from radius_mfa.directories.static import StaticDirectory, StaticUser

    return StaticDirectory(
        StaticUser(user.username, user.password.reveal(), user.groups, user.active) for user in static.users
    )


def _ldap(ldap: model.Ldap) -> OpenDirectory:
    from radius_mfa.directories.ldap import LdapDirectory, LdapSettings

    settings = LdapSettings(
        servers=tuple((server.host, server.port) for server in ldap.servers),
        bind_dn=ldap.bind_dn,
        bind_password=ldap.bind_password.reveal().encode(),
        base_dn=ldap.base_dn,
        user_filter=ldap.user_filter,
        active_filter=ldap.active_filter,
        id_attribute=ldap.attributes.id,
        name_attribute=ldap.attributes.name,
        language_attribute=ldap.attributes.language,
        groups_attribute=ldap.attributes.groups,
    )
    return LdapDirectory(settings, SystemClock())
