"""Servers that fail: passed over within the deadline, put last, and back when they answer again.

What is said in the log is what these tests wait for: that a server is down, and that it is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.ports import Password
from radius_mfa.directories.ldap_failover import PAUSES, Failover, UnfitAnswerError
from radius_mfa.directories.ldap_messages import Result, read_entry_request
from radius_mfa.directories.ldap_server import LdapAddress, LdapServer
from tests.directories.support import (
    BIND,
    BIND_RESPONSE,
    DONE,
    SEARCH,
    Address,
    Asked,
    LoopClock,
    Peer,
    Run,
    always,
    directory,
    entry,
    found,
    login,
    nobodies,
    peer,
    result,
    silence,
    soon,
    welcoming,
)
from tests.peers.ports import free_port
from tests.peers.slapd import PEOPLE, Slapd

DOWN, UP = "directory_server_down", "directory_server_up"
ALICE = User("id", "alice", "uid=alice,dc=example,dc=org")
PROBE = read_entry_request(PEOPLE.encode(), ["1.1"])


class Log(LogCapture):
    """What is logged, which can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        self._changed.set()
        return super().__call__(logger, method, event)

    @property
    def events(self) -> list[str]:
        return [each["event"] for each in self.entries]

    async def until(self, event: str) -> None:
        while event not in self.events:
            self._changed.clear()
            await self._changed.wait()


@pytest.fixture
def log() -> Iterator[Log]:
    before, capture = structlog.get_config(), Log()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    yield capture
    structlog.configure(**before)


def twin_of(slapd: Slapd, users: int = 10) -> Slapd:
    """Another server with the same accounts, whom the service binds to by the same password."""
    twin = Slapd(users=users)
    twin.bind_password = slapd.bind_password
    return twin


@asynccontextmanager
async def relay(slapd: Slapd) -> AsyncIterator[Relay]:
    it = Relay(slapd)
    server = await asyncio.start_server(it.pass_on, "127.0.0.1", 0)
    it.address = server.sockets[0].getsockname()[:2]
    try:
        yield it
    finally:
        it.cut()
        server.close()
        await server.wait_closed()


class Relay:
    """A way to a server whose connections can be cut."""

    def __init__(self, slapd: Slapd) -> None:
        self._slapd = slapd
        self._writers: list[asyncio.StreamWriter] = []
        self.address = ("", 0)

    def cut(self, number: int | None = None) -> None:
        """Break that connection, or all."""
        for writer in self._writers if number is None else self._writers[2 * number : 2 * number + 2]:
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._slapd.address)
        self._writers += [writer, back]
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while octets := await source.read(65536):
            sink.write(octets)
    except OSError:
        pass
    sink.close()


# --- one of two -----------------------------------------------------------------------------------


def test_a_server_killed_in_the_middle_of_many_logins_costs_none_of_them(run: Run) -> None:
    async def play() -> None:
        with Slapd(users=60) as first, twin_of(first, 60) as second:
            async with directory(first, second) as under_test:
                assert await login(under_test, "u0", "pw0") is Password.RIGHT
                logins = [asyncio.ensure_future(login(under_test, f"u{n}", f"pw{n}")) for n in range(60)]
                await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
                first.kill()
                assert set(await asyncio.gather(*logins)) == {Password.RIGHT}

    run(play)


def test_a_server_that_failed_is_not_waited_for_again(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with peer(silence) as silent, directory(silent.address, *nobodies(), slapd) as under_test:
            await under_test.find("u1", soon(2))
            await silent.until(lambda it: it.connections > 0)
            began = asyncio.get_running_loop().time()
            user = await under_test.find("u1", soon(80))
            assert isinstance(user, User)
            assert await under_test.check_password(user, b"pw1", soon(80)) is Password.RIGHT
            assert asyncio.get_running_loop().time() - began < 8  # its share would have been ten seconds each

    run(play)


def test_a_server_that_answers_again_is_the_first_again(run: Run, log: Log) -> None:
    async def play() -> None:
        with Slapd(users=10) as first, twin_of(first) as second:
            async with directory(first, second) as under_test:
                ours = (await found(under_test, "u1")).id
                first.kill()
                theirs = (await found(under_test, "u1")).id
                assert theirs != ours
                first.start()
                await log.until(UP)
                assert (await found(under_test, "u1")).id == ours

    run(play)
    down, up = log.entries
    assert log.events == [DOWN, UP]
    assert down["server"] == up["server"]
    assert down["why"].startswith("no connection: ")


def test_a_server_is_said_to_be_down_once(run: Run, slapd: Slapd, log: Log) -> None:
    async def play() -> None:
        nobody = ("127.0.0.1", free_port())
        async with directory(nobody, slapd) as under_test:
            ended = await asyncio.gather(*(login(under_test, f"u{n}", f"pw{n}") for n in range(20)))
            assert set(ended) == {Password.RIGHT}

    run(play)
    assert log.events == [DOWN]


def test_where_there_is_one_server_it_is_always_asked(run: Run, log: Log) -> None:
    async def play() -> None:
        with Slapd(users=3) as slapd:
            async with directory(slapd) as under_test:
                slapd.kill()
                with pytest.raises(DirectoryError):
                    await under_test.find("u1", soon())
                slapd.start()
                assert isinstance(await under_test.find("u1", soon()), User)

    run(play)
    assert log.events == [DOWN, UP]


def test_when_both_are_down_both_are_asked_each_time(run: Run) -> None:
    async def play() -> None:
        with Slapd(users=3) as first, twin_of(first) as second:
            async with directory(first, second) as under_test:
                first.kill()
                second.kill()
                for _ in range(2):
                    with pytest.raises(DirectoryError) as failure:
                        await under_test.find("u1", soon())
                    assert f":{first.port}: no connection" in str(failure.value)
                    assert f":{second.port}: no connection" in str(failure.value)
                second.start()
                assert await login(under_test, "u1", "pw1") is Password.RIGHT

    run(play)


def test_a_wrong_password_or_an_unknown_name_is_no_failure_of_a_server(run: Run, slapd: Slapd, log: Log) -> None:
    async def play() -> None:
        with twin_of(slapd) as second:
            async with directory(slapd, second) as under_test:
                assert await login(under_test, "u1", "wrong") is Password.WRONG
                await login(under_test, "nobody", "wrong")
                await login(under_test, "twins", "wrong")

    run(play)
    assert log.entries == []


# --- servers that are worse than dead ---------------------------------------------------------------


def test_a_server_that_drips_gets_its_share_of_the_time_and_no_more(run: Run, slapd: Slapd) -> None:
    """A time limit per read would begin anew with every octet."""

    async def drip(asked: Asked) -> bytes:
        await asyncio.sleep(0.05)
        return b"\x30"  # an element that never ends

    async def play() -> None:
        async with peer(drip) as dripping, directory(dripping.address, *nobodies(), slapd) as under_test:
            began = asyncio.get_running_loop().time()
            user = await under_test.find("u1", soon(6))
            assert isinstance(user, User)
            await dripping.until(lambda it: it.connections > 0)
            assert await under_test.check_password(user, b"pw1", soon(80)) is Password.RIGHT
            assert asyncio.get_running_loop().time() - began < 8

    run(play)


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x00\x05hello", b"0\x80", b"0\x84\xff\xff\xff\xff", b"SSH-2.0-x\r\n"]
)
def test_a_server_that_answers_rubbish_is_passed_over(run: Run, slapd: Slapd, rubbish: bytes) -> None:
    async def answer(_: Asked) -> bytes:
        return rubbish

    async def play() -> None:
        async with peer(answer) as server, directory(server.address, slapd) as under_test:
            assert await login(under_test, "u1", "pw1") is Password.RIGHT
            assert await login(under_test, "u1", "wrong") is Password.WRONG

    run(play)


def test_a_server_that_is_busy_is_passed_over(run: Run, slapd: Slapd) -> None:
    """busy (51) and unavailable (52) are about the server (RFC 4511 appendix A.2)."""

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE, 0 if b"cn=radius" in asked.octets else 52)
        return entry(asked.number, f"uid=u1,{PEOPLE}", entryUUID=b"1", uid=b"u1") + result(asked.number, DONE)

    async def play() -> None:
        async with peer(answer) as server, directory(server.address, slapd) as under_test:
            assert await login(under_test, "u1", "pw1") is Password.RIGHT

    run(play)


@pytest.mark.parametrize("which", [0, None], ids=["the searches'", "all"])
def test_200_logins_at_once_survive_a_connection_that_is_cut(run: Run, slapd: Slapd, which: int | None) -> None:
    async def play() -> None:
        async with relay(slapd) as there, directory(there.address, **usual(slapd)) as under_test:
            assert await login(under_test, "u0", "pw0") is Password.RIGHT
            logins = [asyncio.ensure_future(login(under_test, f"u{n}", f"pw{n}")) for n in range(200)]
            await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
            there.cut(which)
            ended = await asyncio.gather(*logins)
            assert set(ended) == {Password.RIGHT}
            assert await login(under_test, "u1", "pw1") is Password.RIGHT

    run(play)


def usual(slapd: Slapd) -> dict[str, Any]:
    return {"bind_password": slapd.bind_password.encode()}


def test_closing_ends_the_looking(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        before = asyncio.all_tasks()
        async with directory(("127.0.0.1", free_port()), slapd) as under_test:
            await under_test.find("u1", soon())
            assert len(asyncio.all_tasks() - before) == 1
        assert asyncio.all_tasks() == before

    run(play)


# --- who is down, and how it is found to be up ------------------------------------------------------


@asynccontextmanager
async def failover(*servers: Peer | Address, pauses: tuple[float, ...] = (0.01,)) -> AsyncIterator[Failover]:
    addresses = [server.address if isinstance(server, Peer) else server for server in servers]
    asked = [LdapServer(LdapAddress(*address), (Slapd.bind_dn, b"service"), 2, 5) for address in addresses]
    under_test = Failover(asked, LoopClock(), PROBE, pauses)
    try:
        yield under_test
    finally:
        await under_test.close()


async def whose(server: LdapServer) -> str:
    """Ask as a login does; by whose answer it was."""
    await server.search(PROBE)
    return server.name


def name_of(server: Peer) -> str:
    return str(LdapAddress(*server.address))


async def well(asked: Asked) -> bytes:
    return result(asked.number, BIND_RESPONSE if asked.operation == BIND else DONE)


async def broken(asked: Asked) -> bytes:
    return b"rubbish"


def test_a_server_that_is_down_is_asked_last_and_first_again_when_it_is_up(run: Run, log: Log) -> None:
    async def play() -> None:
        async with peer(broken) as first, peer(well) as second, failover(first, second) as under_test:
            for _ in range(3):
                assert await under_test.first_answer(whose, soon()) == name_of(second)
            first.answering = well
            await log.until(UP)
            assert await under_test.first_answer(whose, soon()) == name_of(first)

    run(play)
    assert log.events == [DOWN, UP]
    assert log.entries[0]["why"] == "the server sent something that is no LDAP message"


def test_a_server_is_up_only_when_a_search_has_been_answered(run: Run, log: Log) -> None:
    """That it can be connected to, and lets the service in, says little of what is behind it."""

    async def play() -> None:
        async with peer(broken) as first, peer(well) as second, failover(first, second) as under_test:
            await under_test.first_answer(whose, soon())
            first.answering = welcoming(broken)
            looked = first.connections
            await first.until(lambda it: it.connections >= looked + 3)
            assert log.events == [DOWN]
            first.answering = welcoming(well)
            await log.until(UP)

    run(play)


def test_a_look_asks_as_the_service_and_leaves_nothing_open(run: Run, log: Log) -> None:
    async def play() -> None:
        async with peer(broken) as first, peer(well) as second, failover(first, second) as under_test:
            await under_test.first_answer(whose, soon())
            before = len(first.asked)
            first.answering = well
            await log.until(UP)
            await first.until(lambda it: it.open == 0)
            assert [each.operation for each in first.asked[before:]][-2:] == [BIND, SEARCH]
            assert all(Slapd.bind_dn.encode() in each.octets for each in first.asked if each.operation == BIND)

    run(play)


def test_looks_become_rarer(run: Run, log: Log) -> None:
    """The last pause is repeated; the server's own are 1 s to 30 s."""
    assert list(PAUSES) == sorted(PAUSES)
    assert (PAUSES[0], PAUSES[-1]) == (1, 30)

    async def play() -> None:
        looks: list[float] = []

        async def answering(asked: Asked) -> bytes:
            looks.append(asyncio.get_running_loop().time())
            return b"rubbish"

        pauses = (0.02, 0.1, 0.2)
        async with (
            peer(answering) as first,
            peer(well) as second,
            failover(first, second, pauses=pauses) as under_test,
        ):
            began = asyncio.get_running_loop().time()
            await under_test.first_answer(whose, soon())
            looks.clear()
            await first.until(lambda it: len(looks) >= 4)
        for look, after in zip(looks, (0.02, 0.12, 0.32, 0.52), strict=False):
            assert look - began >= after - 0.004  # uvloop's timers go by whole milliseconds

    run(play)


def test_a_server_that_answers_though_it_was_down_is_up_at_once(run: Run, log: Log) -> None:
    """Where all are down all are asked: the first that answers need not wait until somebody looks."""

    async def play() -> None:
        async with (
            peer(broken) as first,
            peer(broken) as second,
            failover(first, second, pauses=(3600,)) as under_test,
        ):
            with pytest.raises(DirectoryError, match=r"no LDAP message; .*no LDAP message"):
                await under_test.first_answer(whose, soon())
            second.answering = well
            assert await under_test.first_answer(whose, soon()) == name_of(second)
            first.answering = well
            assert await under_test.first_answer(whose, soon()) == name_of(second)

    run(play)
    assert log.events == [DOWN, DOWN, UP]


def test_an_answer_that_is_of_no_use_is_no_failure_of_the_server(run: Run, log: Log) -> None:
    async def play() -> None:
        async with peer(well) as first, peer(well) as second, failover(first, second) as under_test:

            async def ask(server: LdapServer) -> str:
                if server.name == name_of(first):
                    raise UnfitAnswerError(f"{server.name}: of no use")
                return await whose(server)

            assert await under_test.first_answer(ask, soon()) == name_of(second)
            assert await under_test.first_answer(whose, soon()) == name_of(first)

    run(play)
    assert log.events == []


@pytest.mark.parametrize("code", [1, 8, 10, 13, 14, 50, 80, 123])
def test_what_is_refused_to_one_user_is_no_failure_of_the_server(run: Run, log: Log, code: int) -> None:
    async def play() -> None:
        answering = welcoming(always(lambda number: result(number, BIND_RESPONSE, code)))
        async with peer(answering) as first, peer(well) as second, directory(first.address, second.address) as it:
            assert await it.check_password(ALICE, b"secret", soon()) is Password.RIGHT

    run(play)
    assert log.events == []


@pytest.mark.parametrize("code", [51, 52])
def test_who_is_busy_or_unavailable_is_down(run: Run, log: Log, code: int) -> None:
    """RFC 4511 appendix A.2: these are of the server, whoever asks."""

    async def play() -> None:
        answering = welcoming(always(lambda number: result(number, BIND_RESPONSE, code)))
        async with peer(answering) as first, peer(well) as second, directory(first.address, second.address) as it:
            assert await it.check_password(ALICE, b"secret", soon()) is Password.RIGHT

    run(play)
    assert log.events == [DOWN]


@pytest.mark.parametrize("seconds", [-1.0, 0.02])
def test_who_was_given_no_time_is_not_down_for_it(run: Run, log: Log, seconds: float) -> None:
    async def play() -> None:
        async with peer(silence) as first, failover(first) as under_test:
            with pytest.raises(DirectoryError, match="no answer in time"):
                await under_test.first_answer(whose, soon(seconds))

    run(play)
    assert log.events == []


def test_who_answers_others_meanwhile_is_slow_and_not_down(run: Run, log: Log) -> None:
    async def play() -> None:
        async def answering(asked: Asked) -> bytes:
            return b"" if b"uid=slow" in asked.octets else await well(asked)

        async with peer(answering) as first, failover(first) as under_test:
            patience = asyncio.timeout(None)  # which ends once another was answered, however late that is

            async def slow(server: LdapServer, until: float) -> Result:
                async with patience:
                    return await server.bind("uid=slow", b"secret", until)

            waiting = asyncio.ensure_future(under_test.first_in_time(slow, lambda _, said: said.code, soon()))
            await first.until(lambda it: any(b"uid=slow" in each.octets for each in it.asked))
            await under_test.first_answer(whose, soon())
            patience.reschedule(soon(0))
            with pytest.raises(DirectoryError, match="no answer in time"):
                await waiting

    run(play)
    assert log.events == []


def test_what_comes_too_late_is_given_up(run: Run, log: Log) -> None:
    async def play() -> None:
        async with (
            peer(welcoming(silence)) as first,
            peer(well) as second,
            failover(first, *nobodies(), second, pauses=(3600,)) as under_test,
        ):
            assert await under_test.first_answer(whose, soon(2)) == name_of(second)
            await first.until(lambda it: it.connections > 0 and it.open == 0)

    run(play)
    assert log.entries[0]["why"] == "no answer in time"


def test_nothing_is_said_of_servers_when_the_directory_closes(run: Run, log: Log) -> None:
    async def play() -> None:
        async with peer(welcoming(silence)) as first, failover(first) as under_test:
            waiting = asyncio.ensure_future(under_test.first_answer(whose, soon()))
            await first.until(lambda it: any(each.operation == SEARCH for each in it.asked))
            await under_test.close()
            with pytest.raises(DirectoryError, match="closed by us"):
                await waiting

    run(play)
    assert log.events == []
