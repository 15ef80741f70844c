"""Accounts out of the configuration, their passwords under real argon2."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from argon2 import PasswordHasher

from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.directories.static import StaticDirectory, StaticUser, hash_password
from tests.directories.support import soon

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ALICE = StaticUser("Alice", CHEAP.hash("correct horse"), ("CN=Staff, OU=groups", "staff"))
ÉMILE = StaticUser("Émile", CHEAP.hash("pässwörd"), active=False)


def ask(play: Callable[[StaticDirectory], Awaitable[None]], *users: StaticUser) -> None:
    async def played() -> None:
        directory = StaticDirectory(users)
        try:
            await play(directory)
        finally:
            await directory.close()

    asyncio.run(played())


async def found(directory: StaticDirectory, username: str) -> User:
    user = await directory.find(username, soon())
    assert isinstance(user, User)
    return user


@pytest.mark.parametrize("typed", ["Alice", "alice", "ALICE ", "\uff21lice"])
def test_an_account_is_found_in_every_spelling(typed: str) -> None:
    async def play(directory: StaticDirectory) -> None:
        assert await directory.find(typed, soon()) == User(
            id="static:Alice",
            username="Alice",
            handle="Alice",
            groups=frozenset({"cn=staff,ou=groups", "staff"}),
        )

    ask(play, ÉMILE, ALICE)


def test_composed_and_decomposed_letters_are_the_same() -> None:
    async def play(directory: StaticDirectory) -> None:
        assert (await found(directory, "e\u0301mile")).id == "static:Émile"

    ask(play, ÉMILE)


@pytest.mark.parametrize("typed", ["bob", "", "alice2", "a*"])
def test_nobody_else_is_found(typed: str) -> None:
    async def play(directory: StaticDirectory) -> None:
        assert await directory.find(typed, soon()) is Outcome.UNKNOWN_USER

    ask(play, ALICE)


def test_who_is_not_activated_is_found_as_such() -> None:
    async def play(directory: StaticDirectory) -> None:
        assert (await found(directory, "alice")).active
        assert not (await found(directory, "émile")).active

    ask(play, ALICE, ÉMILE)


@pytest.mark.parametrize(
    ("password", "verdict"),
    [
        (b"correct horse", Password.RIGHT),
        (b"correct horse ", Password.WRONG),
        (b"correct horse\0", Password.WRONG),
        (b"Correct horse", Password.WRONG),
        (b"\xff\xfe", Password.WRONG),
        (b"x" * 10000, Password.WRONG),
        (b"", Password.WRONG),
    ],
)
def test_a_password_is_taken_to_the_octet(password: bytes, verdict: Password) -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "alice")
        assert await directory.check_password(user, password, soon()) is verdict

    ask(play, ALICE)


def test_each_account_has_its_own_password() -> None:
    async def play(directory: StaticDirectory) -> None:
        émile = await found(directory, "émile")
        assert await directory.check_password(émile, "pässwörd".encode(), soon()) is Password.RIGHT
        assert await directory.check_password(émile, b"correct horse", soon()) is Password.WRONG
        assert await directory.check_password(User("id", "bob", "bob"), b"correct horse", soon()) is Password.WRONG

    ask(play, ALICE, ÉMILE)


def test_an_empty_password_is_wrong_even_if_somebody_has_it() -> None:
    async def play(directory: StaticDirectory) -> None:
        assert await directory.check_password(await found(directory, "bob"), b"", soon()) is Password.WRONG

    ask(play, StaticUser("bob", CHEAP.hash("")))


def test_a_password_hashed_here_is_right_here() -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "bob")
        assert await directory.check_password(user, b"secret", soon()) is Password.RIGHT
        await directory.dummy_check(b"secret", soon())

    written = hash_password("secret")
    assert written.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    ask(play, StaticUser("bob", written))


def test_there_may_be_nobody_at_all() -> None:
    async def play(directory: StaticDirectory) -> None:
        assert await directory.find("alice", soon()) is Outcome.UNKNOWN_USER
        await directory.dummy_check(b"secret", soon())

    ask(play)


def test_the_loop_is_free_while_passwords_are_verified_and_the_deadline_holds() -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "slow")
        many = [asyncio.ensure_future(directory.check_password(user, b"x", soon(0.05))) for _ in range(50)]
        late = directory.dummy_check(b"x", soon(0.05))
        ended = await asyncio.gather(*many, late, return_exceptions=True)
        assert isinstance(ended[-1], DirectoryError)
        assert str(ended[-1]) == "static directory: no time to verify the password"

    slow = PasswordHasher(time_cost=2, memory_cost=16 * 1024, parallelism=1)
    ask(play, StaticUser("slow", slow.hash("secret")))


def test_a_damaged_hash_is_an_error_and_never_right() -> None:
    async def play(directory: StaticDirectory) -> None:
        with pytest.raises(DirectoryError, match="static directory: the password cannot be verified"):
            await directory.check_password(await found(directory, "bob"), b"secret", soon())

    ask(play, StaticUser("bob", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$x"))


@pytest.mark.parametrize(
    ("users", "why"),
    [
        ((ALICE, StaticUser("alice ", ALICE.password_hash)), "static user alice : there are two of this name"),
        ((ALICE, StaticUser("bob", "secret")), "static user bob: the password is no argon2 hash"),
        ((ALICE, StaticUser("bob", "")), "static user bob: the password is no argon2 hash"),
    ],
)
def test_accounts_that_cannot_work_are_refused(users: tuple[StaticUser, ...], why: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        StaticDirectory(users)
    assert str(failure.value) == why


def test_no_hash_is_ever_shown() -> None:
    assert "argon2" not in repr(ALICE)
