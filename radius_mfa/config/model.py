"""What the administrator's YAML may say: every key of it, with its type and its default.

The names are the YAML's own.  Durations are seconds.  What a value becomes is in `values`; what
must hold between values is in `check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    model_validator,
)

from radius_mfa.config import filters, values
from radius_mfa.config.storage import Storage, storage
from radius_mfa.config.values import Endpoint, Hours, Network, Secret, Server
from radius_mfa.core.messages import FactorKind, Profile, ReplyAttribute
from radius_mfa.core.policy import SecondFactor

PROFILES = {
    "generic": Profile("generic"),
    "one-field": Profile("one-field", suffix=","),
    "one-field-6": Profile("one-field-6", suffix=6),
}


def _located(value: object, info: ValidationInfo) -> Path:
    """A path, from the folder of the YAML file on."""
    return _folder(info) / values.parsed(values.path)(value)


def _stored(value: object, info: ValidationInfo) -> Storage:
    return values.parsed(storage)(value).seen_from(_folder(info))


def _folder(info: ValidationInfo) -> Path:
    return info.context["folder"] if info.context else Path()


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"there is no profile {{it}}; there are {', '.join(PROFILES)}")
    return PROFILES[name]


_LIST = BeforeValidator(values.listed)
_SOME = Field(min_length=1)

Bool = Annotated[bool, PlainValidator(values.boolean)]
Text = Annotated[str, PlainValidator(values.text())]
Texts = Annotated[tuple[Text, ...], _LIST, _SOME]
Name = Annotated[str, PlainValidator(values.text(1, 64))]  # in octets: names travel in State
SecretText = Annotated[Secret, PlainValidator(values.secret)]
PasswordHash = Annotated[Secret, PlainValidator(values.secret), AfterValidator(values.argon2id)]
PskKey = Annotated[Secret, PlainValidator(values.secret), AfterValidator(values.psk_key)]
File = Annotated[Path, PlainValidator(_located)]
ReadableFile = Annotated[Path, PlainValidator(_located), AfterValidator(values.readable_file)]
PrivateFile = Annotated[Path, PlainValidator(_located), AfterValidator(values.private_file)]
Address = Annotated[Endpoint, PlainValidator(values.parsed(values.endpoint))]
Prefix = Annotated[Network, PlainValidator(values.parsed(values.network))]
CertificateName = Annotated[str, PlainValidator(values.parsed(values.certificate_name))]
WebAddress = Annotated[str, PlainValidator(values.parsed(values.web_address))]
LdapServer = Annotated[Server, PlainValidator(values.parsed(values.server("ldap", "ldaps")))]
SmtpServer = Annotated[Server, PlainValidator(values.parsed(values.server("smtp", "smtps")))]
AttributeName = Annotated[str, PlainValidator(values.parsed(values.attribute_name))]
MailDomain = Annotated[str, PlainValidator(values.parsed(values.mail_domain))]
Days = Annotated[frozenset[int], PlainValidator(values.parsed(values.days))]
HoursOfDay = Annotated[Hours, PlainValidator(values.parsed(values.hours))]


class Section(BaseModel):
    """A mapping of the YAML: no key but its own, and unchangeable once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


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


class Client(Section):
    """A NAS.  `secret`: one, or two while one is being replaced.

    `certificate`, `psk`: for RadSec; the exact SAN of its certificate (a name in lower case, or an address),
    or what is shared.
    `realms`: what each realm in a user's name becomes; None: see `core.usernames.Naming`.
    `probe_users`: names with which it only looks whether the server is there.
    """

    name: Name
    address: Annotated[tuple[Prefix, ...], _LIST, _SOME] = ()
    secret: Annotated[tuple[SecretText, ...], _LIST, Field(min_length=1, max_length=2)] = ()
    certificate: CertificateName | None = None
    psk: Psk | None = None
    profile: Annotated[Profile, PlainValidator(values.parsed(_profile))] = PROFILES["generic"]
    message_authenticator: Literal["require", "auto", "off"] = "require"
    timeout: Annotated[float, PlainValidator(values.lasting("100ms", "60s"))] = 5.0
    retries: Annotated[int, PlainValidator(values.whole(0, 20))] = 3
    groups: Annotated[tuple[Name, ...], _LIST] = ()
    station: Literal["none", "mac", "ip"] = "none"
    realms: Annotated[Mapping[str, str] | None, PlainValidator(values.realms)] = None
    realm_required: Bool = False
    probe_users: Annotated[tuple[Name, ...], _LIST] = ()

    @property
    def window(self) -> float:
        """Seconds from the first packet until the NAS gives up."""
        return self.timeout * (self.retries + 1)


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
    servers: Annotated[tuple[LdapServer, ...], _LIST, _SOME]
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
    """An account in the YAML itself; `password` is its argon2id hash."""

    username: Annotated[str, PlainValidator(values.text(1, 57))]  # with `static:` an id, and so in State
    password: PasswordHash
    groups: Annotated[tuple[Text, ...], _LIST] = ()
    active: Bool = True


class Static(Section):
    users: Annotated[tuple[StaticUser, ...], _SOME]
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
    blocked_domains: Annotated[tuple[MailDomain, ...], _LIST] = ()


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
        tuple[Annotated[float, PlainValidator(values.lasting("1s", "365d"))], ...], _LIST, _SOME
    ] = (900.0, 3600.0, 14400.0, 86400.0)
    suspend_after: Annotated[int, PlainValidator(values.whole(1, 100_000))] = 50

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.suspend_after <= self.failures:
            raise ValueError("suspend_after must be more than failures, or nobody is ever locked for a time")
        if list(self.durations) != sorted(self.durations):
            raise ValueError("durations must not get shorter: each lock lasts at least as long as the last")
        return self


class Enrolment(Section):
    """What, besides the password, a first enrolment needs."""

    order: Literal["totp-first", "mail-first"] = "totp-first"
    networks: Annotated[tuple[Prefix, ...], _LIST] = ()
    voucher: Bool = True


class TrustedDevices(Section):
    lifetime: Annotated[float, PlainValidator(values.lasting("1h", "365d"))] = 604800.0


class When(Section):
    """What must hold for a policy to decide; all of it, and of each key at least one value.

    Any other key is the name of an attribute of the request: see `attributes`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Texts] = Field(init=False)

    client: Texts | None = None
    client_group: Texts | None = None
    group: Texts | None = None
    user: Texts | None = None
    realm: Texts | None = None
    station: Texts | None = None
    days: Annotated[tuple[Days, ...], _LIST, _SOME] | None = None
    hours: Annotated[tuple[HoursOfDay, ...], _LIST, _SOME] | None = None

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        return dict(self.__pydantic_extra__)


class Policy(Section):
    """`factors`: those that may answer its challenge; None: all there are (`Configuration.factors_of`)."""

    name: Name
    when: When = When()
    second_factor: SecondFactor = SecondFactor.REQUIRED
    factors: Annotated[tuple[FactorKind, ...], _LIST, _SOME] | None = None
    trust_device: Bool = False
    reply: dict[str, Texts] = {}

    @property
    def reply_attributes(self) -> tuple[ReplyAttribute, ...]:
        return tuple(ReplyAttribute(name, each) for name, several in self.reply.items() for each in several)


class Eap(Section):
    certificate: ReadableFile
    key: PrivateFile
    methods: Annotated[tuple[Literal["ttls", "peap"], ...], _LIST, _SOME] = ("ttls", "peap")
    tls: Annotated[tuple[Literal["1.2", "1.3"], ...], _LIST, _SOME] = ("1.2",)
    session_lifetime: Annotated[float, PlainValidator(values.lasting("1m", "365d"))] = 604800.0


class Portal(Section):
    listen: Address
    url: WebAddress


class Metrics(Section):
    listen: Address


class Log(Section):
    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Audit(Section):
    """`file`: None: the events go to the log."""

    file: File | None = None
    retention: Annotated[float, PlainValidator(values.lasting("1d", "3650d"))] = 7_776_000.0


class Configuration(Section):
    """The whole file."""

    listen: Annotated[tuple[Listener, ...], _SOME]
    workers: Annotated[int, PlainValidator(values.whole(1, 64))] = 1
    clients: Annotated[tuple[Client, ...], _SOME]
    directory: Directory
    factors: Factors = Factors(totp=Totp())
    challenge_lifetime: Annotated[float, PlainValidator(values.lasting("1s", "1h"))] = 300.0
    lockout: Lockout = Lockout()
    enrolment: Enrolment = Enrolment()
    trusted_devices: TrustedDevices = TrustedDevices()
    storage: Annotated[Storage, PlainValidator(_stored)] = Storage(Path("/var/lib/radius-mfa/state.db"))
    storage_password: SecretText | None = None
    key_file: File = Path("/var/lib/radius-mfa/key")
    policies: Annotated[tuple[Policy, ...], _SOME]
    contact: Annotated[str, PlainValidator(values.text(0, 200))] = ""
    messages: File | None = None
    eap: Eap | None = None
    portal: Portal | None = None
    metrics: Metrics | None = None
    log: Log = Log()
    audit: Audit = Audit()
    timezone: Annotated[ZoneInfo, PlainValidator(values.parsed(values.zone))] = ZoneInfo("UTC")
    when_directory_fails: Literal["reject", "discard"] = "reject"
    status_server: Literal["ready", "alive"] = "ready"
    user: Annotated[str, PlainValidator(values.text(1, 32))] | None = None

    def factors_of(self, policy: Policy) -> frozenset[FactorKind]:
        """The factors that may answer a challenge of `policy`."""
        return self.factors.kinds if policy.factors is None else frozenset(policy.factors)


def keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that may stand in the mapping at `path`; none where it is not one of fixed keys."""
    section: Any = Configuration
    for part in path:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part) if section else None
        section = _section_in(field.annotation) if field else None
    return tuple(section.model_fields) if section else ()


def _section_in(annotation: Any) -> type[Section] | None:
    """The section inside `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inside = (_section_in(each) for each in getattr(annotation, "__args__", ()))
    return next(filter(None, inside), None)
