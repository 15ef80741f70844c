"""`radius-mfa user`: against slapd, and with what is enrolled tried at the running server."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from radius_mfa.stores.seal import create_key_file
from tests.cli.support import Ran, run_cli
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import Account, Site, now, totp

# What stands for four modules of a QR code, two above two.
_BLOCKS = set("█▀▄ ")
SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()


def user(university: Site, *arguments: str) -> Ran:
    return run_cli("--config", university.config, "user", *arguments)


def log_in(university: Site, account: Account, code: str) -> str:
    with university.nas() as nas:
        challenge = nas.ask(account.name, account.password)
        if challenge.code != CHALLENGE:
            return challenge.code
        return nas.ask(account.name, code, state=challenge.state).code


class TestEnrol:
    def test_a_new_token_is_shown_as_a_qr_code_and_works_once_confirmed(self, university: Site) -> None:
        account = university.newcomer()
        out = user(university, "enrol", account.name).worked().out
        lines = out.splitlines()
        assert sum(len(line) > 20 and set(line) <= _BLOCKS for line in lines) > 15
        found = re.search(r"^secret: ([A-Z2-7]+)$", out, re.MULTILINE)
        assert found
        seed = base64.b32decode(found[1])
        assert len(seed) == 20
        uri = f"otpauth://totp/Example%20University:{account.name}?secret={found[1]}&issuer=Example%20University"
        assert uri in lines
        # Not before it is confirmed.
        assert log_in(university, account, totp(seed, now())) == REJECT
        confirmed = user(university, "enrol", account.name, "--confirm", totp(seed, now() - 1)).worked()
        assert confirmed.out == f"{account.name}: enrolled\n"
        assert log_in(university, account, totp(seed, now())) == ACCEPT

    def test_the_code_that_confirmed_is_no_logins_code_any_more(self, university: Site) -> None:
        account = university.newcomer()
        code = totp(SEED, now())
        user(university, "enrol", account.name, "--secret", BASE32, "--confirm", code).worked()
        assert log_in(university, account, code) == CHALLENGE

    def test_a_secret_that_is_given_may_be_confirmed_in_the_same_call(self, university: Site) -> None:
        account = university.newcomer()
        ran = user(university, "enrol", account.name, "--secret", BASE32, "--confirm", totp(SEED, now() - 1))
        assert ran.worked().out == f"{account.name}: enrolled\n"
        assert log_in(university, account, totp(SEED, now())) == ACCEPT

    def test_a_wrong_code_confirms_nothing_and_a_right_one_does_later(self, university: Site) -> None:
        account = university.newcomer()
        wrong = Account(account.name, account.password, SEED).wrong_code()
        ran = user(university, "enrol", account.name, "--secret", BASE32, "--confirm", wrong)
        assert ran.line(1).startswith(f"{account.name}: that code is not right")
        (token,) = university.show(account)["tokens"]
        assert token["confirmed"] is False
        again = user(university, "enrol", account.name, "--secret", BASE32)
        assert again.line(1).startswith(f"{account.name}: has this secret already")
        user(university, "enrol", account.name, "--confirm", totp(SEED, now())).worked()
        (token,) = university.show(account)["tokens"]
        assert token["confirmed"] is True

    @pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "mail", "12345678"])
    def test_what_is_no_code_confirms_nothing(self, university: Site, code: str) -> None:
        account = university.newcomer()
        ran = user(university, "enrol", account.name, "--secret", BASE32, "--confirm", code)
        assert ran.line(1).startswith(f"{account.name}: that code is not right")

    def test_a_code_is_read_as_at_a_login(self, university: Site) -> None:
        account, code = university.newcomer(), totp(SEED, now())
        typed = f"{code[:3]} {code[3:]}"
        user(university, "enrol", account.name, "--secret", BASE32, "--confirm", typed).worked()

    def test_with_nothing_to_confirm_that_is_said(self, university: Site) -> None:
        for account in (university.newcomer(), university.staff()):
            ran = user(university, "enrol", account.name, "--confirm", "123456")
            assert ran.line(1).startswith(f"{account.name}: there is no token to confirm")

    @pytest.mark.parametrize("form", ["{}", "  {}  ", "lower", "groups", "padded", "hyphens"])
    def test_a_secret_is_read_as_people_copy_it(self, university: Site, form: str) -> None:
        groups = re.findall(".{4}", BASE32)
        typed = {
            "lower": BASE32.lower(),
            "groups": " ".join(groups).lower(),
            "padded": BASE32 + "======",
            "hyphens": "-".join(groups),
        }.get(form, form.format(BASE32))
        account = university.newcomer()
        user(university, "enrol", account.name, "--secret", typed, "--confirm", totp(SEED, now())).worked()

    @pytest.mark.parametrize("secret", ["", "MFRGGZDF", "MFRGGZDFMZTWQ2LK1", "０" * 32, "!", "M" * 15])
    def test_a_secret_that_is_none_is_refused_and_not_repeated(self, university: Site, secret: str) -> None:
        account = university.newcomer()
        line = user(university, "enrol", account.name, "--secret", secret).line(1)
        assert line == "--secret: not base32, or shorter than 16 characters (80 bits)"
        assert university.show(account)["tokens"] == []

    def test_by_the_directorys_id_nobody_is_looked_up(self, university: Site) -> None:
        account = university.newcomer()
        found = university.show(account)["id"]
        user(university, "enrol", "--id", found, "--secret", BASE32, "--confirm", totp(SEED, now() - 1)).worked()
        with closing(sqlite3.connect(university.folder / "state.db")) as db:
            stored = db.execute("SELECT username FROM user_counters WHERE user_id = ?", (found,)).fetchone()
        assert stored == ("",)
        assert log_in(university, account, totp(SEED, now())) == ACCEPT

    def test_a_label_is_kept(self, university: Site) -> None:
        account = university.newcomer()
        user(university, "enrol", account.name, "--secret", BASE32, "--label", "電話").worked()
        assert university.show(account)["tokens"][0]["label"] == "電話"

    def test_who_is_not_activated_may_be_enrolled_with_a_warning(self, university: Site) -> None:
        ran = user(university, "enrol", "inactive", "--label", "spare").worked()
        assert ran.err == "warning: inactive is not activated and cannot log in\n"

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("nobody", "unknown user"),
            ("u*", "unknown user"),
            ("", "name unreadable"),
            ("twin@example.org", "ambiguous user"),
        ],
    )
    def test_who_cannot_be_found_is_one_line(self, university: Site, name: str, reason: str) -> None:
        assert user(university, "enrol", name).line(1) == f"{name}: {reason}"


class TestShow:
    def test_all_that_is_known_as_json(self, university: Site) -> None:
        account = university.staff()
        shown = university.show(account)
        assert set(shown) == {
            "id",
            "username",
            "activated",
            "failures",
            "since_success",
            "locked_until",
            "suspended",
            "mail_address",
            "tokens",
        }
        assert shown["username"] == account.name
        (token,) = shown["tokens"]
        assert set(token) == {"id", "label", "confirmed", "last_used"}
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

    @pytest.mark.parametrize("name", ["nobody", "u1 x", "\udcff"])
    def test_nobody(self, university: Site, name: str) -> None:
        assert user(university, "show", name).line(1).endswith("unknown user")


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

    def test_of_whom_nothing_is_stored_that_is_said(self, university: Site) -> None:
        account = university.newcomer()
        line = user(university, "unlock", account.name).line(1)
        assert line == f"{account.name}: nothing is stored of this user"


class TestWithoutWhatIsNeeded:
    def test_without_a_key(self, config: Path) -> None:
        key = config.with_name("key")
        key.unlink()
        line = run_cli("--config", config, "user", "show", "alice").line(1)
        assert line == f"radius-mfa: {key}: there is no key file; `radius-mfa keys init` makes one"

    def test_with_another_key(self, config: Path) -> None:
        run_cli("--config", config, "user", "show", "alice").worked()
        config.with_name("key").unlink()
        create_key_file(config.with_name("key"))
        line = run_cli("--config", config, "user", "show", "alice").line(1)
        assert line.endswith("this key file is not the one the store was sealed with")

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


class TestMail:
    def test_an_address_is_shown_and_codes_go_there(self, university: Site) -> None:
        account = university.newcomer()
        assert user(university, "mail", account.name, "Alice@Example.NET").worked().out == (
            f"{account.name}: Alice@example.net\n"
        )
        assert json.loads(user(university, "show", account.name, "--json").worked().out)["mail_address"] == (
            "Alice@example.net"
        )
        with university.nas() as nas:
            assert nas.ask(account.name, account.password).code == CHALLENGE

    def test_it_is_found_in_every_spelling_of_the_name(self, university: Site) -> None:
        account = university.newcomer()
        user(university, "mail", f"EXAMPLE\\{account.name.upper()} ", "alice@example.net").worked()
        assert json.loads(user(university, "show", account.name, "--json").worked().out)["mail_address"] == (
            "alice@example.net"
        )

    def test_it_can_be_taken_away(self, university: Site) -> None:
        account = university.with_address(university.newcomer())
        assert user(university, "mail", account.name, "--remove").worked().out == f"{account.name}: no address\n"
        with university.nas() as nas:
            assert nas.ask(account.name, account.password).code == REJECT

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "alice",
            "a@b",
            "a b@example.net",
            "a@example.net\nBcc: b@example.net",
            "a@example.net, b@example.net",
            "<a@example.net>",
            '"a"@example.net',
            "a@[127.0.0.1]",
            "\x1b[31m@example.net",
        ],
    )
    def test_what_is_no_address_is_refused_in_one_line(self, university: Site, address: str) -> None:
        line = user(university, "mail", "u1", address).line(1)
        assert line.endswith(": not an address that a code can be sent to")
        assert line.isprintable()

    @pytest.mark.parametrize("address", ["u1@example.org", "u1@mail.EXAMPLE.org"])
    def test_an_address_that_the_password_opens_is_refused(self, university: Site, address: str) -> None:
        line = user(university, "mail", "u1", address).line(1)
        assert line.endswith("addresses at example.org are not taken (factors.mail.blocked_domains)")

    def test_the_directorys_id_may_be_given_instead_of_the_name(self, university: Site) -> None:
        account = university.newcomer()
        found = json.loads(user(university, "show", account.name, "--json").worked().out)["id"]
        user(university, "mail", "--id", found, "alice@example.net").worked()
        assert json.loads(user(university, "show", account.name, "--json").worked().out)["mail_address"] == (
            "alice@example.net"
        )

    def test_neither_or_both_of_address_and_remove_is_a_usage_error(self, university: Site) -> None:
        assert "give an ADDRESS, or --remove" in user(university, "mail", "u1").line(2)
        assert "give an ADDRESS, or --remove" in user(university, "mail", "u1", "a@b.example", "--remove").line(2)

    def test_where_no_mail_is_sent_there_is_a_warning(self, config: Path) -> None:
        ran = run_cli("--config", config, "user", "mail", "alice", "alice@example.net").worked()
        assert ran.err == "warning: no mail is sent: factors.mail is not configured\n"
