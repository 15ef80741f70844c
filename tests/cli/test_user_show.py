"""`radius-mfa user show` and `user list`."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import changed_row, rewritten, run_cli, user
from tests.end_to_end.site import Site, now, totp

SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()
ALL_FACTORS = """\
totp: {issuer: Example}
  mail: {smtp: "smtp://127.0.0.1:9", start_tls: false, sender: mfa@example.org}
  recovery_codes: {}"""


class TestShow:
    def test_all_that_is_known_as_json(self, university: Site) -> None:
        account = university.staff()
        shown = university.show(account)
        assert set(shown) == {
            "id",
            "username",
            "activated",
            "required",
            "failures",
            "since_success",
            "locked_until",
            "suspended",
            "mail_address",
            "proposed_address",
            "proposed_until",
            "proposed_counts_from",
            "recovery_codes_left",
            "trusted_devices",
            "voucher_until",
            "tokens",
        }
        assert shown["username"] == account.name
        (token,) = shown["tokens"]
        assert set(token) == {"id", "label", "confirmed", "counts_from", "last_used", "drift_seconds"}
        assert (token["confirmed"], token["last_used"]) == (True, None)

    def test_the_same_for_people(self, university: Site) -> None:
        account = university.staff()
        shown = university.show(account)
        out = user(university, "show", account.name.upper()).worked().out
        assert shown["id"] in out
        assert shown["tokens"][0]["id"] in out
        assert "not confirmed" not in out

    def test_a_name_beyond_ascii_is_written_as_it_is(self, university: Site) -> None:
        ran = user(university, "show", "日本 太郎", "--json").worked()
        assert "日本 太郎" in ran.out
        assert json.loads(ran.out)["username"] == "日本 太郎"

    @pytest.mark.parametrize("name", ["nobody", "u1 x", "\udcff", "line\nline"])
    def test_nobody(self, university: Site, name: str) -> None:
        line = user(university, "show", name).line(1)
        assert line.isprintable()
        # Who has left is there all the same.
        assert line.endswith("unknown user; --id takes the directory's id, which 'user list' shows") or (
            line == "line\\nline: name unreadable"
        )

    def test_what_waits_for_the_user_and_what_is_left(self, config: Path) -> None:
        rewritten(config, "totp: {issuer: Example}", ALL_FACTORS)
        for command in (("voucher", "alice"), ("recovery-codes", "alice"), ("enrol", "alice", "--secret", BASE32)):
            run_cli("user", *command, "--config", config).worked()
        run_cli("user", "enrol", "alice", "--confirm", totp(SEED, now()), "--config", config).worked()
        run_cli("user", "mail", "alice", "a@example.net", "--verify", "--config", config).worked()
        changed_row(config, "UPDATE totp_token SET drift = -2")

        ran = run_cli("user", "show", "alice", "--json", "--config", config)
        shown = ran.json
        assert (shown["required"], shown["recovery_codes_left"], shown["trusted_devices"]) == (True, 10, 0)
        assert (shown["mail_address"], shown["proposed_address"]) == (None, "a@example.net")
        assert shown["tokens"][0]["drift_seconds"] == -60
        began = datetime.now(UTC)
        for key, days in (("voucher_until", 7), ("proposed_until", 1)):
            left = datetime.fromisoformat(shown[key]) - began
            assert timedelta(days=days, minutes=-2) < left < timedelta(days=days, seconds=1)
        out = run_cli("user", "show", "alice", "--config", config).worked().out
        assert "clock 60 s behind" in out
        for said in (shown["voucher_until"], "a@example.net", shown["id"]):
            assert said in out
        # Nothing secret is.
        assert BASE32 not in out + ran.out

    def test_what_has_expired_waits_no_more(self, config: Path) -> None:
        run_cli("user", "voucher", "alice", "--config", config).worked()
        changed_row(config, "UPDATE voucher SET expires = 1")
        assert run_cli("user", "show", "alice", "--json", "--config", config).json["voucher_until"] is None

    def test_who_has_left_is_shown_by_id(self, config: Path) -> None:
        run_cli("user", "voucher", "bob", "--config", config).worked()
        rewritten(config, "username: bob", "username: robert")
        assert run_cli("user", "show", "bob", "--config", config).status == 1
        shown = run_cli("user", "show", "--id", "static:bob", "--json", "--config", config).json
        assert shown["voucher_until"]


def listed(config: Path, *arguments: str) -> Any:
    return run_cli("user", "list", "--json", *arguments, "--config", config).json


def fill(config: Path, count: int) -> None:
    """So many users, as if all had enrolled."""
    run_cli("user", "list", "--config", config).worked()
    row = "INSERT INTO user_counters (user_id, username, failures, since_success, locks, locked_until, "
    row += "suspended, required, created) VALUES (?, ?, 0, 0, 0, 0, 0, 1, 1)"
    with closing(sqlite3.connect(config.with_name("state.db"))) as db, db:
        db.executemany(row, ((f"id-{number:06}", f"user {number}") for number in range(count)))


class TestList:
    def test_nobody(self, config: Path) -> None:
        assert listed(config) == []
        (header,) = run_cli("user", "list", "--config", config).worked().out.splitlines()
        assert header.split() == ["name", "id", "tokens", "recovery", "required", "state", "address"]

    def test_everybody_with_what_they_have(self, config: Path) -> None:
        rewritten(config, "totp: {issuer: Example}", ALL_FACTORS)
        code = totp(SEED, now())
        run_cli("user", "enrol", "alice", "--secret", BASE32, "--confirm", code, "--config", config).worked()
        run_cli("user", "mail", "alice", "alice@example.net", "--config", config).worked()
        run_cli("user", "recovery-codes", "alice", "--config", config).worked()
        run_cli("user", "enrol", "bob", "--config", config).worked()
        alice, bob = listed(config)
        assert set(alice) == {
            "id",
            "username",
            "tokens",
            "mail_address",
            "recovery_codes_left",
            "required",
            "failures",
            "since_success",
            "locked_until",
            "locked",
            "suspended",
            "created",
            "last_success",
        }
        assert (alice["id"], alice["username"], alice["tokens"]) == ("static:Alice", "Alice", 1)
        assert (alice["mail_address"], alice["recovery_codes_left"]) == ("alice@example.net", 10)
        assert (alice["required"], alice["locked"], alice["suspended"]) == (True, False, False)
        # What is not confirmed is no token yet.
        assert (bob["id"], bob["tokens"], bob["required"], bob["mail_address"]) == ("static:bob", 0, False, None)

        lines = run_cli("user", "list", "--config", config).worked().out.splitlines()
        assert lines[1].split() == ["Alice", "static:Alice", "1", "10", "yes", "-", "alice@example.net"]
        assert lines[2].split() == ["bob", "static:bob", "0", "0", "no", "-", "-"]

    def test_columns_stand_below_each_other_whatever_the_names(self, config: Path) -> None:
        fill(config, 2)
        changed_row(config, "UPDATE user_counters SET username = '日本 太郎\x1b[31m' WHERE user_id = 'id-000001'")
        header, first, second = run_cli("user", "list", "--config", config).worked().out.splitlines()
        assert header.index("id") == first.index("id-")
        assert second.startswith("日本 太郎\\x1b[31m  ")
        assert second.index("id-") == first.index("id-") - 4  # four characters of two columns each

    def test_more_than_are_read_at_a_time(self, config: Path) -> None:
        fill(config, 2001)
        assert [each["username"] for each in listed(config)] == [f"user {number}" for number in range(2001)]
        assert len(run_cli("user", "list", "--config", config).worked().out.splitlines()) == 2002

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            (["--locked"], ["user 1"]),
            (["--suspended"], ["user 1500"]),
            (["--locked", "--suspended"], ["user 1", "user 1500"]),
        ],
    )
    def test_only_those_who_are_locked_or_suspended(
        self, config: Path, options: list[str], names: list[str]
    ) -> None:
        fill(config, 2001)
        soon, past = time.time() + 3600, time.time() - 1
        changed_row(config, "UPDATE user_counters SET locked_until = ? WHERE username = 'user 1'", soon)
        changed_row(config, "UPDATE user_counters SET locked_until = ? WHERE username = 'user 2'", past)
        changed_row(config, "UPDATE user_counters SET suspended = 1 WHERE username = 'user 1500'")
        assert [each["username"] for each in listed(config, *options)] == names
        out = run_cli("user", "list", *options, "--config", config).worked().out
        states = {"user 1": "locked", "user 1500": "suspended"}
        assert [states[name] in line for name, line in zip(names, out.splitlines()[1:], strict=True)] == [
            True for _ in names
        ]

    def test_a_reader_who_has_seen_enough_ends_it_in_silence(self, config: Path) -> None:
        fill(config, 20_000)
        command = [sys.executable, "-m", "radius_mfa", "user", "list", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
            assert listing.stdout is not None
            assert listing.stderr is not None
            assert listing.stdout.readline().startswith("name")
            listing.stdout.close()
            assert listing.stderr.read() == ""

    def test_the_directory_is_not_asked(self, university: Site) -> None:
        account = university.staff()
        changes = university.usual()
        changes["directory"]["ldap"]["servers"] = "ldap://127.0.0.1:9"
        path = university.write("nowhere.yaml", changes)
        names = [each["username"] for each in run_cli("--config", path, "user", "list", "--json").json]
        assert account.name in names
