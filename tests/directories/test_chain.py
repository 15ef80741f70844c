"""Static accounts before a real OpenLDAP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace

import pytest

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Directory, Password
from radius_mfa.directories.chain import ChainedDirectory, _called
from radius_mfa.directories.static import StaticDirectory, StaticUser, hash_password
from tests.directories.support import Address, directory, soon
from tests.peers.ports import free_port
from tests.peers.slapd import Slapd

BREAK_GLASS = StaticUser("u1", hash_password("glass"))
INACTIVE = StaticUser("u3", BREAK_GLASS.password_hash, active=False)


@asynccontextmanager
async def chained(server: Slapd | Address) -> AsyncIterator[Directory]:
    async with directory(server) as ldap:
        chain = ChainedDirectory([StaticDirectory([BREAK_GLASS, INACTIVE]), ldap])
        try:
            yield chain
        finally:
            await chain.close()


async def login(chain: Directory, username: str, password: bytes) -> Password | Outcome:
    user = await chain.find(username, soon())
    return user if isinstance(user, Outcome) else await chain.check_password(user, password, soon())


def test_a_name_belongs_to_the_first_that_knows_it(slapd: Slapd) -> None:
    async def play() -> None:
        async with chained(slapd) as chain:
            assert await login(chain, "u1", b"glass") is Password.RIGHT
            assert await login(chain, "u1", b"pw1") is Password.WRONG
            assert await login(chain, "u2", b"pw2") is Password.RIGHT
            assert await login(chain, "u2", b"glass") is Password.WRONG
            assert await login(chain, "nobody", b"glass") is Outcome.UNKNOWN_USER
            inactive = await chain.find("u3", soon())
            assert isinstance(inactive, User)
            assert (inactive.id, inactive.active) == ("static:u3", False)
            await chain.dummy_check("nobody", b"glass", soon())

    asyncio.run(play())


def test_all_that_a_directory_knows_of_a_user_comes_out_of_the_chain(slapd: Slapd) -> None:
    """The user differs from the directory's own by the handle, and in nothing else."""

    async def play() -> None:
        async with directory(
            slapd,
            active_filter="(employeeType=active)",
            language_attribute="uid",
            groups_attribute="cn",
            extra_attributes=("uid",),
        ) as ldap:
            chain = ChainedDirectory([StaticDirectory([BREAK_GLASS]), ldap])
            theirs, user = [await each.find("inactive", soon()) for each in (ldap, chain)]
            assert isinstance(theirs, User)
            assert isinstance(user, User)
            usual = User("", "", "")
            assert [
                each.name for each in fields(User) if getattr(theirs, each.name) == getattr(usual, each.name)
            ] == ["lacks_groups"]
            assert replace(user, handle=theirs.handle) == theirs
            assert _called(replace(theirs, lacks_groups=True), "0:").lacks_groups
            assert await chain.with_groups(user, soon()) == user
            await chain.close()

    asyncio.run(play())


def test_the_glass_can_be_broken_while_the_directory_is_down() -> None:
    async def play() -> None:
        async with chained(("127.0.0.1", free_port())) as chain:
            assert await login(chain, "u1", b"glass") is Password.RIGHT
            with pytest.raises(DirectoryError):
                await login(chain, "u2", b"pw2")

    asyncio.run(play())


def test_what_is_wrong_with_a_name_in_one_directory_is_not_mended_by_the_next(slapd: Slapd) -> None:
    async def play() -> None:
        async with (
            directory(slapd, user_filter="(employeeType={username})") as ambiguous,
            directory(slapd, user_filter="(|(uid=u1)(uid={username}))") as certain,
        ):
            chain = ChainedDirectory([ambiguous, certain])
            assert await chain.find("active", soon()) is Outcome.AMBIGUOUS_USER

    asyncio.run(play())
