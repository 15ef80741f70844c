"""A store that is made of a backup: on either engine, of whatever version, and safe to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, LargeBinary, Text

from radius_mfa.core.errors import BackupError, KeyFileError
from radius_mfa.stores.key_file import create_key_file, read_key_file
from radius_mfa.stores.migrate import NEWEST
from radius_mfa.stores.restore import KeyFileInWaiting
from radius_mfa.stores.schema import metadata
from tests.adapters import NOON
from tests.stores.backups import AHEAD, KEYS, PROOF, SEALER, STEP, backed_up, restored, rows_at, table_names
from tests.stores.schemas import NOTHING, bring_to, mark, opening
from tests.stores.support import asked
from tests.stores.test_migrate import LOGIN, counters, mailed, token, version_at, write

OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}


def value(column: Column[Any], number: int) -> Any:
    """Something that fits, and is like nothing else."""
    match column.type:
        case Boolean():
            return number % 2 == 1
        case LargeBinary():
            return bytes([number, 0, 255])
        case Text():
            return f"{column.name} {number} \N{SNOWMAN}\n'"
    return number + (0.125 if column.type.python_type is float else 0)


def fill_all(url: str) -> None:
    """Two rows in every table, each value another one; nothing waits, no key is needed."""
    rows = [
        (table.name, {column.name: value(column, number) for column in table.columns})
        for table in metadata.sorted_tables
        for number in (3, 4)
        if table.name != "key_check"
    ]
    for name, row in rows:
        if name == "totp_token":
            row |= {"good_from": 0.0, "drift": {3: 1, 4: AHEAD + 2}[row["drift"]]}
    write(url, PROOF, *rows)


@pytest.mark.parametrize("engine", OTHER)
def test_what_was_in_one_engine_is_in_the_other_but_for_what_may_have_been_used(
    engine: str, tmp_path: Path
) -> None:
    there, here = NOTHING[engine](tmp_path), NOTHING[OTHER[engine]](tmp_path)
    bring_to(there, NEWEST)
    fill_all(there)
    ended = restored(backed_up(there, tmp_path), here)

    before, after = rows_at(there), rows_at(here)
    assert set(before) == set(after) == set(metadata.tables)
    assert version_at(here) == NEWEST
    gone = {"node", "visit", "outbox", "proposal", "voucher", "trusted_device"}
    assert {name for name in after if not after[name]} == gone
    used = {"mail_code", "link", "recovery_code"}
    for name in after.keys() - gone - used - {"totp_token", "user_counters"}:
        assert after[name] == before[name]
    for name in used:
        assert after[name] == [{**row, "used": True} for row in before[name]]
    since = NOON + 86400
    assert after["user_counters"] == [{**row, "codes_since": since} for row in before["user_counters"]]
    # As late as their clocks may be early by now.
    assert [row["last_step"] - STEP - 2880 for row in after["totp_token"]] == [AHEAD, AHEAD + 2]
    assert [{**row, "last_step": 0} for row in after["totp_token"]] == [
        {**row, "last_step": 0} for row in before["totp_token"]
    ]
    assert ended == {
        **dict.fromkeys(("proposals", "vouchers", "devices", "visits", "mails", "nodes"), 2),
        **dict.fromkeys(("codes", "links", "recovery_codes"), 1),
        "waiting": 0,
    }


def test_new_rows_are_numbered_after_those_of_the_backup(tmp_path: Path) -> None:
    """PostgreSQL counts apart from what is in the table."""
    there, here = NOTHING["sqlite"](tmp_path), NOTHING["postgresql"](tmp_path)
    bring_to(there, NEWEST)
    fill_all(there)
    restored(backed_up(there, tmp_path), here)
    code = mailed("c-new", "alice")[0]
    write(here, code)

    assert [row["number"] for row in rows_at(here)["mail_code"]] == [3, 4, 5]


def test_recovery_codes_may_be_kept_and_what_would_count_only_later_is_not(tmp_path: Path) -> None:
    """A used code stays used; and somebody may have put a stop to what waits since."""
    there, here = NOTHING["sqlite"](tmp_path), NOTHING["postgresql"](tmp_path)
    bring_to(there, NEWEST)
    codes = [{"id": f"r{used}", "user_id": "u", "code": b"c", "used": used} for used in (False, True)]
    write(
        there,
        *(("recovery_code", code) for code in codes),
        token("mallory", confirmed=False, good_from=NOON),
        token("bob", confirmed=False, good_from=0.0),
    )
    ended = restored(backed_up(there, tmp_path), here, keep_recovery_codes=True)

    after = rows_at(here)
    assert after["recovery_code"] == codes
    assert [row["id"] for row in after["totp_token"]] == ["t-bob"]
    assert "recovery_codes" not in ended
    assert ended["waiting"] == 1
    write(here, mailed("c-new", "alice")[0])
    assert [row["number"] for row in rows_at(here)["mail_code"]] == [1]  # there was none


@pytest.mark.parametrize(
    ("version", "engine"), [("0001", "postgresql"), ("0003", "sqlite"), ("0005", "postgresql"), ("0007", "sqlite")]
)
def test_a_backup_of_an_older_store_is_brought_up_to_date(version: str, engine: str, tmp_path: Path) -> None:
    there, here = NOTHING[engine](tmp_path), NOTHING[OTHER[engine]](tmp_path)
    bring_to(there, version)
    entry = dict.fromkeys(LOGIN, "x") | {"time": NOON, "user_id": "u-alice"}
    entry |= {"login": "l", "round": 1} if version == "0007" else {}
    seed = SEALER.seal("totp", b"a seed", "u-alice", "t-alice")
    write(there, counters("alice"), token("alice", seed=seed), ("login", entry), PROOF)
    said = backed_up(there, tmp_path)

    assert said.contents().head.schema == version
    restored(said, here)
    assert version_at(here) == NEWEST
    with asked(opening(here, upgrade=False)) as it:
        facts = it.facts("u-alice")
        assert (facts.username, facts.counters.failures, facts.codes_since) == ("alice", 3, NOON + 86400)
        assert [SEALER.open("totp", each.seed, "u-alice", each.id) for each in facts.tokens] == [b"a seed"]
        assert it.run(it.store.key_proofs()) == {KEYS.primary.id: PROOF[1]["proof"]}
    assert version_at(there) == version


@pytest.mark.parametrize("engine", NOTHING)
def test_nothing_is_left_where_it_fails(engine: str, tmp_path: Path) -> None:
    """Here it is found out at the very end that it is not the backup that was looked at."""
    there = NOTHING["sqlite"](tmp_path)
    here = f"sqlite:///{tmp_path}/here.db" if engine == "sqlite" else NOTHING[engine](tmp_path)
    bring_to(there, NEWEST)
    write(there, PROOF, counters("alice"))
    first = backed_up(there, tmp_path).contents()
    write(there, counters("bob"))
    second = backed_up(there, tmp_path)

    with pytest.raises(BackupError, match=r"^the backup: was changed while it was read$"):
        restored(second, here, contents=first)
    assert table_names(here) == []
    restored(second, here)
    assert [row["username"] for row in rows_at(here)["user_counters"]] == ["alice", "bob"]


@pytest.mark.parametrize("engine", NOTHING)
def test_where_there_is_something_nothing_is_restored(engine: str, tmp_path: Path) -> None:
    there, here = NOTHING["sqlite"](tmp_path), f"sqlite:///{tmp_path}/here.db"
    here = here if engine == "sqlite" else NOTHING[engine](tmp_path)
    bring_to(there, NEWEST)
    write(there, PROOF)
    bring_to(here, "0001")
    with pytest.raises(BackupError, match=r": is not empty; "):
        restored(backed_up(there, tmp_path), here)
    assert version_at(here) == "0001"


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    there = NOTHING["sqlite"](tmp_path)
    bring_to(there, "0007")
    write(there, PROOF)
    mark(there, "0006")
    with pytest.raises(BackupError, match=r"^the backup: has a table [a-z_]+ that its schema does not$"):
        restored(backed_up(there, tmp_path), f"sqlite:///{tmp_path}/here.db")


# --- the key file -------------------------------------------------------------------------------------


def test_the_key_file_is_there_only_when_it_is_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "key"
    waiting = KeyFileInWaiting(path, KEYS)
    assert not path.exists()
    waiting.take_its_place()
    assert read_key_file(path) == KEYS
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_it_takes_nobodys_place(tmp_path: Path) -> None:
    path = tmp_path / "key"
    waiting = KeyFileInWaiting(path, KEYS)
    create_key_file(path)
    theirs = path.read_text()
    with pytest.raises(
        KeyFileError, match=f"^{path}: is there by now, and was left as it is; the store is restored: "
    ):
        waiting.take_its_place()
    assert path.read_text() == theirs
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_it_is_called_by_its_own_name_where_it_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "key"
    with pytest.raises(KeyFileError, match=f"^{path}: its folder does not exist; nothing was restored$"):
        KeyFileInWaiting(path, KEYS)
