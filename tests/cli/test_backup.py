"""`radius-mfa backup`, and `restore` of what it has made."""

from __future__ import annotations

import io
import os
import pwd
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.cli.passphrase import VARIABLE
from radius_mfa.stores.backup_file import BackupReader, BackupWriter, Head
from radius_mfa.stores.backup_seal import SealedWriter, opened_pieces
from radius_mfa.stores.key_file import create_key_file, read_key_file
from tests.cli.support import Ran, changed_row, rewritten, run_cli
from tests.cli.test_storage import at
from tests.peers.terminal import CTRL_C, Terminal
from tests.stores.schemas import NOTHING

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOBODY = pwd.getpwnam("nobody")
PASSPHRASE = "correct horse battery staple"
PROGRAM = [sys.executable, "-m", "radius_mfa"]


@pytest.fixture(autouse=True)
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)


@pytest.fixture
def filled(config: Path) -> Path:
    """A store with a token of Alice's and a voucher of bob's."""
    rewritten(config, "factors:\n", "factors:\n  recovery_codes: {count: 3}\n")
    run_cli("user", "enrol", "alice", "--secret", SEED, "--config", config).worked()
    run_cli("user", "voucher", "bob", "--config", config).worked()
    run_cli("user", "recovery-codes", "bob", "--config", config).worked()
    return config


def backup(config: Path, file: Path, *options: str | Path) -> Ran:
    return run_cli("backup", "--config", config, file, *options)


def restore(config: Path, file: Path, *options: str | Path) -> Ran:
    return run_cli("restore", "--config", config, file, *options)


def lost(config: Path) -> None:
    """As on a fresh machine."""
    for name in ("key", "state.db"):
        config.with_name(name).unlink()


def shown(config: Path, user: str) -> Any:
    return run_cli("user", "show", user, "--json", "--config", config).json


def test_what_is_backed_up_is_restored_onto_a_fresh_machine(filled: Path) -> None:
    file, key = filled.with_name("backup"), filled.with_name("key")
    (secret,) = (line.split()[2] for line in key.read_text().splitlines() if line[0] != "#")
    keys = read_key_file(key)
    made = backup(filled, file, "--json").worked()
    before = shown(filled, "alice")
    lost(filled)
    os.chown(filled.parent, NOBODY.pw_uid, NOBODY.pw_gid)  # the server's user, and root restores
    ran = restore(filled, file).worked()

    assert made.json["rows"]["user_counters"] == 2
    assert made.json["secrets"] == 5
    assert made.json["keys"] == [keys.primary.id.hex()]
    assert made.json["schema"] == "0008"
    assert read_key_file(key) == keys
    for path in (file, key, filled.with_name("state.db")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {key.stat().st_uid, filled.with_name("state.db").stat().st_uid} == {NOBODY.pw_uid}
    (token,) = before["tokens"]
    (restored,) = shown(filled, "alice")["tokens"]
    assert restored == {**token, "last_used": restored["last_used"]}
    after = shown(filled, "bob")
    assert (after["voucher_until"], after["recovery_codes_left"]) == (None, 0)
    assert secret not in made.out + made.err + ran.out + ran.err
    assert "recovery codes are ended, 3 of them: " in ran.out
    assert sorted(each.name for each in filled.parent.iterdir()) == [
        "backup",
        "key",
        "radius-mfa.yaml",
        "state.db",
    ]


def test_a_backup_goes_into_the_other_engine_and_back(filled: Path) -> None:
    first, second = filled.with_name("first"), filled.with_name("second")
    backup(filled, first).worked()
    lost(filled)
    before = filled.read_text()
    at(filled, NOTHING["postgresql"](Path()))
    restore(filled, first, "--keep-recovery-codes").worked()
    assert shown(filled, "bob")["recovery_codes_left"] == 3
    backup(filled, second).worked()
    filled.with_name("key").unlink()
    filled.write_text(before)
    restore(filled, second, "--keep-recovery-codes").worked()

    assert [token["label"] for token in shown(filled, "alice")["tokens"]] == [""]
    assert shown(filled, "bob")["recovery_codes_left"] == 3
    assert run_cli("user", "enrol", "bob", "--config", filled).status == 0


def test_a_backup_can_be_looked_at_wherever_it_is(filled: Path) -> None:
    """No configuration, no store, no key file: just the passphrase."""
    file = filled.with_name("backup")
    said = backup(filled, file, "--json").json
    looked = run_cli("backup", "--verify", file, "--json", "--config", "nowhere.yaml").json
    assert looked == said
    assert (
        run_cli("backup", "--verify", file)
        .worked()
        .out.startswith(f"{file}: can be restored\n  of {said['time']}")
    )


def test_one_that_was_damaged_or_has_another_passphrase_does_nothing(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, damaged = filled.with_name("backup"), filled.with_name("damaged")
    backup(filled, file).worked()
    octets = file.read_bytes()
    lost(filled)
    said = "does not open: it was sealed with another passphrase, or was changed or cut off"
    damaged.write_bytes(octets[:-1])
    assert restore(filled, damaged).line(1) == f"radius-mfa: {damaged}: {said}"
    damaged.write_bytes(b"something else")
    assert restore(filled, damaged).line(1).endswith("is not a backup that this radius-mfa knows")
    monkeypatch.setenv(VARIABLE, PASSPHRASE.upper())
    assert restore(filled, file).line(1) == f"radius-mfa: {file}: {said}"
    assert run_cli("backup", "--verify", file).line(1) == f"radius-mfa: {file}: {said}"
    assert restore(filled, filled.with_name("no")).line(1).endswith("no: there is no such file")
    assert not filled.with_name("key").exists()
    assert not filled.with_name("state.db").exists()


def test_nothing_that_is_there_is_replaced(filled: Path) -> None:
    file, key = filled.with_name("backup"), filled.with_name("key")
    backup(filled, file).worked()
    before = file.read_bytes()
    assert backup(filled, file).line(1) == f"radius-mfa: {file}: is there already, and is not replaced"
    assert file.read_bytes() == before
    said = f"radius-mfa: {key}: is there already; a backup is restored where there is no key file yet"
    for options in ([], ["--keys-only"]):
        assert restore(filled, file, *options).line(1) == said
    key.rename(filled.with_name("moved"))
    store = filled.with_name("state.db")
    said = f"radius-mfa: {store}: is not empty; a backup is restored where there is no store yet"
    assert restore(filled, file).line(1) == said
    assert {each.name for each in filled.parent.iterdir()} == {"backup", "moved", "radius-mfa.yaml", "state.db"}


def test_a_lost_key_file_comes_back_alone(filled: Path) -> None:
    """Also what is left to do where a restoring was cut off between the store and the key file."""
    file, key = filled.with_name("backup"), filled.with_name("key")
    backup(filled, file).worked()
    keys = read_key_file(key)
    key.unlink()
    assert restore(filled, file, "--keys-only").worked().out == f"{key}: made: {keys.primary.id.hex()}\n"
    assert read_key_file(key) == keys
    assert shown(filled, "bob")["recovery_codes_left"] == 3


def test_secrets_that_open_under_no_key_are_named_and_the_backup_is_kept(filled: Path) -> None:
    changed_row(filled, "UPDATE totp_token SET seed = x'00'")
    file = filled.with_name("backup")
    ran = backup(filled, file)
    (token,) = shown(filled, "alice")["tokens"]
    assert ran.line(1) == (
        f"{file}: is whole, but 1 of the store's secrets open under no key: totp {token['id']} of static:Alice; "
        "reset these users"
    )
    assert ran.out.startswith(f"{file}: made, and read again\n")
    assert file.exists()


def test_without_the_keys_of_the_store_there_is_no_backup(filled: Path) -> None:
    file, key = filled.with_name("backup"), filled.with_name("key")
    old = read_key_file(key).primary.id.hex()
    key.unlink()
    assert ": there is no key file; " in backup(filled, file).line(1)
    create_key_file(key)
    assert backup(filled, file).line(1).startswith(f"radius-mfa: {key}: this key file lacks key {old}, ")
    filled.with_name("state.db").unlink()
    assert backup(filled, file).line(1) == f"radius-mfa: {filled.with_name('state.db')}: there is no store"
    assert not filled.with_name("state.db").exists()
    assert not file.exists()


def test_a_backup_of_a_newer_version_or_a_later_time_says_what_it_needs(filled: Path) -> None:
    file = filled.with_name("backup")
    backup(filled, file).worked()
    lost(filled)
    newer = filled.with_name("newer")  # whoever knows the passphrase may say what they like
    with file.open("rb") as there, newer.open("wb") as here:
        keys = BackupReader(opened_pieces(there, PASSPHRASE, ""), "").head.keys
        BackupWriter(SealedWriter(here, PASSPHRASE), Head("9.0", "0042", 1.0, keys)).close()
    early = filled.with_name("early")
    with early.open("wb") as here:
        BackupWriter(SealedWriter(here, PASSPHRASE), Head("1.0", "0008", 4e9, keys)).close()
    said = rf"radius-mfa: {early}: was made at 2096-10-02T07:06:40\+00:00, and here it is \S+: set the clock right"
    assert re.fullmatch(said, restore(filled, early).line(1))
    assert restore(filled, newer).line(1) == (
        f"radius-mfa: {newer}: was made by a newer radius-mfa (schema 0042; this one knows 0008): "
        "install 9.0 or later"
    )
    assert not filled.with_name("state.db").exists()


def test_no_code_counts_that_may_have_been_given_since(filled: Path) -> None:
    """The server may have learnt that the device is ten steps ahead, and have told of two minutes more."""
    file = filled.with_name("backup")
    backup(filled, file).worked()
    lost(filled)
    latest = int(time.time() // 30) + 1 + 10 + 4
    made = restore(filled, file, "--json").json
    with closing(sqlite3.connect(filled.with_name("state.db"))) as db:
        ((last_step,),) = db.execute("SELECT last_step FROM totp_token").fetchall()
    assert latest <= last_step <= int(time.time() // 30) + 1 + 10 + 4
    assert datetime.fromisoformat(made["totp_codes_count_from"]).timestamp() == 30 * (last_step + 1)
    assert made["when_enrolled"] == []


def test_policies_that_ask_only_who_is_enrolled_are_named(filled: Path) -> None:
    rewritten(filled, "second_factor: required", "second_factor: when_enrolled")
    file = filled.with_name("backup")
    backup(filled, file).worked()
    lost(filled)
    said = (
        "whoever has set up a first factor since is let in by here with the password alone: write second_factor: "
    )
    assert f"\n  {said}required there until they have one again\n" in restore(filled, file).worked().out


def test_a_key_file_that_cannot_be_made_is_named_and_nothing_is_made(filled: Path) -> None:
    file = filled.with_name("backup")
    backup(filled, file).worked()
    lost(filled)
    rewritten(filled, "key_file: key", "key_file: nowhere/key")
    key = filled.with_name("nowhere") / "key"
    said = f"radius-mfa: {key}: its folder does not exist; nothing was restored"
    assert restore(filled, file).line(1) == said
    assert not filled.with_name("state.db").exists()


def test_where_a_backup_cannot_be_that_is_said(filled: Path) -> None:
    line = backup(filled, Path("-")).line(2)
    assert line.startswith("radius-mfa backup: FILE cannot be -: ")
    folder = filled.parent
    assert backup(filled, folder).line(1) == f"radius-mfa: {folder}: is a folder; name a file in it"


def into_a_full_disk(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and stderr of a command whose stdout takes nothing."""
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as full:
        ran = run_cli(*arguments, stdout=full)
    return ran.status, ran.err


def test_what_was_done_is_said_though_stdout_is_full(filled: Path) -> None:
    file = filled.with_name("backup")
    why = "; stdout: No space left on device\n"
    assert into_a_full_disk("backup", "--config", filled, file) == (1, f"{file}: made, and read again{why}")
    assert into_a_full_disk("backup", "--verify", file) == (1, f"{file}: can be restored{why}")
    lost(filled)
    assert into_a_full_disk("restore", "--config", filled, file) == (1, f"{file}: restored{why}")
    assert shown(filled, "alice")["tokens"]


# --- told to end --------------------------------------------------------------------------------------


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Nobody gets in meanwhile, not even to read."""
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        yield


def until_begun(folder: Path, name: str) -> None:
    end = time.monotonic() + 60
    while not any(each.name.startswith(f".{name}.") for each in folder.iterdir()):
        assert time.monotonic() < end


def test_ctrl_c_ends_a_backup_of_which_nothing_is_left(filled: Path) -> None:
    before = {each.name for each in filled.parent.iterdir()}
    with Terminal([*PROGRAM, "backup", "--config", filled, filled.with_name("backup")]) as terminal:
        with locked(filled.with_name("state.db")):
            until_begun(filled.parent, "backup")
            terminal.types(CTRL_C)
            terminal.asks("^C")
        assert terminal.ends() == 1
        assert terminal.shown.splitlines()[-1] == "radius-mfa backup: ended; nothing was made"
    assert {each.name for each in filled.parent.iterdir()} == before


def test_sigterm_ends_a_restoring_of_which_nothing_is_left(filled: Path) -> None:
    """Above all no key in clear."""
    file, store = filled.with_name("backup"), filled.with_name("state.db")
    backup(filled, file).worked()
    lost(filled)
    command = [*PROGRAM, "restore", "--config", str(filled), str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as restoring:
        with locked(store):
            until_begun(filled.parent, "key")
            restoring.send_signal(signal.SIGTERM)
        _, said = restoring.communicate(timeout=60)
    assert (restoring.returncode, said) == (1, "radius-mfa restore: ended; nothing was restored\n")
    assert {each.name for each in filled.parent.iterdir()} == {"backup", "radius-mfa.yaml", "state.db"}
    restore(filled, file).worked()


# --- passphrases --------------------------------------------------------------------------------------


def test_the_passphrase_may_stand_in_a_file_of_ones_own(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    file, passphrase = filled.with_name("backup"), filled.with_name("passphrase")
    passphrase.write_text(f"{PASSPHRASE}\r\nand what is it for\n")
    passphrase.chmod(0o644)
    said = backup(filled, file, "--passphrase-file", passphrase).line(2)
    assert said == (
        f"radius-mfa backup: {passphrase}: can be read or written by others; run `chmod 600 {passphrase}`. "
        "See 'radius-mfa backup --help'."
    )
    passphrase.chmod(0o440)
    backup(filled, file, "--passphrase-file", passphrase).worked()
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    run_cli("backup", "--verify", file).worked()
    assert " No such file" in backup(filled, file, "--passphrase-file", "no").line(2)


@pytest.mark.parametrize("weak", ["", "fifteen letters", "abababababababababab"])
def test_a_passphrase_that_can_be_guessed_is_refused_for_a_new_one(
    filled: Path, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv(VARIABLE, weak)
    line = backup(filled, filled.with_name("backup")).line(2)
    assert "characters" in line
    assert not weak or weak not in line
    assert not filled.with_name("backup").exists()


def test_where_nobody_can_be_asked_that_is_said(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    assert "Nobody can be asked for a passphrase: " in backup(filled, filled.with_name("backup")).line(2)


def test_on_a_terminal_it_is_asked_for_twice(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not to be seen; a slip of the finger would be found out years later."""
    monkeypatch.delenv(VARIABLE)
    file = filled.with_name("backup")
    with Terminal([sys.executable, "-m", "radius_mfa", "backup", "--config", filled, file]) as terminal:
        for _ in range(2):
            terminal.answers("", PASSPHRASE)
        assert terminal.ends() == 0
    assert PASSPHRASE not in terminal.shown
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    run_cli("backup", "--verify", filled.with_name("backup")).worked()


def test_to_be_told_how_imports_no_engine() -> None:
    program = """
import sys
from radius_mfa.cli.main import app
for command in ("backup", "restore"):
    app.main([command, "--help"], standalone_mode=False)
print({"sqlalchemy", "pydantic", "cryptography", "argon2"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count("--passphrase-file FILE") == 2
    assert done.stdout.endswith("\nset()\n")
    assert run_cli("restore").line(2).startswith("radius-mfa restore: Missing argument 'FILE'.")
