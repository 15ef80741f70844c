"""What a backup holds, and what it is refused for; `tests/cli/test_backup.py` makes whole ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from radius_mfa.core.errors import BackupError, KeyFileError, StoreError
from radius_mfa.stores.backup import new_file
from radius_mfa.stores.key_file import KeyFile, create_key_file
from tests.stores.backups import KEYS, PROOF, SEALER, backed_up
from tests.stores.schemas import NOTHING, bring_to, mark
from tests.stores.test_migrate import counters, token, write


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store of the newest version that is sealed with KEYS."""
    url = NOTHING["sqlite"](tmp_path)
    bring_to(url, "0008")
    write(url, PROOF)
    return url


def test_every_secret_is_opened_with_the_keys_that_are_in_it(store: str, tmp_path: Path) -> None:
    """Sealed for another row, or with another key: what will never open is named."""
    once = {"user_id": "u-bob", "created": 1.0, "expires": 2.0, "tries": 0}
    write(
        store,
        counters("alice"),
        token("alice", seed=SEALER.seal("totp", b"seed", "u-alice", "t-alice")),
        token("bob", seed=SEALER.seal("totp", b"seed", "u-alice", "t-alice")),
        ("recovery_code", {"id": "r1", "user_id": "u-bob", "code": b"what is this", "used": False}),
        ("voucher", {**once, "id": "v1", "code": SEALER.seal("voucher", b"123", "u-bob", "v1")}),
        ("proposal", {**once, "id": "p1", "address": "b@x", "reference": "K1", "code": b"of a key that is gone"}),
    )
    contents = backed_up(store, tmp_path).contents()

    assert contents.sealed == 2
    assert sorted(contents.closed) == ["recovery_codes r1 of u-bob", "totp t-bob of u-bob"]
    assert contents.head.keys == KEYS
    assert (contents.head.product, contents.head.schema) == ("1.2.3", "0008")
    assert {name: rows for name, rows in contents.rows.items() if rows} == {
        "key_check": 1,
        "proposal": 1,
        "recovery_code": 1,
        "totp_token": 2,
        "user_counters": 1,
        "voucher": 1,
    }


def test_keys_that_are_not_the_stores_make_no_backup(store: str, tmp_path: Path) -> None:
    other = KeyFile.new().primary
    write(store, ("key_check", {"key_id": other.id, "proof": b"of a key that is somewhere else"}))

    with pytest.raises(KeyFileError, match=f"^{tmp_path}/key: this key file lacks key {other.id.hex()}, [^\n]*$"):
        backed_up(store, tmp_path)


def test_a_key_file_that_has_just_changed_makes_no_backup(store: str, tmp_path: Path) -> None:
    """What was read of it before the store may not be enough for what is in there."""
    create_key_file(tmp_path / "key")

    with pytest.raises(BackupError, match=f"^{tmp_path}/key: was changed just now; run it again$"):
        backed_up(store, tmp_path)


def test_where_there_is_no_store_or_one_of_a_newer_version_there_is_no_backup(tmp_path: Path) -> None:
    url = NOTHING["sqlite"](tmp_path)
    with pytest.raises(StoreError, match=r": there is no store$"):
        backed_up(url, tmp_path)
    (tmp_path / "100% new.db").touch()
    with pytest.raises(BackupError, match=r": there is no store$"):
        backed_up(url, tmp_path)

    bring_to(url, "0008")
    mark(url, "0999")
    with pytest.raises(StoreError, match=r": was made by a newer radius-mfa"):
        backed_up(url, tmp_path)


# --- the file ---------------------------------------------------------------------------------------


def test_a_file_has_its_name_only_when_all_has_worked(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    with pytest.raises(BackupError, match=r": Invalid argument; nothing was kept$"), new_file(path) as file:
        os.ftruncate(file.fileno(), -1)
    assert list(tmp_path.iterdir()) == []

    with new_file(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    """Whether it was there before or came meanwhile; a link that leads nowhere is there, too."""
    path = tmp_path / "backup"
    with pytest.raises(BackupError, match=r"is there already, and is not replaced$"), new_file(path):
        path.write_text("somebody else's")
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(BackupError, match=r"is there already, and is not replaced$"), new_file(path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["backup"]


def test_where_none_can_be_made_that_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(BackupError, match=r"^/dev/full/backup: Not a directory; nothing was kept$"),
        new_file(Path("/dev/full/backup")),
    ):
        pass
    with pytest.raises(BackupError, match=f"^{tmp_path}: is a folder; name a file in it$"), new_file(tmp_path):
        pass
    path = tmp_path / "no" / "backup"
    with pytest.raises(BackupError, match=f"^{path}: its folder does not exist$"), new_file(path):
        pass
