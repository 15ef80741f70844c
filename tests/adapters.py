"""What many tests stand on: a clock that is set, randomness that repeats, and a house to log in to.

Nothing here stands in for code of ours: the store is SQLite in memory, seal and factor are the real
ones.  Only the directory is of the tests' own, since none of ours can be told to say everything a
directory may say.  A test reads as a transcript:

    with house() as it:
        it.enrol("alice")
        login = it.login("alice")
        assert login.says(PASSWORD) == "challenge challenged"
        assert login.says(it.code("alice")) == "accept accepted"
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import pyotp

from radius_mfa.core.conversation import Conversation
from radius_mfa.core.enrolment import ADDRESS, Enrolment, EnrolmentRules, Seed
from radius_mfa.core.guard import Counters, Guard
from radius_mfa.core.login import Conclusion
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import (
    AccessRequest,
    Attribute,
    AuditEvent,
    Challenge,
    FactorKind,
    Message,
    Nas,
    Profile,
    Reject,
    ReplyAttribute,
    User,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.ports import Factor, Password
from radius_mfa.core.returns import Returned, Returns, Template
from radius_mfa.core.rules import Rules
from radius_mfa.core.self_service import AllStore, SelfService, SelfServiceRules
from radius_mfa.core.signing_in import SigningIn
from radius_mfa.core.store import Store
from radius_mfa.core.stored import Facts, Mail, MailKind
from radius_mfa.core.trust import TrustedDevices
from radius_mfa.core.visits import PORTAL, Visit
from radius_mfa.core.world import Ports
from radius_mfa.factors.mail import PURPOSE, MailFactor, MailRules
from radius_mfa.factors.recovery import RecoveryFactor
from radius_mfa.factors.totp import TotpFactor, base32
from radius_mfa.stores.key_file import KeyFile
from radius_mfa.stores.seal import AeadSealer
from radius_mfa.stores.sqlite import SqliteStore

T = TypeVar("T")
P = TypeVar("P")

NOON = datetime(2026, 10, 14, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday, and the start of a TOTP step
PERIOD = 30
PASSWORD = "correct horse"

VPN = Nas("vpn", Profile("generic"))
WIFI = Nas("wifi", Profile("generic"))
COMMA = Nas("comma", Profile("one field", suffix=","))
AT_PORTAL = Nas(PORTAL, Profile("generic"))
SIX = Nas("six", Profile("one field", suffix=6))

STAFF_POLICY = Policy("staff")
MAIL_POLICY = Policy("by mail too", factors=frozenset({FactorKind.TOTP, FactorKind.MAIL}))


def always(*attributes: ReplyAttribute) -> Returns:
    """What a policy returns that returns the same to everybody."""
    return Returns(tuple(Returned(each.name, (), (Template((each.value,)),)) for each in attributes))


class FixedClock:
    """Both clocks stand still until they are moved, and then move together."""

    def __init__(self, wall: float = NOON) -> None:
        self._wall = wall
        self._monotonic = 1000.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds


class SeededEntropy:
    """The same octets in every run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def octets(self, count: int) -> bytes:
        return self._random.randbytes(count)


class Accounts:
    """A directory that can say all that a directory may say: ambiguous names, expired passwords.

    `asked` has every call, so that a test can see what never reached it.
    """

    def __init__(self, users: Mapping[str, User], password: str = PASSWORD) -> None:
        self.users: dict[str, User | Outcome] = dict(users)
        self.verdicts: dict[str, Password] = {}
        self.asked: list[tuple[str, str]] = []
        self.password = password.encode()
        self.keeps_groups_apart = True

    async def find(self, username: str, deadline: float) -> User | Outcome:
        self.asked.append(("find", username))
        found = self.users.get(username.casefold(), Outcome.UNKNOWN_USER)
        return replace(found, lacks_groups=self.keeps_groups_apart) if isinstance(found, User) else found

    async def with_groups(self, user: User, deadline: float) -> User:
        self.asked.append(("groups", user.username))
        return replace(user, lacks_groups=False)

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        self.asked.append(("check", password.decode()))
        return self.verdicts.get(user.username, Password.RIGHT) if password == self.password else Password.WRONG

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        self.asked.append(("dummy", password.decode()))


class Doorbell:
    """A `Mailer` that only counts how often it was woken."""

    def __init__(self) -> None:
        self.rung = 0

    def wake(self) -> None:
        self.rung += 1


class Fuse:
    """Blows at the call of that number, 0 the first, over all the ports it is wired into.

    `calls`: the names of those that count; empty: all.  `blown`: which one it was.
    """

    def __init__(self, at: int, error: type[Exception], *calls: str) -> None:
        self.blown = ""
        self._left = at
        self._error = error
        self._calls = calls

    def pass_through(self, call: str, quoted: object) -> None:
        if self._calls and call not in self._calls:
            return
        self._left -= 1
        if self._left == -1:
            self.blown = call
            raise self._error(f"{call} failed on {quoted!r}")  # as careless as exceptions are


class _Fused:
    def __init__(self, port: object, fuse: Fuse) -> None:
        self._port = port
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def call(*arguments: Any) -> Any:
            self._fuse.pass_through(name, arguments)
            return value(*arguments)

        return call


def fused(port: P, fuse: Fuse | None) -> P:
    """The port, with every call of it through the fuse."""
    return port if fuse is None else cast(P, _Fused(port, fuse))


class _Interleaved:
    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            await asyncio.sleep(0)
            result = await getattr(self._port, name)(*arguments)
            await asyncio.sleep(0)
            return result

        return call


def interleaved(store: Store) -> Store:
    """The store, giving way before and after each call, so that logins at once really mix."""
    return cast(Store, _Interleaved(store))


def new_sealer() -> AeadSealer:
    return AeadSealer(KeyFile.new())


def access_request(
    nas: Nas = VPN,
    user_name: str | bytes | None = "alice",
    password: str | bytes | None = PASSWORD,
    state: bytes | None = None,
    *,
    station: bytes | None = b"02-00-00-00-00-01",
    extra: Iterable[tuple[int, bytes]] = (),
    source: str = "192.0.2.1:1645",
    arrived: float = 1000.0,
    outer_name: bytes | None = None,
) -> AccessRequest:
    """An Access-Request as the wire hands it over; None leaves the attribute out."""

    def octets(value: str | bytes | None) -> bytes | None:
        return value.encode() if isinstance(value, str) else value

    said = (
        (Attribute.USER_NAME, octets(user_name)),
        (Attribute.CALLING_STATION_ID, station),
        (Attribute.STATE, state),
    )
    attributes = tuple((int(number), value) for number, value in said if value is not None)
    return AccessRequest(nas, (*attributes, *extra), octets(password), source, arrived, outer_name=outer_name)


def heard(conclusion: Conclusion) -> str:
    """What came of a request, in two words."""
    return f"{conclusion.event.decision} {conclusion.event.outcome}"


class House:
    """A conversation with all it asks of the world, on an event loop of its own.

    `users` are alice, bob and carol (who is not activated); all have the same password.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.clock = FixedClock()
        self.entropy = SeededEntropy()
        self.audit: list[AuditEvent] = []
        self.directory = Accounts({user.username: user for user in USERS})
        self.store = SqliteStore.open("sqlite://", self.clock)
        self.doorbell = Doorbell()
        self.seeds: dict[str, list[bytes]] = {}
        self._trust_lifetime = 7 * 86400.0
        self._keys = KeyFile.new()
        self._mail_of: str | None = None
        self._seal_with(self._keys)
        self._runner = asyncio.Runner()

    def _seal_with(self, keys: KeyFile) -> None:
        """All that seals or opens anything, and so the conversation."""
        self.sealer = AeadSealer(keys)
        self.totp = TotpFactor(self.sealer, window=1)
        self.mail_rules = MailRules(86400.0, per_day=5, cooldown=60.0)
        self.mail = MailFactor(self.sealer, self.entropy, self.mail_rules, self._mail_of)
        self.recovery = RecoveryFactor(self.sealer)
        life = EnrolmentRules()
        self.enrolment = Enrolment(self.store, self.sealer, self.totp, self.clock, self.entropy, life)
        self.conversation = self._conversation(self.rules)
        self.serve_themselves()

    def serve_themselves(
        self, *, store: AllStore | None = None, first: FactorKind | None = None, **rules: Any
    ) -> None:
        """The portal's part, from now on with these `SelfServiceRules`; all factors are served.

        `store`: one to ask in place of the house's own; `first`: the factor to set up before any other.
        """
        store = store or self.store
        life = EnrolmentRules(["blocked.example"], first)
        self.portal_enrolment = Enrolment(store, self.sealer, self.totp, self.clock, self.entropy, life)
        world = (self.sealer, self.clock, self.entropy, self.audit.append)
        rules = {"served": frozenset(FactorKind), **rules}
        self.self_service = SelfService(self.portal_enrolment, store, *world, SelfServiceRules(**rules))

    def signing_in(self, nas: Nas = AT_PORTAL) -> SigningIn:
        """Signing in to the portal, where a mailed code counts only if it was asked for there."""
        mail = MailFactor(self.sealer, self.entropy, self.mail_rules, PORTAL)
        rules = replace(self.rules, policies=(Policy(PORTAL, factors=frozenset(FactorKind)),))
        alone = replace(self.rules, policies=(Policy(PORTAL, second_factor=SecondFactor.NEVER),))
        asks, asks_nothing = (self._conversation(each, mail=mail) for each in (rules, alone))
        return SigningIn(asks, asks_nothing, self.directory, nas, self.clock, self.audit.append)

    def visit(self, username: str = "alice", factor: FactorKind | None = FactorKind.TOTP, **more: Any) -> Visit:
        """A visit that has begun just now; `more`: fields that are otherwise."""
        now, user = self.clock.wall(), user_named(username)
        visit = Visit(
            id=self.entropy.octets(16).hex(),
            user_id=user.id,
            username=username,
            language="en",
            factor=factor,
            desk=False,
            source="192.0.2.9:50000",
            begun=now,
            shown=now,
            seen=now,
            expires=now + 8 * 3600,
        )
        visit = replace(visit, **more)
        assert self.run(self.store.begin_visit(visit))
        return visit

    def again(self, visit: Visit) -> Visit | None:
        """The visit as the store has it now."""
        return self.run(self.store.visit(visit.id, self.clock.wall()))

    def _conversation(
        self, rules: Rules, fuse: Fuse | None = None, store: Store | None = None, mail: MailFactor | None = None
    ) -> Conversation:
        store = store or fused(self.store, fuse)
        mail = mail or self.mail
        factors: tuple[Factor, ...] = (self.totp, mail, self.recovery)
        ports = Ports(
            directory=fused(self.directory, fuse),
            store=store,
            factors={each.kind: fused(each, fuse) for each in factors},
            mailing=Mailing(fused(mail, fuse), self.doorbell, store, self.clock, self.entropy),
            trusted=TrustedDevices(store, fused(self.clock, fuse), self.entropy, self._trust_lifetime),
            sealer=fused(self.sealer, fuse),
            clock=fused(self.clock, fuse),
            entropy=fused(self.entropy, fuse),
        )
        return Conversation(ports, rules)

    def wire(self, fuse: Fuse | None) -> None:
        """From now on every call of the conversation goes through this fuse, or through none again."""
        self.conversation = self._conversation(self.rules, fuse)

    def interleave(self) -> None:
        """From now on logins asked at once mix between any two calls of the store."""
        self.conversation = self._conversation(self.rules, store=interleaved(self.store))

    def reload(self, **changes: Any) -> None:
        """A new configuration, as after SIGHUP: `Rules` with these fields changed."""
        self.rules = replace(self.rules, **changes)
        self.conversation = self._conversation(self.rules)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(main)

    def close(self) -> None:
        self.run(self.store.close())
        self._runner.close()

    # --- users ---

    def enrol(self, username: str, *, user_id: str = "", confirmed: bool = True) -> None:
        """A TOTP token for the user."""
        octets = self.enrolment.new_seed()
        seed = Seed(user_id or user_named(username).id, username, octets)
        (added,) = self.run(self.enrolment.add([seed], confirmed=confirmed))
        assert added
        self.seeds.setdefault(username, []).append(octets)

    def code(self, username: str, steps: int = 0, token: int = 0) -> str:
        """What the user's device shows, `steps` from now, by a generator that is not ours."""
        generator = pyotp.TOTP(base32(self.seeds[username][token]))
        return generator.at(int(self.clock.wall()) + steps * PERIOD)

    def register(self, username: str, address: str = "") -> None:
        """A verified address for the user."""
        user = user_named(username)
        self.run(self.store.set_mail_address(user.id, user.username, address or f"{username}@example.net"))

    def mails(self) -> list[tuple[Mail, str]]:
        """What has come into the outbox since the last time, each with its code, "" for none."""
        now = self.clock.wall()
        mails = self.run(self.store.claim_mails(now, now + 60, 100))
        for mail in mails:
            self.run(self.store.drop_mail(mail.id))
        return [(mail, self._opened(mail)) for mail in mails]

    def mailed(self) -> str:
        """The login code of the one mail with such that has come since the last time."""
        (code,) = [code for mail, code in self.mails() if mail.kind is MailKind.CODE]
        return code

    def _opened(self, mail: Mail) -> str:
        purpose = {MailKind.CODE: PURPOSE, MailKind.ADDRESS: ADDRESS}.get(mail.kind)
        if purpose is None:
            return ""
        code = self.sealer.open(purpose, mail.code, mail.user_id, mail.id)
        assert code is not None
        return code.decode()

    def wrong_codes(self, username: str, count: int) -> list[str]:
        """Different codes that no device of the user shows anywhere near now."""
        shown = {
            self.code(username, steps, token)
            for token in range(len(self.seeds[username]))
            for steps in range(-3, 4)
        }
        return [code for code in (f"{number:06}" for number in range(count + len(shown))) if code not in shown][
            :count
        ]

    def wrong_code(self, username: str) -> str:
        return self.wrong_codes(username, 1)[0]

    def facts(self, username: str) -> Facts:
        return self.run(self.store.facts(user_named(username).id, self.clock.monotonic() + 5))

    def counters(self, username: str) -> Counters:
        return self.facts(username).counters

    def user(self, username: str) -> User:
        """The directory's entry."""
        found = self.directory.users[username]
        assert isinstance(found, User)
        return found

    def spent(self) -> list[bytes]:
        """What the store has of the decisions so far."""
        return [decision for (decision,) in self.store._hot.execute("SELECT decision FROM spent_state").fetchall()]

    def swap_decisions(self) -> None:
        """Somebody who can write to the store gives both answers there are the decision of the other."""
        rows = self.store._hot.execute("SELECT login, decision FROM spent_state").fetchall()
        (one, decision), (other, others) = rows
        change = "UPDATE spent_state SET decision = ? WHERE login = ?"
        self.store._hot.executemany(change, [(others, one), (decision, other)])

    def trust_for(self, seconds: float) -> None:
        """From now on devices are trusted for so long."""
        self._trust_lifetime = seconds
        self.conversation = self._conversation(self.rules)

    def rotate_keys(self) -> None:
        """From now on another key seals, and the old one still opens."""
        self._keys = KeyFile(KeyFile.new().primary, self._keys.all)
        self._seal_with(self._keys)

    def count_mail_of(self, client: str | None) -> None:
        """From now on a mailed code counts only if it was asked for at that client; None: at any."""
        self._mail_of = client
        self._seal_with(self._keys)

    def spoil_everything(self) -> None:
        """From now on nothing opens that was sealed, as with another key file."""
        self._seal_with(KeyFile.new())

    def spoil_seeds(self) -> None:
        """From now on nothing that was sealed opens, as with another key file."""
        self.totp = TotpFactor(new_sealer(), window=1)
        self.conversation = self._conversation(self.rules)

    # --- logins ---

    async def answer(self, request: AccessRequest) -> Conclusion:
        return await self.conversation.answer(request, self.clock.monotonic() + request.nas.window)

    def ask(self, request: AccessRequest) -> Conclusion:
        return self.run(self.answer(request))

    def ask_at_once(self, requests: Sequence[AccessRequest]) -> list[Conclusion]:
        async def all_of_them() -> list[Conclusion]:
            return await asyncio.gather(*map(self.answer, requests))

        return self.run(all_of_them())

    def login(self, user_name: str | bytes | None = "alice", nas: Nas = VPN) -> Visitor:
        return Visitor(self.ask, nas, user_name)

    def challenged_by_mail(self, user_name: str = "alice", nas: Nas = VPN) -> Visitor:
        """A login whose password was right, and which waits for the code of a mail."""
        login = self.login(user_name, nas)
        assert login.says(PASSWORD) == "challenge mail_sent"
        return login

    def challenged(self, user_name: str = "alice", nas: Nas = VPN) -> Visitor:
        """A login whose password was right."""
        login = self.login(user_name, nas)
        assert login.says(PASSWORD) == "challenge challenged"
        return login


@dataclass
class Visitor:
    """One user in front of one gateway, which sends the State it was last given."""

    ask: Callable[[AccessRequest], Conclusion]
    nas: Nas
    user_name: str | bytes | None
    state: bytes | None = None
    conclusions: list[Conclusion] = field(default_factory=list)

    @property
    def last(self) -> Conclusion:
        return self.conclusions[-1]

    @property
    def message(self) -> Message:
        """What the user has just read."""
        assert isinstance(self.last.decision, Reject | Challenge)
        return self.last.decision.message

    def request(self, text: str | bytes | None, **differently: Any) -> AccessRequest:
        said = {"nas": self.nas, "user_name": self.user_name, "password": text, "state": self.state}
        return access_request(**{**said, **differently})

    def says(self, text: str | bytes | None, **differently: Any) -> str:
        """Send it with the State held; what came of it in two words."""
        self.conclusions.append(self.ask(self.request(text, **differently)))
        if isinstance(self.last.decision, Challenge):
            self.state = self.last.decision.state
        return heard(self.last)


USERS = (
    User("u-alice", "alice", "uid=alice", language="en", groups=frozenset({"staff"})),
    User("u-bob", "bob", "uid=bob", language="ja-JP"),
    User("u-carol", "carol", "uid=carol", active=False),
)


def user_named(username: str) -> User:
    return next(user for user in USERS if user.username == username)


@contextmanager
def house(
    policies: Sequence[Policy] = (STAFF_POLICY,),
    *,
    discard_when_broken: bool = False,
) -> Iterator[House]:
    """A house to log in to; States are good for 300 seconds."""
    it = House(Rules(policies, Guard(), 300.0, UTC, discard_when_broken))
    try:
        yield it
    finally:
        it.close()
