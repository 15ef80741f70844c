"""Accounts written down in the configuration: for the laboratory, for break-glass accounts, for the demo.

Passwords are kept as argon2id hashes (RFC 9106), which cost time and memory on purpose: they are
verified in threads of their own, two at a time, and never on the event loop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from radius_mfa.core import usernames
from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import fold_group
from radius_mfa.core.ports import Password

# 19 MiB, two passes, one lane: what OWASP advises where people wait for an answer.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_THREADS = 2


def hash_password(password: str) -> str:
    """What the configuration keeps of a password."""
    return _HASHER.hash(password)


@dataclass(frozen=True, slots=True)
class StaticUser:
    """An account.  `password_hash`: argon2id, as `hash_password` makes it."""

    username: str
    password_hash: str = field(repr=False)
    groups: tuple[str, ...] = ()
    active: bool = True


class StaticDirectory:
    """The `Directory` port over a few accounts.

    Raises ConfigurationError when two have the same name or one has no argon2 hash.
    """

    def __init__(self, users: Iterable[StaticUser]) -> None:
        self._users: dict[str, StaticUser] = {}
        for user in users:
            if self._users.setdefault(usernames.fold(user.username), user) is not user:
                raise ConfigurationError(f"static user {user.username}: there are two of this name")
            if not _is_hash(user.password_hash):
                raise ConfigurationError(f"static user {user.username}: the password is no argon2 hash")
        self._hash_of_nobody = hash_password(secrets.token_hex())
        self._threads = ThreadPoolExecutor(_THREADS, "argon2")

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
        )

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        """Verify the password of a user that `find` gave."""
        found = self._users.get(usernames.fold(user.handle))
        if found is None or not password:
            return Password.WRONG
        return await self._verify(found.password_hash, password, deadline)

    async def dummy_check(self, password: bytes, deadline: float) -> None:
        """Verify it as nobody's, which costs what one of `hash_password` does."""
        await self._verify(self._hash_of_nobody, password, deadline)

    async def close(self) -> None:
        """Begin no further verification; those that run end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _verify(self, password_hash: str, password: bytes, deadline: float) -> Password:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await loop.run_in_executor(self._threads, _HASHER.verify, password_hash, password)
        except VerifyMismatchError:
            return Password.WRONG
        except TimeoutError:
            raise DirectoryError("static directory: no time to verify the password") from None
        except Argon2Error as error:
            raise DirectoryError(f"static directory: the password cannot be verified: {error}") from error
        return Password.RIGHT


def _is_hash(text: str) -> bool:
    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True
