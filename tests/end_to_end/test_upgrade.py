"""A store of every earlier version is brought up to date while NASes go on asking: no login is lost.

What an older server has left is what the university's has, in the columns that there were: the same people, keys
and seals.  The new one is started in a thread of ours, since most of what a process costs is its start.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, MetaData, Table

from radius_mfa.assembly.rules import load
from radius_mfa.assembly.server import Server as ServerHere
from radius_mfa.stores.migrate import NEWEST
from tests.cli.support import run_process
from tests.end_to_end.crowd import Crowd, People
from tests.end_to_end.nas import ACCEPT, CHALLENGE, raw_nas
from tests.end_to_end.site import SECRET, VPN, Account, Site, now
from tests.peers.ports import free_port
from tests.peers.server import Server
from tests.peers.slapd import Person
from tests.stores.schemas import NOTHING, bring_to, mark, through
from tests.stores.test_migrate import version_at

VERSIONS = [f"{number:04}" for number in range(1, int(NEWEST) + 1)]
FIRST, LAST = 700, 712  # people of the directory; in these stores no other test has them
RETRIES = 100  # of a NAS, for 30 s: the server is started meanwhile, on a machine that may have much else to do
# Tables that every version has had.
KEPT = ("user_counters", "totp_token", "key_check")
FORMER = {"last_used": None}  # columns that have gone


def person(number: int) -> Account:
    return Account.of(Person(f"u{number}", f"pw{number}"))


def left_by(university: Site, url: str, version: str, used: Account, step: int) -> None:
    """A store of that version, sealed with the university's keys, in which FIRST to LAST have their tokens.

    One of them has used the code of that step already.
    """
    bring_to(url, version)
    with closing(sqlite3.connect(university.folder / "state.db")) as ours:
        ours.row_factory = sqlite3.Row
        names = ", ".join(f"'{person(number).name}'" for number in range(FIRST, LAST))
        found = {
            "user_counters": f"SELECT * FROM user_counters WHERE username IN ({names})",
            "totp_token": f"""
                SELECT t.* FROM totp_token t JOIN user_counters c USING (user_id) WHERE c.username IN ({names})""",
            "key_check": "SELECT * FROM key_check",
        }
        rows = {table: [dict(row) for row in ours.execute(query)] for table, query in found.items()}
    (user_id,) = (row["user_id"] for row in rows["user_counters"] if row["username"] == used.name)
    for row in rows["user_counters"]:  # whatever has become of them there
        row |= {"failures": 0, "since_success": 0, "locks": 0, "locked_until": 0.0, "suspended": False}
    for row in rows["totp_token"]:
        row["last_step"] = step if row["user_id"] == user_id else 0

    def write(there: Connection) -> None:
        for name in KEPT:
            table = Table(name, MetaData(), autoload_with=there)
            columns = table.columns.keys()
            some = [{column: {**FORMER, **row}[column] for column in columns} for row in rows[name]]
            there.execute(table.insert(), [typed(table, row) for row in some])

    through(url, write)


def typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """SQLite has numbers for what PostgreSQL calls boolean."""
    return {name: bool(value) if str(table.c[name].type) == "BOOLEAN" else value for name, value in row.items()}


@contextmanager
def stopping() -> Iterator[socket.socket]:
    """Where a server was that answers no more: what is sent there has to be sent again to the next one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old:
        old.bind(("127.0.0.1", free_port()))
        old.settimeout(30)
        yield old


@contextmanager
def started_here(config: Path) -> Iterator[ServerHere]:
    """The server of that configuration, in this process."""
    begun: Future[tuple[ServerHere, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        ended = asyncio.Event()
        try:
            server = await ServerHere.start(load(config, os.environ))
        except BaseException as broken:
            begun.set_exception(broken)
            return
        begun.set_result((server, asyncio.get_running_loop(), ended))
        await ended.wait()
        await server.stop()

    before = structlog.get_config()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        server, loop, ended = begun.result(60)
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(ended.set)
    finally:
        thread.join(60)
        structlog.configure(**before)


@pytest.mark.parametrize("engine", NOTHING)
@pytest.mark.parametrize("version", VERSIONS)
def test_logins_that_go_on_while_a_store_is_brought_up_to_date_end_right(
    university: Site, tmp_path: Path, version: str, engine: str
) -> None:
    url, name = NOTHING[engine](tmp_path), f"from-{version}-{engine}"
    used, begun, *others = map(person, range(FIRST, LAST))
    step = now() + 1  # whose code is looked at for longer than the present one
    left_by(university, url, version, used, step)
    with university.nas() as nas:  # a server of before, which has the same keys
        state = nas.ask(begun.name, begun.password).state

    with ExitStack() as stack:
        with stopping() as old:
            where = old.getsockname()
            crowd = stack.enter_context(Crowd(where, People(others), len(others), len(others), retries=RETRIES))
            assert len({old.recv(4096) for _ in others}) == len(others)
        at = {"listen": [{"udp": f"{where[0]}:{where[1]}"}], "storage": url, "audit": {"file": f"{name}.jsonl"}}
        stack.enter_context(started_here(university.write(f"{name}.yaml", at)))
        nas = stack.enter_context(raw_nas(where[1], SECRET, VPN))

        crowd.until(lambda: crowd.accepted == len(others))
        assert nas.ask(begun.name, begun.code(), state=state).code == ACCEPT
        state = nas.ask(used.name, used.password).state
        assert nas.ask(used.name, used.code(step), state=state).code == CHALLENGE
    assert crowd.resent > 0
    assert version_at(url) == NEWEST
    assert university.outcomes(used.name, f"{name}.jsonl")[-1] == "challenge code_used"


def add_columns(there: Connection) -> None:
    """As versions 7 and 8 did."""
    for table in ("totp_token", "user_counters", "login"):
        there.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN of_tomorrow TEXT NOT NULL DEFAULT ''")


def test_a_server_of_before_goes_on_where_a_column_was_added_and_is_not_started_again(
    university: Site,
) -> None:
    """Two nodes at one database, of which the other knows a version that this one does not."""
    url = NOTHING["postgresql"](Path())
    first, second, third = map(person, range(FIRST, FIRST + 3))
    left_by(university, url, NEWEST, third, now())
    config = university.write("before.yaml", {"storage": url, "audit": {"file": "before.jsonl"}})
    with Server(config) as before, raw_nas(before.port, SECRET, VPN) as nas:
        asked = {who: nas.ask(who.name, who.password).state for who in (first, second)}
        assert nas.ask(first.name, first.code(), state=asked[first]).code == ACCEPT
        through(url, add_columns)
        mark(url, "0999")

        assert nas.ask(second.name, second.code(), state=asked[second]).code == ACCEPT
        state = nas.ask(third.name, third.password).state
        assert nas.ask(third.name, third.code(now() + 1), state=state).code == ACCEPT
    refused = run_process("--config", config, "serve")
    assert refused.status == 1
    assert "was made by a newer radius-mfa (schema 0999; " in refused.err.splitlines()[-1]
