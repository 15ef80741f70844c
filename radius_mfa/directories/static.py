"""Accounts written down in the configuration: for the laboratory, for break-glass accounts, for the demo.

Passwords are kept as argon2id hashes (RFC 9106), which cost time and memory on purpose: they are
verified in threads of their own, two at a time, and never on the event loop.  Only so many wait for a
thread; whoever has gone away by the time it is free is not verified at all.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, HashingError, InvalidHashError, VerifyMismatchError

from radius_mfa.core import usernames
from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.groups import fold_group
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password

# 19 MiB, two passes, one lane: what OWASP advises where people wait for an answer.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_THREADS = 2
_MOST_CHECKS = 64  # waiting for a thread or in one: what takes seconds, not minutes


def hash_password(password: str) -> str:
    """What the configuration keeps of a password."""
    return _HASHER.hash(password)


@dataclass(frozen=True, slots=True)
class StaticUser:
    """An account.  `password_hash`: argon2id, as `hash_password` makes it.  `attributes`: names in lower case."""

    username: str
    password_hash: str = field(repr=False)
    groups: tuple[str, ...] = ()
    active: bool = True
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class StaticDirectory:
    """The `Directory` port over a few accounts.

    Raises ConfigurationError when two have the same name or one has no argon2 hash.  Belongs to one event loop.
    """

    def __init__(self, users: Iterable[StaticUser]) -> None:
        self._users: dict[str, StaticUser] = {}
        for user in users:
            if self._users.setdefault(usernames.fold(user.username), user) is not user:
                raise ConfigurationError(f"static user {user.username}: there are two of this name")
            if not _is_hash(user.password_hash):
                raise ConfigurationError(f"static user {user.username}: the password is no argon2 hash")
        self._hash_of_nobody = _hash_of_nobody(self._users.values())
        self._threads = ThreadPoolExecutor(_THREADS, "argon2")
        self._free = asyncio.Semaphore(_THREADS)
        self._checks = 0

    async def find(self, username: str, deadline: float) -> User | Outcome:
        """The account of that name, in whatever spelling."""
        del deadline  # there is nothing to wait for
        found = self._users.get(usernames.fold(username))
        if found is None:
            return Outcome.UNKNOWN_USER
        return User(
            id=f"static:{found.username}",
            username=found.username,
            handle=found.username,
            active=found.active,
            groups=frozenset(map(fold_group, found.groups)),
            attributes=found.attributes,
        )

    async def with_groups(self, user: User, deadline: float) -> User:
        """As it is: `find` has them all."""
        del deadline
        return user

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        """Verify the password of a user that `find` gave.  Raises DirectoryError, at once when too many wait."""
        found = self._users.get(usernames.fold(user.handle))
        if found is None or not password:
            return Password.WRONG
        return await self._verify(found.password_hash, password, deadline)

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        """Verify it as nobody's, which costs what the most costly account does."""
        del username  # nobody's hash is the same
        await self._verify(self._hash_of_nobody, password, deadline)

    def servers_up(self) -> Mapping[str, bool]:
        """It asks nobody."""
        return {}

    @property
    def answered(self) -> int:
        """Nothing: there is no server."""
        return 0

    async def close(self) -> None:
        """Begin no further verification; those that run end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _verify(self, password_hash: str, password: bytes, deadline: float) -> Password:
        if self._checks >= _MOST_CHECKS:
            raise DirectoryError("static directory: too busy to verify the password")
        self._checks += 1
        try:
            if asyncio.get_running_loop().time() >= deadline:
                raise TimeoutError  # a time-out would only come once a thread has begun
            async with asyncio.timeout_at(deadline):
                right = await self._in_a_thread(password_hash, password)
        except TimeoutError:
            raise DirectoryError("static directory: no time to verify the password") from None
        except Argon2Error as error:
            raise DirectoryError(f"static directory: the password cannot be verified: {error}") from error
        finally:
            self._checks -= 1
        return Password.RIGHT if right else Password.WRONG

    async def _in_a_thread(self, password_hash: str, password: bytes) -> bool:
        """Wait for a thread, and only then hand over the work: nothing waits where it cannot be taken back.

        A thread cannot be stopped: until it has ended it is not free, whoever still listens.
        """
        await self._free.acquire()
        work = asyncio.get_running_loop().run_in_executor(self._threads, _fits, password_hash, password)
        work.add_done_callback(self._ended)
        return await asyncio.shield(work)

    def _ended(self, work: asyncio.Future[bool]) -> None:
        self._free.release()
        if not work.cancelled():
            work.exception()  # whoever asked may have gone away, and nobody else looks at it


def _fits(password_hash: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerifyMismatchError:
        return False


def _hash_of_nobody(users: Iterable[StaticUser]) -> str:
    """A hash that costs what the most costly of theirs does, so that no name is told by its work."""
    costly = max(users, key=lambda user: _cost(extract_parameters(user.password_hash)), default=None)
    if costly is None:
        return hash_password(secrets.token_hex())
    cost = extract_parameters(costly.password_hash)
    hasher = PasswordHasher(cost.time_cost, cost.memory_cost, cost.parallelism, type=cost.type)
    try:
        return hasher.hash(secrets.token_hex())
    except (HashingError, OverflowError) as error:
        raise ConfigurationError(f"static user {costly.username}: the password's argon2 hash: {error}") from error


def _cost(parameters: Parameters) -> int:
    return parameters.time_cost * parameters.memory_cost


def _is_hash(text: str) -> bool:
    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True
