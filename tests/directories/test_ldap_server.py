"""How connections to one server are shared, kept, bounded and replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories.ldap_messages import HOLE, SUCCESS, Result, Search
from radius_mfa.directories.ldap_server import LdapAddress, LdapServer
from radius_mfa.directories.ldap_tls import Tls, trust
from tests.directories.support import (
    BIND,
    BIND_RESPONSE,
    DONE,
    SEARCH,
    Address,
    Asked,
    Peer,
    Run,
    always,
    peer,
    result,
    silence,
    soon,
    welcoming,
)
from tests.peers.ports import free_port
from tests.peers.slapd import Slapd

REQUEST = Search("dc=example", f"(uid={HOLE})", ["cn"]).request(b"alice")
SERVICE = (Slapd.bind_dn, b"service")


@asynccontextmanager
async def using(server: Peer | Address, limit: int = 4) -> AsyncIterator[LdapServer]:
    address = server.address if isinstance(server, Peer) else server
    under_test = LdapServer(LdapAddress(*address), SERVICE, limit, 5)
    try:
        yield under_test
    finally:
        await under_test.close()


def binds(it: Peer) -> list[Asked]:
    return [each for each in it.asked if each.operation == BIND]


def searches(it: Peer) -> list[Asked]:
    return [each for each in it.asked if each.operation == SEARCH]


async def answering_both(asked: Asked) -> bytes:
    """Every search finds nothing; every bind is right."""
    return result(asked.number, DONE if asked.operation == SEARCH else BIND_RESPONSE)


def test_searches_share_a_connection_that_is_bound_once(run: Run) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it) as server:
            await asyncio.gather(*(server.search(REQUEST) for _ in range(20)))
            assert (it.connections, len(binds(it)), len(searches(it))) == (1, 1, 20)
            assert Slapd.bind_dn.encode() in binds(it)[0].octets

    run(play)


def test_no_more_connections_than_the_limit_try_passwords(run: Run) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it, limit=3) as server:
            results = await asyncio.gather(*(server.bind(f"uid={n}", b"secret") for n in range(50)))
            assert [each.code for each in results] == [SUCCESS] * 50
            assert it.most_open == 3

    run(play)


def test_a_connection_is_kept_for_the_next_password(run: Run) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it) as server:
            for n in range(10):
                await server.bind(f"uid={n}", b"secret")
            assert it.connections == 1

    run(play)


def test_passwords_are_never_tried_where_searches_run(run: Run) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it) as server:
            for _ in range(3):
                await server.search(REQUEST)
                await server.bind("uid=alice", b"secret")
            searching = {each.connection for each in searches(it)}
            trying = {each.connection for each in binds(it) if b"uid=alice" in each.octets}
            assert (searching, trying) == ({0}, {1})

    run(play)


def test_the_answer_to_one_password_is_never_given_to_the_next(run: Run) -> None:
    """The first bind is given up; its answer, which is yes, comes when the second is asked."""

    async def play() -> None:
        second = asyncio.Event()

        async def answering(asked: Asked) -> bytes:
            if b"uid=first" in asked.octets:
                await second.wait()
                return result(asked.number, BIND_RESPONSE)
            second.set()
            return result(asked.number, BIND_RESPONSE, 49)

        async with peer(answering) as it, using(it, limit=1) as server:
            given_up = asyncio.ensure_future(server.bind("uid=first", b"right"))
            await it.until(lambda it: len(it.asked) == 1)
            given_up.cancel()
            assert await server.bind("uid=second", b"wrong") == Result(49)
            assert it.connections == 2

    run(play)


def test_who_waits_for_a_connection_can_give_up(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as it, using(it, limit=1) as server:
            first = asyncio.ensure_future(server.bind("uid=first", b"secret"))
            await it.until(lambda it: len(it.asked) == 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.bind("uid=second", b"secret"), 0.05)
            first.cancel()
            await it.until(lambda it: it.open == 0)
            assert len(it.asked) == 1

    run(play)


def test_a_password_whose_connection_is_lost_is_tried_once_more(run: Run) -> None:
    async def play() -> None:
        async def answering(asked: Asked) -> bytes:
            if asked.connection == 0:
                it.hang_up()
                return b""
            return result(asked.number, BIND_RESPONSE, 49)

        async with peer(answering) as it, using(it) as server:
            assert await server.bind("uid=alice", b"secret") == Result(49)
            assert it.connections == 2

    run(play)


def test_a_probe_has_a_connection_of_its_own_and_wants_a_search_answered(run: Run) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it) as server:
            await server.search(REQUEST)
            await server.probe(REQUEST)
            assert [each.connection for each in binds(it)] == [0, 1]
            assert [each.connection for each in searches(it)] == [0, 1]
            await it.until(lambda it: it.open == 1)

    run(play)


@pytest.mark.parametrize("code", [51, 52])
def test_a_probe_that_is_told_to_wait_has_failed(run: Run, code: int) -> None:
    async def play() -> None:
        answering = welcoming(always(lambda number: result(number, DONE, code)))
        async with peer(answering) as it, using(it) as server:
            with pytest.raises(DirectoryError, match=rf"\({code}\)"):
                await server.probe(REQUEST)
            await it.until(lambda it: it.open == 0)

    run(play)


def test_connections_that_are_given_up_end_what_they_have_begun(run: Run) -> None:
    async def play() -> None:
        last = asyncio.Event()

        async def answering(asked: Asked) -> bytes:
            if asked.operation == SEARCH and asked.connection == 1:
                await last.wait()
            return await answering_both(asked)

        async with peer(answering) as it, using(it) as server:
            await server.bind("uid=alice", b"secret")
            searching = asyncio.ensure_future(server.search(REQUEST))
            await it.until(lambda it: len(searches(it)) == 1)
            server.give_up_connections()
            await it.until(lambda it: it.open == 1)
            last.set()
            assert (await searching).result.code == SUCCESS
            await it.until(lambda it: it.open == 0)
            await asyncio.gather(server.search(REQUEST), server.bind("uid=alice", b"secret"))
            assert it.connections == 4

    run(play)


@pytest.mark.parametrize("idle", [0, 1, 3])
def test_connections_that_the_server_closed_meanwhile_are_replaced(run: Run, idle: int) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it) as server:
            await asyncio.gather(server.search(REQUEST), *(server.bind("uid=a", b"b") for _ in range(idle)))
            it.hang_up()
            answers = await asyncio.gather(
                *(server.search(REQUEST) for _ in range(5)), *(server.bind("uid=a", b"b") for _ in range(5))
            )
            assert len(answers) == 10

    run(play)


def test_a_server_that_closes_every_connection_is_asked_twice_at_most(run: Run) -> None:
    async def play() -> None:
        async with peer(silence, curt=True) as it, using(it) as server:
            for asking in (server.search(REQUEST), server.bind("uid=alice", b"secret")):
                with pytest.raises(DirectoryError, match="the server closed the connection"):
                    await asking
            assert it.connections <= 4

    run(play)


def test_a_silent_shared_connection_is_left_to_those_who_wait_on_it(run: Run) -> None:
    """It may be dead, and it may be slow: who comes next does not have to find out."""

    async def play() -> None:
        first_search = asyncio.Event()

        async def answering(asked: Asked) -> bytes:
            if asked.connection == 0 and asked.operation == SEARCH:
                await first_search.wait()
            return await answering_both(asked)

        async with peer(answering) as it, using(it) as server:
            patient = asyncio.ensure_future(server.search(REQUEST))
            await it.until(lambda it: len(searches(it)) == 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.search(REQUEST), 0.05)
            await server.search(REQUEST)
            assert searches(it)[-1].connection == 1
            assert not patient.done()
            first_search.set()
            assert (await patient).result.code == SUCCESS
            await it.until(lambda it: it.open == 1)

    run(play)


@pytest.mark.parametrize("answered", [0, 1, 2], ids=["the service's bind", "a search", "a password"])
def test_who_says_until_when_they_wait_gets_a_timeout_then(run: Run, answered: int) -> None:
    """Whether it is a connection that does not come, an answer, or a password tried before."""

    async def play() -> None:
        answering = silence if answered == 0 else welcoming(silence)
        asking: list[asyncio.Future[Any]]
        async with peer(answering) as it, using(it, limit=1) as server:
            began = asyncio.get_running_loop().time()
            until = began + 0.1
            if answered == 2:
                asking = [asyncio.ensure_future(server.bind("uid=alice", b"secret", until)) for _ in range(2)]
            else:
                asking = [asyncio.ensure_future(server.search(REQUEST, until=until))]
            ended = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(each) for each in ended] == [TimeoutError] * len(asking)
            assert 0.095 < asyncio.get_running_loop().time() - began < 5

    run(play)


def test_a_search_that_ends_at_its_time_retires_a_silent_connection_and_a_password_closes_its_own(
    run: Run,
) -> None:
    async def play() -> None:
        async with peer(answering_both) as it, using(it) as server:
            # So that both connections are there: all of the short time is for the question.
            await server.search(REQUEST)
            await server.bind("uid=alice", b"secret")
            it.answering = silence
            with pytest.raises(TimeoutError):
                await server.search(REQUEST, until=soon(0.05))
            with pytest.raises(TimeoutError):
                await server.bind("uid=alice", b"right", soon(0.05))
            await it.until(lambda it: it.open == 0)
            it.answering = answering_both
            assert (await server.search(REQUEST, until=soon())).result.code == SUCCESS
            assert (await server.bind("uid=alice", b"secret", soon())).code == SUCCESS
            assert it.connections == 4

    run(play)


def test_a_service_that_may_not_bind_keeps_nothing_open(run: Run) -> None:
    async def play() -> None:
        async with (
            peer(always(lambda number: result(number, BIND_RESPONSE, 49, b"no"))) as it,
            using(it) as server,
        ):
            with pytest.raises(DirectoryError) as failure:
                await server.search(REQUEST)
            assert str(failure.value) == f"{server.name}: bind as {Slapd.bind_dn}: invalidCredentials (49): no"
            await it.until(lambda it: it.open == 0)

    run(play)


def test_closing_ends_all_connections_and_all_that_wait(run: Run) -> None:
    async def play() -> None:
        async with peer(welcoming(silence)) as it, using(it) as server:
            waiting = [
                asyncio.ensure_future(server.search(REQUEST)),
                asyncio.ensure_future(server.bind("uid=alice", b"secret")),
            ]
            await it.until(lambda it: len(it.asked) == 3)
            it.answering = answering_both
            await server.close()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert len(ended) == 2
            await server.close()
            await it.until(lambda it: it.open == 0)

    run(play)


def test_a_server_is_named_as_in_the_configuration() -> None:
    assert LdapServer(LdapAddress("ldap.example.org", 389), SERVICE, 1, 1).name == "ldap://ldap.example.org:389"
    assert (
        LdapServer(LdapAddress("2001:db8::1", 636, tls=True), SERVICE, 1, 1, Tls(trust(None))).name
        == "ldaps://[2001:db8::1]:636"
    )


@pytest.mark.parametrize(("first_octet", "start"), [(True, None), (True, True), (False, False)])
def test_no_name_says_tls_where_there_is_none(first_octet: bool, start: bool | None) -> None:
    tls = None if start is None else Tls(trust(None), start)
    with pytest.raises(ValueError, match="for ldaps:// and for nothing else"):
        LdapServer(LdapAddress("ldap.example.org", 636, tls=first_octet), SERVICE, 1, 1, tls)


def test_nobody_listening(run: Run) -> None:
    async def play() -> None:
        async with using(("127.0.0.1", free_port())) as server:
            for asking in (server.search(REQUEST), server.bind("uid=alice", b"secret")):
                with pytest.raises(DirectoryError, match="no connection"):
                    await asking

    run(play)
