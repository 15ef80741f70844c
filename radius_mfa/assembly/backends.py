"""What stands behind the conversation: store, seal, directory, factors, as the configuration wants them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from radius_mfa.assembly.policies import entry_attributes_of
from radius_mfa.assembly.rules import enrolment_rules_of
from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.config.syslog import Syslog
from radius_mfa.config.values import Server
from radius_mfa.core.enrolment import Enrolment
from radius_mfa.core.errors import ConfigurationError, DirectoryError, KeyFileError, StoreError
from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.ports import Clock, Entropy, Factor, MailedFactor, Meter, Sealer
from radius_mfa.core.store import LoginStore, Store
from radius_mfa.core.trust import TrustedDevices
from radius_mfa.directories.chain import ChainedDirectory, OpenDirectory
from radius_mfa.directories.shield import ShieldedDirectory, WrongPasswords
from radius_mfa.factors.mail import MailFactor, MailRules
from radius_mfa.factors.recovery import RecoveryFactor
from radius_mfa.factors.totp import TotpFactor
from radius_mfa.observe.audit import Audit, AuditFile, AuditLog, Audits, Soon
from radius_mfa.observe.audit_files import real_file
from radius_mfa.stores.entropy import SystemEntropy
from radius_mfa.stores.key_file import FollowedKeyFile, read_key_file
from radius_mfa.stores.migrate import look
from radius_mfa.stores.ownership import mode_of_new
from radius_mfa.stores.seal import AeadSealer, check_proofs, verify_key
from radius_mfa.stores.sqlite import SqliteStore

_AUDIT = ("audit", "file")


class SystemClock:
    """The machine's clocks; the event loop counts by the same monotonic one."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@dataclass(frozen=True, slots=True)
class Backends:
    """What stands behind the conversation, opened.  `logins`: the store, as logins ask it."""

    directory: OpenDirectory
    store: Store
    logins: LoginStore
    sealer: Sealer
    factors: Mapping[FactorKind, Factor]
    mailed: MailedFactor | None
    trusted: TrustedDevices
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
        store, sealer = await open_store(loaded.configuration, stack, upgrade=False)
        directory = open_directory(loaded.configuration, Shields())
        stack.push_async_callback(directory.close)
        yield backends_of(loaded.configuration, store, sealer, directory)


def backends_of(
    configuration: model.Configuration,
    store: Store,
    sealer: Sealer,
    directory: OpenDirectory,
    logins: LoginStore | None = None,
    client: str | None = None,
) -> Backends:
    """`logins`: None for the store itself.  `client`: the only one whose mailed codes count; None: all."""
    logins = logins or store
    totp_settings = configuration.factors.totp or model.Totp()
    clock, entropy = SystemClock(), SystemEntropy()
    totp = TotpFactor(sealer, totp_settings.window)
    factors, mailed = factors_of(configuration.factors, sealer, entropy, client)
    lifetime = configuration.trusted_devices.lifetime
    return Backends(
        directory=directory,
        store=store,
        logins=logins,
        sealer=sealer,
        factors=factors,
        mailed=mailed,
        trusted=TrustedDevices(logins, clock, entropy, lifetime),
        enrolment=Enrolment(store, sealer, totp, clock, entropy, enrolment_rules_of(configuration)),
        issuer=totp_settings.issuer,
        clock=clock,
        entropy=entropy,
    )


def factors_of(
    served: model.Factors, sealer: Sealer, entropy: Entropy, client: str | None = None
) -> tuple[dict[FactorKind, Factor], MailedFactor | None]:
    """The factors that are configured, and the one whose codes are mailed, where there is one.

    `client`: as in `backends_of`.
    """
    factors: dict[FactorKind, Factor] = {}
    mailed = None
    if served.totp:
        factors[FactorKind.TOTP] = TotpFactor(sealer, served.totp.window)
    if mail := served.mail:
        mailed = MailFactor(sealer, entropy, MailRules(mail.lifetime, mail.per_day, mail.cooldown), client)
        factors[FactorKind.MAIL] = mailed
    if served.recovery_codes:
        factors[FactorKind.RECOVERY_CODES] = RecoveryFactor(sealer)
    return factors, mailed


async def open_store(
    configuration: model.Configuration, stack: AsyncExitStack, *, upgrade: bool
) -> tuple[Store, AeadSealer]:
    """The store, in the newest schema version, and the seal that is the store's own.

    `upgrade`: bring an older one up to date, which is for the server to do.
    """
    keys = FollowedKeyFile(configuration.key_file, SystemClock(), configuration.challenge_lifetime)
    sealer = AeadSealer(keys)
    store = await store_of(configuration, upgrade=upgrade)
    stack.push_async_callback(store.close)
    try:
        await verify_key(store, sealer)
    except KeyFileError as wrong:
        raise KeyFileError(f"{configuration.key_file}: {wrong}") from None
    return store, sealer


async def store_of(configuration: model.Configuration, *, upgrade: bool) -> Store:
    """The store alone; asyncpg is imported where it is needed.  Raises StoreError."""
    storage = configuration.storage
    if storage.path is not None:
        return SqliteStore.open(f"sqlite:///{storage.path}", SystemClock(), upgrade=upgrade)
    from radius_mfa.stores.postgresql import PostgresqlStore

    return await PostgresqlStore.open(storage.url, password_of(configuration), SystemClock(), upgrade=upgrade)


def password_of(configuration: model.Configuration) -> str | None:
    """What the database is asked with, None for nothing."""
    secret = configuration.storage_password or configuration.storage.password
    return secret.reveal() if secret else None


def audit_of(loaded: Loaded, soon: Soon | None, meter: Meter) -> Audit:
    """Where events are told; `soon`: see `AuditFile`.  Raises ConfigurationError."""
    configured = loaded.configuration.audit
    places: list[Audit] = []
    if configured.file is not None:
        places.append(_audit_file(loaded, configured.file, soon))
    if configured.syslog is not None:
        places.append(_audit_syslog(configured.syslog, meter))
    if not places:
        return AuditLog()
    return places[0] if len(places) == 1 else Audits(places)


def _audit_syslog(to: Syslog, meter: Meter) -> Audit:
    from radius_mfa.observe.audit_syslog import AuditSyslog, Target

    target = Target(to.kind, to.path, to.host, to.port)
    return AuditSyslog(target, meter)


def _audit_file(loaded: Loaded, path: Path, soon: Soon | None) -> AuditFile:
    file = real_file(path)
    _must_have_folder(loaded, file)
    try:
        return AuditFile(file, soon, mode_of_new(file, 0o640))
    except ConfigurationError as broken:  # which names the key itself
        raise ConfigurationError(loaded.places.cite(str(broken).removeprefix("audit.file: "), *_AUDIT)) from None


def _must_have_folder(loaded: Loaded, path: Path) -> None:
    try:
        os.stat(f"{path.parent}/")
    except (FileNotFoundError, NotADirectoryError):
        text = f"{path}: its folder does not exist; make it"
        raise ConfigurationError(loaded.places.cite(text, *_AUDIT)) from None
    except OSError:  # whoever opens it says so better
        return


TellWrong = Callable[[str, str, bool, bool], None]
"""What a shield tells the other workers, with the directory's name before it."""


def tell_nobody(_directory: str, _user_id: str, _nobody: bool, _right: bool) -> None:
    """There is no other worker."""


class Shields:
    """The shields of a process, one for each directory: what they remember outlives a reload."""

    def __init__(self, tell: TellWrong = tell_nobody) -> None:
        self._tell = tell
        self._newest: dict[str, ShieldedDirectory] = {}

    def hear(self, directory: str, user_id: str, nobody: bool, right: bool) -> None:
        """What the shield of another worker tells."""
        if directory in self._newest:
            self._newest[directory].hear(user_id, nobody=nobody, right=right)

    def before(self, name: str, directory: OpenDirectory, wrong: model.WrongPasswords) -> OpenDirectory:
        """A shield before the directory of that name."""
        limits = WrongPasswords(wrong.limit, wrong.within)
        tell = partial(self._tell, name)
        shield = ShieldedDirectory(directory, SystemClock(), SystemEntropy(), limits, tell)
        if name in self._newest:
            shield.take_over(self._newest[name])
        self._newest[name] = shield
        return shield


def open_directory(configuration: model.Configuration, shields: Shields) -> OpenDirectory:
    """The static accounts, then LDAP, or the one of them there is; each behind a shield of its own."""
    directories: list[OpenDirectory] = []
    if static := configuration.directory.static:
        directories.append(shields.before("static", _static(static), static.wrong_passwords))
    if ldap := configuration.directory.ldap:
        opened = ldap_directory(ldap, ldap.servers, entry_attributes_of(configuration))
        directories.append(shields.before("ldap", opened, ldap.wrong_passwords))
    return directories[0] if len(directories) == 1 else ChainedDirectory(directories)


# argon2 and ldap3 are imported where they are needed: most servers do without the one or the other.


def _static(static: model.Static) -> OpenDirectory:
    from radius_mfa.directories.static import StaticDirectory, StaticUser

    return StaticDirectory(
        StaticUser(
            user.username,
            user.password.reveal(),
            user.groups,
            user.active,
            {name.lower(): values for name, values in user.attributes.items()},
        )
        for user in static.users
    )


def ldap_directory(ldap: model.Ldap, servers: Iterable[Server], attributes: tuple[str, ...] = ()) -> OpenDirectory:
    """The accounts at these servers, not shielded.  `attributes`: what policies return of an entry."""
    from radius_mfa.directories.ldap import LdapDirectory, LdapSettings
    from radius_mfa.directories.ldap_groups import GroupSettings
    from radius_mfa.directories.ldap_server import LdapAddress

    groups = ldap.groups
    settings = LdapSettings(
        servers=tuple(LdapAddress(server.host, server.port, server.tls) for server in servers),
        start_tls=ldap.start_tls,
        ca_file=ldap.ca_file,
        bind_dn=ldap.bind_dn,
        bind_password=ldap.bind_password.reveal().encode(),
        base_dn=ldap.base_dn,
        user_filter=ldap.user_filter,
        active_filter=ldap.active_filter,
        id_attribute=ldap.attributes.id,
        name_attribute=ldap.attributes.name,
        language_attribute=ldap.attributes.language,
        groups_attribute=ldap.attributes.groups,
        groups=GroupSettings(groups.by, groups.base_dn, groups.filter, groups.nested),
        extra_attributes=attributes,
    )
    return LdapDirectory(settings, SystemClock())


# --- trying it out ----------------------------------------------------------------------------------


async def probe_key_file(configuration: model.Configuration) -> str:
    """Read the key file.  Raises KeyFileError."""
    read_key_file(configuration.key_file)
    return "ok"


async def probe_audit(loaded: Loaded) -> str:
    """Look whether there is a folder for the audit file.  Raises ConfigurationError.

    Nothing is made, and whether it may be written is for the server's user to find out: others may ask.
    """
    path = loaded.configuration.audit.file
    if path is None:
        return "goes to the log"
    _must_have_folder(loaded, real_file(path))
    return "ok" if os.path.exists(path) else f"{path} is not there yet; the server makes it"


async def probe_store(configuration: model.Configuration) -> str:
    """Look whether the store can be opened with the key.  Raises StoreError, KeyFileError.

    Nothing is made or migrated: it would belong to whoever asks, and a running server may be older.
    """
    path = configuration.storage.path
    if path is None:
        from radius_mfa.stores.postgresql import look as look_there

        proofs = await look_there(configuration.storage.url, password_of(configuration))
    elif os.path.exists(path):  # Path.exists raises where it may not look
        proofs = look(path)
    elif os.path.isdir(path.parent):
        return f"{path} is not there yet; the server makes it"
    else:
        raise StoreError(f"{path}: its folder does not exist")
    if proofs is None:
        return "ok; the server will bring it to its schema"
    check_proofs(proofs, AeadSealer(read_key_file(configuration.key_file)))
    return "ok"


async def probe_directory(configuration: model.Configuration, username: str, patience: float) -> str:
    """Look a name up at every server, and the groups of who is not in any; open the static accounts.

    Raises DirectoryError and ConfigurationError.
    """
    if configuration.directory.static is not None:
        await _static(configuration.directory.static).close()
    ldap = configuration.directory.ldap
    failures = []
    for server in ldap.servers if ldap else ():
        assert ldap is not None  # or it had no servers
        directory = ldap_directory(ldap, [server])
        deadline = SystemClock().monotonic() + patience
        try:
            await directory.find(username, deadline)
            if ldap.groups.by != "attribute":  # or there is nothing of its own that could be wrong
                await directory.with_groups(User(username, username, ldap.base_dn), deadline)
        except DirectoryError as failure:
            failures.append(str(failure))
        finally:
            await directory.close()
    if failures:
        raise DirectoryError("; ".join(failures))
    return "ok"
