"""What goes in and what comes out: an Access-Request, who sent it, whom it is about, and the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from radius_mfa.core.acts import Act
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.record import record
from radius_mfa.core.usernames import KEPT, Naming, fold, read

FALLBACK = "en"  # the language that has every text

_OURS = 0.9  # of the NAS's window; the rest is for the way back
_LONGEST_DELAY = 1.0  # seconds
_JITTER = 0.1  # of the delay, at most
_SUFFIX = ","  # between password and code in one field, where the profile says nothing else


class Attribute(IntEnum):
    """Attribute numbers that the code itself looks at (RFC 2865 §5, RFC 2869 §5, RFC 3579 §3, RFC 4072 §4.1)."""

    USER_NAME = 1
    USER_PASSWORD = 2
    CHAP_PASSWORD = 3
    NAS_IP_ADDRESS = 4
    NAS_PORT = 5
    REPLY_MESSAGE = 18
    STATE = 24
    VENDOR_SPECIFIC = 26
    CALLED_STATION_ID = 30
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    ACCT_SESSION_ID = 44
    EVENT_TIMESTAMP = 55
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    NAS_PORT_ID = 87
    NAS_IPV6_ADDRESS = 95
    EAP_KEY_NAME = 102


# What differs from one sending of a request to the next: Proxy-State is each proxy's own (RFC 2865 §5.33),
# Event-Timestamp says when (RFC 2869 §5.3).
DIFFERS = frozenset({Attribute.PROXY_STATE, Attribute.EVENT_TIMESTAMP})


# By which a request says which session it is for (RFC 2865 §5.5, §5.31, RFC 2866 §5.5, RFC 2869 §5.17).
SESSION = frozenset(
    {
        Attribute.NAS_PORT,
        Attribute.CALLING_STATION_ID,
        Attribute.ACCT_SESSION_ID,
        Attribute.NAS_PORT_ID,
    }
)


class Code(IntEnum):
    """Packet codes that we send or serve (RFC 2865 §4, RFC 5997)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12


class FactorKind(StrEnum):
    """The second factors, named as in the YAML.  The order is final: State keeps it as bits."""

    TOTP = "totp"
    MAIL = "mail"
    RECOVERY_CODES = "recovery_codes"


@record(frozen=True, slots=True)
class Profile:
    """How one make of gateway wants to be spoken to.

    `rounds`: answers a user may give before the login is refused.  `suffix`: one-field mode, the
    password and the code in one text: a separator, or how many digits the code has; None: the
    code is asked for with an Access-Challenge.  `shows_answer`: whether what is typed at a challenge is
    to be seen (Prompt, RFC 2869 §5.10); None: not said.  `station`: vendor, 0 for none, and number of the
    attribute that says which device the user sits at.  `towards_pap`: what to change on such a gateway
    where it sends something other than PAP.
    """

    name: str
    rounds: int = 3
    suffix: str | int | None = None
    shows_answer: bool | None = None
    station: tuple[int, int] = (0, Attribute.CALLING_STATION_ID)
    towards_pap: str = "set it to PAP"


@record(frozen=True, slots=True)
class Nas:
    """A client of ours (RFC 2865 §1.2: the NAS), by its name in the YAML; its secret stays in `wire`.

    `timeout` is the NAS's own, in seconds, and `retries` what it sends after the first try; `window`: seconds
    from the first packet until it gives up; `patience`: those of them in which we decide.  `naming`: how its users
    write their names.  `probe_users`: names, folded, with which it only asks whether we are there.
    """

    name: str
    profile: Profile
    groups: frozenset[str] = frozenset()
    timeout: float = 5.0
    retries: int = 3
    station: str = "none"
    naming: Naming = KEPT
    probe_users: frozenset[str] = frozenset()
    window: float = field(init=False, repr=False, compare=False)
    patience: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        window = self.timeout * (self.retries + 1)
        object.__setattr__(self, "window", window)
        object.__setattr__(self, "patience", window * _OURS)

    def refusal_delay(self, jitter: float) -> float:
        """Seconds from arrival until a refusal leaves.  `jitter`: 0 to 1, lest its moment tell why."""
        return min(_LONGEST_DELAY, self.timeout / 2) * (1 + _JITTER * jitter)

    def in_one_field(self) -> Nas:
        """The same, whose users type password and code in one text, whatever else it could show."""
        return replace(self, profile=replace(self.profile, suffix=self.profile.suffix or _SUFFIX))


# Not by `record`, whose `__init__` would call another one: there is one of these for each packet.
@dataclass(init=False, slots=True, unsafe_hash=True)
class AccessRequest:
    """One Access-Request, verified and decoded as far as the wire goes; nothing of it changes any more.

    `attributes` are raw octets by number, in packet order, Vendor-Specific (26) undivided;
    User-Password and Message-Authenticator are not among them.  `password`: what was recovered
    of User-Password, padding removed; None where there was none or it was malformed.  `source`:
    the sender's address and port as text; `arrived`: monotonic seconds, as is `deadline`, for the decision.
    `outer_name`: of what came through a tunnel (RFC 5281 §7.3), the User-Name outside of it; None: it came
    through none.  `said`: what is said of the login, the attributes as in a packet (RFC 2865 §5) without what
    DIFFERS.  `first`: called with the number of an attribute, the first value of it, or None.
    """

    nas: Nas
    attributes: tuple[tuple[int, bytes], ...] = field(repr=False)
    password: bytes | None = field(repr=False)
    source: str
    arrived: float
    outer_name: bytes | None = field(repr=False)
    deadline: float = field(init=False, repr=False, compare=False)
    said: bytes = field(init=False, repr=False, compare=False)
    first: Callable[[int], bytes | None] = field(init=False, repr=False, compare=False)
    _firsts: dict[int, bytes] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        nas: Nas,
        attributes: tuple[tuple[int, bytes], ...],
        password: bytes | None,
        source: str,
        arrived: float,
        packet: tuple[bytes, dict[int, bytes]] | None = None,
        outer_name: bytes | None = None,
        deadline: float | None = None,
    ) -> None:
        """`packet`: whoever has one gives `said`, and the first value of each number.

        `deadline`: None for the NAS's patience.
        """
        self.nas = nas
        self.attributes = attributes
        self.password = password
        self.source = source
        self.arrived = arrived
        self.outer_name = outer_name
        self.deadline = arrived + nas.patience if deadline is None else deadline
        self.said, self._firsts = packet or _from_packet(attributes)
        # Asked a dozen times in a login, and so asked of the dictionary itself.
        self.first = self._firsts.get

    @property
    def is_probe(self) -> bool:
        """Whether the NAS only looks whether somebody is there, by the name of nobody."""
        probe_users = self.nas.probe_users
        name = read(self.first(Attribute.USER_NAME)) if probe_users else None
        return name is not None and fold(name) in probe_users

    @property
    def eap(self) -> bytes | None:
        """The EAP packet that its EAP-Messages make up, in order (RFC 3579 §3.1); None where there is none.

        Empty: EAP-Start, whose sender wants to be asked who it is (RFC 3579 §2.1).
        """
        pieces = self.all(Attribute.EAP_MESSAGE)
        return b"".join(pieces) if pieces else None

    def firsts(self, *numbers: int) -> Iterator[bytes | None]:
        """The first value of each of them, or None."""
        return map(self.first, numbers)

    def all(self, number: int) -> tuple[bytes, ...]:
        """Every value of attribute `number`, in packet order."""
        firsts = self._firsts
        if number not in firsts:
            return ()
        if len(firsts) == len(self.attributes):  # none is there twice
            return (firsts[number],)
        return tuple([value for each, value in self.attributes if each == number])

    def values(self, vendor: int, number: int) -> tuple[bytes, ...]:
        """Every value of an attribute, a vendor's or, with 0, a standard one."""
        return self.vendor(vendor, number) if vendor else self.all(number)

    def has_any(self, numbers: frozenset[Attribute]) -> bool:
        """Whether one of those attributes is there."""
        return not numbers.isdisjoint(self._firsts)

    def vendor(self, vendor: int, number: int) -> tuple[bytes, ...]:
        """Every value of a vendor's attribute, in packet order (RFC 2865 §5.26).

        What does not follow the recommended form (1-octet type, 1-octet length) is passed over.
        """
        if Attribute.VENDOR_SPECIFIC not in self._firsts:
            return ()
        found = []
        for value in self.all(Attribute.VENDOR_SPECIFIC):
            if int.from_bytes(value[:4], "big") != vendor:
                continue
            at = 4
            while at + 2 <= len(value) and value[at + 1] >= 2 and at + value[at + 1] <= len(value):
                if value[at] == number:
                    found.append(value[at + 2 : at + value[at + 1]])
                at += value[at + 1]
        return tuple(found)


def _from_packet(attributes: tuple[tuple[int, bytes], ...]) -> tuple[bytes, dict[int, bytes]]:
    """What the wire gives with these; only what came in no packet can be longer than a length says."""
    said = [bytes((n, 2 + len(v) & 0xFF)) + v for n, v in attributes if n not in DIFFERS]
    return b"".join(said), dict(reversed(attributes))


@record(frozen=True, slots=True)
class User:
    """An entry of the directory.

    `id`: the directory's own, never reused: the key of everything we store.  `username`: the name
    as the directory spells it.  `groups`: as `policy.fold_group` leaves them.  `attributes`: what
    policies' replies ask for.  `handle`: what the directory needs to check the password (a DN).
    `lacks_groups`: some may be missing, see `Directory.with_groups`.
    """

    id: str
    username: str
    handle: str
    name: str = ""
    active: bool = True
    groups: frozenset[str] = frozenset()
    language: str = ""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lacks_groups: bool = False


@record(frozen=True, slots=True)
class ReplyAttribute:
    """An attribute of an Access-Accept by its dictionary name, its value as the YAML writes it."""

    name: str
    value: str


@record(frozen=True, slots=True)
class Message:
    """Something the user is told, as the key of a text; it becomes words outside the core."""

    key: str
    language: str = ""
    parameters: tuple[tuple[str, str], ...] = ()


@record(frozen=True, slots=True)
class Accept:
    """Access-Accept, with the policy's attributes."""

    outcome: Outcome
    attributes: tuple[ReplyAttribute, ...] = ()


@record(frozen=True, slots=True)
class Reject:
    """Access-Reject."""

    outcome: Outcome
    message: Message


@record(frozen=True, slots=True)
class Challenge:
    """Access-Challenge.  `outcome`: CHALLENGED in round one, what was wrong with the answer later."""

    outcome: Outcome
    state: bytes = field(repr=False)
    message: Message


@record(frozen=True, slots=True)
class Discard:
    """No answer at all."""

    outcome: Outcome


Decision = Accept | Reject | Challenge | Discard


@dataclass(slots=True)
class AuditEvent:
    """What one request came to, as the audit file has it; the store's login row is a part of it.

    The field names are the audit file's keys and stay as they are.  `time`: seconds since 1970.
    `login`: the same for all rounds of one login, hexadecimal.  `user_name`: as typed; `user_id`
    and `username`: the directory's.  `decision`: accept, reject, challenge or discard.  `factor`:
    what the answer was judged as.  `duration`: seconds from arrival to decision, set by the service.
    `detail`: for staff, one line, no secret.

    What is done in the portal is such an event too: `outcome` is an `Act`, `decision` is done or refused, and `by`
    who of the help desk did it, by user name, `by_id` by the directory's id; empty for the user themselves.
    """

    time: float
    outcome: Outcome | Act
    decision: str
    client: str
    source: str
    user_name: str = ""
    user_id: str = ""
    username: str = ""
    login: str = ""
    round: int = 0
    policy: str = ""
    factor: str = ""
    station: str = ""
    called_station: str = ""
    nas_address: str = ""
    nas_identifier: str = ""
    duration: float = 0.0
    detail: str = ""
    by: str = ""
    by_id: str = ""


@record(frozen=True, slots=True)
class Reply:
    """What a transport sends back: a decision put into words.

    `delayed`: hold it until the reject delay is over, counted from arrival.
    `eap`: an EAP packet (RFC 3748 §4), empty for none.  `msk`: the 64 octets that EAP has agreed on with the
    supplicant (RFC 3748 §7.10), for the NAS; `key_name`: their name (RFC 5247 §1.4), where it asks for that.
    `outcome`: why, for a transport that has a log of its own to say it in; empty where nothing was decided.
    """

    code: Code
    state: bytes | None = field(default=None, repr=False)
    messages: tuple[str, ...] = ()
    attributes: tuple[ReplyAttribute, ...] = ()
    delayed: bool = False
    eap: bytes = field(default=b"", repr=False)
    msk: bytes = field(default=b"", repr=False)
    key_name: bytes = field(default=b"", repr=False)
    outcome: str = field(default="", compare=False)
