"""What comes between two statements, where engines let it: a piece of work, step by step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from radius_mfa.core.stored import MailKind, Notice
from radius_mfa.stores import mail_work
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.sqlite_connection import rows
from radius_mfa.stores.work import Step, Work
from tests.adapters import NOON, FixedClock
from tests.stores.support import ALICE, asked

T = TypeVar("T")
ADDRESS = "alice@example.net"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A store with alice's address."""
    path = tmp_path / "state.db"
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock), FixedClock()) as it:
        it.run(it.store.set_mail_address(ALICE, "alice", ADDRESS))
    with closing(sqlite3.connect(path)) as database:
        yield database


def done(database: sqlite3.Connection, work: Work[T], step: Step | None = None) -> T:
    """The result of the work; `step`: the one it is waiting at, where it was begun already."""
    try:
        step = step or next(work)
        while True:
            step = work.send(rows(database.cursor(), *step))
    except StopIteration as end:
        result: T = end.value
        return result


def test_a_mail_that_is_dropped_while_it_is_claimed_is_not_delivered(database: sqlite3.Connection) -> None:
    """Its user logs in by the code at another node, or changes address, and waits for nobody at the outbox."""
    first = Notice("n1", ALICE, MailKind.SUSPENDED, ADDRESS, "ja", "vpn", NOON, NOON + 60)
    for notice in (first, replace(first, id="n2")):
        done(database, mail_work.post_notice(notice))

    claiming = mail_work.claim(NOON, NOON + 60, 10)
    claim = claiming.send(rows(database.cursor(), *next(claiming)))
    done(database, mail_work.drop("n1"))

    assert [mail.id for mail in done(database, claiming, claim)] == ["n2"]
