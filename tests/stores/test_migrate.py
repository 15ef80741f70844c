"""Schema versions: from nothing, from the newest, from the future."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, inspect

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.store import SourceTally
from radius_mfa.core.stored import MailKind, Settled
from radius_mfa.stores.migrate import NEWEST, SCRIPTS, VERSION
from radius_mfa.stores.migrate import migrate as migrate_connection
from radius_mfa.stores.schema import metadata
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.sqlite_connection import connect, name_of
from tests.adapters import NOON, FixedClock
from tests.stores.schemas import NOTHING, bring_to, mark, opening, through
from tests.stores.support import TOP, asked, attempt, settlement


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/100% new.db"


@pytest.fixture
def connection(url: str) -> Iterator[sqlite3.Connection]:
    with closing(connect(url, wait=0)) as connection:
        yield connection


def migrate(url: str) -> None:
    """Bring the store at `url` to the newest version, as opening it does."""
    with closing(connect(url, wait=30)) as connection:
        migrate_connection(connection, name_of(url), upgrade=True)


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def version(connection: sqlite3.Connection) -> str:
    ((version,),) = connection.execute("SELECT version_num FROM alembic_version")
    return str(version)


def test_a_store_is_made_from_nothing(url: str, connection: sqlite3.Connection) -> None:
    migrate(url)

    assert tables(connection) == {*metadata.tables, "alembic_version"}
    assert version(connection) == NEWEST


def test_migrating_again_changes_nothing(url: str, connection: sqlite3.Connection) -> None:
    migrate(url)
    before = connection.execute("PRAGMA schema_version").fetchone()
    migrate(url)

    assert connection.execute("PRAGMA schema_version").fetchone() == before


def test_the_newest_version_is_the_last_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))

    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]


def test_a_database_of_something_else_is_refused_and_left_alone(url: str, connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE poems (line TEXT)")

    with pytest.raises(StoreError, match="something else"):
        SqliteStore.open(url, FixedClock())
    assert tables(connection) == {"poems"}
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_migration_that_fails_leaves_nothing_behind(url: str, connection: sqlite3.Connection) -> None:
    """A table in the way of the last one, in a store that says it has no version yet."""
    connection.execute("CREATE TABLE key_check (lock TEXT)")
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")

    with pytest.raises(StoreError, match=r"cannot be brought to schema \d+: table key_check already exists$"):
        migrate(url)
    assert tables(connection) == {"key_check", "alembic_version"}


def run(program: str, url: str) -> str:
    """What a fresh interpreter has to say, on either stream."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, url],
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


def test_migrating_says_nothing(url: str) -> None:
    assert run("import sys; from tests.stores.test_migrate import migrate; migrate(sys.argv[1])", url) == ""


def test_opening_a_store_that_is_current_imports_no_alembic(url: str) -> None:
    program = """
import asyncio, sys
from radius_mfa.stores.sqlite import SqliteStore
from tests.stores.support import SystemClock
asyncio.run(SqliteStore.open(sys.argv[1], SystemClock()).close())
print(sorted({"alembic", "sqlalchemy"} & set(sys.modules)))
"""
    assert run(program, url) == "['alembic', 'sqlalchemy']\n"
    assert run(program, url) == "[]\n"


def test_opening_a_database_that_is_current_imports_no_alembic() -> None:
    url = NOTHING["postgresql"](Path())
    program = """
import asyncio, sys
from radius_mfa.stores.postgresql import PostgresqlStore
from tests.stores.support import SystemClock
async def main():
    await (await PostgresqlStore.open(sys.argv[1], None, SystemClock())).close()
asyncio.run(main())
print(sorted({"alembic", "sqlalchemy"} & set(sys.modules)))
"""
    assert run(program, url) == "['alembic', 'sqlalchemy']\n"
    assert run(program, url) == "[]\n"


# --- every engine: what older servers have left, and newer ones -------------------------------------------


@pytest.fixture(params=NOTHING)
def nothing(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return NOTHING[request.param](tmp_path)


def version_at(url: str) -> str:
    return str(through(url, lambda there: there.exec_driver_sql(VERSION).scalar()))


def write(url: str, *rows: tuple[str, dict[str, Any]]) -> None:
    """Rows as an older version had them: the table, and its columns."""

    def insert(there: Connection) -> None:
        for name, row in rows:
            there.execute(Table(name, MetaData(), *map(Column, row)).insert(), row)

    through(url, insert)


@pytest.mark.parametrize("newer", ["0009", "0999"])
def test_a_store_of_a_newer_version_is_refused_in_one_line(nothing: str, newer: str) -> None:
    with asked(opening(nothing, upgrade=True)):
        pass
    mark(nothing, newer)

    for upgrade in (True, False):
        with (
            pytest.raises(StoreError, match=rf"was made by a newer radius-mfa \(schema {newer}; [^\n]*$"),
            asked(opening(nothing, upgrade=upgrade)),
        ):
            pass


@pytest.mark.parametrize("older", ["0001", "0002", "0003", "0004", "0005", "0006", "0007"])
def test_an_older_store_is_brought_up_to_date_by_the_server_alone(nothing: str, older: str) -> None:
    bring_to(nothing, older)

    said = rf"is of an older version \(schema {older}; this one has {NEWEST}\): start the server once, [^\n]*$"
    with pytest.raises(StoreError, match=said), asked(opening(nothing, upgrade=False)):
        pass
    assert version_at(nothing) == older
    with asked(opening(nothing, upgrade=True)):
        pass
    assert version_at(nothing) == NEWEST


def counters(user: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "user_counters", {"user_id": f"u-{user}", "username": user, "failures": 3, "created": 1.0, **more}


def token(user: str, **more: Any) -> tuple[str, dict[str, Any]]:
    who = {"id": f"t-{user}", "user_id": f"u-{user}", "label": "phone", "seed": b"sealed", "fingerprint": b"f"}
    return "totp_token", {**who, "confirmed": True, "last_step": 58_000_000, "drift": 1, "created": 1.0, **more}


LOGIN = ("login", "username", "client", "station", "source", "policy", "factor", "outcome", "decision")
SPENT = ("spent_state", {"login": b"l", "round": 1, "user_id": "u-alice", "digest": b"d", "expires": NOON})


def test_what_a_store_of_the_first_version_holds_is_still_there(nothing: str) -> None:
    """A server that is brought up to date finds its users, their tokens and what was spent."""
    bring_to(nothing, "0001")
    write(nothing, counters("alice"), token("alice"), SPENT)

    with asked(opening(nothing, upgrade=True)) as it:
        facts = it.facts("u-alice")
        assert (facts.username, facts.counters.failures, facts.mail_address) == ("alice", 3, "")
        assert [(token.id, token.last_step) for token in facts.tokens] == [("t-alice", 58_000_000)]
        it.run(it.store.set_mail_address("u-alice", "alice", "alice@example.net"))
        assert it.facts("u-alice").mail_address == "alice@example.net"
        assert it.purge(NOON + 1) == 1


def test_of_a_store_of_the_fourth_version_it_is_known_who_was_let_in_when(nothing: str) -> None:
    """There the time was the user's only; with the next code it is the token's."""
    bring_to(nothing, "0004")
    write(nothing, counters("alice", last_success=5.0), token("alice"))

    with asked(opening(nothing, upgrade=True)) as it:
        (alice,) = it.run(it.store.users("", 10))
        assert alice.last_success == 5.0
        (kept,) = it.facts("u-alice").tokens
        assert (kept.id, kept.last_step) == ("t-alice", 58_000_000)


def test_what_a_store_of_the_fifth_version_holds_is_still_there(nothing: str) -> None:
    """Tokens are found as before; of one login at one time two rows may stand there, whatever made them."""
    bring_to(nothing, "0005")
    entry = dict.fromkeys(LOGIN, "x") | {"time": NOON}
    write(
        nothing,
        counters("alice"),
        token("alice", told_steps="57,58", last_used=7.0),
        token("alice", id="t-second", fingerprint=b"g", created=2.0),
        *(("login", entry | {"user_id": user}) for user in ("u-alice", "u-alice", "u-bob")),
    )

    with asked(opening(nothing, upgrade=True)) as it:
        first, second = it.facts("u-alice").tokens
        assert (first.id, first.told_steps, second.id) == ("t-alice", frozenset({57, 58}), "t-second")
        (alice,) = it.run(it.store.users("", 10))
        assert alice.last_success == 7.0
        assert it.run(it.store.remove_token("u-alice", "t-second"))
        assert it.purge(NOON, NOON) == 0
        assert it.purge(NOON, NOON + 1) == 3


def test_what_a_store_of_the_sixth_version_holds_is_still_there(nothing: str) -> None:
    """What was given before counts as it did; of no login is it known by which code."""
    bring_to(nothing, "0006")
    entry = dict.fromkeys(LOGIN, "x") | {"time": NOON, "user_id": "u-alice", "round": 1}
    write(nothing, counters("alice", locks=1, required=True), token("alice", last_success=7.0), ("login", entry))

    with asked(opening(nothing, upgrade=True)) as it:
        facts = it.facts("u-alice")
        assert (facts.username, facts.counters.locks, facts.required, facts.codes_since) == ("alice", 1, True, 0.0)
        assert [(token.id, token.last_step) for token in facts.tokens] == [("t-alice", 58_000_000)]
        it.spend(attempt())
        assert it.settle(replace(settlement(attempt()), codes=(b"", b"x"))) is Settled.DONE
        assert it.run(it.store.reset("u-alice"))
        assert it.facts("u-alice").codes_since == NOON
        assert it.purge(NOON, NOON + 1) == 2


def test_what_a_store_of_the_seventh_version_holds_is_still_there(nothing: str) -> None:
    """Nothing of it waits for a time of its own; of no code is it known where it was asked for."""
    bring_to(nothing, "0007")
    once = {"user_id": "u-bob", "code": b"sealed", "created": NOON, "expires": NOON + 60, "tries": 1}
    proposed = once | {"id": "p1", "address": "bob@new.example", "reference": "K1"}
    verified = {"user_id": "u-bob", "address": "bob@example.net", "verified": 1.0}
    write(
        nothing,
        *(counters(user, codes_since=5.0) for user in ("alice", "bob")),
        token("alice", confirmed=False),
        ("mail_address", verified),
        *mailed("c1", "bob"),
        ("proposal", proposed),
    )

    with asked(opening(nothing, upgrade=True)) as it:
        (code,) = it.facts("u-bob").mail_codes
        assert (code.id, code.tries, code.client) == ("c1", 2, "")
        assert it.facts("u-bob").codes_since == 5.0
        assert it.run(it.store.ripen(NOON + 1000)) == 0
        assert it.run(it.store.confirm_token("t-alice", 58_000_001, 0))
        (details,) = it.run(it.store.token_details("u-alice"))
        assert (details.confirmed, details.good_from) == (True, 0.0)
        tried = it.run(it.store.try_proposal("u-bob", NOON))
        assert tried is not None
        assert (tried.tries, tried.good_from) == (2, 0.0)


def mailed(code: str, user: str) -> list[tuple[str, dict[str, Any]]]:
    """A code and its mail, as they were."""
    times = {"created": NOON, "expires": NOON + 60}
    what = {"id": code, "user_id": f"u-{user}", "reference": "K7", "code": b"sealed code"}
    where = {"id": code, "address": f"{user}@example.net", "language": "ja", "client": "vpn"}
    return [
        ("mail_code", {**what, **times, "tries": 2, "used": False}),
        ("outbox", {**where, "attempts": 1, "due": NOON}),
    ]


def test_what_a_store_of_the_second_version_holds_is_still_there(nothing: str) -> None:
    """Whoever has a factor is required to use it from now on, and mails that wait are still sent."""
    bring_to(nothing, "0002")
    write(
        nothing,
        counters("alice", since_success=9, locks=2, locked_until=NOON, suspended=True, last_success=5.0),
        *map(counters, ("bob", "carol", "dan")),
        token("alice"),
        token("carol", confirmed=False),
        ("mail_address", {"user_id": "u-bob", "address": "bob@example.net", "verified": 1.0}),
        *mailed("c1", "bob"),
        ("outbox", {**mailed("c2", "carol")[1][1]}),  # whose code is gone
        SPENT,
        ("login", dict.fromkeys(LOGIN, "x") | {"time": NOON, "user_id": "u-alice"}),
        ("message_authenticator_seen", {"client": "vpn", "source": "192.0.2.1", "since": 1.0}),
        ("key_check", {"key_id": b"key1", "proof": b"proof"}),
    )

    with asked(opening(nothing, upgrade=True)) as it:
        required = {user: it.facts(f"u-{user}").required for user in ("alice", "bob", "carol", "dan")}
        assert required == {"alice": True, "bob": True, "carol": False, "dan": False}
        assert it.counters() == Counters(3, 9, 2, NOON, True)
        (kept,) = it.facts().tokens
        assert (kept.last_step, kept.drift, kept.confirmed, kept.told_steps) == (58_000_000, 1, True, frozenset())
        (code,) = it.facts("u-bob").mail_codes
        assert (code.id, code.code, code.tries, code.used) == ("c1", b"sealed code", 2, False)
        assert it.run(it.store.sources()) == [SourceTally("vpn", "192.0.2.1", 1.0, 1.0, signed=1, last_signed=1.0)]
        assert it.run(it.store.key_proofs()) == {b"key1": b"proof"}
        assert it.purge(NOON, NOON) == 1  # the mail without a code
        (mail,) = it.run(it.store.claim_mails(NOON, NOON + 60, 10))
        assert (mail.id, mail.user_id, mail.code, mail.kind) == ("c1", "u-bob", b"sealed code", MailKind.CODE)
        assert (mail.address, mail.created, mail.expires, mail.attempts) == ("bob@example.net", NOON, NOON + 60, 2)
        assert it.purge(NOON + 1, NOON + 1) == 2  # the State, the login


# --- cut off in the middle ----------------------------------------------------------------------------


def test_where_a_version_cannot_be_reached_the_store_is_whole_as_it_was_and_the_next_start_goes_on(
    nothing: str,
) -> None:
    """Six versions work, and the last one finds a table in its way: none of them has happened."""
    bring_to(nothing, "0001")
    write(nothing, counters("alice"), token("alice"), SPENT)
    through(nothing, lambda there: there.exec_driver_sql("CREATE TABLE help_case (id TEXT)"))
    before = through(nothing, lambda there: set(inspect(there).get_table_names()))

    said = rf"cannot be brought to schema {NEWEST}: [^\n]*help_case[^\n]*already exists[^\n]*$"
    with pytest.raises(StoreError, match=said), asked(opening(nothing, upgrade=True)):
        pass
    assert version_at(nothing) == "0001"
    assert through(nothing, lambda there: set(inspect(there).get_table_names())) == before
    through(nothing, lambda there: there.exec_driver_sql("DROP TABLE help_case"))
    with asked(opening(nothing, upgrade=True)) as it:
        assert it.facts("u-alice").counters.failures == 3


def test_a_full_disk_leaves_the_store_as_it_was(url: str, connection: sqlite3.Connection) -> None:
    bring_to(url, "0001")
    write(url, counters("alice"), token("alice"))
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 8}")

    with pytest.raises(StoreError, match=rf"cannot be brought to schema {NEWEST}: database or disk is full$"):
        migrate_connection(connection, name_of(url), upgrade=True)
    assert version(connection) == "0001"
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    migrate(url)
    assert version(connection) == NEWEST


KILLED = """
import os, signal, sys
from radius_mfa.stores.migrate import migrate
from radius_mfa.stores.sqlite_connection import connect
connection = connect(sys.argv[1], wait=0)
connection.execute("PRAGMA cache_size = 4")  # so that much of it is in the file by then
def look(sql):
    if "CREATE TABLE link" in sql:
        os.kill(os.getpid(), signal.SIGKILL)
connection.set_trace_callback(look)
migrate(connection, "", upgrade=True)
"""


def test_a_process_that_is_killed_in_the_middle_leaves_the_store_as_it_was(
    url: str, connection: sqlite3.Connection
) -> None:
    bring_to(url, "0001")
    entry = dict.fromkeys(LOGIN, "x" * 500) | {"user_id": "u-alice"}
    write(url, counters("alice"), token("alice"), *(("login", entry | {"time": NOON + n}) for n in range(50)))
    killed = subprocess.run([sys.executable, "-c", KILLED, url], cwd=TOP, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert version(connection) == "0001"
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with asked(opening(url, upgrade=True)) as it:
        assert it.facts("u-alice").counters.failures == 3
        assert it.purge(NOON, NOON + 50) == 50


def test_a_server_that_is_killed_while_it_waits_for_a_table_leaves_the_database_as_it_was() -> None:
    """Version 6 asks for the table alone, and somebody has it."""
    url = NOTHING["postgresql"](Path())
    bring_to(url, "0001")
    write(url, counters("alice"), token("alice"))
    program = "import sys; from tests.stores.schemas import *; o = opening(sys.argv[1], upgrade=True); "
    program += "from tests.stores.support import *; Asked(o, SystemClock())"

    def kill(there: Connection) -> int:
        there.exec_driver_sql("LOCK TABLE login IN ACCESS SHARE MODE")
        with subprocess.Popen([sys.executable, "-c", program, url], cwd=TOP) as process:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'login'::regclass"
            while process.poll() is None and not there.exec_driver_sql(waiting).scalar():
                pass
            process.kill()
            return process.wait(60)

    assert through(url, kill) == -signal.SIGKILL
    assert version_at(url) == "0001"
    with asked(opening(url, upgrade=True)) as it:
        assert it.facts("u-alice").counters.failures == 3
