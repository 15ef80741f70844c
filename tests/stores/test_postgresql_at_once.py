"""The usual end of a login as one statement: the same as by the way of all others, or nothing at all.

The work is done by hand where something comes between its two statements, or while the second waits for a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from itertools import count as numbers
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, select

from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import Judge
from radius_mfa.core.stored import (
    AnsweredBefore,
    Attempt,
    MailCodeUse,
    Refusal,
    Reserved,
    Settlement,
    TotpStep,
)
from radius_mfa.stores.postgresql import PostgresqlStore
from radius_mfa.stores.postgresql_at_once import accept
from radius_mfa.stores.postgresql_pool import Connection as Client
from radius_mfa.stores.schema import metadata
from radius_mfa.stores.sql_store import SqlStore
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.work import Rows, Step
from tests.adapters import NOON
from tests.peers.postgresql import shared
from tests.peers.proxy import Proxy
from tests.stores.postgresql import new_url
from tests.stores.schemas import through
from tests.stores.support import (
    ALICE,
    BOB,
    GUARD,
    Asked,
    Opened,
    Rule,
    asked,
    attempt,
    count,
    new_token,
    settlement,
)

STATION = "02-00-00-00-00-01"
LOCK = int.from_bytes(blake2b(ALICE.encode(), digest_size=8).digest(), signed=True)  # alice's, as a number
Contents = dict[str, list[tuple[Any, ...]]]
Interference = Callable[[Asked, Client], Awaitable[object]]


def more(counters: Counters) -> Counters:
    """A failure more, and no lock."""
    return replace(counters, failures=counters.failures + 1, since_success=counters.since_success + 1)


def right(of: Attempt, step: int = 7, token: str = "t1", station: str = STATION, **about: Any) -> Settlement:
    """The end of an answer whose code is right."""
    end = settlement(of, TotpStep(token, step, 1), cleared, b"accepted", **{"username": "alice", **about})
    return replace(end, station=station)


def wrong(of: Attempt, **about: Any) -> Settlement:
    """That of one whose code is not."""
    return settlement(of, octets=b"refused", decision="challenge", **about)


def refused(of: Attempt, _: Reserved) -> Settlement:
    """As a judge: the code is wrong, whatever is known."""
    return wrong(of)


def blind(of: Attempt, **about: Any) -> Judge:
    """Finds the code right, whatever is known."""
    return lambda _: right(of, **about)


def judging(of: Attempt, step: int = 7, token: str = "t1", **about: Any) -> Judge:
    """Finds the code of that step right, unless it was used or told of (RFC 6238 §5.2)."""

    def judge(reserved: Reserved) -> Settlement:
        is_good = any(
            each.id == token and each.confirmed and each.last_step < step and step not in each.told_steps
            for each in reserved.facts.tokens
        )
        return right(of, step, token, **about) if is_good else wrong(of)

    return judge


@pytest.fixture
def url() -> str:
    return new_url()


@pytest.fixture
def it(url: str) -> Iterator[Asked]:
    """A store where alice has a token, and has failed twice."""
    with asked(opening(url)) as it:
        begin(it)
        yield it


def begin(it: Asked) -> None:
    it.add(new_token(), new_token(2, user_id=BOB))
    for each in (attempt(100), attempt(101)):
        it.spend(each, judge=partial(refused, each))


def opening(url: str) -> Opened:
    if url.startswith("sqlite"):
        return lambda clock: SqliteStore.open(url, clock)
    return lambda clock: PostgresqlStore.open(url, None, clock)


def rows(url: str) -> Contents:
    """All that is in the store, without the logins' numbers, which are not used up one by one everywhere."""

    def all_of(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
        columns = [each for each in table.columns if (table.name, each.name) != ("login", "id")]
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*table.primary_key))]

    return through(url, lambda connection: {name: all_of(connection, t) for name, t in metadata.tables.items()})


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def fetched(connection: Client, step: Step) -> Rows:
    statement, parameters = step
    return cast(Rows, await connection.fetch(statement.postgresql, *parameters))


async def nothing(_: Asked, __: object) -> None:
    """Nobody interferes."""


async def by_hand(
    url: str,
    it: Asked,
    judge: Judge,
    between: Interference = nothing,
    of: Attempt | None = None,
) -> Settlement | None:
    """What comes of the work when that comes between its two statements."""
    work = accept(LOCK, of or attempt(), count, judge)
    async with connected(url) as ours, connected(url) as others:
        try:
            writing = work.send(await fetched(ours, next(work)))
            await between(it, others)
            work.send(await fetched(ours, writing))
        except StopIteration as done:
            end: Settlement | None = done.value
            return end
    raise AssertionError("more than two statements")


# --- undisturbed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("station", [STATION, ""])
@pytest.mark.parametrize("username", ["alice", ""])
def test_a_right_code_is_written_as_by_the_way_of_all_others(
    url: str, it: Asked, tmp_path: Path, username: str, station: str
) -> None:
    judge = blind(attempt(), station=station, username=username, time=NOON + 5)
    written = it.run(by_hand(url, it, judge))

    other = f"sqlite:///{tmp_path}/state.db"
    with asked(opening(other)) as them:
        begin(them)
        assert them.spend(attempt(), judge=judge) == written
    assert rows(url) == rows(other)
    assert written is not None
    assert (written.decision, it.counters(), it.last_step()) == (b"accepted", Counters(), 7)
    (spent,) = [row for row in rows(url)["spent_state"] if row[0] == attempt().login]
    assert spent == (attempt().login, 1, ALICE, attempt().digest, b"accepted", NOON, False)
    assert rows(url)["station_user"] == ([(STATION, ALICE, NOON + 5)] if station else [])
    assert len(rows(url)["login"]) == 3


def test_what_is_known_of_the_user_besides_stays_as_it_is(url: str, it: Asked) -> None:
    it.add(new_token(3))
    it.run(it.store.set_mail_address(ALICE, "alice", "alice@example.net"))
    before = rows(url)

    assert it.spend(attempt(), judge=blind(attempt(), station="")) == right(attempt(), station="")
    after = rows(url)
    changed = {"user_counters", "totp_token", "spent_state", "login"}
    assert {name for name in after if after[name] != before[name]} == changed
    assert after["totp_token"][1:] == before["totp_token"][1:]
    assert [row for row in after["user_counters"] if row[0] == BOB] == [
        row for row in before["user_counters"] if row[0] == BOB
    ]


def test_the_usual_login_asks_postgresql_two_questions(url: str) -> None:
    """As the server itself has heard them: what is known, and all that is written."""
    name = urlsplit(url).path[1:]
    shared().execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
    try:
        with asked(opening(url)) as it:
            it.add(new_token())
            before = shared().said()
            assert it.spend(attempt(), judge=judging(attempt())) == right(attempt())
            heard = shared().said().removeprefix(before)
    finally:
        shared().execute(f"ALTER DATABASE {name} RESET log_statement")
    assert (heard.count("LOG:  execute"), heard.count("LOG:  statement")) == (2, 0)


OPERATIONS = st.one_of(
    # Which login's, the step whose code it is, and whether the judge is blind.
    st.tuples(st.just("answer"), st.integers(0, 3), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("wrong"), st.integers(0, 3)),
    st.tuples(st.just("advised"), st.integers(0, 3), st.integers(1, 6)),
    st.tuples(st.just("resync"), st.integers(1, 6)),
    st.tuples(st.sampled_from(["add", "confirm", "remove", "unlock", "reset", "forget"])),
)


def test_whatever_has_been_before_the_end_is_that_of_the_way_of_all_others(tmp_path: Path) -> None:
    """Three stores are told one story; of those on PostgreSQL one knows no other way."""
    urls = [new_url(), f"sqlite:///{tmp_path}/state.db"]
    chapters = numbers()
    with asked(opening(urls[0])) as quick:
        urls.append(new_url())
        with asked(opening(urls[1])) as file, asked(opening(urls[2])) as general:

            @settings(max_examples=60, suppress_health_check=list(HealthCheck))
            @given(st.lists(OPERATIONS, min_size=1, max_size=12))
            def agree(story: list[tuple[Any, ...]]) -> None:
                chapter = next(chapters)  # with a user of its own
                for what in [("add",), ("confirm",), *story]:
                    said = [tell(each, chapter, what, general) for each in (quick, file, general)]
                    assert said[0] == said[1] == said[2], what

            agree()
    assert rows(urls[0]) == rows(urls[1]) == rows(urls[2])


def tell(it: Asked, chapter: int, what: tuple[Any, ...], general: Asked) -> object:
    """Let one thing happen; what is said of it."""
    user, token = f"u-{chapter}", f"t{chapter}"
    store = it.store
    match what:
        case ("answer" | "wrong" | "advised" as kind, login, *about):
            mine = attempt(10 * chapter + login, user_id=user, answer=f"{what}".encode())
            ends: dict[str, Callable[..., Judge]] = {
                "answer": lambda step, is_blind: (blind if is_blind else judging)(mine, step=step, token=token),
                "wrong": lambda: partial(refused, mine),
                "advised": lambda step: lambda _: replace(wrong(mine), told=TotpStep(token, step, 0)),
            }
            assert isinstance(store, SqlStore)
            spend = partial(SqlStore.spend, store) if it is general else store.spend
            rule = partial(GUARD.reserve, now=NOON, kind=FactorKind.TOTP)
            said = it.run(spend(mine, rule, it.soon(), ends[kind](*about)))
            return (type(said), said.decision) if isinstance(said, Settlement) else said
        case ("add",):
            return it.add(new_token(id=token, user_id=user, confirmed=False))
        case ("confirm",):
            return it.run(store.confirm_token(token, 1, 0))
        case ("resync", step):
            return it.run(store.resync_token(token, step, 2))
        case ("remove",):
            return it.run(store.remove_token(user, token))
    end: Callable[[str], Any] = getattr(store, what[0])
    return it.run(end(user))


# --- not the usual case ---------------------------------------------------------------------------


async def asked_only_for_facts(url: str, judge: Judge, rule: Rule = count) -> bool:
    """Whether the work ends with None before anything but facts is asked for."""
    work = accept(LOCK, attempt(), rule, judge)
    async with connected(url) as ours:
        facts = await fetched(ours, next(work))
    try:
        work.send(facts)
    except StopIteration as done:
        return done.value is None
    return False


@pytest.mark.parametrize(
    "rule",
    [
        lambda counters: None,
        lambda counters: replace(more(counters), locks=1, locked_until=NOON + 60),
        lambda counters: replace(more(counters), suspended=True),
    ],
    ids=["barred", "locked by it", "suspended by it"],
)
def test_who_is_barred_or_will_be_by_this_answer_is_not_even_judged(url: str, it: Asked, rule: Rule) -> None:
    def judge(_: Reserved) -> Settlement:
        raise AssertionError("judged before the lock was kept")

    assert it.run(asked_only_for_facts(url, judge, rule))


@pytest.mark.parametrize(
    "end",
    [
        wrong(attempt()),
        replace(wrong(attempt()), told=TotpStep("t1", 9, 0)),
        replace(right(attempt()), consume=MailCodeUse("c1")),
        replace(right(attempt()), adjust=None),
        replace(right(attempt()), adjust=partial(GUARD.given_back, has_suspended=False)),
    ],
    ids=["wrong", "advised", "mailed", "counters kept", "given back"],
)
def test_an_end_that_is_not_the_usual_one_is_left_to_the_way_of_all_others(
    url: str, it: Asked, end: Settlement
) -> None:
    assert it.run(asked_only_for_facts(url, lambda _: end))


@pytest.mark.parametrize(
    "end",
    [
        replace(right(attempt()), told=TotpStep("t1", 9, 0)),
        right(attempt(), decision="challenge"),
    ],
    ids=["advised", "not let in"],
)
def test_a_right_code_with_something_besides_is_written_as_by_the_way_of_all_others(
    url: str, it: Asked, tmp_path: Path, end: Settlement
) -> None:
    """Nobody judges so now; who does one day gets all that the settlement says."""
    it.spend(attempt(), judge=lambda _: end)
    other = f"sqlite:///{tmp_path}/state.db"
    with asked(opening(other)) as them:
        begin(them)
        them.spend(attempt(), judge=lambda _: end)
    assert rows(url) == rows(other)


def test_a_user_never_seen_has_nothing_to_accept(url: str, it: Asked) -> None:
    before = rows(url)
    mine = attempt(user_id="u-carol")

    assert it.run(by_hand(url, it, blind(mine), of=mine)) is None
    assert rows(url) == before


@pytest.mark.parametrize("token", ["t2", "t9"])
def test_the_token_of_another_user_or_none_is_never_used(url: str, it: Asked, token: str) -> None:
    before = rows(url)

    assert it.run(by_hand(url, it, blind(attempt(), token=token))) is None
    assert rows(url) == before
    assert isinstance(it.spend(attempt(), judge=blind(attempt(), token=token)), Reserved)


# --- between the two statements -------------------------------------------------------------------


def through_the_store(what: Callable[[Asked], Awaitable[object]]) -> Interference:
    return lambda it, _: what(it)


def in_sql(*statements: str) -> Interference:
    return lambda _, others: others.execute("; ".join(statements))


def answering(of: Attempt, end: Settlement, rule: Rule = count) -> Interference:
    """Another answer of alice's, which is judged so."""
    return lambda it, _: it.store.spend(of, rule, it.soon(), lambda _: end)


REFUSED = wrong(attempt())
ACCEPTED = right(attempt())
BARRING = replace(Counters(10, 12, 1), locked_until=NOON + 900)
# What comes in between, and what then becomes of the answer.
INTERFERENCES: dict[str, tuple[Interference, object]] = {
    "a wrong code": (answering(attempt(2), wrong(attempt(2))), ACCEPTED),
    "a failure that locks": (
        lambda it, _: it.store.spend(attempt(2), lambda _: BARRING, it.soon()),
        Refusal.BARRED,
    ),
    "a suspension": (
        in_sql(f"UPDATE user_counters SET suspended = TRUE WHERE user_id = '{ALICE}'"),
        Refusal.BARRED,
    ),
    "failures given back": (in_sql("UPDATE user_counters SET failures = 1"), ACCEPTED),
    "failures long ago": (in_sql("UPDATE user_counters SET since_success = 3"), ACCEPTED),
    "a lock that was served": (in_sql(f"UPDATE user_counters SET locked_until = {NOON}"), ACCEPTED),
    "locks in a row": (in_sql("UPDATE user_counters SET locks = locks + 1"), ACCEPTED),
    "unlocking": (through_the_store(lambda it: it.store.unlock(ALICE)), ACCEPTED),
    "the same step": (answering(attempt(2), right(attempt(2), 7)), REFUSED),
    "a later step": (answering(attempt(2), right(attempt(2), 8)), REFUSED),
    "a later step alone": (in_sql("UPDATE totp_token SET last_step = 8 WHERE id = 't1'"), REFUSED),
    "resynchronising": (through_the_store(lambda it: it.store.resync_token("t1", 9, 2)), REFUSED),
    "advice on the step": (
        answering(attempt(2), replace(wrong(attempt(2)), told=TotpStep("t1", 7, 0)), lambda counters: counters),
        REFUSED,
    ),
    "advice on many steps": (in_sql("UPDATE totp_token SET told_steps = '6,7,9' WHERE id = 't1'"), REFUSED),
    "the token lost": (through_the_store(lambda it: it.store.remove_token(ALICE, "t1")), REFUSED),
    "the token unconfirmed": (in_sql("UPDATE totp_token SET confirmed = FALSE WHERE id = 't1'"), REFUSED),
    "the token another's": (in_sql(f"UPDATE totp_token SET user_id = '{BOB}' WHERE id = 't1'"), REFUSED),
    "a reset": (through_the_store(lambda it: it.store.reset(ALICE)), REFUSED),
    "a user forgotten": (through_the_store(lambda it: it.store.forget(ALICE)), REFUSED),
    "another answer to the State": (
        answering(attempt(answer=b"another"), REFUSED, lambda counters: counters),
        Refusal.SPENT,
    ),
    "the State spent by another": (
        answering(attempt(user_id=BOB, answer=b"another"), wrong(attempt(user_id=BOB))),
        Refusal.SPENT,
    ),
    "the same answer, decided": (
        answering(attempt(), replace(REFUSED, decision=b"no"), lambda counters: counters),
        AnsweredBefore(b"no"),
    ),
    "the same answer, undecided": (
        lambda it, _: it.store.spend(attempt(), lambda counters: counters, it.soon()),
        "reserved",
    ),
}


@pytest.mark.parametrize("what", INTERFERENCES)
def test_what_comes_between_leaves_it_to_the_way_of_all_others(url: str, it: Asked, what: str) -> None:
    """Of its own it writes nothing then, in no table."""
    interference, expected = INTERFERENCES[what]
    seen: list[Contents] = []

    async def between(it: Asked, others: Client) -> None:
        await interference(it, others)
        seen.append(await asyncio.to_thread(rows, url))

    assert it.run(by_hand(url, it, judging(attempt()), between)) is None
    assert [rows(url)] == seen

    said = it.spend(attempt(), judge=judging(attempt()))
    if expected == "reserved":
        assert said == Reserved(it.facts())
    elif isinstance(expected, Settlement):
        assert isinstance(said, Settlement)
        assert said.decision == expected.decision
        assert it.counters().failures == (0 if expected is ACCEPTED else failures_after(what))
    else:
        assert said == expected


def failures_after(what: str) -> int:
    """One more than there were, which another success has cleared."""
    cleared_before = {"the same step", "a later step", "a reset", "a user forgotten"}
    return 1 if what in cleared_before else 3


@pytest.mark.parametrize("told", ["", "6", "8,9", "17,70,177"])
def test_advice_on_other_steps_is_in_nobody_s_way(url: str, it: Asked, told: str) -> None:
    between = in_sql(f"UPDATE totp_token SET told_steps = '{told}' WHERE id = 't1'")

    assert it.run(by_hand(url, it, blind(attempt()), between)) == right(attempt())


def test_while_another_is_busy_with_the_user_nothing_is_written_and_it_is_waited_for(url: str, it: Asked) -> None:
    """At the next statement of the general way, whose lock it is."""
    before = rows(url)

    async def play() -> tuple[object, object]:
        async with connected(url) as other:
            await other.execute(f"SELECT pg_advisory_lock({LOCK})")
            at_once = await by_hand(url, it, blind(attempt()))
            assert await asyncio.to_thread(rows, url) == before
            login = asyncio.create_task(it.store.spend(attempt(), count, it.soon(), judging(attempt())))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
            while not await other.fetchval(waits):
                await asyncio.sleep(0)
            assert await asyncio.to_thread(rows, url) == before
        return at_once, await login

    assert it.run(play()) == (None, right(attempt()))
    assert it.counters() == Counters()


# --- while the second statement waits for a row -------------------------------------------------------

# What a transaction does that has not taken alice's lock and ends while she waits; whether she is let in.
MEANWHILE: dict[str, tuple[str, bool]] = {
    "required": (f"UPDATE user_counters SET required = FALSE, username = 'al' WHERE user_id = '{ALICE}'", True),
    "sealed anew": ("UPDATE totp_token SET seed = 'under another key' WHERE id = 't1'", True),
    "both": ("UPDATE user_counters SET required = FALSE; UPDATE totp_token SET seed = 'under another key'", True),
    "an earlier step": ("UPDATE totp_token SET last_step = 6 WHERE id = 't1'", True),
    "only locked": (f"SELECT 1 FROM user_counters WHERE user_id = '{ALICE}' FOR UPDATE", True),
    "a failure more": (f"UPDATE user_counters SET failures = failures + 1 WHERE user_id = '{ALICE}'", False),
    "unlocked": (f"UPDATE user_counters SET failures = 0, since_success = 0 WHERE user_id = '{ALICE}'", False),
    "suspended": (f"UPDATE user_counters SET suspended = TRUE WHERE user_id = '{ALICE}'", False),
    "the step": ("UPDATE totp_token SET last_step = 7 WHERE id = 't1'", False),
    "told": ("UPDATE totp_token SET told_steps = '7' WHERE id = 't1'", False),
    "unconfirmed": ("UPDATE totp_token SET confirmed = FALSE WHERE id = 't1'", False),
    "the token gone": ("DELETE FROM totp_token WHERE id = 't1'", False),
    "the user gone": (f"DELETE FROM user_counters WHERE user_id = '{ALICE}'", False),
    "the user made anew": (
        f"DELETE FROM user_counters WHERE user_id = '{ALICE}';"
        f"INSERT INTO user_counters (user_id, failures, since_success, created) VALUES ('{ALICE}', 2, 2, 0)",
        False,
    ),
    "the State": (
        "INSERT INTO spent_state (login, round, user_id, digest, expires)"
        f"VALUES ('\\x{attempt().login.hex()}', 1, '{BOB}', 'other', {NOON})",
        False,
    ),
    "required and the State": (
        f"UPDATE user_counters SET required = FALSE WHERE user_id = '{ALICE}';"
        "INSERT INTO spent_state (login, round, user_id, digest, expires)"
        f"VALUES ('\\x{attempt().login.hex()}', 1, '{BOB}', 'other', {NOON})",
        False,
    ),
}


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("what", MEANWHILE)
def test_what_is_committed_while_it_waits_for_a_row_is_looked_at_again(
    url: str, it: Asked, what: str, ends: str
) -> None:
    """What somebody else wrote stays written, and of an answer that does not fit it any more there is nothing."""
    sql, is_let_in = MEANWHILE[what]
    is_let_in = is_let_in or ends == "ROLLBACK"
    before = rows(url)

    async def play() -> Settlement | None:
        async with connected(url) as other:
            await other.execute("BEGIN")
            await other.execute(sql)
            waiting = asyncio.create_task(by_hand(url, it, blind(attempt())))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            while not await other.fetchval(waits):
                await asyncio.sleep(0)
            await other.execute(ends)
            return await waiting

    assert it.run(play()) == (right(attempt()) if is_let_in else None)
    assert rows(url) == as_if(before, sql if ends == "COMMIT" else "SELECT 1", is_let_in)


def as_if(before: Contents, sql: str, is_let_in: bool) -> Contents:
    """What is in a store where that was done first and then, perhaps, the answer accepted."""
    other = new_url()
    with asked(opening(other)) as them:
        begin(them)
        assert rows(other) == before
        shared().execute(sql, urlsplit(other).path[1:])
        if is_let_in:
            assert isinstance(them.store, SqlStore)
            them.run(SqlStore.spend(them.store, attempt(), count, them.soon(), blind(attempt())))
        return rows(other)


# --- a connection that is cut -----------------------------------------------------------------------


@pytest.mark.parametrize("answered", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize("judging_", [judging, blind])
def test_what_was_cut_is_done_once(
    url: str, it: Asked, judging_: Callable[[Attempt], Judge], answered: bool
) -> None:
    """Whatever became of the answer: it is asked for on another connection, and the decision is the same."""
    proxy = Proxy(shared().port)

    async def open_(clock: Clock) -> PostgresqlStore:
        await proxy.start()
        return await PostgresqlStore.open(url.replace(f":{shared().port}/", f":{proxy.port}/"), None, clock)

    with asked(open_) as cuttable:
        proxy.cut_at, proxy.answered = attempt().digest, answered  # what is written has it, and no question has
        said = cuttable.spend(attempt(), judge=judging_(attempt()))
        cuttable.run(cuttable.store.close())
        cuttable.run(proxy.close())

    assert said == (AnsweredBefore(b"accepted") if answered else right(attempt()))
    assert (proxy.cuts, it.last_step(), it.counters(), len(rows(url)["login"])) == (1, 7, Counters(), 3)


# --- two nodes ------------------------------------------------------------------------------------


@pytest.fixture
def nodes(url: str, it: Asked) -> Iterator[tuple[SqlStore, SqlStore]]:
    """Two, in one event loop."""
    other = it.run(PostgresqlStore.open(url, None, it.clock))
    assert isinstance(it.store, SqlStore)
    yield it.store, other
    it.run(other.close())


def test_of_two_nodes_given_one_code_at_once_one_accepts_it(it: Asked, nodes: tuple[SqlStore, SqlStore]) -> None:
    """RFC 6238 §5.2."""

    async def both(step: int) -> list[object]:
        logins = (attempt(1000 + step), attempt(2000 + step))
        asking = (
            node.spend(mine, more, it.soon(), judging(mine, step))
            for node, mine in zip(nodes, logins, strict=True)
        )
        return await asyncio.gather(*asking)

    for step in range(10, 60):
        ended = it.run(both(step))
        decisions = sorted(each.decision for each in ended if isinstance(each, Settlement))
        assert decisions == [b"accepted", b"refused"]
        assert it.last_step() == step
        assert it.counters().failures in (0, 1)  # the refused one came first, or after it


def test_of_two_nodes_given_one_answer_at_once_both_say_what_one_has_decided(
    url: str, it: Asked, nodes: tuple[SqlStore, SqlStore]
) -> None:
    async def both(step: int) -> list[object]:
        mine = attempt(1000 + step)
        return await asyncio.gather(*(node.spend(mine, more, it.soon(), judging(mine, step)) for node in nodes))

    for step in range(10, 60):
        ended = it.run(both(step))
        assert {type(each) for each in ended} == {Settlement, AnsweredBefore}
        assert all(getattr(each, "decision", None) == b"accepted" for each in ended)
    assert it.counters() == Counters()
    assert len(rows(url)["login"]) == 2 + 50


def test_of_two_nodes_given_two_answers_to_one_state_one_is_heard(
    it: Asked, nodes: tuple[SqlStore, SqlStore]
) -> None:
    async def both(step: int) -> list[object]:
        mine = [attempt(1000 + step, answer=answer) for answer in (b"one", b"other")]
        judges: list[Judge] = [judging(mine[0], step), partial(refused, mine[1])]
        asking = zip(nodes, mine, judges, strict=True)
        return await asyncio.gather(*(node.spend(each, more, it.soon(), judge) for node, each, judge in asking))

    for step in range(10, 60):
        ended = it.run(both(step))
        assert sorted(type(each).__name__ for each in ended) == ["Refusal", "Settlement"]


def test_of_answers_of_all_kinds_at_two_nodes_no_failure_is_lost_and_no_step_goes_back(
    url: str, it: Asked, nodes: tuple[SqlStore, SqlStore]
) -> None:
    """The rows of a user's logins stand in the order in which they were decided: it explains all there is."""

    async def crowd(first: int) -> list[object]:
        asking = []
        for number in range(40):
            mine = attempt(1000 + first + number)
            step = first + number // 2
            judge = judging(mine, step, policy=str(step)) if number % 3 else partial(refused, mine)
            asking.append(nodes[number % 2].spend(mine, more, it.soon(), judge))
        return await asyncio.gather(*asking)

    for first in range(100, 600, 100):
        it.run(crowd(first))
        decided = through(url, decisions)[2:]
        steps = [int(step) for step, decision in decided if decision == "accept"]
        assert steps == sorted(set(steps))
        failures = 0
        for _, decision in decided:
            failures = 0 if decision == "accept" else failures + 1
        assert it.counters() == Counters(failures, failures)
        assert it.last_step() == steps[-1]


def decisions(connection: Connection) -> list[tuple[str, str]]:
    """Policy, which is the step where one was accepted, and decision of each login, in their order."""
    login = metadata.tables["login"]
    found = connection.execute(select(login.c.policy, login.c.decision).order_by(login.c.id))
    return [(policy, decision) for policy, decision in found]


@pytest.mark.parametrize("many", [1, 2])
def test_guesses_that_come_at_once_are_counted_before_they_are_looked_at(
    it: Asked, nodes: tuple[SqlStore, SqlStore], many: int
) -> None:
    """Or whoever sends a thousand at once has a thousand guesses for the price of ten.

    A node does not know of the one that another is just looking at.
    """
    looked_at: set[bytes] = set()

    def judge(of: Attempt, is_right: bool, _: Reserved) -> Settlement:
        looked_at.add(of.login)
        return right(of) if is_right else wrong(of)

    async def crowd() -> list[object]:
        guesses = list(map(attempt, range(1000, 1200)))
        asking = (
            nodes[number % many].spend(each, count, it.soon(), partial(judge, each, number == 150))
            for number, each in enumerate(guesses)
        )
        return await asyncio.gather(*asking)

    assert it.run(it.store.unlock(ALICE))
    ended = it.run(crowd())

    assert len(looked_at) <= GUARD.failures + many - 1
    assert right(attempt(1150)) not in ended
    assert it.counters().locked_until > NOON
