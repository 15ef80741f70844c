"""What a login is asked against that is only being explained: nobody is bound, and nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from radius_mfa.assembly.backends import Shields, SystemClock, factors_of, open_directory, probe_store, store_of
from radius_mfa.config import model
from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.mailing import Mailing
from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.core.store import Judge, LoginStore, Store
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    Facts,
    NewMailCode,
    Refusal,
    Reserved,
    Settled,
    Settlement,
    Token,
)
from radius_mfa.core.trust import TrustedDevices
from radius_mfa.core.world import Ports
from radius_mfa.directories.at_once import of_each
from radius_mfa.stores.key_file import KeyFile
from radius_mfa.stores.seal import AeadSealer

_AT_ONCE = 16  # users looked up

# --- the directory ----------------------------------------------------------------------------------


class Lookup(Protocol):
    """The part of a `Directory` that knows who there is."""

    async def find(self, username: str, deadline: float) -> User | Outcome: ...

    async def with_groups(self, user: User, deadline: float) -> User: ...


class Described:
    """Where everybody is as described: in these groups, with these values in their entry."""

    def __init__(self, groups: frozenset[str], attributes: Mapping[str, tuple[str, ...]]) -> None:
        """`groups`: folded.  `attributes`: by names in lower case."""
        self._groups = groups
        self._attributes = attributes

    async def find(self, username: str, deadline: float) -> User | Outcome:
        """Whoever was asked for, activated."""
        del deadline
        return User(username, username, "", groups=self._groups, attributes=self._attributes)

    async def with_groups(self, user: User, deadline: float) -> User:
        """As they are: `find` has them all."""
        del deadline
        return user


class People:
    """The `Directory` port before another: each is looked up once, and any password is right, unasked.

    `patience`: seconds that a question may take.
    """

    def __init__(self, directory: Lookup, patience: float) -> None:
        self._directory = directory
        self.patience = patience
        self._clock = SystemClock()
        self._found: dict[str, User | Outcome] = {}

    async def look_up(self, username: str) -> User | Outcome:
        """The user with all their groups, or why there is none.  Raises DirectoryError."""
        if username not in self._found:
            deadline = self._clock.monotonic() + self.patience
            found = await self._directory.find(username, deadline)
            if isinstance(found, User) and found.active:
                found = await self._directory.with_groups(found, deadline)
            self._found[username] = found
        return self._found[username]

    async def look_up_all(self, usernames: Collection[str]) -> None:
        """Look them up several at a time, for whoever asks about them next.  Raises DirectoryError."""
        await of_each(self.look_up, usernames, _AT_ONCE)

    async def find(self, username: str, deadline: float) -> User | Outcome:
        """As looked up."""
        del deadline
        return await self.look_up(username)

    async def with_groups(self, user: User, deadline: float) -> User:
        """As they are: they were looked up with their groups."""
        del deadline
        return user

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        """Right, whatever it is: what follows is what is asked about."""
        del user, password, deadline
        return Password.RIGHT

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        """There is nothing to hide."""


@asynccontextmanager
async def people_of(
    configuration: model.Configuration, others: Sequence[model.Configuration], patience: float
) -> AsyncIterator[People]:
    """Those in the directory of `configuration`, with what the policies of `others` return as well."""
    policies = [policy for each in (configuration, *others) for policy in each.policies]
    directory = open_directory(configuration.model_copy(update={"policies": tuple(policies)}), Shields())
    try:
        yield People(directory, patience)
    finally:
        await directory.close()


# --- the store --------------------------------------------------------------------------------------


async def readable_store(configuration: model.Configuration, stack: AsyncExitStack) -> Store:
    """The store, if it can be opened as it is.  Raises StoreError and KeyFileError.

    Nothing is made or migrated, so it is looked at first.
    """
    found = await probe_store(configuration)
    if found != "ok":
        raise StoreError(found.removeprefix("ok; "))
    store = await store_of(configuration, upgrade=False)
    stack.push_async_callback(store.close)
    return store


class _Unwritten(LoginStore):
    """The part of a store that writes, and does not; what would end in an Access-Accept is refused."""

    async def spend(
        self,
        attempt: Attempt,
        reserve: Callable[[Counters], Counters | None],
        deadline: float,
        judge: Judge | None = None,
    ) -> Reserved | AnsweredBefore | Refusal | Settlement:
        del attempt, reserve, deadline, judge
        return Refusal.SPENT

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        del settlement, deadline
        return Settled.CODE_USED

    async def is_spent(self, login: bytes, round: int, deadline: float) -> bool:
        del login, round, deadline
        return True

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        del code, deadline
        return True


class Supposed(_Unwritten):
    """A store that knows one thing of everybody: `facts`.  Nobody trusts a device."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def facts(self, user_id: str, deadline: float) -> Facts:
        del deadline
        return replace(self._facts, user_id=user_id)

    async def is_trusted(
        self,
        user_id: str,
        station: str,
        scopes: Sequence[str],
        factors: Collection[FactorKind],
        now: float,
        deadline: float,
    ) -> bool:
        del user_id, station, scopes, factors, now, deadline
        return False

    async def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> int:
        del user_id, station, since, now, most, deadline
        return 0


class OnlyRead(_Unwritten):
    """A store as it is, of which nothing but what is asked for is used."""

    def __init__(self, store: LoginStore) -> None:
        self._store = store

    async def facts(self, user_id: str, deadline: float) -> Facts:
        return await self._store.facts(user_id, deadline)

    async def is_trusted(
        self,
        user_id: str,
        station: str,
        scopes: Sequence[str],
        factors: Collection[FactorKind],
        now: float,
        deadline: float,
    ) -> bool:
        return await self._store.is_trusted(user_id, station, scopes, factors, now, deadline)

    async def others_at(
        self, user_id: str, station: str, since: float, now: float, most: int, deadline: float
    ) -> int:
        return await self._store.others_at(user_id, station, since, now, most, deadline)


_NOBODY = Facts("", Counters())
NEVER_ENROLLED = Supposed(_NOBODY)
RESET = Supposed(replace(_NOBODY, required=True))
ENROLLED = Supposed(
    replace(
        _NOBODY,
        tokens=(Token("", "", "", b""),),
        mail_address="somebody@example.net",
        required=True,
        recovery_left=1,
    )
)

# --- the rest ---------------------------------------------------------------------------------------


@dataclass
class SetClock:
    """A clock whose wall time, in seconds since 1970, is set; `monotonic` is the machine's."""

    now: float = 0.0
    machine: SystemClock = field(default_factory=SystemClock)

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.machine.monotonic()


class _NoEntropy:
    """Zeros: what is explained twice reads the same, and nothing of it is ever honoured."""

    def octets(self, count: int) -> bytes:
        return bytes(count)


class _NoMailer:
    def wake(self) -> None:
        """There is nothing to deliver."""


def ports_of(configuration: model.Configuration, people: People, store: LoginStore, clock: SetClock) -> Ports:
    """The world of a conversation in which nothing happens.  What it seals opens nowhere else."""
    sealer, entropy = AeadSealer(KeyFile.new()), _NoEntropy()
    factors, mailed = factors_of(configuration.factors, sealer, entropy)
    mailing = Mailing(mailed, _NoMailer(), store, clock, entropy) if mailed else None
    trusted = TrustedDevices(store, clock, entropy, configuration.trusted_devices.lifetime)
    return Ports(people, store, factors, sealer, clock, entropy, trusted, mailing)
