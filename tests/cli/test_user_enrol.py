"""`radius-mfa user enrol`: against slapd, and with what is enrolled tried at the running server."""

from __future__ import annotations

import base64
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.support import Ran, changed_row, log_in, rewritten, run_cli, run_process, user
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import Account, Site, now, totp

# What stands for four modules of a QR code, two above two.
_BLOCKS = set("█▀▄ ")
SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()
MAIL_FIRST = """\
factors:
  totp: {issuer: Example}
  mail: {smtp: "smtp://127.0.0.1:9", start_tls: false, sender: mfa@example.org}
enrolment: {order: mail-first}
"""


def enrol(config: Path, *arguments: str) -> Ran:
    return run_cli("user", "enrol", *arguments, "--config", config)


def tokens(config: Path, name: str = "alice") -> int:
    return len(run_cli("user", "show", name, "--json", "--config", config).json["tokens"])


def voucher(config: Path, name: str = "alice") -> str:
    made: str = run_cli("user", "voucher", name, "--json", "--config", config).json["voucher"]
    return made


@pytest.fixture
def mail_first(config: Path) -> Path:
    return rewritten(config, "factors:\n  totp: {issuer: Example}\n", MAIL_FIRST)


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
        confirmed = user(university, "enrol", account.name, "--confirm", totp(seed, now())).worked()
        assert confirmed.out == f"{account.name}: enrolled\n"
        assert log_in(university, account, totp(seed, now() + 1)) == ACCEPT

    def test_the_code_that_confirmed_is_no_logins_code_any_more(self, university: Site) -> None:
        account = university.newcomer()
        code = totp(SEED, now())
        user(university, "enrol", account.name, "--secret", BASE32, "--confirm", code).worked()
        assert log_in(university, account, code) == CHALLENGE

    def test_a_secret_that_is_given_may_be_confirmed_in_the_same_call(self, university: Site) -> None:
        account = university.newcomer()
        ran = user(university, "enrol", account.name, "--secret", BASE32, "--confirm", totp(SEED, now()))
        assert ran.worked().out == f"{account.name}: enrolled\n"
        assert log_in(university, account, totp(SEED, now() + 1)) == ACCEPT

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
        user(university, "enrol", "--id", found, "--secret", BASE32, "--confirm", totp(SEED, now())).worked()
        with closing(sqlite3.connect(university.folder / "state.db")) as db:
            stored = db.execute("SELECT username FROM user_counters WHERE user_id = ?", (found,)).fetchone()
        assert stored == ("",)
        assert log_in(university, account, totp(SEED, now() + 1)) == ACCEPT

    def test_a_label_is_kept(self, university: Site) -> None:
        account = university.newcomer()
        user(university, "enrol", account.name, "--secret", BASE32, "--label", "電話").worked()
        assert university.show(account)["tokens"][0]["label"] == "電話"

    def test_who_is_not_activated_is_refused_and_not_put_into_the_store(self, university: Site) -> None:
        line = user(university, "enrol", "inactive", "--label", "spare").line(1)
        assert line == "inactive: not activated; a second factor is set up once the account is"
        assert user(university, "unlock", "inactive").err.endswith("inactive: nothing is stored of this user\n")

    def test_a_code_of_another_time_gets_a_line_that_names_the_clock(self, university: Site) -> None:
        account = university.newcomer()
        early = totp(SEED, now() - 3)
        line = user(university, "enrol", account.name, "--secret", BASE32, "--confirm", early).line(1)
        assert line.startswith(f"{account.name}: that code is of another time: set the clock of the device")
        assert university.show(account)["tokens"][0]["confirmed"] is False

    def test_a_second_token_is_a_second_way_in(self, university: Site) -> None:
        account, second = university.newcomer(), bytes(range(20, 40))
        for seed, label in ((SEED, "phone"), (second, "tablet")):
            secret = base64.b32encode(seed).decode()
            code = totp(seed, now())
            user(
                university, "enrol", account.name, "--secret", secret, "--label", label, "--confirm", code
            ).worked()
        assert [token["label"] for token in university.show(account)["tokens"]] == ["phone", "tablet"]
        assert log_in(university, account, totp(SEED, now() + 1)) == ACCEPT
        assert log_in(university, account, totp(second, now() + 1)) == ACCEPT

    def test_the_same_secret_under_another_label_is_refused(self, university: Site) -> None:
        account, code = university.newcomer(), totp(SEED, now())
        user(university, "enrol", account.name, "--secret", BASE32, "--confirm", code).worked()
        for more in (("--label", "again"), ("--confirm", code)):
            line = user(university, "enrol", account.name, "--secret", BASE32.lower(), *more).line(1)
            assert line.startswith(f"{account.name}: has this secret already, and it is confirmed")
        assert len(university.show(account)["tokens"]) == 1

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


class TestWhatIsPrinted:
    def test_as_json_a_new_token_is_what_an_app_needs(self, config: Path) -> None:
        shown = enrol(config, "ALICE", "--label", "phone", "--json").json
        assert set(shown) == {"id", "username", "otpauth", "secret", "label", "confirmed"}
        assert (shown["username"], shown["label"], shown["confirmed"]) == ("Alice", "phone", False)
        assert parse_qs(urlsplit(shown["otpauth"]).query)["secret"] == [shown["secret"]]

    def test_as_json_a_confirmation_tells_no_secret(self, config: Path) -> None:
        ran = enrol(config, "alice", "--secret", BASE32, "--confirm", totp(SEED, now()), "--json")
        assert ran.json == {"id": ran.json["id"], "username": "Alice", "confirmed": True}

    def test_a_terminal_without_blocks_gets_the_code_all_the_same(self, config: Path) -> None:
        arguments = ("user", "enrol", "alice", "--secret", BASE32, "--config", config)
        ran = run_process(*arguments, environment={"PYTHONIOENCODING": "latin-1"}).worked()
        assert ran.out.count("\x1b[") > 100
        assert f"secret: {BASE32}" in ran.out

    def test_the_next_command_is_one_that_works(self, config: Path) -> None:
        out = enrol(config, "--id", "static:Alice", "--secret", BASE32).worked().out
        (command,) = re.findall(r"confirm with 'radius-mfa (.*)'\.$", out, re.MULTILINE)
        assert command == f"--config {config} user enrol --id static:Alice --confirm CODE"
        run_cli(*shlex.split(command.replace("CODE", totp(SEED, now())))).worked()


class TestLimits:
    @pytest.mark.parametrize(("octets", "warned"), [(10, True), (13, True), (14, False), (20, False)])
    def test_a_short_secret_is_taken_with_a_warning(self, config: Path, octets: int, warned: bool) -> None:
        """RFC 4226 §4, R6: 128 bits; below 112 there is a warning."""
        ran = enrol(config, "alice", "--secret", base64.b32encode(SEED[:octets]).decode()).worked()
        warning = f"warning: --secret: {octets * 8} bits are few, and 112 the least that should be; "
        assert ran.err.startswith(warning) is warned
        assert bool(ran.err) is warned
        assert tokens(config) == 1

    @pytest.mark.parametrize(("octets", "status"), [(128, 0), (129, 1), (10_000, 1)])
    def test_a_secret_is_one_that_a_qr_code_can_hold(self, config: Path, octets: int, status: int) -> None:
        ran = enrol(config, "alice", "--secret", base64.b32encode(bytes(octets)).decode())
        assert (ran.status, ran.err) == (status, "--secret: longer than 128 octets\n" * status)

    @pytest.mark.parametrize("label", ["a\nb", "\x1b[31m", "\udcff", "x" * 65])
    def test_a_label_is_one_short_line(self, config: Path, label: str) -> None:
        assert enrol(config, "alice", "--label", label).line(1) == "--label: not one line of 64 characters at most"

    def test_a_label_may_be_in_any_language(self, config: Path) -> None:
        enrol(config, "alice", "--label", " 電話\u3000二 ").worked()
        shown = run_cli("user", "show", "alice", "--json", "--config", config).json
        assert shown["tokens"][0]["label"] == "電話\u3000二"

    @pytest.mark.parametrize("given", ["", "a\nb", "\udcff", "x" * 65])
    def test_an_id_that_no_directory_gives_is_one_line(self, config: Path, given: str) -> None:
        line = enrol(config, "--id", given).line(1)
        assert line.endswith(": not an id of a directory")
        assert line.isprintable()

    def test_where_no_totp_is_asked_for_there_is_a_warning(self, config: Path) -> None:
        ran = enrol(rewritten(config, "totp: {issuer: Example}", "recovery_codes: {}"), "alice").worked()
        assert ran.err == "warning: no TOTP code is accepted: factors.totp is not configured\n"


class TestVoucher:
    """What is done for a user, who has to have been let do it."""

    def test_it_lets_the_user_enrol_once(self, config: Path) -> None:
        code = voucher(config)
        typed = f" {code.upper().replace('-', ' ')} "
        enrol(config, "alice", "--secret", BASE32, "--voucher", typed, "--confirm", totp(SEED, now())).worked()
        again = enrol(config, "alice", "--voucher", code).line(1)
        assert again.startswith("Alice: that voucher is wrong, used or expired")
        assert tokens(config) == 1

    @pytest.mark.parametrize("code", ["", "abcd-efgh-jkmn", "12345678", "\n", "\udcff"])
    def test_a_wrong_one_does_nothing(self, config: Path, code: str) -> None:
        right = voucher(config)
        assert "wrong, used or expired" in enrol(config, "alice", "--voucher", code).line(1)
        assert tokens(config) == 0
        enrol(config, "alice", "--voucher", right).worked()

    def test_without_one_that_was_issued_there_is_no_right_one(self, config: Path) -> None:
        code = voucher(config, "bob")
        assert "wrong, used or expired" in enrol(config, "alice", "--voucher", code).line(1)

    def test_an_expired_one_does_nothing(self, config: Path) -> None:
        code = voucher(config)
        changed_row(config, "UPDATE voucher SET expires = 1")
        assert "wrong, used or expired" in enrol(config, "alice", "--voucher", code).line(1)
        assert tokens(config) == 0

    def test_guesses_wear_it_out(self, config: Path) -> None:
        code = voucher(config)
        for _ in range(5):
            enrol(config, "alice", "--voucher", "abcdefghjkmn").line(1)
        assert "was tried too often" in enrol(config, "alice", "--voucher", code).line(1)

    def test_what_is_refused_for_another_reason_does_not_use_it_up(self, config: Path) -> None:
        enrol(config, "alice", "--secret", BASE32).worked()
        code = voucher(config)
        line = enrol(config, "alice", "--secret", BASE32, "--voucher", code).line(1)
        assert line.startswith("Alice: has this secret already")
        right = totp(SEED, now())
        enrol(config, "alice", "--confirm", right).worked()
        line = enrol(config, "alice", "--secret", BASE32, "--voucher", code, "--confirm", right).line(1)
        assert line.startswith("Alice: has this secret already")
        enrol(config, "alice", "--voucher", code).worked()

    def test_it_is_not_for_completing(self, config: Path) -> None:
        line = enrol(config, "alice", "--voucher", "abcdefghjkmn", "--confirm", "123456").line(2)
        assert "--voucher is for a new token" in line

    def test_where_there_are_none_it_is_refused(self, config: Path) -> None:
        code = voucher(config)
        rewritten(config, "key_file:", "enrolment: {voucher: false}\nkey_file:")
        line = enrol(config, "alice", "--voucher", code).line(1)
        assert line == "--voucher: there are none here (enrolment.voucher)"


class TestOrder:
    def test_where_mail_comes_first_a_user_without_address_is_told_what_to_do(self, mail_first: Path) -> None:
        code = voucher(mail_first)
        assert enrol(mail_first, "alice", "--voucher", code).line(1) == (
            "Alice: a mail address comes first (enrolment.order: mail-first); "
            f"run 'radius-mfa --config {mail_first} user mail alice ADDRESS --verify'"
        )
        assert tokens(mail_first) == 0
        run_cli("user", "mail", "alice", "alice@example.net", "--config", mail_first).worked()
        assert enrol(mail_first, "alice", "--voucher", code).worked().err == ""

    def test_an_administrator_is_only_told_of_it(self, mail_first: Path) -> None:
        ran = enrol(mail_first, "alice").worked()
        assert ran.err.startswith("warning: Alice has no mail address yet, which should come first")
        assert tokens(mail_first) == 1

    def test_where_the_app_comes_first_there_is_nothing_to_tell(self, config: Path) -> None:
        assert enrol(config, "alice").worked().err == ""
