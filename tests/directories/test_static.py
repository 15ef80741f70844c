"""Accounts out of the configuration, their passwords under real argon2."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple, Unpack

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters

from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.directories import static
from radius_mfa.directories.static import StaticDirectory, StaticUser, hash_password
from tests.directories.support import soon

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ALICE = StaticUser("Alice", CHEAP.hash("correct horse"), ("CN=Staff, OU=groups", "staff"))
ÉMILE = StaticUser("Émile", CHEAP.hash("pässwörd"), active=False)
SLOW = StaticUser("slow", PasswordHasher(time_cost=2, memory_cost=16 * 1024, parallelism=1).hash("secret"))


class Observed(asyncio.SelectorEventLoop):
    """A loop that takes down which hashes are handed to threads."""

    def __init__(self) -> None:
        super().__init__()
        self.verified: list[str] = []

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        self.verified.append(next(map(str, args)))
        return super().run_in_executor(executor, func, *args)


def ask(play: Callable[[StaticDirectory], Awaitable[None]], *users: StaticUser) -> list[Parameters]:
    """Play it; what each verification cost."""
    loop = Observed()

    async def played() -> None:
        directory = StaticDirectory(users)
        try:
            await play(directory)
        finally:
            await directory.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(played())
    return [extract_parameters(password_hash) for password_hash in loop.verified]


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
        await directory.dummy_check("nobody", b"secret", soon())

    written = hash_password("secret")
    assert written.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    ask(play, StaticUser("bob", written))


def test_there_may_be_nobody_at_all() -> None:
    async def play(directory: StaticDirectory) -> None:
        assert await directory.find("alice", soon()) is Outcome.UNKNOWN_USER
        await directory.dummy_check("nobody", b"secret", soon())

    ask(play)


def test_the_loop_is_free_while_passwords_are_verified_and_the_deadline_holds() -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "slow")
        many = [asyncio.ensure_future(directory.check_password(user, b"x", soon(0.05))) for _ in range(50)]
        late = directory.dummy_check("nobody", b"x", soon(0.05))
        ended = await asyncio.gather(*many, late, return_exceptions=True)
        assert isinstance(ended[-1], DirectoryError)
        assert str(ended[-1]) == "static directory: no time to verify the password"

    ask(play, SLOW)


def test_whose_turn_comes_too_late_is_never_verified() -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "slow")
        with pytest.raises(DirectoryError, match="no time"):
            await directory.check_password(user, b"x", soon(-1))
        checks = [asyncio.ensure_future(directory.check_password(user, b"x", soon())) for _ in range(10)]
        late = [asyncio.ensure_future(directory.check_password(user, b"x", soon(-1))) for _ in range(10)]
        await asyncio.sleep(0)
        for check in checks[static._THREADS :]:
            check.cancel()
        ended = await asyncio.gather(*checks, *late, return_exceptions=True)
        assert ended[: static._THREADS] == [Password.WRONG] * static._THREADS
        assert all(isinstance(each, asyncio.CancelledError) for each in ended[static._THREADS : 10])
        assert all(isinstance(each, DirectoryError) for each in ended[10:])
        assert await directory.check_password(user, b"secret", soon()) is Password.RIGHT

    assert len(ask(play, SLOW)) == static._THREADS + 1


def test_a_thread_that_nobody_waits_for_any_more_is_not_free_before_it_has_ended() -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "slow")
        for number in (static._THREADS, 1):
            given_up = [asyncio.ensure_future(directory.check_password(user, b"x", soon())) for _ in range(number)]
            await asyncio.sleep(0)
            for check in given_up:
                check.cancel()
            await asyncio.gather(*given_up, return_exceptions=True)
        assert await directory.check_password(user, b"secret", soon()) is Password.RIGHT

    assert len(ask(play, SLOW)) == static._THREADS + 1


def test_a_flood_is_turned_away_at_once_and_leaves_nothing_behind() -> None:
    async def play(directory: StaticDirectory) -> None:
        user = await found(directory, "alice")
        flood = [directory.check_password(user, b"%d" % number, soon()) for number in range(1000)]
        ended = await asyncio.gather(*flood, return_exceptions=True)
        assert ended[: static._MOST_CHECKS] == [Password.WRONG] * static._MOST_CHECKS
        assert {str(each) for each in ended[static._MOST_CHECKS :]} == {
            "static directory: too busy to verify the password"
        }
        assert await directory.check_password(user, b"correct horse", soon()) is Password.RIGHT

    assert len(ask(play, ALICE)) == static._MOST_CHECKS + 1


@pytest.mark.parametrize("costly_first", [True, False])
def test_a_name_that_nobody_has_costs_what_the_most_costly_account_does(costly_first: bool) -> None:
    async def unknown(directory: StaticDirectory) -> None:
        await directory.dummy_check("nobody", b"secret", soon())

    async def known(directory: StaticDirectory) -> None:
        await directory.check_password(await found(directory, "costly"), b"secret", soon())

    costly = StaticUser("costly", PasswordHasher(time_cost=3, memory_cost=64, parallelism=2).hash("x"))
    wide = StaticUser("wide", PasswordHasher(time_cost=1, memory_cost=128, parallelism=1).hash("x"))
    users = [costly, wide, ALICE] if costly_first else [ALICE, wide, costly]
    (of_nobody,), (of_somebody,) = ask(unknown, *users), ask(known, *users)
    assert (of_nobody.time_cost, of_nobody.memory_cost, of_nobody.parallelism) == (3, 64, 2)
    assert (of_somebody.time_cost, of_somebody.memory_cost, of_somebody.parallelism) == (3, 64, 2)


def test_where_there_is_nobody_a_name_costs_what_a_hash_made_here_does() -> None:
    async def unknown(directory: StaticDirectory) -> None:
        await directory.dummy_check("nobody", b"secret", soon())

    assert ask(unknown) == [extract_parameters(hash_password("x"))]


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
        (
            (ALICE, StaticUser("bob", "$argon2id$v=19$m=64,t=1,p=9$c29tZXNhbHQ$c29tZXNhbHQ")),
            "static user bob: the password's argon2 hash: Memory cost is too small",
        ),
        (
            (ALICE, StaticUser("bob", "$argon2id$v=19$m=9999999999,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ")),
            "static user bob: the password's argon2 hash: integer 9999999999 does not fit '32-bit unsigned int'",
        ),
    ],
)
def test_accounts_that_cannot_work_are_refused(users: tuple[StaticUser, ...], why: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        StaticDirectory(users)
    assert str(failure.value) == why


def test_no_hash_is_ever_shown() -> None:
    assert "argon2" not in repr(ALICE)
