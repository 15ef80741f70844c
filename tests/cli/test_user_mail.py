"""`radius-mfa user mail`."""

from __future__ import annotations

import base64
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.support import Ran, changed_row, rewritten, run_cli, user
from tests.end_to_end.nas import CHALLENGE, REJECT
from tests.end_to_end.site import Site, now, totp

SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()
MAIL_FIRST = """\
factors:
  totp: {issuer: Example}
  mail:
    {smtp: "smtp://127.0.0.1:9", start_tls: false, sender: mfa@example.org, blocked_domains: example.org}
enrolment: {order: mail-first}
"""


def mail(config: Path, *arguments: str) -> Ran:
    return run_cli("user", "mail", *arguments, "--config", config)


@pytest.fixture
def mailing(config: Path) -> Path:
    """A configuration with a mail server, which nobody ever asks: an address comes first there."""
    return rewritten(config, "factors:\n  totp: {issuer: Example}\n", MAIL_FIRST)


class TestSet:
    def test_an_address_is_shown_and_codes_go_there(self, university: Site) -> None:
        account = university.newcomer()
        assert user(university, "mail", account.name, "Alice@Example.NET").worked().out == (
            f"{account.name}: Alice@example.net\n"
        )
        assert university.show(account)["mail_address"] == ("Alice@example.net")
        with university.nas() as nas:
            assert nas.ask(account.name, account.password).code == CHALLENGE

    def test_it_is_found_in_every_spelling_of_the_name(self, university: Site) -> None:
        account = university.newcomer()
        user(university, "mail", f"EXAMPLE\\{account.name.upper()} ", "alice@example.net").worked()
        assert university.show(account)["mail_address"] == ("alice@example.net")

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
        found = university.show(account)["id"]
        user(university, "mail", "--id", found, "alice@example.net").worked()
        assert university.show(account)["mail_address"] == ("alice@example.net")

    def test_neither_or_both_of_address_and_remove_is_a_usage_error(self, university: Site) -> None:
        assert "give an ADDRESS, or --confirm CODE, or --remove" in user(university, "mail", "u1").line(2)
        assert "give an ADDRESS, or --confirm CODE, or --remove" in user(
            university, "mail", "u1", "a@b.example", "--remove"
        ).line(2)

    def test_where_no_mail_is_sent_there_is_a_warning(self, config: Path) -> None:
        ran = run_cli("--config", config, "user", "mail", "alice", "alice@example.net").worked()
        assert ran.err == "warning: no mail is sent: factors.mail is not configured\n"

    def test_as_json(self, config: Path) -> None:
        said = {"id": "static:Alice", "username": "Alice", "mail_address": "alice@example.net"}
        assert mail(config, "alice", "alice@example.net", "--json").json == said
        assert mail(config, "alice", "--remove", "--json").json == {**said, "mail_address": None}

    def test_who_is_not_activated_gets_none(self, config: Path) -> None:
        assert mail(config, "gone", "gone@example.net").line(1).startswith("gone: not activated")
        # ... and may lose one.
        assert mail(config, "gone", "--remove").worked().out == "gone: no address\n"


class TestVerify:
    """Up to the outbox; what comes of it is in tests/end_to_end/test_enrolment.py."""

    def test_a_reference_is_told_and_no_code(self, mailing: Path) -> None:
        ran = mail(mailing, "alice", "Alice@Example.NET", "--verify").worked()
        first, second = ran.out.splitlines()
        found = re.fullmatch(r"Alice: a code is mailed to Alice@example\.net \(ref ([A-Z][2-9])\)", first)
        assert found
        assert f"'radius-mfa --config {mailing} user mail alice --confirm CODE'" in second
        shown = run_cli("user", "show", "alice", "--json", "--config", mailing).json
        assert (shown["mail_address"], shown["proposed_address"]) == (None, "Alice@example.net")
        assert shown["proposed_until"] in second

    def test_as_json(self, mailing: Path) -> None:
        said = mail(mailing, "alice", "alice@example.net", "--verify", "--json").json
        assert set(said) == {"id", "username", "proposed_address", "reference", "proposed_until"}
        assert said["proposed_address"] == "alice@example.net"

    def test_the_mail_that_waits_is_in_the_users_language(self, university: Site) -> None:
        changes = university.own_store("verify", university.mail_server)
        path = university.write("verify.yaml", {**changes, "enrolment": {"order": "mail-first"}})
        account = university.newcomer(student=True)  # who reads `ja-JP`
        run_cli("--config", path, "user", "mail", account.name, account.address, "--verify").worked()
        with closing(sqlite3.connect(university.folder / "verify.db")) as db:
            assert db.execute("SELECT kind, language FROM outbox").fetchall() == [("address", "ja")]

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("alice", "alice: not an address that a code can be sent to"),
            ("a@example.net\nBcc: b@example.net", "not an address that a code can be sent to"),
            ("a@example.org", "addresses at example.org are not taken (factors.mail.blocked_domains)"),
        ],
    )
    def test_what_is_not_taken_is_not_mailed_to(self, mailing: Path, address: str, said: str) -> None:
        line = mail(mailing, "alice", address, "--verify").line(1)
        assert line.endswith(said)
        assert line.isprintable()
        with closing(sqlite3.connect(mailing.with_name("state.db"))) as db:
            assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)

    def test_out_of_order_it_is_said_what_comes_first(self, mailing: Path) -> None:
        rewritten(mailing, "mail-first", "totp-first")
        assert mail(mailing, "alice", "alice@example.net", "--verify").line(1) == (
            "Alice: an authenticator app comes first (enrolment.order: totp-first); "
            f"run 'radius-mfa --config {mailing} user enrol alice'"
        )
        code = totp(SEED, now())
        run_cli("user", "enrol", "alice", "--secret", BASE32, "--confirm", code, "--config", mailing).worked()
        mail(mailing, "alice", "alice@example.net", "--verify").worked()

    def test_where_no_mail_is_sent_it_is_refused(self, config: Path) -> None:
        line = mail(config, "alice", "alice@example.net", "--verify").line(1)
        assert line == "--verify: no mail is sent: factors.mail is not configured"

    def test_without_an_address_it_is_a_usage_error(self, mailing: Path) -> None:
        for others in (["--remove"], ["--confirm", "12345678"]):
            assert "--verify needs an ADDRESS" in mail(mailing, "alice", "--verify", *others).line(2)


class TestConfirm:
    def test_with_nothing_to_confirm_that_is_said(self, mailing: Path) -> None:
        line = mail(mailing, "alice", "--confirm", "12345678").line(1)
        assert line.startswith("Alice: there is no address to confirm, or its code has expired")

    @pytest.mark.parametrize("code", ["", "1234567", "abcdefgh", "\n", "\udcff"])
    def test_a_wrong_code_names_the_mail_and_sets_nothing(self, mailing: Path, code: str) -> None:
        reference = mail(mailing, "alice", "alice@example.net", "--verify", "--json").json["reference"]
        line = mail(mailing, "alice", "--confirm", code).line(1)
        assert line == f"Alice: that code is not right; it is in the mail with ref {reference}"
        assert run_cli("user", "show", "alice", "--json", "--config", mailing).json["mail_address"] is None

    def test_guesses_wear_it_out(self, mailing: Path) -> None:
        mail(mailing, "alice", "alice@example.net", "--verify").worked()
        lines = [mail(mailing, "alice", "--confirm", "").line(1) for _ in range(6)]
        assert ["not right" in line for line in lines[:4]] == [True] * 4
        again = f"run 'radius-mfa --config {mailing} user mail alice ADDRESS --verify'"
        assert lines[5] == f"Alice: that code was tried too often; {again}"

    def test_an_expired_code_confirms_nothing(self, mailing: Path) -> None:
        mail(mailing, "alice", "alice@example.net", "--verify").worked()
        changed_row(mailing, "UPDATE proposal SET expires = 1")
        assert "its code has expired" in mail(mailing, "alice", "--confirm", "12345678").line(1)
