"""Schema versions: from nothing, from the newest, from the future."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.migrate import NEWEST, SCRIPTS
from radius_mfa.stores.migrate import migrate as migrate_connection
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.sqlite_connection import connect, name_of
from tests.adapters import FixedClock
from tests.stores.support import TOP, asked

TABLES = {
    "key_check",
    "login",
    "mail_address",
    "mail_code",
    "message_authenticator_seen",
    "outbox",
    "spent_state",
    "totp_token",
    "user_counters",
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/100% new.db"


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with closing(connect(url, wait=0)) as connection:
        yield connection


def migrate(url: str) -> None:
    """Bring the store at `url` to the newest version, as opening it does."""
    with closing(connect(url, wait=30)) as connection:
        migrate_connection(connection, name_of(url))


def tables(connection: Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def version(connection: Connection) -> str:
    ((version,),) = connection.execute("SELECT version_num FROM alembic_version")
    return str(version)


def test_a_store_is_made_from_nothing(url: str, connection: Connection) -> None:
    migrate(url)

    assert tables(connection) == {*TABLES, "alembic_version"}
    assert version(connection) == NEWEST


def test_migrating_again_changes_nothing(url: str, connection: Connection) -> None:
    migrate(url)
    before = connection.execute("PRAGMA schema_version").fetchone()
    migrate(url)

    assert connection.execute("PRAGMA schema_version").fetchone() == before


def test_the_newest_version_is_the_last_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))

    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]


def test_a_store_of_a_newer_version_is_refused_in_one_line(url: str, connection: Connection) -> None:
    migrate(url)
    connection.execute("UPDATE alembic_version SET version_num = '0999'")

    for open_it in (migrate, lambda url: SqliteStore.open(url, FixedClock())):
        with pytest.raises(StoreError, match=r"^/.*: was made by a newer radius-mfa \(schema 0999; [^\n]*$"):
            open_it(url)


def test_a_database_of_something_else_is_refused_and_left_alone(url: str, connection: Connection) -> None:
    connection.execute("CREATE TABLE poems (line TEXT)")

    with pytest.raises(StoreError, match="something else"):
        SqliteStore.open(url, FixedClock())
    assert tables(connection) == {"poems"}
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_migration_that_fails_leaves_nothing_behind(url: str, connection: Connection) -> None:
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


def test_what_a_store_of_the_first_version_holds_is_still_there(url: str, connection: Connection) -> None:
    """A server that is brought up to date finds its users, their tokens and what was spent."""
    _upgrade_to("0001", connection)
    connection.execute(
        "INSERT INTO user_counters (user_id, username, failures, created) VALUES ('u-alice', 'alice', 3, 1.0)"
    )
    connection.execute(
        "INSERT INTO totp_token VALUES ('t1', 'u-alice', 'phone', x'00', x'01', TRUE, 58000000, 0, 1.0)"
    )
    connection.execute("INSERT INTO spent_state VALUES (x'02', 1, 'u-alice', x'03', NULL, 9e9)")

    with asked(lambda clock: SqliteStore.open(url, clock)) as it:
        facts = it.facts("u-alice")
        assert (facts.username, facts.counters.failures, facts.mail_address) == ("alice", 3, "")
        assert [(token.id, token.last_step) for token in facts.tokens] == [("t1", 58000000)]
        it.run(it.store.set_mail_address("u-alice", "alice", "alice@example.net"))
        assert it.facts("u-alice").mail_address == "alice@example.net"
    assert version(connection) == NEWEST
    assert connection.execute("SELECT count(*) FROM spent_state").fetchone() == (1,)


def _upgrade_to(revision: str, connection: Connection) -> None:
    """As the server that knew no later version has done it."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as config.attributes["connection"]:
        command.upgrade(config, revision)
        connection.commit()
