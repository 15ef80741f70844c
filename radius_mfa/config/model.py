"""What the administrator's YAML may say: every key of it, with its type and its default.

The names are the YAML's own.  Durations are seconds.  What a value becomes is in `values`; what
must hold between values is in `check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from radius_mfa.config import filters, policy_values, times, values
from radius_mfa.config.model_portal import Enrolment, Portal
from radius_mfa.config.profiles import GATEWAYS, GENERIC, Gateway, how_to_split
from radius_mfa.config.section import (
    LISTED,
    SOME,
    Account,
    Address,
    AttributeName,
    Bool,
    CertificateName,
    Days,
    File,
    HoursOfDay,
    LdapServer,
    MailDomain,
    Name,
    PasswordHash,
    Prefix,
    PrivateFile,
    PskKey,
    ReadableFile,
    Retries,
    SecretText,
    Section,
    SmtpServer,
    Station,
    Stored,
    Text,
    Texts,
    Timeout,
    WebAddress,
)
from radius_mfa.config.storage import Storage
from radius_mfa.config.syslog import Syslog, destination
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import SecondFactor


class Listener(Section):
    """A socket to listen on: `udp`, or `radsec` with what TLS needs.

    `idle_timeout`: how long a RadSec connection may say nothing.
    """

    udp: Address | None = None
    radsec: Address | None = None
    certificate: ReadableFile | None = None
    key: PrivateFile | None = None
    client_ca: ReadableFile | None = None
    idle_timeout: Annotated[float, PlainValidator(values.lasting("10s", "24h"))] = 600.0


class Psk(Section):
    """What a NAS shares with us instead of certificates (RFC 4279); `key` is hex digits."""

    identity: Annotated[str, PlainValidator(values.text(1, 128))]
    key: PskKey


class OwnProfile(Section):
    """A profile of the administrator's own: that of `like`, with what is said here put in its place.

    `like`: one that is shipped.  `suffix`: the character between password and code in one field, 6 for the code's
    digits right behind it, or none: the code is asked for with an Access-Challenge.  `rounds`: answers until a
    login is refused.  `shows_answer`: whether what is typed at a challenge is to be seen.
    """

    like: Name
    suffix: Annotated[str | int | None, PlainValidator(values.parsed(how_to_split))] = None
    rounds: Annotated[int, PlainValidator(values.whole(1, 10))] | None = None
    shows_answer: Bool | None = None
    timeout: Timeout | None = None
    retries: Retries | None = None

    def named(self, name: str) -> Gateway:
        """The gateway that has this profile, under that name."""
        said = {key: getattr(self, key) for key in self.model_fields_set - {"like"}}
        own = {key: said.pop(key) for key in ("timeout", "retries") if key in said}
        known = GATEWAYS[self.like]
        return replace(known, profile=replace(known.profile, name=name, **said), **own)


class Client(Section):
    """A NAS.  `secret`: one, or two while one is being replaced.

    `profile`: one that is shipped, or one of `profiles`; `timeout`, `retries`: None: its
    profile's (`Configuration.gateway_of`).
    `certificate`, `psk`: for RadSec; the exact SAN of its certificate (a name in lower case, or an address),
    or what is shared.
    `realms`: what each realm in a user's name becomes; None: see `core.usernames.Naming`.
    `probe_users`: names with which it only looks whether the server is there.
    """

    name: Name
    address: Annotated[tuple[Prefix, ...], LISTED, SOME] = ()
    secret: Annotated[tuple[SecretText, ...], LISTED, Field(min_length=1, max_length=2)] = ()
    certificate: CertificateName | None = None
    psk: Psk | None = None
    profile: Name = GENERIC
    message_authenticator: Literal["require", "auto", "off"] = "require"
    timeout: Timeout | None = None
    retries: Retries | None = None
    groups: Annotated[tuple[Name, ...], LISTED] = ()
    station: Literal["none", "mac", "ip"] = "none"
    realms: Annotated[Mapping[str, str] | None, PlainValidator(values.realms)] = None
    realm_required: Bool = False
    probe_users: Annotated[tuple[Name, ...], LISTED] = ()


class LdapAttributes(Section):
    """What the directory calls things.  `id`: exactly one value, never reused."""

    id: AttributeName = "entryUUID"
    name: AttributeName = "cn"
    language: AttributeName = "preferredLanguage"
    groups: AttributeName = "memberOf"


class LdapGroups(Section):
    """Where a user's groups are found, below `base_dn` (None: the users').  `filter` has a member's `{dn}`."""

    by: Literal["attribute", "search", "in_chain"] = "attribute"
    base_dn: Text | None = None
    filter: Annotated[str, PlainValidator(values.parsed(filters.group_filter))] = (
        "(&(objectClass=groupOfNames)(member={dn}))"
    )
    nested: Bool = False


class WrongPasswords(Section):
    """How many wrong passwords of a user reach a directory until `within` has passed since the last; 0: any."""

    limit: Annotated[int, PlainValidator(values.whole(0, 1000))] = 5
    within: Annotated[float, PlainValidator(values.lasting("1m", "7d"))] = 900.0


class Ldap(Section):
    servers: Annotated[tuple[LdapServer, ...], LISTED, SOME]
    start_tls: Bool = False
    ca_file: ReadableFile | None = None
    bind_dn: Text
    bind_password: SecretText
    base_dn: Text
    user_filter: Annotated[str, PlainValidator(values.parsed(filters.user_filter))] = "(uid={username})"
    active_filter: Annotated[str, PlainValidator(values.parsed(filters.plain_filter))] | None = None
    attributes: LdapAttributes = LdapAttributes()
    groups: LdapGroups = LdapGroups()
    wrong_passwords: WrongPasswords = WrongPasswords()
    password_url: WebAddress | None = None


class StaticUser(Section):
    """An account in the YAML itself; `password` is its argon2id hash, `attributes` what policies may return."""

    username: Annotated[str, PlainValidator(values.text(1, 57))]  # with `static:` an id, and so in State
    password: PasswordHash
    groups: Annotated[tuple[Text, ...], LISTED] = ()
    active: Bool = True
    attributes: dict[AttributeName, Texts] = Field(default_factory=dict)


class Static(Section):
    users: Annotated[tuple[StaticUser, ...], SOME]
    wrong_passwords: WrongPasswords = WrongPasswords()


class Directory(Section):
    """Where accounts are; `static` is looked at first."""

    ldap: Ldap | None = None
    static: Static | None = None


class Totp(Section):
    """`window`: steps of 30 s before and after the present one that are still right."""

    issuer: Annotated[str, PlainValidator(values.text(1, 128))] = "radius-mfa"
    window: Annotated[int, PlainValidator(values.whole(0, 10))] = 1


class Mail(Section):
    """`start_tls`: only where `smtp` is not smtps:// already.  `blocked_domains`: no address there is taken."""

    smtp: SmtpServer
    username: Text | None = None
    password: SecretText | None = None
    start_tls: Bool = True
    ca_file: ReadableFile | None = None
    sender: Annotated[str, PlainValidator(values.parsed(values.mail_address))]
    lifetime: Annotated[float, PlainValidator(values.lasting("1m", "30d"))] = 86400.0
    per_day: Annotated[int, PlainValidator(values.whole(1, 1000))] = 5
    cooldown: Annotated[float, PlainValidator(values.lasting("0s", "24h"))] = 60.0
    blocked_domains: Annotated[tuple[MailDomain, ...], LISTED] = ()


class RecoveryCodes(Section):
    count: Annotated[int, PlainValidator(values.whole(1, 100))] = 10


class Factors(Section):
    """The second factors there are; one that is absent is not offered to anybody."""

    totp: Totp | None = None
    mail: Mail | None = None
    recovery_codes: RecoveryCodes | None = None

    @property
    def kinds(self) -> frozenset[FactorKind]:
        return frozenset(kind for kind in FactorKind if getattr(self, kind) is not None)


class Lockout(Section):
    """`durations`: of one lock after another, the last one repeats."""

    failures: Annotated[int, PlainValidator(values.whole(1, 1000))] = 10
    durations: Annotated[
        tuple[Annotated[float, PlainValidator(values.lasting("1s", "365d"))], ...], LISTED, SOME
    ] = (900.0, 3600.0, 14400.0, 86400.0)
    suspend_after: Annotated[int, PlainValidator(values.whole(1, 100_000))] = 50

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.suspend_after <= self.failures:
            raise ValueError("suspend_after must be more than failures, or nobody is ever locked for a time")
        if list(self.durations) != sorted(self.durations):
            raise ValueError("durations must not get shorter: each lock lasts at least as long as the last")
        return self


class TrustedDevices(Section):
    lifetime: Annotated[float, PlainValidator(values.lasting("1h", "365d"))] = 604800.0


ByGroup = Annotated[dict[str, Texts], BeforeValidator(policy_values.by_group)]
Conditions = Annotated["When", BeforeValidator(policy_values.conditions)]


class When(Section):
    """What must hold for a policy to decide; all of it, and of each key at least one value.

    `all`, `any` and `not`: of other such mappings all, at least one, or none.
    Any other key is the name of an attribute of the request: see `attributes`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Texts] = Field(init=False)

    client: Texts | None = None
    client_group: Texts | None = None
    group: Texts | None = None
    user: Texts | None = None
    realm: Texts | None = None
    station: Annotated[tuple[Station, ...], LISTED, SOME] | None = None
    days: Annotated[tuple[Days, ...], LISTED, SOME] | None = None
    hours: Annotated[tuple[HoursOfDay, ...], LISTED, SOME] | None = None
    all: Annotated[tuple[Conditions, ...], LISTED, SOME] | None = None
    any: Annotated[tuple[Conditions, ...], LISTED, SOME] | None = None
    not_: Annotated[tuple[Conditions, ...], LISTED, SOME] | None = Field(default=None, alias="not")

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        return dict(self.__pydantic_extra__)


class Policy(Section):
    """`factors`: those that may answer its challenge; None: all there are (`Configuration.factors_of`).

    `unenrolled`: until the end of which day who has never had a second factor is let in without; None: not at all.
    `reply`: by group, "" for everybody, where the values are not the same for all.
    """

    name: Name
    when: When = When()
    second_factor: SecondFactor = SecondFactor.REQUIRED
    factors: Annotated[tuple[FactorKind, ...], LISTED, SOME] | None = None
    trust_device: Bool = False
    unenrolled: Annotated[date | None, PlainValidator(values.parsed(policy_values.unenrolled))] = None
    reply: dict[str, ByGroup] = Field(default_factory=dict)


class Eap(Section):
    """What 802.1X is served with.

    `certificate`: the server's own, its chain after it; `key`: of that, not encrypted.  `methods`: outer methods
    that are offered, the first one first.  `tls`: versions of TLS that are spoken.
    `session_lifetime`: how long after a login its TLS session may be taken up again; 0s: never.
    `identity`: which name of the user an Access-Accept tells the NAS, for its accounting.
    """

    certificate: ReadableFile
    key: PrivateFile
    methods: Annotated[tuple[Literal["ttls", "peap"], ...], LISTED, SOME] = ("ttls", "peap")
    tls: Annotated[tuple[Literal["1.2", "1.3"], ...], LISTED, SOME] = ("1.2",)
    session_lifetime: Annotated[float, PlainValidator(values.lasting("1m", "365d", or_not=True))] = 604800.0
    identity: Literal["none", "user-name", "chargeable-user-identity"] = "none"


class Metrics(Section):
    listen: Address


class Log(Section):
    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Audit(Section):
    """`file`, `syslog`: where neither is given, the events go to the log.

    `delete_rotated`: what logrotate has put beside the file goes after `retention` as well.
    """

    file: File | None = None
    syslog: Annotated[Syslog | None, PlainValidator(values.parsed(destination))] = None
    retention: Annotated[float, PlainValidator(values.lasting("1d", "3650d"))] = 7_776_000.0
    delete_rotated: Bool = False


class Configuration(Section):
    """The whole file.  `listen`: empty for what is inside of FreeRADIUS, which has the addresses and secrets."""

    listen: tuple[Listener, ...]
    workers: Annotated[int, PlainValidator(values.whole(1, 64))] = 1
    profiles: dict[Name, OwnProfile] = Field(default_factory=dict)
    dictionaries: Annotated[tuple[ReadableFile, ...], LISTED] = ()
    clients: Annotated[tuple[Client, ...], SOME]
    directory: Directory
    factors: Factors = Factors(totp=Totp())
    challenge_lifetime: Annotated[float, PlainValidator(values.lasting("1s", "1h"))] = 300.0
    lockout: Lockout = Lockout()
    enrolment: Enrolment = Enrolment()
    trusted_devices: TrustedDevices = TrustedDevices()
    storage: Stored = Storage(Path("/var/lib/radius-mfa/state.db"))
    storage_password: SecretText | None = None
    key_file: File = Path("/var/lib/radius-mfa/key")
    policies: Annotated[tuple[Policy, ...], SOME]
    contact: Annotated[str, PlainValidator(values.text(0, 200))] = ""
    messages: File | None = None
    eap: Eap | None = None
    portal: Portal | None = None
    metrics: Metrics | None = None
    log: Log = Log()
    audit: Audit = Audit()
    timezone: Annotated[ZoneInfo, PlainValidator(values.parsed(times.zone))] = ZoneInfo("UTC")
    when_directory_fails: Literal["reject", "discard"] = "reject"
    status_server: Literal["ready", "alive"] = "ready"
    user: Account | None = None

    def gateway_of(self, client: Client) -> Gateway:
        """What is known of the gateway that `client` is: its profile's, and what is said of itself."""
        own = self.profiles.get(client.profile)
        gateway = GATEWAYS[client.profile] if own is None else own.named(client.profile)
        return replace(
            gateway,
            timeout=gateway.timeout if client.timeout is None else client.timeout,
            retries=gateway.retries if client.retries is None else client.retries,
        )

    def factors_of(self, policy: Policy) -> frozenset[FactorKind]:
        """The factors that may answer a challenge of `policy`."""
        return self.factors.kinds if policy.factors is None else frozenset(policy.factors)
