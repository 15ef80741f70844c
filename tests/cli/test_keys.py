"""`radius-mfa keys`."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.cli.support import run_cli


def test_a_key_is_made_for_its_owner_alone_and_only_once(config: Path) -> None:
    key = config.with_name("key")
    key.unlink()
    ran = run_cli("keys", "init", "--config", config).worked()
    assert ran.out.startswith(f"{key}: made.")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    made = key.read_text()
    assert made.splitlines()[-1].split()[2] not in ran.out
    again = run_cli("keys", "init", "--config", config)
    assert again.line(1) == f"radius-mfa: {key}: is there already, and was left as it is"
    assert key.read_text() == made


def test_no_new_key_is_made_for_a_store_that_another_has_sealed(config: Path) -> None:
    run_cli("user", "show", "alice", "--config", config).worked()
    key, store = config.with_name("key"), config.with_name("state.db")
    key.unlink()
    assert run_cli("keys", "init", "--config", config).line(1).startswith(f"{store}: was sealed with another key")
    assert not key.exists()


def test_where_its_folder_is_missing_that_is_said(config: Path) -> None:
    config.write_text(config.read_text().replace("key_file: key", "key_file: no/such/folder/key"))
    assert run_cli("keys", "init", "--config", config).line(1).endswith("its folder does not exist")
