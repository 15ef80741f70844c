"""`radius-mfa user`: reset, unlock, forget, vouchers and recovery codes; against slapd and the running server."""

from __future__ import annotations

import base64
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from radius_mfa.stores.key_file import create_key_file
from tests.cli.support import Ran, changed_row, log_in, rewritten, run_cli, user
from tests.end_to_end.nas import ACCEPT, REJECT
from tests.end_to_end.site import Site, now, totp
from tests.stores.postgresql import new_url

SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()
ALL_FACTORS = """\
totp: {issuer: Example}
  mail: {smtp: "smtp://127.0.0.1:9", start_tls: false, sender: mfa@example.org}
  recovery_codes: {}"""
LETTERS = re.compile(r"[a-z]{4}-[a-z]{4}-[a-z]{4}")


def at(config: Path, *arguments: str) -> Ran:
    """`radius-mfa user`, with that configuration."""
    return run_cli("user", *arguments, "--config", config)


class TestReset:
    def test_it_takes_every_factor_and_says_which(self, university: Site) -> None:
        account = university.with_address(university.staff())
        user(university, "enrol", account.name).worked()
        user(university, "recovery-codes", account.name).worked()
        user(university, "voucher", account.name).worked()
        first, second = user(university, "reset", account.name).worked().out.splitlines()
        assert first == (
            f"{account.name}: reset: 2 tokens, 10 recovery codes, the address {account.address}, a voucher"
        )
        assert second == f"{account.name} is asked for a second factor all the same, until 'user forget'."
        shown = university.show(account)
        assert (shown["tokens"], shown["mail_address"], shown["recovery_codes_left"]) == ([], None, 0)
        assert (shown["voucher_until"], shown["required"]) == (None, True)
        assert log_in(university, account, account.code()) == REJECT

    def test_as_json(self, config: Path) -> None:
        at(config, "enrol", "alice", "--secret", BASE32, "--confirm", totp(SEED, now())).worked()
        assert at(config, "reset", "alice", "--json").json == {
            "id": "static:Alice",
            "username": "Alice",
            "removed": {
                "tokens": 1,
                "mail_address": None,
                "proposed_address": None,
                "recovery_codes": 0,
                "trusted_devices": 0,
                "voucher": False,
            },
            "required": True,
        }

    def test_a_second_time_there_is_nothing_to_remove(self, config: Path) -> None:
        at(config, "voucher", "alice").worked()
        assert at(config, "reset", "alice").worked().out.startswith("Alice: reset: a voucher\n")
        assert (
            at(config, "reset", "alice").worked().out.startswith("Alice: reset: there was no factor to remove\n")
        )

    def test_a_lock_is_lifted_with_it(self, config: Path) -> None:
        at(config, "voucher", "alice").worked()
        changed_row(config, "UPDATE user_counters SET failures = 9, locked_until = 9e9, suspended = 1")
        at(config, "reset", "alice").worked()
        shown = at(config, "show", "alice", "--json").json
        assert (shown["failures"], shown["locked_until"], shown["suspended"]) == (0, None, False)

    def test_one_token_may_go_alone(self, university: Site) -> None:
        account = university.staff()
        user(university, "enrol", account.name, "--secret", BASE32, "--confirm", totp(SEED, now())).worked()
        lost, kept = university.show(account)["tokens"]
        out = user(university, "reset", account.name, "--token", lost["id"]).worked().out
        assert out.splitlines()[0] == f"{account.name}: token {lost['id']} is removed; 1 left"
        assert university.show(account)["tokens"] == [kept]
        assert log_in(university, account, account.code()) != ACCEPT
        assert log_in(university, account, totp(SEED, now() + 1)) == ACCEPT

    def test_the_last_token_leaves_the_user_without_and_yet_asked(self, config: Path) -> None:
        at(config, "enrol", "alice", "--secret", BASE32, "--confirm", totp(SEED, now())).worked()
        token = at(config, "show", "alice", "--json").json["tokens"][0]["id"]
        said = at(config, "reset", "alice", "--token", token, "--json").json
        assert (said["removed"], said["tokens_left"], said["required"]) == ({"tokens": 1}, 0, True)

    @pytest.mark.parametrize("token", ["", "0123456789abcdef", "\n", "\udcff"])
    def test_a_token_that_is_not_there_is_one_line(self, config: Path, token: str) -> None:
        at(config, "enrol", "bob").worked()
        line = at(config, "reset", "bob", "--token", token).line(1)
        assert line.startswith("bob: has no token ")
        assert line.isprintable()

    def test_another_users_token_is_not_theirs(self, config: Path) -> None:
        at(config, "enrol", "bob").worked()
        token = at(config, "show", "bob", "--json").json["tokens"][0]["id"]
        assert "has no token" in at(config, "reset", "alice", "--token", token).line(1)
        assert len(at(config, "show", "bob", "--json").json["tokens"]) == 1


@pytest.mark.parametrize("command", ["reset", "unlock", "forget"])
class TestStrangers:
    def test_of_whom_nothing_is_stored_that_is_said(self, config: Path, command: str) -> None:
        assert at(config, command, "alice").line(1) == "Alice: nothing is stored of this user"

    def test_who_is_not_in_the_directory_may_still_be_in_the_store(self, config: Path, command: str) -> None:
        at(config, "enrol", "bob").worked()
        rewritten(config, "username: bob", "username: robert")
        line = at(config, command, "bob").line(1)
        assert line == "bob: unknown user; --id takes the directory's id, which 'user list' shows"
        assert at(config, command, "--id", "static:bob").worked().out.startswith("static:bob: ")

    def test_who_has_been_deactivated_may_be_dealt_with(self, config: Path, command: str) -> None:
        at(config, "voucher", "bob").worked()
        rewritten(config, "username: bob, ", "username: bob, active: false, ")
        ran = at(config, command, "bob").worked()
        assert ran.err.startswith("warning: bob is not activated and cannot log in\n")

    def test_as_json(self, config: Path, command: str) -> None:
        at(config, "voucher", "bob").worked()
        said = at(config, command, "bob", "--json").json
        assert (said["id"], said["username"]) == ("static:bob", "bob")


class TestForget:
    def test_nothing_is_known_any_more(self, config: Path) -> None:
        at(config, "enrol", "alice", "--secret", BASE32, "--confirm", totp(SEED, now())).worked()
        assert at(config, "forget", "alice").worked().out == "Alice: forgotten\n"
        assert at(config, "list", "--json").json == []
        shown = at(config, "show", "alice", "--json").json
        assert (shown["tokens"], shown["required"]) == ([], False)

    def test_what_it_does_to_when_enrolled_is_in_its_help(self) -> None:
        out = " ".join(run_cli("user", "forget", "--help").worked().out.split())
        assert "second_factor: when_enrolled lets USER in by the password alone again" in out


class TestVoucher:
    def test_it_is_printed_with_its_end(self, config: Path) -> None:
        began = datetime.now(UTC)
        out = at(config, "voucher", "alice").worked().out
        found = re.fullmatch(rf"Alice: ({LETTERS.pattern}), good once until (\S+)\n", out)
        assert found
        assert (
            timedelta(days=7, seconds=-2) < datetime.fromisoformat(found[2]) - began < timedelta(days=7, minutes=2)
        )

    def test_a_new_one_takes_the_place_of_the_one_before(self, config: Path) -> None:
        first, second = (at(config, "voucher", "alice", "--json").json for _ in range(2))
        assert set(first) == {"id", "username", "voucher", "voucher_until"}
        assert "wrong, used" in at(config, "enrol", "alice", "--voucher", first["voucher"]).line(1)
        at(config, "enrol", "alice", "--voucher", second["voucher"]).worked()

    def test_it_makes_nobody_required(self, config: Path) -> None:
        at(config, "voucher", "alice").worked()
        assert at(config, "show", "alice", "--json").json["required"] is False

    def test_where_none_are_taken_it_is_refused(self, config: Path) -> None:
        rewritten(config, "key_file:", "enrolment: {voucher: false}\nkey_file:")
        assert at(config, "voucher", "alice").line(1) == "vouchers are not taken here (enrolment.voucher)"

    def test_who_is_not_activated_gets_none(self, config: Path) -> None:
        assert at(config, "voucher", "gone").line(1).startswith("gone: not activated")


class TestRecoveryCodes:
    @pytest.fixture
    def recovering(self, config: Path) -> Path:
        return rewritten(config, "totp: {issuer: Example}", "recovery_codes: {count: 3}")

    def test_they_are_printed_once(self, recovering: Path) -> None:
        ran = at(recovering, "recovery-codes", "alice").worked()
        codes = ran.out.splitlines()
        assert len(codes) == len(set(codes)) == 3
        assert all(LETTERS.fullmatch(code) for code in codes)
        shown = at(recovering, "show", "alice")
        assert at(recovering, "show", "alice", "--json").json["recovery_codes_left"] == 3
        assert not any(code in shown.worked().out for code in codes)

    def test_new_ones_take_the_place_of_all_before(self, recovering: Path) -> None:
        first, second = (at(recovering, "recovery-codes", "alice", "--json").json for _ in range(2))
        assert set(first) == {"id", "username", "recovery_codes"}
        assert not set(first["recovery_codes"]) & set(second["recovery_codes"])
        assert at(recovering, "show", "alice", "--json").json["recovery_codes_left"] == 3

    def test_where_they_are_not_configured_they_are_refused(self, config: Path) -> None:
        line = at(config, "recovery-codes", "alice").line(1)
        assert line == "recovery codes are not taken here; add factors.recovery_codes"

    def test_who_is_not_activated_gets_none(self, recovering: Path) -> None:
        assert at(recovering, "recovery-codes", "gone").line(1).startswith("gone: not activated")


class TestUnlock:
    def test_it_lifts_a_lock_and_forgets_what_led_to_it(self, university: Site) -> None:
        account = university.staff()
        codes = account.wrong_codes()
        while university.show(account)["locked_until"] is None:
            log_in(university, account, next(codes))
        assert log_in(university, account, account.code()) == REJECT
        assert user(university, "unlock", account.name).worked().out == f"{account.name}: unlocked\n"
        shown = university.show(account)
        assert (shown["failures"], shown["since_success"], shown["locked_until"]) == (0, 0, None)
        assert log_in(university, account, account.code()) == ACCEPT


def test_on_postgresql_it_is_all_the_same(config: Path) -> None:
    rewritten(config, f"storage: sqlite:///{config.with_name('state.db')}", f"storage: {new_url()}")
    rewritten(config, "totp: {issuer: Example}", ALL_FACTORS)
    at(config, "enrol", "alice", "--secret", BASE32).worked()
    assert at(config, "enrol", "alice", "--secret", BASE32).line(1).startswith("Alice: has this secret already")
    at(config, "enrol", "alice", "--confirm", totp(SEED, now())).worked()
    at(config, "mail", "alice", "alice@example.net").worked()
    at(config, "mail", "alice", "other@example.net", "--verify").worked()
    assert "not right" in at(config, "mail", "alice", "--confirm", "abc").line(1)
    voucher = at(config, "voucher", "bob", "--json").json["voucher"]
    at(config, "enrol", "bob", "--voucher", voucher).worked()
    assert "wrong, used" in at(config, "enrol", "bob", "--voucher", voucher).line(1)
    codes = at(config, "recovery-codes", "alice", "--json").json["recovery_codes"]
    assert [each["username"] for each in at(config, "list", "--json").json] == ["Alice", "bob"]
    shown = at(config, "show", "alice", "--json").json
    assert (shown["recovery_codes_left"], shown["proposed_address"]) == (len(codes), "other@example.net")
    assert run_cli("device", "list", "--json", "--config", config).json == []
    assert "0 devices revoked" in run_cli("device", "revoke", "alice", "--all", "--config", config).worked().out
    at(config, "reset", "bob", "--token", at(config, "show", "bob", "--json").json["tokens"][0]["id"]).worked()
    for command in ("unlock", "reset", "forget"):
        at(config, command, "alice").worked()
    assert [each["username"] for each in at(config, "list", "--json").json] == ["bob"]


class TestWithoutWhatIsNeeded:
    def test_without_a_key(self, config: Path) -> None:
        key = config.with_name("key")
        key.unlink()
        line = run_cli("--config", config, "user", "show", "alice").line(1)
        how = "put its copy back, or for a new store run `radius-mfa keys init`"
        assert line == f"radius-mfa: {key}: there is no key file; {how}"

    def test_with_another_key(self, config: Path) -> None:
        run_cli("--config", config, "user", "show", "alice").worked()
        config.with_name("key").unlink()
        create_key_file(config.with_name("key"))
        line = run_cli("--config", config, "user", "show", "alice").line(1)
        assert line.startswith(f"radius-mfa: {config.with_name('key')}: this key file lacks key ")

    def test_with_a_store_that_is_none(self, config: Path) -> None:
        config.with_name("state.db").write_bytes(os.urandom(4096))
        line = run_cli("--config", config, "user", "show", "alice").line(1)
        assert "state.db: file is not a database" in line

    def test_without_the_directory(self, university: Site) -> None:
        changes = university.usual()
        changes["directory"]["ldap"]["servers"] = "ldap://127.0.0.1:9"
        path = university.write("nowhere.yaml", changes)
        line = run_cli("--config", path, "user", "show", "u1").line(1)
        assert line.startswith("radius-mfa: ldap://127.0.0.1:9: no connection")
