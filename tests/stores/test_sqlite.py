"""What is SQLite's own: locks that never keep the loop waiting, and what is on the disk when."""

import asyncio
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.kept import NewRecoveryCode
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import (
    AnsweredBefore,
    MailCodeUse,
    MailKind,
    NewDevice,
    NewMailCode,
    Notice,
    RecoveryCodeUse,
    Reserved,
    TotpStep,
)
from radius_mfa.stores import login_work
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.work import Step
from tests.adapters import NOON, FixedClock
from tests.stores.support import (
    ALICE,
    Asked,
    Contender,
    SystemClock,
    asked,
    attempt,
    count,
    new_token,
    settlement,
)

DEVICE = NewDevice("d1", ALICE, "02-00-00-00-00-01", ("vpns",), "vpn", FactorKind.TOTP, NOON, NOON + 60)
NOTICE = Notice("n1", ALICE, MailKind.SUSPENDED, "alice@example.net", "en", "vpn", NOON, NOON + 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def it(path: Path) -> Iterator[Asked]:
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock), SystemClock()) as it:
        yield it


def query(path: Path, statement: str) -> list[dict[str, object]]:
    """What another program reads in the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement)]


class Ticker:
    """A task that wants its turn every millisecond; `longest`: the seconds it was kept waiting at most."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> "Ticker":
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.001)
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now


# --- locks --------------------------------------------------------------------------------------


def test_a_lock_held_by_another_process_never_stalls_the_loop(path: Path, it: Asked) -> None:
    """It would be 5 seconds, were SQLite left to wait by itself; each time, and not once as on a busy machine."""

    async def write() -> tuple[float, float]:
        began = time.monotonic()
        async with Ticker() as ticker:
            with pytest.raises(StoreError, match="in time"):
                await it.store.spend(attempt(), count, began + 1)
        return time.monotonic() - began, ticker.longest

    with Contender("lock", f"sqlite:///{path}") as holder:
        holder.hear("locked")
        for _ in range(3):
            took, longest = it.run(write())
            assert 0.9 < took < 4
            if longest < 0.5:
                break

    assert longest < 0.5
    assert it.counters() == Counters()


def test_fifty_logins_at_a_locked_store_and_what_is_durable_leave_the_loop_its_turn(path: Path, it: Asked) -> None:
    """The best of three: the machine may be busy with something else, but not each time."""

    async def write(number: int) -> tuple[list[object], float]:
        until = time.monotonic() + 1
        users = [f"u-{number}-{each}" for each in range(50)]
        async with Ticker() as ticker:
            logins = [it.store.spend(attempt(each, user_id=user), count, until) for each, user in enumerate(users)]
            settling = it.store.settle(replace(settlement(attempt(99)), trust=DEVICE), until)
            ended = await asyncio.gather(*logins, settling, return_exceptions=True)
        return list(ended), ticker.longest

    async def all_of_it(holder: Contender) -> tuple[list[float], list[object]]:
        durable = [
            asyncio.create_task(it.store.reset(ALICE)),
            asyncio.create_task(it.store.add_tokens([new_token()])),
            asyncio.create_task(it.store.revoke_devices(ALICE, None)),
        ]
        gaps = []
        for number in range(3):
            ended, longest = await write(number)
            assert len(ended) == 51
            assert {str(each) for each in ended} == {
                f"{path}: could not be read or written in time",
                f"{path}: could not be written in time",
            }
            gaps.append(longest)
        assert not any(task.done() for task in durable)
        holder.go()
        return gaps, await asyncio.gather(*durable)

    it.spend(attempt(99))
    with Contender("lock", f"sqlite:///{path}") as holder:
        holder.hear("locked")
        gaps, done = it.run(all_of_it(holder))

    print(f"the longest the loop was kept waiting, in three seconds: {[f'{1000 * gap:.1f} ms' for gap in gaps]}")
    assert min(gaps) < 0.1
    assert done == [True, [True], 0]


def test_reading_goes_on_while_another_process_writes(path: Path, it: Asked) -> None:
    with Contender("lock", f"sqlite:///{path}") as holder:
        holder.hear("locked")

        assert it.counters() == Counters()


def test_a_lock_let_go_in_time_only_delays(path: Path, it: Asked) -> None:
    async def write(holder: Contender) -> object:
        spending = asyncio.create_task(it.store.spend(attempt(), count, it.soon()))
        await asyncio.sleep(0.05)
        assert not spending.done()
        holder.go()
        return await spending

    with Contender("lock", f"sqlite:///{path}") as holder:
        holder.hear("locked")

        assert isinstance(it.run(write(holder)), Reserved)


def test_durable_writes_and_purges_do_not_stall_the_loop_either(path: Path, it: Asked) -> None:
    async def write(number: int, holder: Contender) -> tuple[list[bool], float]:
        async with Ticker() as ticker:
            adding = asyncio.create_task(it.store.add_tokens([new_token(number)]))
            await asyncio.sleep(1)
            assert not adding.done()
            holder.go()
            added = list(await adding)
        return added, ticker.longest

    for number in range(3):  # a busy machine may keep it waiting once
        with Contender("lock", f"sqlite:///{path}") as holder:
            holder.hear("locked")
            added, longest = it.run(write(number, holder))
        assert added == [True]
        if longest < 0.5:
            break

    assert longest < 0.5


def test_a_call_given_up_while_it_waits_leaves_nothing_behind(path: Path, it: Asked) -> None:
    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await it.store.spend(attempt(), count, it.soon())

    with Contender("lock", f"sqlite:///{path}") as holder:
        holder.hear("locked")
        it.run(give_up())

    assert isinstance(it.spend(attempt()), Reserved)
    assert it.counters() == Counters(1, 1)


# --- the disk -----------------------------------------------------------------------------------


def test_what_was_written_is_there_after_opening_again(path: Path) -> None:
    for expected in (Counters(), Counters(1, 1), Counters(2, 2)):
        with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)) as it:
            assert it.counters() == expected
            it.spend(attempt(expected.failures))


def on_disk(path: Path) -> list[dict[str, object]]:
    """The users, as they would be found if all were lost that has not been synced: the log among it."""
    lost = path.with_name("after a power cut.db")
    shutil.copyfile(path, lost)
    return query(lost, "SELECT user_id, failures, locks, suspended FROM user_counters")


@pytest.fixture
def synced(path: Path, it: Asked) -> Asked:
    """A store with nothing left in its log."""
    assert query(path, "PRAGMA wal_checkpoint(TRUNCATE)") == [{"busy": 0, "log": 0, "checkpointed": 0}]
    return it


@pytest.mark.parametrize("counters", [Counters(10, 10, 1, 2e9), Counters(0, 50, 0, 0.0, True)])
def test_a_lock_or_a_suspension_has_reached_the_disk_once_it_is_spent(
    path: Path, synced: Asked, counters: Counters
) -> None:
    """What brings it there also copies it into the file, after having synced the log."""
    synced.spend(attempt(1))
    assert on_disk(path) == []  # one more failure may get lost; else each guess would wait for the disk
    synced.spend(attempt(2), lambda _: counters)

    assert on_disk(path) == [
        {
            "user_id": ALICE,
            "failures": counters.failures,
            "locks": counters.locks,
            "suspended": int(counters.suspended),
        }
    ]


def test_a_lock_has_reached_the_disk_though_whoever_was_first_was_cut_off(path: Path, synced: Asked) -> None:
    """The same answer comes again: it is told nothing before the lock is on the disk."""
    with Contender("spend-and-hang", f"sqlite:///{path}") as other:
        other.hear("spent")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE user_counters SET locked_until = 2e9, locks = 7")
    assert on_disk(path) == []

    assert isinstance(synced.spend(attempt()), Reserved)
    assert [user["locks"] for user in on_disk(path)] == [7]


def test_a_lock_reaches_the_disk_where_a_reader_is_in_the_way(path: Path, synced: Asked) -> None:
    """Such as a backup: nothing is copied back meanwhile, and nothing synced.  A synced commit does that."""

    def frames() -> int:
        return int(str(query(path, "PRAGMA wal_checkpoint(PASSIVE)")[0]["log"]))

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM user_counters").fetchall()
        log = []
        for login, until in enumerate((0.0, 0.0, 2e9)):
            synced.spend(attempt(login), partial(replace, failures=login + 1, locked_until=until))
            log.append(frames())
        assert on_disk(path) == []

    # The same pages each time, and one more.
    assert log[2] - log[1] == log[1] - log[0] + 1


@pytest.mark.parametrize(
    "about",
    [{"trust": DEVICE}, {"notice": NOTICE}, {"consume": RecoveryCodeUse("r1")}, {"consume": MailCodeUse("c1")}],
)
def test_what_lasts_is_settled_by_the_connection_that_syncs(path: Path, it: Asked, about: dict[str, Any]) -> None:
    """To be told by that it goes on waiting for the lock, and is done late."""
    assert settled_at_a_locked_store(path, it, about) == "could not be written in time"
    assert it.spend(attempt()) == AnsweredBefore(b"the decision")


def test_a_step_is_settled_by_the_connection_that_does_not_wait(path: Path, it: Asked) -> None:
    said = settled_at_a_locked_store(path, it, {"consume": TotpStep("t1", 7, 0)})

    assert said == "could not be read or written in time"
    assert isinstance(it.spend(attempt()), Reserved)
    assert it.last_step() == 0


def settled_at_a_locked_store(path: Path, it: Asked, about: dict[str, Any]) -> str:
    """What a login is told that cannot be settled in time; then what waits for the lock is done."""
    it.add(new_token())
    it.run(it.store.set_mail_address(ALICE, "alice", "alice@example.net"))
    it.run(it.store.set_recovery_codes(ALICE, "alice", [NewRecoveryCode("r1", b"sealed")]))
    about_code = (b"sealed", NOON, NOON + 60, "alice@example.net", "en", "vpn", "")
    assert it.run(it.store.issue_mail_code(NewMailCode("c1", ALICE, "K1", *about_code), it.soon()))
    it.spend(attempt())

    async def settle(holder: Contender) -> str:
        with pytest.raises(StoreError) as late:
            await it.store.settle(replace(settlement(attempt()), **about), it.clock.monotonic() + 0.2)
        holder.go()
        await it.store.unlock(ALICE)  # comes after whatever the thread has to do
        return str(late.value).removeprefix(f"{path}: ")

    with Contender("lock", f"sqlite:///{path}") as holder:
        holder.hear("locked")
        return it.run(settle(holder))


def test_the_file_and_those_beside_it_are_for_the_owner_alone(path: Path, it: Asked) -> None:
    it.spend(attempt())

    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_the_log_does_not_grow_with_the_logins(path: Path, it: Asked) -> None:
    """5,000 commits of at least two 4 kB pages are 40 MB, were they never copied back.

    A pause now and then is all it takes: in it the thread does what it was given, and begins the log anew.
    """
    log = path.with_name("state.db-wal")

    async def logins() -> int:
        longest = 0
        for login in range(5000):
            await it.store.spend(attempt(login), count_nothing, it.soon())
            longest = max(longest, log.stat().st_size)
            if login % 256 == 0:
                await it.store.sources()  # comes after what the thread has to do
        return longest

    assert it.run(logins()) < 20e6


def count_nothing(counters: Counters) -> Counters:
    return counters


def test_nothing_is_left_beside_the_file_of_a_closed_store(path: Path) -> None:
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)) as it:
        it.spend(attempt())

    assert [each.name for each in path.parent.iterdir()] == ["state.db"]


def test_a_login_has_its_row(path: Path, it: Asked) -> None:
    it.spend(attempt())
    it.settle(settlement(attempt(), username="alice", outcome=Outcome.CODE_WRONG, decision="reject"))

    assert query(path, "SELECT * FROM login") == [
        {
            "user_id": ALICE,
            "time": NOON,
            "login": attempt().login.hex(),
            "round": 1,
            "username": "alice",
            "client": "vpn",
            "station": "02-00-00-00-00-01",
            "source": "192.0.2.1:1645",
            "policy": "staff",
            "factor": "totp",
            "outcome": "code_wrong",
            "decision": "reject",
            "code": None,
        }
    ]


def test_nothing_that_settled_nothing_has_a_row(path: Path, it: Asked) -> None:
    it.spend(attempt())
    it.settle(settlement(attempt(), TotpStep("unknown", 7, 0), cleared))

    assert query(path, "SELECT * FROM login") == []


def test_a_user_has_the_name_last_heard_and_the_time_of_the_last_success(path: Path) -> None:
    clock = FixedClock()
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock), clock) as it:

        def user() -> tuple[object, ...]:
            (row,) = query(path, "SELECT username, created, last_success FROM user_counters")
            return tuple(row.values())

        it.spend(attempt(1))
        assert user() == ("", NOON, None)
        clock.advance(60)
        it.add(new_token(username="alice"))
        assert user() == ("alice", NOON, None)
        it.settle(settlement(attempt(1), adjust=cleared, time=NOON + 1))
        assert user() == ("alice", NOON, NOON + 1)
        it.spend(attempt(2))
        it.settle(settlement(attempt(2), adjust=cleared, time=NOON + 2, username="alice2", decision="accept"))
        assert user() == ("alice2", NOON, NOON + 2)


def test_a_user_is_written_only_when_there_is_something_to_write(path: Path, it: Asked) -> None:
    it.spend(attempt(), count_nothing)
    it.settle(settlement(attempt(), adjust=cleared, decision="reject"))

    assert query(path, "SELECT * FROM user_counters") == []


def test_of_a_user_who_types_it_right_at_once_only_the_token_is_written(path: Path, it: Asked) -> None:
    it.add(new_token())
    before = query(path, "SELECT * FROM user_counters")
    end = settlement(attempt(), TotpStep("t1", 7, 0), cleared, time=NOON + 1)

    it.spend(attempt(), judge=lambda _: end)

    assert query(path, "SELECT * FROM user_counters") == before
    assert query(path, "SELECT last_step, last_success FROM totp_token") == [
        {"last_step": 7, "last_success": NOON + 1}
    ]


@pytest.mark.parametrize("instead", [Path.touch, None], ids=["another", "none"])
def test_a_file_that_was_moved_away_takes_no_code_until_it_is_back(
    path: Path, instead: Callable[[Path], None] | None
) -> None:
    """A backup may be restored in its place: what was used at one of the two would be good at the other."""
    clock = FixedClock()
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock), clock) as it:
        it.add(new_token())
        moved = path.rename(path.with_name("moved"))
        if instead:
            instead(path)
        clock.advance(1)
        for ask in (lambda: it.facts(ALICE), lambda: it.spend(attempt()), lambda: it.add(new_token(2))):
            with pytest.raises(StoreError, match=f"^{path}: was moved or deleted while it is open; "):
                ask()
        moved.rename(path)
        clock.advance(1)
        assert [each.id for each in it.facts(ALICE).tokens] == ["t1"]


# --- what cannot be opened ----------------------------------------------------------------------


def overwritten(path: Path, at: int) -> None:
    """A store of which everything from there on is rubbish."""
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)) as it:
        it.add(*(new_token(number) for number in range(300)))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * (size - at))


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (a_folder, "is not a file"),
        (lambda path: path.write_bytes(b"not a database, " * 300), "not a database"),
        (lambda path: overwritten(path, 0), "not a database"),
        (lambda path: overwritten(path, 4096), "malformed"),
    ],
)
def test_what_is_no_store_is_refused_in_one_line(path: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(path)

    with pytest.raises(StoreError) as refused:
        SqliteStore.open(f"sqlite:///{path}", FixedClock())
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_store_that_breaks_while_it_is_open_is_an_error_of_the_store(path: Path, it: Asked) -> None:
    it.add(*(new_token(number) for number in range(300)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(path, 8192)

    with pytest.raises(StoreError) as refused:
        it.add(*(new_token(number) for number in range(300, 600)))
    assert "\n" not in str(refused.value)


def test_a_file_nobody_may_write_is_refused() -> None:
    """One of the kernel's: even root may only read it."""
    with pytest.raises(StoreError, match="is not a file that can be read and written"):
        SqliteStore.open("sqlite:////proc/sys/kernel/ostype", FixedClock())


def test_a_store_whose_folder_is_missing_is_refused_and_not_made(path: Path) -> None:
    missing = path.parent / "missing" / "state.db"

    with pytest.raises(StoreError, match="folder does not exist"):
        SqliteStore.open(f"sqlite:///{missing}", FixedClock())
    assert list(path.parent.iterdir()) == []


def how_found(path: Path, step: Step) -> str:
    """How SQLite finds the tokens in what a piece of work yields."""
    statement, parameters = step
    with closing(sqlite3.connect(path)) as database:
        plan = database.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", parameters).fetchall()
    (found,) = [text for *_, text in plan if text.startswith(("SEARCH t ", "SEARCH totp_token "))]
    return str(found)


def test_a_code_that_was_sent_before_is_found_among_those_of_one_field_alone(path: Path) -> None:
    """And not among all that the user has ever done, while everybody else waits."""
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)):
        pass
    settling = login_work.settle(replace(settlement(attempt()), codes=(b"digest",)), NOON)
    next(settling)
    statement, parameters = settling.send([(attempt().digest, None, False)])
    with closing(sqlite3.connect(path)) as database:
        plan = database.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", parameters).fetchall()
    assert any("INDEX login_by_code" in text for *_, text in plan)


def test_what_is_a_users_is_found_by_the_user_alone(path: Path) -> None:
    """By way of an index a login would read and write pages that it has no other use for."""
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)):
        pass

    read = next(login_work.facts(ALICE))
    reserve = next(login_work.spend(attempt(), count_nothing, None, NOON))
    settling = login_work.settle(settlement(attempt(), TotpStep("t1", 7, 0)), NOON)
    next(settling)
    take = settling.send([(attempt().digest, None, False)])
    assert all("USING PRIMARY KEY (user_id=?)" in how_found(path, step) for step in (read, reserve, take))
