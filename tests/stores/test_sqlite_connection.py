"""URLs of SQLite stores, and transactions."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.stores.sqlite_connection import (
    Held,
    connect,
    is_locked,
    name_of,
    path_of,
    store_errors,
    transaction,
)
from tests.adapters import FixedClock


def test_a_url_names_a_file_or_memory() -> None:
    assert path_of("sqlite:////var/lib/radius-mfa/state.db") == Path("/var/lib/radius-mfa/state.db")
    assert path_of("sqlite:////odd path/100%/?x#y") == Path("/odd path/100%/?x#y")
    assert path_of("sqlite://") is None


@pytest.mark.parametrize(
    "url", ["", "/var/state.db", "sqlite:", "sqlite:/state.db", "sqlite:///state.db", "postgresql:////state.db"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(StoreError, match="four slashes"):
        path_of(url)


def test_an_error_calls_the_store_by_its_file() -> None:
    assert name_of("sqlite:////var/state.db") == "/var/state.db"
    assert name_of("sqlite://") == "sqlite://"


def test_a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    for mode in (0o600, 0o640):
        with closing(connect(f"sqlite:///{tmp_path}/state.db", wait=0)):
            assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == mode
        (tmp_path / "state.db").chmod(0o640)


@pytest.mark.parametrize(("folder", "mode"), [(0o2770, 0o660), (0o2750, 0o600), (0o770, 0o600)])
def test_in_a_shared_folder_the_group_has_all_files_too(tmp_path: Path, folder: int, mode: int) -> None:
    """Those beside it as well, which either of two users has to write."""
    tmp_path.chmod(folder)
    with closing(connect(f"sqlite:///{tmp_path}/state.db", wait=0)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE number (value INTEGER)")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm"], mode)


def test_a_link_is_not_followed_to_a_file_of_somebody_elses(tmp_path: Path) -> None:
    """A folder may be one: whoever could change that could change more."""
    (tmp_path / "empty").touch()
    (tmp_path / "state.db").symlink_to("empty")
    (tmp_path / "folder").symlink_to(".")
    with pytest.raises(StoreError, match=r"/state\.db: is a symbolic link; write the path that it leads to$"):
        connect(f"sqlite:///{tmp_path}/state.db", wait=0)
    with closing(connect(f"sqlite:///{tmp_path}/folder/../{tmp_path.name}/folder/empty", wait=0)) as connection:
        connection.execute("CREATE TABLE number (value INTEGER)")


def test_a_file_that_was_moved_away_while_it_was_opened_is_not_held(tmp_path: Path) -> None:
    """Or it would be as it was for as long as nothing is there."""
    with pytest.raises(StoreError, match=r"/state\.db: was moved or deleted while it is open; "):
        Held(tmp_path / "state.db", FixedClock())


def test_a_transaction_is_all_or_nothing() -> None:
    with closing(connect("sqlite://", wait=0)) as connection:
        with transaction(connection.cursor()):
            connection.execute("CREATE TABLE number (value INTEGER CHECK (value > 0))")
        with pytest.raises(sqlite3.IntegrityError), transaction(connection.cursor()):
            connection.executemany("INSERT INTO number VALUES (?)", [(1,), (0,)])

        assert connection.execute("SELECT * FROM number").fetchall() == []
        assert not connection.in_transaction


def test_what_is_locked_is_told_from_what_is_broken(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    with closing(connect(url, wait=0)) as one, closing(connect(url, wait=0)) as other:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as wrong:
            other.execute("SELECT * FROM nothing")

    assert is_locked(locked.value)
    assert not is_locked(wrong.value)


def test_errors_of_sqlite_become_ours_and_others_do_not() -> None:
    with pytest.raises(StoreError, match=r"^state\.db: no more$"), store_errors("state.db"):
        raise sqlite3.DatabaseError("no more")
    with pytest.raises(ZeroDivisionError), store_errors("state.db"):
        raise ZeroDivisionError
