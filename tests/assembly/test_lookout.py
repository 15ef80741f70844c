"""Looking whether directory and store work: at a real slapd, LDAP servers that misbehave, and SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from radius_mfa.assembly.lookout import NOBODY, Lookout
from radius_mfa.core.errors import DirectoryError, StoreError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.directories.chain import ChainedDirectory, OpenDirectory
from radius_mfa.directories.ldap import LdapDirectory
from radius_mfa.directories.shield import ShieldedDirectory, WrongPasswords
from radius_mfa.directories.static import StaticDirectory, StaticUser, hash_password
from radius_mfa.observe.health import DIRECTORY, STORE, Health
from radius_mfa.observe.metered import MeteredDirectory
from radius_mfa.observe.metrics import Counts
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import Fuse, SeededEntropy, fused
from tests.directories.support import (
    BIND,
    BIND_RESPONSE,
    DONE,
    Asked,
    LoopClock,
    directory,
    found,
    peer,
    result,
    silence,
    soon,
    welcoming,
)
from tests.directories.test_shield import tell_nobody
from tests.peers.ports import free_port
from tests.peers.slapd import Slapd

NO_SUCH_OBJECT, UNWILLING = 32, 53
GLASS = StaticUser("glass", hash_password("glass"))


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with Slapd(users=4) as running:
        yield running


@pytest.fixture
def log() -> Iterator[LogCapture]:
    before, capture = structlog.get_config(), LogCapture()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    yield capture
    structlog.configure(**before)


class Post:
    """A lookout, with a directory and a store in memory.

    `metered`: the directory as logins ask it.  `following`: what takes its place once it is asked.
    """

    def __init__(self, asked: OpenDirectory, fuse: Fuse | None = None) -> None:
        clock = LoopClock()
        self.health = Health(clock)
        self.asked = asked
        self.store = SqliteStore.open("sqlite://", clock)
        self.following: OpenDirectory | None = None
        self.lookout = Lookout(self.health, self._directory, fused(self.store, fuse), clock)
        self.metered = MeteredDirectory(asked, clock, Counts(), self.health)

    def _directory(self) -> OpenDirectory:
        """The one asked, and from then on the one that follows it."""
        asked, self.asked = self.asked, self.following or self.asked
        return asked

    async def works(self) -> tuple[bool, bool]:
        """What a look says of directory and store."""
        await self.lookout.look()
        return self.health.works(DIRECTORY), self.health.works(STORE)


Watch = Callable[[Post], Awaitable[None]]


def at(server: AbstractAsyncContextManager[Any], watch: Watch, fuse: Fuse | None = None) -> None:
    """Watch over a directory (or the peer that is one), which is closed in the end."""

    async def play() -> None:
        async with server as it:
            if isinstance(it, LdapDirectory):
                await _watched(it)
            else:
                async with directory(it.address) as ldap:
                    await _watched(ldap)

    async def _watched(ldap: LdapDirectory) -> None:
        post = Post(ldap, fuse)
        try:
            await watch(post)
        finally:
            await post.store.close()

    asyncio.run(play())


def test_where_all_answer_all_works(slapd: Slapd) -> None:
    async def watch(post: Post) -> None:
        assert await post.works() == (True, True)
        assert await post.store.nodes(1.0) == []  # nobody takes the look for a server

    at(directory(slapd), watch)


def test_a_directory_that_refuses_connections_is_down(log: LogCapture) -> None:
    async def watch(post: Post) -> None:
        for _ in range(2):
            assert await post.works() == (False, True)
        said = [each for each in log.entries if each["event"] == "does_not_work"]
        assert [each["part"] for each in said] == ["directory"]  # once

    at(directory(("127.0.0.1", free_port())), watch)


def test_a_directory_that_says_nothing_is_down_within_two_seconds() -> None:
    async def watch(post: Post) -> None:
        began = asyncio.get_running_loop().time()
        assert await post.works() == (False, True)
        assert asyncio.get_running_loop().time() - began < 4

    at(peer(silence), watch)


def test_one_of_two_servers_is_enough(slapd: Slapd) -> None:
    async def watch(post: Post) -> None:
        assert await post.works() == (True, True)
        assert sorted(post.asked.servers_up().values()) == [False, True]

    at(directory(("127.0.0.1", free_port()), slapd), watch)


def test_what_it_refuses_to_tell_of_nobody_it_tells_of_nobody() -> None:
    """A base that is not there, rights that were taken away: each server is up, and of no use."""

    async def refuse(asked: Asked) -> bytes:
        return result(asked.number, DONE, NO_SUCH_OBJECT)

    async def watch(post: Post) -> None:
        assert await post.works() == (False, True)
        assert list(post.asked.servers_up().values()) == [True]

    at(peer(welcoming(refuse)), watch)


def test_an_odd_answer_about_one_user_is_no_verdict() -> None:
    async def odd(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE, UNWILLING)
        return result(asked.number, DONE, NO_SUCH_OBJECT if b"odd" in asked.octets else 0)

    async def watch(post: Post) -> None:
        assert await post.works() == (True, True)
        for _ in range(3):
            with pytest.raises(DirectoryError, match="search below"):
                await post.metered.find("odd", soon())
            assert post.health.works(DIRECTORY)
        assert await post.works() == (True, True)

    at(peer(welcoming(odd)), watch)


def test_the_shield_and_accounts_of_our_own_are_no_sign_of_the_directory(slapd: Slapd) -> None:
    async def watch(post: Post) -> None:
        clock = LoopClock()
        shield = ShieldedDirectory(post.asked, clock, SeededEntropy(), WrongPasswords(5, 900.0), tell_nobody)
        static = StaticDirectory([GLASS])
        chain = ChainedDirectory([static, shield])
        metered = MeteredDirectory(chain, clock, Counts(), post.health)
        user = await metered.find("u1", soon())
        assert isinstance(user, User)
        assert await metered.check_password(user, b"wrong", soon()) is Password.WRONG
        assert post.health.works(DIRECTORY)

        post.health.said(DIRECTORY, works=False)
        assert await metered.check_password(user, b"wrong", soon()) is Password.WRONG_AGAIN
        assert await metered.check_password(user, b"", soon()) is Password.WRONG
        await metered.with_groups(user, soon())
        glass = await metered.find("glass", soon())
        assert isinstance(glass, User)
        assert await metered.check_password(glass, b"glass", soon()) is Password.RIGHT
        assert not post.health.works(DIRECTORY)

        assert await metered.find("nobody", soon()) is Outcome.UNKNOWN_USER
        assert post.health.works(DIRECTORY)
        await static.close()

    at(directory(slapd), watch)


@pytest.mark.parametrize("call", ["facts", "note_node"])
def test_a_store_that_cannot_be_read_or_written_is_down(slapd: Slapd, call: str) -> None:
    async def watch(post: Post) -> None:
        assert await post.works() == (True, False)
        assert await post.works() == (True, True)

    at(directory(slapd), watch, Fuse(0, StoreError, call))


def test_what_nobody_has_thought_of_is_a_verdict_too_and_not_the_end(slapd: Slapd, log: LogCapture) -> None:
    async def watch(post: Post) -> None:
        assert await post.works() == (True, False)
        assert "RuntimeError" in str(log.entries)
        assert "failed on" not in str(log.entries)  # it may quote anything
        assert await post.works() == (True, True)
        assert [each["event"] for each in log.entries] == ["does_not_work", "works_again"]

    at(directory(slapd), watch, Fuse(0, RuntimeError, "facts"))


def test_a_look_at_a_directory_that_a_reload_has_closed_says_nothing_of_the_next(slapd: Slapd) -> None:
    async def watch(post: Post) -> None:
        async with directory(slapd) as following:
            assert await found(following, "u1")
            await post.asked.close()
            post.following = following
            assert await post.works() == (True, True)

    at(directory(slapd), watch)


def test_it_looks_by_itself_and_can_be_ended_while_it_does() -> None:
    async def watch(post: Post) -> None:
        looking = asyncio.ensure_future(post.lookout.keep_looking())
        async with asyncio.timeout(20):
            while not post.health.works(STORE):
                await asyncio.sleep(0)
        assert not post.health.works(DIRECTORY)  # of which nothing was heard yet
        looking.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(looking, return_exceptions=True)

    at(peer(silence), watch)


def test_the_name_is_nobodys(slapd: Slapd) -> None:
    async def watch(post: Post) -> None:
        assert await post.asked.find(NOBODY, soon()) is Outcome.UNKNOWN_USER

    at(directory(slapd), watch)
