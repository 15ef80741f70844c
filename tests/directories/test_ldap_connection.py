"""One connection: requests told apart by number, and a server that may send anything at any time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from radius_mfa.core.errors import DirectoryError
from radius_mfa.directories.ldap_connection import Answer, ConnectionLostError, LdapConnection, TooLargeError
from radius_mfa.directories.ldap_messages import (
    HOLE,
    LARGEST,
    LONGEST,
    LONGEST_ANSWER,
    SUCCESS,
    Entry,
    Result,
    Search,
)
from tests.directories.support import (
    BIND_RESPONSE,
    DONE,
    EXTENDED,
    Asked,
    Peer,
    Run,
    always,
    entry,
    message,
    peer,
    result,
    silence,
    soon,
    tlv,
)
from tests.peers.ports import free_port
from tests.peers.slapd import PEOPLE, Slapd

BY_NAME = Search(PEOPLE, f"(uid={HOLE})", ["cn"])
DISCONNECTION = tlv(0x0A, b"\x34"), tlv(0x04), tlv(0x04, b"maintenance"), tlv(0x8A, b"1.3.6.1.4.1.1466.20036")


@asynccontextmanager
async def connected(server: Peer | Slapd) -> AsyncIterator[LdapConnection]:
    connection = await LdapConnection.connect(*server.address, "ldap://it", 5)
    try:
        yield connection
    finally:
        connection.close()
        await connection.closed


async def lost(asking: Awaitable[object]) -> str:
    with pytest.raises(ConnectionLostError) as failure:
        await asking
    return str(failure.value)


def test_many_searches_share_one_connection(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with connected(slapd) as connection:
            bound = await connection.bind(slapd.bind_dn, slapd.bind_password.encode())
            assert bound.code == SUCCESS
            requests = [BY_NAME.request(b"u%d" % number) for number in range(100)]
            answers = await asyncio.gather(*map(connection.search, requests))
        expected = [
            Answer(Result(0), (Entry(f"uid=u{number},{PEOPLE}", {"cn": (b"User %d" % number,)}),))
            for number in range(100)
        ]
        assert answers == expected

    run(play)


def test_answers_in_any_order_find_their_request(run: Run) -> None:
    async def play() -> None:
        asked: list[Asked] = []

        async def answering(each: Asked) -> bytes:
            asked.append(each)
            if len(asked) < 3:
                return b""
            last_first = [each.number for each in reversed(asked)]
            entries = b"".join(entry(number, f"uid={number}") for number in last_first)
            return entries + b"".join(result(number, DONE) for number in last_first)

        async with peer(answering) as server, connected(server) as connection:
            answers = await asyncio.gather(*(connection.search(BY_NAME.request(b"x")) for _ in range(3)))
            assert [answer.entries[0].dn for answer in answers] == ["uid=1", "uid=2", "uid=3"]

    run(play)


def test_an_answer_octet_by_octet(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            waiting = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1")))
            await server.until(lambda it: len(it.asked) == 1)
            for octet in entry(1, "uid=u1", cn=b"v" * 300) + result(1, DONE):
                assert not waiting.done()
                connection.data_received(bytes((octet,)))
            assert (await waiting).entries == (Entry("uid=u1", {"cn": (b"v" * 300,)}),)

    run(play)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_all_entries_count_whether_they_come_with_the_end_or_before_it(
    run: Run, count: int, together: bool
) -> None:
    """Another entry may be there however the octets are cut: one of several is not the one."""

    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            waiting = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1")))
            await server.until(lambda it: len(it.asked) == 1)
            pieces = [entry(1, f"uid=u{number}", cn=b"v" * 130) for number in range(count)]
            last = pieces.pop() if pieces else b""
            for piece in (
                [b"".join((*pieces, last, result(1, DONE)))] if together else [*pieces, last + result(1, DONE)]
            ):
                connection.data_received(piece)
            assert len((await waiting).entries) == min(count, 2)

    run(play)


@pytest.mark.parametrize("code", [0, 49])
@pytest.mark.parametrize("piece", [1, 5, 13, 14, 15, 100])
def test_the_answer_to_a_bind_in_whatever_pieces_it_comes(run: Run, code: int, piece: int) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            for number in (1, 2):
                waiting = connection.bind("uid=alice", b"secret")
                octets = result(number, BIND_RESPONSE, code) + result(70000, BIND_RESPONSE)
                for at in range(0, len(octets), piece):
                    connection.data_received(octets[at : at + piece])
                assert await waiting == Result(code)
            assert connection.usable

    run(play)


def test_a_success_that_comes_twice_is_not_the_next_passwords(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            first = connection.bind("uid=alice", b"right")
            for _ in range(2):
                connection.data_received(result(1, BIND_RESPONSE))
            second = connection.bind("uid=alice", b"wrong")
            connection.data_received(result(1, BIND_RESPONSE))
            assert not second.done()
            connection.data_received(result(2, BIND_RESPONSE, 49))
            assert [await first, await second] == [Result(0), Result(49)]

    run(play)


def test_a_success_that_comes_after_it_was_given_up_is_nobodys(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            for forgotten in (False, True):
                asking = connection.bind("uid=alice", b"right")
                asking.cancel()
                if forgotten:
                    connection.given_up()
                connection.data_received(result(1 + forgotten, BIND_RESPONSE))
                assert asking.cancelled()
            assert connection.usable

    run(play)


def test_a_retired_connection_closes_when_the_last_who_waits_gives_up(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            asking = [connection.search(BY_NAME.request(b"u1")) for _ in range(3)]
            connection.retire("enough")
            for each in (asking[1], asking[0], asking[2]):
                assert not connection.closed.done()
                each.cancel()
                connection.given_up()
            await connection.closed
            await server.until(lambda it: it.open == 0)

    run(play)


def test_a_late_answer_is_nobodys(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.search(BY_NAME.request(b"u1")), 0.05)
            waiting = asyncio.ensure_future(connection.search(BY_NAME.request(b"u2")))
            await server.until(lambda it: len(it.asked) == 2)
            connection.data_received(entry(1, "uid=u1") + result(1, DONE))
            assert not waiting.done()
            connection.data_received(entry(2, "uid=u2") + result(2, DONE))
            connection.data_received(result(2, DONE))
            assert [each.dn for each in (await waiting).entries] == ["uid=u2"]

    run(play)


def test_who_has_waited_long_enough_goes_on_and_the_others_wait(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            patient = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1"), until=soon()))
            await server.until(lambda it: len(it.asked) == 1)
            with pytest.raises(TimeoutError):
                await connection.search(BY_NAME.request(b"u2"), until=soon(0.05))
            await server.until(lambda it: len(it.asked) == 2)
            connection.data_received(entry(2, "uid=u2") + result(2, DONE) + entry(1, "uid=u1") + result(1, DONE))
            assert [each.dn for each in (await patient).entries] == ["uid=u1"]

    run(play)


def test_an_answer_in_time_is_one_though_its_time_is_over_when_it_is_looked_at(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            asking = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1"), until=soon(0.2)))
            await server.until(lambda it: len(it.asked) == 1)
            connection.data_received(result(1, DONE))
            assert await asking == Answer(Result(0))
            assert await lost(closing(connection)) == "ldap://it: closed by us"

    run(play)


async def closing(connection: LdapConnection) -> None:
    """Ask, and close before the time is over."""
    asking = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1"), until=soon()))
    await asyncio.sleep(0)
    connection.close()
    await asking


def test_what_is_asked_in_one_turn_is_sent_in_its_order_and_none_of_it_is_lost(run: Run) -> None:
    async def play() -> None:
        async with peer(always(lambda number: result(number, DONE))) as server, connected(server) as connection:
            requests = [BY_NAME.request(b"u%d" % number) for number in range(50)]
            answers = await asyncio.gather(*map(connection.search, requests))
            assert answers == [Answer(Result(0))] * 50
            assert [each.number for each in server.asked] == list(range(1, 51))
            assert all(request in each.octets for request, each in zip(requests, server.asked, strict=True))

    run(play)


def test_what_was_not_sent_yet_when_it_closes_is_not_sent(run: Run) -> None:
    """Nothing comes after an UnbindRequest (RFC 4511 §4.3)."""

    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            asking = [asyncio.ensure_future(connection.search(BY_NAME.request(b"x"))) for _ in range(3)]
            connection.close()
            assert {await lost(each) for each in asking} == {"ldap://it: closed by us"}
            await server.until(lambda it: it.farewells == 1)
            assert not server.asked

    run(play)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_messages_in_one_piece_and_the_beginning_of_the_next(run: Run, cut: int) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            asking = [asyncio.ensure_future(connection.search(BY_NAME.request(b"x"))) for _ in range(2)]
            await server.until(lambda it: len(it.asked) == 2)
            first, second = (
                entry(number, f"uid={number}", cn=b"v" * 99) + result(number, DONE) for number in (1, 2)
            )
            connection.data_received(first + second[:cut])
            assert [each.dn for each in (await asking[0]).entries] == ["uid=1"]
            connection.data_received(second[cut:])
            assert [each.dn for each in (await asking[1]).entries] == ["uid=2"]

    run(play)


def test_rubbish_behind_an_answer_ends_the_connection_and_not_the_answer(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            asking = [asyncio.ensure_future(connection.search(BY_NAME.request(b"x"))) for _ in range(2)]
            await server.until(lambda it: len(it.asked) == 2)
            connection.data_received(result(1, DONE) + b"rubbish" + result(2, DONE))
            assert await asking[0] == Answer(Result(0))
            assert await lost(asking[1]) == "ldap://it: the server sent something that is no LDAP message"

    run(play)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server sent something that is no LDAP message"),
        (b"\x30\x84\x7f\xff\xff\xff", f"the server sent a message of more than {LARGEST} octets"),
        (b"\x30\x80", "the server sent a length of no known form"),
        (tlv(0x30), "the server sent a message without number or operation"),
        (result(1, DONE), "the server sent an answer to something else"),
        (entry(1, "uid=alice"), "the server sent an answer to something else"),
        (result(1, EXTENDED), "the server sent an answer to something else"),
        (result(1, 0x67), "the server sent an answer to something else"),
        (message(0, EXTENDED, *DISCONNECTION), "the server disconnects: unavailable (52): maintenance"),
        (result(1, BIND_RESPONSE, 49)[:-2], "the server closed the connection"),
        (b"", "the server closed the connection"),
    ],
)
def test_what_cannot_be_trusted_ends_the_connection(run: Run, octets: bytes, why: str) -> None:
    """RFC 4511 §4.1.1, §4.4.1, §5.1; only a bind's own response may say that it succeeded."""

    async def play() -> None:
        async with peer(always(lambda _: octets), curt=True) as server, connected(server) as connection:
            assert await lost(connection.bind("uid=alice", b"secret")) == f"ldap://it: {why}"
            assert not connection.usable
            assert await lost(connection.search(BY_NAME.request(b"u1"))) == f"ldap://it: {why}"

    run(play)


def test_what_is_for_nobody_is_passed_over(run: Run) -> None:
    def answer(number: int) -> bytes:
        others = [result(other, BIND_RESPONSE) for other in (0, number + 1, 70000)]
        return b"".join((*others, result(number, BIND_RESPONSE, 49)))

    async def play() -> None:
        async with peer(always(answer)) as server, connected(server) as connection:
            assert await connection.bind("uid=alice", b"secret") == Result(49)

    run(play)


def test_entries_without_end_are_not_kept(run: Run) -> None:
    """Two are as ambiguous as a thousand; the size limit was two (RFC 4511 §4.5.1.4)."""

    def answer(number: int) -> bytes:
        many = [entry(number, f"uid=alice{n}") for n in range(1000)]
        return b"".join((*many, result(number, DONE)))

    async def play() -> None:
        async with peer(always(answer)) as server, connected(server) as connection:
            got = await connection.search(BY_NAME.request(b"alice"))
            assert [each.dn for each in got.entries] == ["uid=alice0", "uid=alice1"]

    run(play)


def test_an_entry_that_is_too_large_fails_only_who_asked_for_it(run: Run) -> None:
    """Somebody may write what they like into an entry of theirs; others share the connection."""

    async def answering(request: Asked) -> bytes:
        large = b"mallory" in request.octets
        found = entry(request.number, "uid=found", cn=b"v" * (LONGEST if large else 1))
        return found + result(request.number, DONE)

    async def play() -> None:
        async with peer(answering) as server, connected(server) as connection:
            for _ in range(2):
                poison = asyncio.ensure_future(connection.search(BY_NAME.request(b"mallory")))
                got = await connection.search(BY_NAME.request(b"alice"))
                assert [each.dn for each in got.entries] == ["uid=found"]
                with pytest.raises(TooLargeError, match=f"ldap://it: an entry of more than {LONGEST} octets"):
                    await poison
            assert (connection.usable, server.connections) == (True, 1)

    run(play)


@pytest.mark.parametrize("piece", [3, 10_000, 1 << 20])
def test_it_is_passed_over_in_whatever_pieces_it_comes(run: Run, piece: int) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            asking = [asyncio.ensure_future(connection.search(BY_NAME.request(name))) for name in (b"a", b"b")]
            await server.until(lambda it: len(it.asked) == 2)
            first = server.asked[0].number
            octets = entry(first, "uid=a", cn=b"v" * LONGEST) + result(first, DONE) + result(first + 1, DONE)
            for at in range(0, len(octets), piece):
                connection.data_received(octets[at : at + piece])
            with pytest.raises(TooLargeError):
                await asking[0]
            assert (await asking[1]).result.code == SUCCESS

    run(play)


def test_an_answer_that_goes_on_and_on_is_not_kept(run: Run) -> None:
    def answer(number: int) -> bytes:
        count = LONGEST_ANSWER // 250_000 + 1
        return b"".join(entry(number, f"uid={n}", cn=b"v" * 250_000) for n in range(count))

    async def play() -> None:
        async with peer(always(answer)) as server, connected(server) as connection:
            with pytest.raises(TooLargeError, match=f"ldap://it: an answer of more than {LONGEST_ANSWER} octets"):
                await connection.search(BY_NAME.request(b"alice"), 1000)
            assert connection.usable

    run(play)


def test_rubbish_fails_all_that_wait(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            waiting = [asyncio.ensure_future(connection.search(BY_NAME.request(b"x"))) for _ in range(5)]
            await server.until(lambda it: len(it.asked) == 5)
            connection.data_received(b"rubbish")
            assert {await lost(each) for each in waiting} == {
                "ldap://it: the server sent something that is no LDAP message"
            }

    run(play)


def test_a_retired_connection_ends_what_it_has_begun(run: Run) -> None:
    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            waiting = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1")))
            await server.until(lambda it: len(it.asked) == 1)
            connection.retire("enough")
            assert await lost(connection.search(BY_NAME.request(b"u2"))) == "ldap://it: enough"
            assert not connection.closed.done()
            connection.data_received(result(1, DONE))
            assert await waiting == Answer(Result(0))
            await connection.closed
            await server.until(lambda it: it.open == 0)

    run(play)


def test_closing_says_goodbye_and_fails_what_waits(run: Run) -> None:
    """RFC 4511 §4.3."""

    async def play() -> None:
        async with peer(silence) as server, connected(server) as connection:
            waiting = asyncio.ensure_future(connection.search(BY_NAME.request(b"u1")))
            await server.until(lambda it: len(it.asked) == 1)
            connection.close()
            connection.close()
            assert await lost(waiting) == "ldap://it: closed by us"
            await connection.closed
            await server.until(lambda it: it.farewells == 1)

    run(play)


def test_nothing_listening(run: Run) -> None:
    async def play() -> None:
        for host in ("127.0.0.1", "nowhere.invalid", "a" * 64 + ".invalid"):
            with pytest.raises(DirectoryError, match=r"^ldap://it: no connection: "):
                await LdapConnection.connect(host, free_port(), "ldap://it", 5)

    run(play)


def test_a_host_that_does_not_answer(run: Run) -> None:
    """A listener whose queue is full: the kernel drops what asks for more."""

    async def play() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            try:
                with pytest.raises(DirectoryError, match=r"^ldap://it: no connection within 0\.1 s$"):
                    await LdapConnection.connect("127.0.0.1", full.getsockname()[1], "ldap://it", 0.1)
            finally:
                for filler in fillers:
                    filler.close()

    run(play)
