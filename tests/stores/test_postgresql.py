"""What is PostgreSQL's own: servers that stop, crash, say nothing, or are not what they should be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.stored import AnsweredBefore, Reserved, Settled, TotpStep
from radius_mfa.stores.postgresql import PostgresqlStore, look
from radius_mfa.stores.postgresql_together import lock_number
from tests.adapters import NOON
from tests.peers.certificates import Authority
from tests.peers.postgresql import Postgresql, shared
from tests.peers.proxy import Proxy
from tests.stores.postgresql import new_url
from tests.stores.support import (
    ALICE,
    BOB,
    Asked,
    Contender,
    SystemClock,
    asked,
    attempt,
    count,
    new_token,
    settlement,
)
from tests.stores.test_mail import ADDRESS, new_code

CLOCK = SystemClock()


def opening(url: str, password: str | None = None) -> Callable[[Any], Coroutine[Any, Any, PostgresqlStore]]:
    return lambda clock: PostgresqlStore.open(url, password, clock)


@pytest.fixture(scope="module")
def own() -> Iterator[Postgresql]:
    """A server that may be stopped."""
    with Postgresql() as server:
        yield server


@pytest.fixture
def stoppable(own: Postgresql) -> Iterator[Asked]:
    """A store there."""
    with asked(opening(own.url(own.new_database())), CLOCK) as it:
        yield it


@pytest.fixture
def url() -> str:
    """Of a store on a server that all tests share."""
    return new_url()


@pytest.fixture
def it(url: str) -> Iterator[Asked]:
    with asked(opening(url), CLOCK) as it:
        yield it


# --- a server that stops --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_server_that_was_restarted_is_asked_as_before(own: Postgresql, stoppable: Asked, how: str) -> None:
    stoppable.spend(attempt(1))

    end(own, how)
    own.start()

    assert isinstance(stoppable.spend(attempt(2)), Reserved)
    assert stoppable.counters() == Counters(2, 2)


def end(server: Postgresql, how: str) -> None:
    if how == "kill":
        server.kill()
    else:
        server.stop("fast" if how == "fast" else "immediate")


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_server_stopped_and_started_under_load_loses_nothing(
    own: Postgresql, stoppable: Asked, how: str
) -> None:
    """Each login is counted once, whether or not what it had written was cut off."""
    users = [f"u-{number}" for number in range(20)]
    done = dict.fromkeys(users, 0)

    async def logins(user: str) -> None:
        for number in range(users.index(user), 1 << 20, len(users)):
            one = attempt(number, user_id=user)
            assert isinstance(await stoppable.store.spend(one, count_only, stoppable.soon()), Reserved)
            end = settlement(one)
            assert await stoppable.store.settle(end, stoppable.soon()) in (Settled.DONE, answered(end.decision))
            done[user] += 1
            if done[user] > enough[user]:
                return

    enough = dict.fromkeys(users, 1 << 20)

    async def stop_and_start() -> None:
        while min(done.values()) < 2:
            await asyncio.sleep(0)
        await asyncio.to_thread(end, own, how)
        await asyncio.to_thread(own.start)
        enough.update({user: many + 1 for user, many in done.items()})

    async def all_at_once() -> None:
        await asyncio.gather(stop_and_start(), *map(logins, users))

    stoppable.run(all_at_once())
    assert {user: stoppable.counters(user).failures for user in users} == done


def count_only(counters: Counters) -> Counters:
    return Counters(counters.failures + 1)


def answered(decision: bytes) -> AnsweredBefore:
    return AnsweredBefore(decision)


def test_a_server_that_stays_away_is_an_error_by_the_deadline(own: Postgresql, stoppable: Asked) -> None:
    own.stop()
    try:
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"could not be read or written in time \(.*[Cc]onnect"):
            stoppable.run(stoppable.store.facts(ALICE, began + 1))
        assert 0.5 < time.monotonic() - began < 4
    finally:
        own.start()
    assert stoppable.counters() == Counters()


def test_a_login_waits_for_a_server_that_comes_back(own: Postgresql, stoppable: Asked) -> None:
    own.stop()

    async def meanwhile() -> object:
        login = asyncio.create_task(stoppable.store.spend(attempt(), count, stoppable.soon()))
        await asyncio.to_thread(own.start)
        back = time.monotonic()
        spent = await login
        assert time.monotonic() - back < 5
        return spent

    assert isinstance(stoppable.run(meanwhile()), Reserved)


def test_a_server_that_stands_still_is_an_error_by_the_deadline(own: Postgresql, stoppable: Asked) -> None:
    stoppable.spend(attempt(1))

    own.freeze()
    try:
        for seconds in (0.5, 3):  # on a connection that is held, and on new ones
            began = time.monotonic()
            with pytest.raises(StoreError, match=r"could not be read or written in time \(no answer\)$"):
                stoppable.run(stoppable.store.spend(attempt(2), count, began + seconds))
            assert time.monotonic() - began < seconds + 3
    finally:
        own.thaw()
    assert isinstance(stoppable.spend(attempt(3)), Reserved)


# --- connections that are cut -----------------------------------------------------------------------


@pytest.fixture
def cuttable() -> Iterator[tuple[Asked, Proxy]]:
    """A store, and the way to it."""
    url, proxy = new_url(), Proxy(shared().port)

    async def open_(clock: Any) -> PostgresqlStore:
        await proxy.start()
        return await PostgresqlStore.open(url.replace(f":{shared().port}/", f":{proxy.port}/"), None, clock)

    with asked(open_, CLOCK) as it:
        it.add(new_token())
        it.run(it.store.set_mail_address(ALICE, "alice", ADDRESS))
        yield it, proxy
        it.run(it.store.close())
        it.run(proxy.close())


COMMIT, BEGIN = b"COMMIT\0", b"BEGIN ISOLATION"


@pytest.mark.parametrize("answered", [True, False], ids=["committed", "not committed"])
class TestAnUnknownCommit:
    """What a login does is done once, whatever became of the answer to its COMMIT."""

    def lose(self, proxy: Proxy, answered: bool) -> None:
        proxy.cut_at, proxy.answered = COMMIT, answered

    def test_of_a_state_that_was_spent(self, cuttable: tuple[Asked, Proxy], answered: bool) -> None:
        it, proxy = cuttable
        self.lose(proxy, answered)

        assert isinstance(it.spend(attempt()), Reserved)
        assert (it.counters(), proxy.cuts) == (Counters(1, 1), 1)

    def test_of_a_code_that_was_used(self, cuttable: tuple[Asked, Proxy], answered: bool) -> None:
        it, proxy = cuttable
        it.spend(attempt())
        self.lose(proxy, answered)

        end = settlement(attempt(), TotpStep("t1", 7, 0), cleared)
        assert it.settle(end) == (AnsweredBefore(end.decision) if answered else Settled.DONE)
        assert (it.last_step(), proxy.cuts) == (7, 1)

    def test_of_a_mailed_code(self, cuttable: tuple[Asked, Proxy], answered: bool) -> None:
        it, proxy = cuttable
        self.lose(proxy, answered)

        assert it.run(it.store.issue_mail_code(new_code(), it.soon()))
        assert ([code.id for code in it.facts().mail_codes], proxy.cuts) == (["c1"], 1)

    def test_is_reported_where_doing_it_again_would_be_something_else(
        self, cuttable: tuple[Asked, Proxy], answered: bool
    ) -> None:
        it, proxy = cuttable
        self.lose(proxy, answered)

        with pytest.raises(StoreError, match=r"; it may have been written or not$"):
            it.add(new_token(2))
        assert (len(it.facts().tokens), proxy.cuts) == (2 if answered else 1, 1)


def test_what_was_cut_before_its_commit_is_done_again(cuttable: tuple[Asked, Proxy]) -> None:
    it, proxy = cuttable
    proxy.cut_at = BEGIN

    assert it.add(new_token(2)) == [True]
    assert proxy.cuts == 1


def test_a_connection_that_says_nothing_any_more_is_given_up_for_a_new_one(cuttable: tuple[Asked, Proxy]) -> None:
    """As after the server's machine has lost its power: nobody closes what it had open."""
    it, proxy = cuttable

    async def many() -> list[object]:
        some = [attempt(number, user_id=f"u-{number}") for number in range(20)]
        return await asyncio.gather(*(it.store.spend(each, count, it.clock.monotonic() + 4) for each in some))

    it.run(many())
    proxy.silence()
    assert all(isinstance(each, Reserved) for each in it.run(many()))


# --- many at once -----------------------------------------------------------------------------------


def test_many_tasks_share_a_few_connections(url: str, it: Asked) -> None:
    async def crowd() -> list[object]:
        alice = [it.store.spend(attempt(number), count_only, it.soon()) for number in range(200)]
        others = [it.store.facts(f"u-{number}", it.soon()) for number in range(200)]
        return await asyncio.gather(*alice, *others)

    assert len(it.run(crowd())) == 400
    assert it.counters() == Counters(200)
    of_ours = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database(url)}'"
    assert 1 < int(shared().execute(of_ours)[0]) <= 8


def database(url: str) -> str:
    return urlsplit(url).path[1:]


def test_who_finds_no_connection_free_by_the_deadline_is_told_so(url: str, it: Asked) -> None:
    async def play() -> object:
        async with locked(url, "LOCK user_counters IN ACCESS EXCLUSIVE MODE"):
            crowd = [asyncio.create_task(it.store.facts(f"u-{each}", it.soon())) for each in range(8)]
            await asyncio.sleep(0)
            for _ in range(3):  # on a loop that is late others were before it
                last = await asyncio.gather(
                    it.store.facts(BOB, it.clock.monotonic() + 0.5), return_exceptions=True
                )
                if not str(last[0]).endswith("(others were before it)"):
                    break
        await asyncio.gather(*crowd)
        return last[0]

    assert str(it.run(play())).endswith("in time (all connections are in use)")


ROW = "SELECT 1 FROM user_counters WHERE user_id = 'u-alice' FOR UPDATE"


@asynccontextmanager
async def locked(url: str, what: str = ROW) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
    """While another client holds alice's row; what is yielded waits until somebody waits for that."""
    other = await asyncpg.connect(url)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'advisory')"

    async def awaited() -> None:
        while not await other.fetchval(waits):
            await asyncio.sleep(0)

    try:
        await other.execute("BEGIN")
        await other.execute(what)
        yield awaited
        await other.execute("COMMIT")
    finally:
        await other.close()


def test_a_crowd_at_one_user_lets_others_through(url: str, it: Asked) -> None:
    """Of a process one connection waits for the user, not all there are."""

    async def play() -> None:
        async with locked(url) as awaited:
            crowd = [
                asyncio.create_task(it.store.spend(attempt(each), count_only, it.soon())) for each in range(50)
            ]
            await awaited()
            assert isinstance(await it.store.spend(attempt(99, user_id=BOB), count, it.soon()), Reserved)
        await asyncio.gather(*crowd)

    it.spend(attempt(100), count_only)
    it.run(play())
    assert it.counters().failures == 51


def test_who_waits_for_others_too_long_is_told_so_and_those_behind_as_well(url: str, it: Asked) -> None:
    async def play() -> list[str]:
        async with locked(url):
            soon = it.clock.monotonic() + 0.5
            some = [it.store.spend(attempt(each), count, soon) for each in range(3)]
            return [str(each) for each in await asyncio.gather(*some, return_exceptions=True)]

    it.spend(attempt(100))
    assert [said.partition(" could ")[2] for said in it.run(play())] == [
        "not be read or written in time (no answer)",
        *["not be read or written in time (others were before it)"] * 2,
    ]
    assert isinstance(it.spend(attempt(1)), Reserved)


def test_a_mail_that_is_dropped_while_it_is_claimed_is_not_sent(url: str, it: Asked) -> None:
    """Whoever delivers is alone with others who do, not with what a user's logins and resets are doing."""
    it.run(it.store.set_mail_address(ALICE, "alice", ADDRESS))
    it.run(it.store.issue_mail_code(new_code(), it.soon()))

    async def play() -> object:
        async with locked(url, "DELETE FROM outbox") as awaited:
            claiming = asyncio.create_task(it.store.claim_mails(NOON + 10, NOON + 70, 10))
            await awaited()
        return await claiming

    assert it.run(play()) == []


@pytest.mark.parametrize("lock", [ROW, f"SELECT pg_advisory_xact_lock({lock_number(ALICE)})"])
def test_a_login_that_is_given_up_is_counted_all_the_same(url: str, it: Asked, lock: str) -> None:
    """Else a guess would be free for whoever hangs up, among others or apart."""

    async def play() -> None:
        async with locked(url, lock) as awaited:
            login = asyncio.create_task(it.store.spend(attempt(1), count, it.soon()))
            await awaited()
            login.cancel()
            with pytest.raises(asyncio.CancelledError):
                await login
        assert isinstance(await it.store.spend(attempt(2), count, it.soon()), Reserved)

    it.spend(attempt(100))
    it.run(play())
    assert it.counters() == Counters(3, 3)


def test_a_row_that_somebody_holds_keeps_nobody_waiting_but_its_user(url: str, it: Asked) -> None:
    async def play() -> None:
        async with locked(url) as awaited:
            alice = asyncio.create_task(it.store.spend(attempt(1), count, it.soon()))
            others = [
                it.store.spend(attempt(each, user_id=f"u-{each}"), count, it.soon()) for each in range(2, 20)
            ]
            assert {type(each) for each in await asyncio.gather(*others)} == {Reserved}
            await awaited()
            assert not alice.done()
        assert isinstance(await alice, Reserved)

    it.spend(attempt(100))
    it.run(play())


def test_a_node_that_stands_still_in_a_transaction_is_thrown_out(url: str, it: Asked) -> None:
    """Else nobody could log in as that user anywhere until the network gives up on it, in two hours."""
    with Contender("stand-still", url) as contender:
        contender.go()
        contender.hear("inside")
        assert isinstance(it.spend(attempt(1)), Reserved)

    assert it.counters() == Counters(1, 1)


def test_closing_waits_for_what_was_begun(url: str, it: Asked) -> None:
    async def play() -> object:
        async with locked(url) as awaited:
            login = asyncio.create_task(it.store.spend(attempt(1), count, it.soon()))
            await awaited()
            closing = asyncio.create_task(it.store.close())
            await asyncio.sleep(0)
            assert not closing.done()
        await closing
        return await login

    it.spend(attempt(100))
    assert isinstance(it.run(play()), Reserved)
    with pytest.raises(StoreError, match=r"is closed$"):
        it.facts()


# --- what it is not ---------------------------------------------------------------------------------


def refused(url: str, password: str | None = None) -> str:
    """The one line that opening it ends with; looking at it ends no better."""
    with pytest.raises(StoreError) as wrong, asked(opening(url, password)):
        pass
    with pytest.raises(StoreError) as seen:
        asyncio.run(look(url, password))
    said = str(wrong.value)
    assert str(seen.value) == said
    assert "\n" not in said
    assert wrong.value.__cause__ is None
    return said


def test_a_wrong_password_role_database_or_port_is_one_line_without_a_secret(url: str) -> None:
    server, name = shared(), database(url)
    there = f"postgresql://127.0.0.1:{server.port}/{name}"
    told = {
        server.url(name, password="hunter2"): f'{there}: password authentication failed for user "radius"',
        server.url(name, role="nobody"): f'{there}: password authentication failed for user "nobody"',
        server.url("no_such"): f'{there.replace(name, "no_such")}: database "no_such" does not exist',
        server.url(name, port=1): f"{there.replace(str(server.port), '1')}: ",
        server.url(name).replace("127.0.0.1", "no-such-host.invalid"): "postgresql://no-such-host.invalid:",
    }
    for wrong, start in told.items():
        said = refused(wrong)
        assert said.startswith(start)
        assert "hunter2" not in said
        assert server.password not in said


def test_the_password_may_stand_beside_the_url(url: str) -> None:
    without = url.replace(f":{shared().password}@", "@")

    with asked(opening(without, shared().password)) as it:
        assert it.counters() == Counters()
    assert "password" in refused(without, "hunter2")


def test_a_socket_is_as_good_as_a_port(url: str) -> None:
    with asked(opening(shared().socket_url(database(url)))) as it:
        assert it.counters() == Counters()
    said = refused(f"postgresql://radius@/{database(url)}?host=/nowhere/at/all")
    assert said == f"postgresql:///{database(url)}?host=/nowhere/at/all: No such file or directory"


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    good, other = Authority(tmp_path / "good"), Authority(tmp_path / "other")
    with Postgresql(good.certify("127.0.0.1")) as server:
        url = server.url(server.new_database(), tls="verify-full")
        with asked(opening(f"{url}&sslrootcert={good.ca_file}")) as it:
            assert isinstance(it.spend(attempt()), Reserved)
        there = f"postgresql://127.0.0.1:{server.port}/{database(url)}"
        said = f"{there}: its certificate is not to be trusted: "
        assert refused(f"{url}&sslrootcert={other.ca_file}").startswith(said)
        assert refused(f"{url}&sslrootcert={good.ca_file}".replace("127.0.0.1", "localhost")).startswith(
            said.replace("127.0.0.1", "localhost")
        )
        empty = tmp_path / "empty.pem"
        empty.touch()
        assert refused(f"{url}&sslrootcert={empty}").startswith(f"{there}: ")


def test_of_several_servers_the_first_that_takes_writes_is_asked(url: str) -> None:
    """The first is not there, the second says nothing, the third does; `read-write` is what asyncpg looks for."""
    proxy = Proxy(shared().port)

    async def open_(clock: Any) -> PostgresqlStore:
        await proxy.start()
        proxy.deaf = True
        hosts = f"127.0.0.1:1,127.0.0.1:{proxy.port},127.0.0.1:{shared().port}"
        return await PostgresqlStore.open(url.replace(f"127.0.0.1:{shared().port}", hosts), None, clock)

    with asked(open_) as it:
        assert isinstance(it.spend(attempt()), Reserved)
        it.run(proxy.close())


def test_a_server_that_takes_no_writes_says_what_is_wrong(url: str) -> None:
    name = database(url)
    with asked(opening(url)):
        pass
    shared().execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        with asked(opening(url)) as it:
            assert it.counters() == Counters()
            with pytest.raises(
                StoreError, match=r"takes no writes \(is it a standby\?\); name the server that does"
            ):
                it.spend(attempt())
    finally:
        shared().execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_a_database_of_something_else_is_refused_and_left_alone() -> None:
    server = shared()
    name = server.new_database()
    server.execute("CREATE TABLE poems (line TEXT)", name)

    assert refused(server.url(name)).endswith(": is a database of something else")
    assert server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name) == ["poems"]


def test_a_database_that_cannot_hold_every_text_is_refused() -> None:
    server = shared()
    name = server.new_database("template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc")

    assert refused(server.url(name)).endswith(": is a database of encoding LATIN1; it has to be UTF8")


def test_a_role_that_may_make_no_tables_is_told_so() -> None:
    server = shared()
    name = server.new_database()
    server.execute(f"ALTER DATABASE {name} OWNER TO admin", name)

    said = "cannot be brought to schema [0-9]+: permission denied for schema public"
    with pytest.raises(StoreError, match=said), asked(opening(server.url(name))):
        pass


def test_what_postgresql_says_of_a_row_is_not_repeated(it: Asked) -> None:
    it.add(new_token())

    for wrong in (new_token(user_id=BOB), new_token(2, label="no \0 in a text"), new_token(3, last_step="seven")):
        with pytest.raises(StoreError) as said:
            it.add(wrong)
        assert str(said.value).startswith("postgresql://127.0.0.1:")
        for value in ("t1", "no ", "seven", "sealed"):
            assert value not in str(said.value).partition("/t")[2].partition(":")[2]
        assert said.value.__cause__ is None
    assert len(it.facts().tokens) == 1
