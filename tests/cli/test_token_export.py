"""`radius-mfa token export`."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pyotp
import pytest

from tests.cli.support import Ran, run_cli
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.site import Site

GOOD = base64.b32encode(bytes(range(20))).decode()
OTHER = base64.b32encode(bytes(range(20, 40))).decode()
Rows = list[dict[str, str]]


@pytest.fixture
def filled(config: Path) -> Path:
    """A store with two tokens of Alice, and one of bob that is not confirmed."""
    import_text(config, f"username,secret,label\nalice,{GOOD},old phone\nalice,{OTHER},\n").worked()
    run_cli("--config", config, "user", "enrol", "bob", "--secret", GOOD, "--label", "spare").worked()
    return config


def import_text(config: Path, text: str) -> Ran:
    file = config.with_name("import.csv")
    file.write_text(text)
    return run_cli("--config", config, "token", "import", file)


def export(config: Path, *options: str | Path) -> Ran:
    return run_cli("--config", config, "token", "export", *options)


def rows_of(ran: Ran) -> Rows:
    return list(csv.DictReader(io.StringIO(ran.worked().out)))


def elsewhere(config: Path) -> Path:
    """The same configuration, key and all, with an empty store."""
    path = config.with_name("elsewhere.yaml")
    path.write_text(config.read_text().replace("state.db", "elsewhere.db"))
    return path


def known(rows: Rows) -> list[tuple[str, ...]]:
    """What of sealed rows outlives another store."""
    columns = ("user_id", "username", "label", "confirmed", "drift", "last_step")
    return sorted(tuple(row[column] for column in columns) for row in rows)


# --- sealed ---------------------------------------------------------------------------------------


def test_an_export_has_all_that_is_known_but_the_seed(filled: Path) -> None:
    ran = export(filled)
    rows = rows_of(ran)
    assert known(rows) == [
        ("static:Alice", "Alice", "", "true", "0", "0"),
        ("static:Alice", "Alice", "old phone", "true", "0", "0"),
        ("static:bob", "bob", "spare", "false", "0", "0"),
    ]
    assert list(rows[0]) == ["user_id", "username", "label", "confirmed", "drift", "last_step", "id", "sealed"]
    seeds = [base64.b64decode(row["sealed"]) for row in rows]
    assert not any(bytes(range(start, start + 20)) in seed for seed in seeds for start in (0, 20))
    assert GOOD not in ran.out
    assert ran.err == ""


def test_what_was_exported_is_imported_where_there_is_the_same_key(filled: Path) -> None:
    """With all that was learnt of the tokens; those that were not confirmed still are not."""
    at = int(time.time())
    pair = (pyotp.TOTP(GOOD).at(at - 630), pyotp.TOTP(GOOD).at(at - 600))
    run_cli("--config", filled, "token", "resync", "alice", *pair).worked()
    before = export(filled)
    assert {row["drift"] for row in rows_of(before)} & {"-20", "-21"}

    ran = import_text(elsewhere(filled), before.out).worked()

    assert ran.out == "3 imported, 0 refused\n"
    assert known(rows_of(export(elsewhere(filled)))) == known(rows_of(before))
    shown = run_cli("--config", elsewhere(filled), "user", "show", "bob", "--json").worked().out
    assert [token["confirmed"] for token in json.loads(shown)["tokens"]] == [False]


def test_a_label_from_before_there_was_a_rule_can_be_imported_again(filled: Path) -> None:
    with closing(sqlite3.connect(filled.with_name("state.db"))) as db, db:
        db.execute("UPDATE totp_token SET label = ? WHERE label = 'old phone'", ("two\nlines " + "x" * 60,))
    ran = export(filled)
    assert "two lines " + "x" * 54 in [row["label"] for row in rows_of(ran)]
    assert import_text(elsewhere(filled), ran.out).worked().out == "3 imported, 0 refused\n"


def test_a_token_that_is_there_is_refused_by_row(filled: Path) -> None:
    ran = import_text(filled, export(filled).out)
    assert ran.status == 1
    assert ran.out == "0 imported, 3 refused\n"
    assert ran.err.count("has this secret already") == 3


def test_without_the_key_it_is_worth_nothing(filled: Path) -> None:
    text = export(filled).out
    other = elsewhere(filled)
    other.write_text(other.read_text().replace("key_file: key", "key_file: another"))
    run_cli("--config", other, "keys", "init").worked()

    ran = import_text(other, text)

    assert ran.out == "0 imported, 3 refused\n"
    assert ran.err.count("its seal does not open: another key file, or a row that was changed") == 3


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ("user_id", "static:bob"),
        ("id", "0123456789abcdef"),
        ("confirmed", "false"),
        ("last_step", "7"),
        ("drift", "-1"),
        ("label", "mine"),
    ],
)
def test_a_sealed_row_is_sealed_with_all_it_says(filled: Path, column: str, changed: str) -> None:
    rows = [row for row in rows_of(export(filled)) if row["username"] == "Alice"]
    rows[0][column] = changed
    written = io.StringIO(newline="")
    table = csv.DictWriter(written, rows[0])
    table.writeheader()
    table.writerows(rows)

    ran = import_text(elsewhere(filled), written.getvalue())

    assert ran.out == "1 imported, 1 refused\n"
    assert ":2: Alice: its seal does not open: another key file, or a row that was changed" in ran.err


def test_who_was_imported_from_an_export_can_log_in(university: Site) -> None:
    account = university.newcomer()
    file = university.folder / "restored.csv"
    file.write_text(f"username,secret\n{account.name},{account.base32}\n")
    run_cli("--config", university.config, "token", "import", file).worked()
    out = run_cli("--config", university.config, "token", "export").worked().out
    header, *rows = out.splitlines(keepends=True)
    file.write_text(header + "".join(row for row in rows if f",{account.name}," in row))
    run_cli("--config", university.config, "user", "forget", account.name).worked()
    run_cli("--config", university.config, "token", "import", file).worked()
    with university.nas() as nas:
        state = nas.ask(account.name, account.password).state
        assert nas.ask(account.name, account.code(), state=state).code == ACCEPT


# --- plain ----------------------------------------------------------------------------------------


def test_a_plain_export_is_what_any_server_can_import(filled: Path) -> None:
    ran = export(filled, "--plain", "--yes")
    assert sorted(ran.worked().out.splitlines()) == sorted(
        ["username,secret,label", f"Alice,{GOOD},old phone", f"Alice,{OTHER},"]
    )
    assert ran.err == "1 left out: no first code has confirmed them\n"
    assert import_text(elsewhere(filled), ran.out).worked().out == "2 imported, 0 refused\n"


def test_whose_name_is_not_known_is_left_out_of_a_plain_export(config: Path) -> None:
    file = config.with_name("offline.csv")
    file.write_text(f"username,secret\nan id,{GOOD}\n")
    run_cli("--config", config, "token", "import", "--offline", file).worked()
    ran = export(config, "--plain", "--yes").worked()
    assert ran.out == "username,secret,label\n"
    assert ran.err == "1 left out: the user's name is not known (a sealed export has them)\n"
    assert import_text(elsewhere(config), export(config).out).worked().out == "1 imported, 0 refused\n"


def test_what_does_not_open_is_named(filled: Path) -> None:
    with closing(sqlite3.connect(filled.with_name("state.db"))) as db, db:
        (token_id,) = db.execute("SELECT id FROM totp_token WHERE label = 'old phone'").fetchone()
        db.execute("UPDATE totp_token SET seed = x'00' WHERE id = ?", (token_id,))
    ran = export(filled, "--plain", "--yes")
    assert ran.status == 1
    assert ran.out.splitlines() == ["username,secret,label", f"Alice,{OTHER},"]
    assert f"Alice: token {token_id} does not open with this key file\n" in ran.err


def test_nobody_who_cannot_be_asked_gets_clear_text(filled: Path) -> None:
    output = filled.with_name("plain.csv")
    ran = export(filled, "--plain", "--output", output)
    assert ran.line(1) == "--plain: writes every secret in clear text: give --yes where nobody can be asked"
    assert not output.exists()


@pytest.mark.parametrize(
    ("typed", "status"), [("yes", 0), (" YES ", 0), ("y", 1), ("", 1), ("no", 1), ("\x04", 1)]
)
def test_whoever_sits_at_a_terminal_is_asked(filled: Path, typed: str, status: int) -> None:
    ours, theirs = os.openpty()
    os.write(ours, f"{typed}\n".encode() if typed != "\x04" else b"\x04")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "radius_mfa",
        "--config",
        filled,
        "token",
        "export",
        "--plain",
    ]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == status
    assert "the output will hold every secret in clear text" in done.stderr
    assert (GOOD in done.stdout) is (status == 0)
    assert done.stdout.startswith("username,secret,label\n" if status == 0 else "")


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--plain", "--yes")])
def test_a_file_is_its_owners_only(filled: Path, options: Sequence[str]) -> None:
    output = filled.with_name("tokens.csv")
    before = os.umask(0)
    try:
        ran = export(filled, "--output", output, *options)
    finally:
        os.umask(before)
    assert ran.worked().out == f"{output}: {2 if options else 3} tokens\n"
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    # Each export is sealed anew.
    assert [line.rpartition(",")[0] for line in output.read_text().splitlines()] == [
        line.rpartition(",")[0] for line in export(filled, *options).out.splitlines()
    ]


def test_a_file_that_is_there_is_never_replaced(filled: Path) -> None:
    output = filled.with_name("tokens.csv")
    output.write_text("mine")
    assert export(filled, "--output", output).line(1) == f"{output}: is there already, and is not replaced"
    assert output.read_text() == "mine"
    link = filled.with_name("link.csv")
    link.symlink_to(filled.with_name("nowhere"))
    assert export(filled, "--output", link).line(1) == f"{link}: is there already, and is not replaced"


def test_a_file_that_cannot_be_made(filled: Path) -> None:
    output = filled.parent / "none" / "tokens.csv"
    assert export(filled, "--output", output).line(1) == f"{output}: No such file or directory"


def test_half_a_file_is_not_kept_when_there_is_no_room(config: Path) -> None:
    """A file-size limit stands for the full disk; the store's own files are small enough."""
    file, output = config.with_name("many.csv"), config.with_name("tokens.csv")
    rows = (f"id-{n},{base64.b32encode(n.to_bytes(20, 'big')).decode()}\n" for n in range(3000))
    file.write_text("username,secret\n" + "".join(rows))
    run_cli("--config", config, "token", "import", "--offline", file).worked()

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command: list[str | Path] = [
        sys.executable,
        "-m",
        "radius_mfa",
        "--config",
        config,
        "token",
        "export",
        "--output",
        output,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, preexec_fn=limited)

    assert done.returncode == 1
    assert done.stderr == f"{output}: File too large; nothing was kept\n"
    assert not output.exists()


def test_half_a_file_is_not_kept_when_the_store_breaks(filled: Path) -> None:
    with closing(sqlite3.connect(filled.with_name("state.db"))) as db:
        db.execute("ALTER TABLE totp_token RENAME TO another")
    output = filled.with_name("tokens.csv")
    assert str(filled.with_name("state.db")) in export(filled, "--output", output).line(1)
    assert not output.exists()


def test_more_than_a_page_is_exported_once_each(config: Path) -> None:
    file = config.with_name("many.csv")
    rows = (f"id-{n},{base64.b32encode(n.to_bytes(20, 'big')).decode()}\n" for n in range(2000))
    file.write_text("username,secret\n" + "".join(rows))
    run_cli("--config", config, "token", "import", "--offline", file).worked()
    exported = rows_of(export(config))
    assert sorted(row["user_id"] for row in exported) == sorted(f"id-{n}" for n in range(2000))
