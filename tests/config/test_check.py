"""What must hold between the values, and what the administrator is warned of."""

from __future__ import annotations

import pytest

from radius_mfa.config.load import load_usable
from tests.config.support import (
    DICTIONARY,
    HASH,
    SMALL,
    Folder,
    client,
    ldap,
    spoilt,
)


class TestDirectory:
    def test_is_one_at_least(self, folder: Folder) -> None:
        none = SMALL[: SMALL.index("  static:")].replace("directory:", "directory: {}")
        assert folder.problems(none + SMALL[SMALL.index("policies:") :]) == [
            "7: directory: must have ldap, static or both"
        ]

    @pytest.mark.parametrize("name", ["alice", "ALICE", "ａｌｉｃｅ"])
    def test_has_no_user_twice_however_it_is_spelt(self, folder: Folder, name: str) -> None:
        second = f'      - {{username: {name}, password: "{HASH}"}}\npolicies:\n'
        (problem,) = folder.problems(spoilt("policies:\n", second))
        assert problem.startswith(f'11: directory.static.users[1].username: "{name}" names another user')

    def test_does_not_start_tls_within_tls(self, folder: Folder) -> None:
        text = ldap("start_tls: true").replace("ldap://", "ldaps://")
        assert folder.problems(text) == [
            "13: directory.ldap.start_tls: cannot be true beside ldaps://, which is TLS already"
        ]


class TestFactors:
    def test_are_one_at_least(self, folder: Folder) -> None:
        assert folder.problems(SMALL + "factors: {}\n") == [
            "14: factors: must have at least one of totp, mail, recovery_codes"
        ]

    def test_by_mail_have_both_user_name_and_password_or_neither(self, folder: Folder) -> None:
        mail = "factors: {mail: {smtp: 'smtp://localhost', sender: a@example.org, username: u}}\n"
        assert folder.problems(SMALL + mail) == [
            "14: factors.mail: username and password go together; give both or neither"
        ]

    @pytest.mark.parametrize("factors", ["", "factors: {totp: {}}\n", "factors: {recovery_codes: {}}\n"])
    def test_that_come_first_are_configured(self, folder: Folder, factors: str) -> None:
        line = 14 + bool(factors)
        assert folder.problems(SMALL + factors + "enrolment: {order: mail-first}\n") == [
            f"{line}: enrolment.order: mail-first lets nobody enrol without factors.mail; add that"
        ]

    def test_by_mail_may_come_first(self, folder: Folder) -> None:
        mail = "factors: {mail: {smtp: 'smtp://localhost', sender: a@example.org}}\n"
        assert folder.problems(SMALL + mail + "enrolment: {order: mail-first}\n") == []

    def test_that_do_not_come_first_may_be_alone(self, folder: Folder) -> None:
        mail = "factors: {mail: {smtp: 'smtp://localhost', sender: a@example.org}}\n"
        assert folder.problems(SMALL + mail + "enrolment: {order: totp-first}\n") == []


class TestUser:
    def test_is_never_root(self, folder: Folder) -> None:
        assert folder.problems(SMALL + "user: root\n") == [
            "14: user: must be somebody with no more rights than it needs, not root"
        ]

    @pytest.mark.parametrize(("name", "warned"), [("nobody", False), ("no-such-user-here", True)])
    def test_may_be_on_another_machine_than_the_one_that_checks(
        self, folder: Folder, name: str, warned: bool
    ) -> None:
        folder.write(folder.file.name, f"{SMALL}user: {name}\n")
        said = load_usable(folder.file, {}, DICTIONARY).warnings
        assert [each.removeprefix(f"{folder.file}:") for each in said] == (
            ["14: user: there is no such user on this machine"] if warned else []
        )


class TestWarnings:
    def test_there_are_none_for_what_is_as_it_should_be(self, folder: Folder) -> None:
        assert folder.warnings(SMALL) == []

    def test_of_audit_events_that_go_nowhere(self, folder: Folder) -> None:
        (warning,) = folder.warnings(SMALL + "log: {level: warning}\n")
        assert warning.startswith("14: log.level: hides the audit events")
        assert folder.warnings(SMALL + "log: {level: warning}\naudit: {file: audit.jsonl}\n") == []

    @pytest.mark.parametrize("server", ["ldap://ldap.example.org", "ldap://192.0.2.1:3389"])
    def test_of_passwords_in_clear(self, folder: Folder, server: str) -> None:
        text = ldap().replace("ldap://127.0.0.1", f"[ldap://127.0.0.1, '{server}']")
        assert folder.warnings(text) == ["9: directory.ldap.servers[1]: passwords cross the network in clear"]

    @pytest.mark.parametrize("server", ["ldap://localhost", "ldap://127.0.0.2", "'ldap://[::1]'", "ldaps://h"])
    def test_not_of_passwords_that_are_safe(self, folder: Folder, server: str) -> None:
        assert folder.warnings(ldap().replace("ldap://127.0.0.1", server)) == []

    def test_not_of_passwords_behind_start_tls(self, folder: Folder) -> None:
        assert folder.warnings(ldap("start_tls: true").replace("127.0.0.1\n    bind", "h\n    bind")) == []

    def test_of_a_cooldown_within_which_one_login_may_ask_twice(self, folder: Folder) -> None:
        mail = "factors: {mail: {smtp: smtps://m, sender: a@example.org, cooldown: 19s}}\n"
        assert folder.warnings(SMALL + mail) == [
            "14: factors.mail.cooldown: is shorter than a gateway may try for (20 s): one login may send two mails"
        ]

    @pytest.mark.parametrize(("server", "warned"), [("smtp://mail.example.org", 1), ("smtp://127.0.0.1", 0)])
    def test_of_codes_in_clear(self, folder: Folder, server: str, warned: int) -> None:
        mail = f"factors: {{mail: {{smtp: '{server}', start_tls: false, sender: a@example.org}}}}\n"
        assert (
            folder.warnings(SMALL + mail) == ["14: factors.mail.smtp: codes cross the network in clear"] * warned
        )

    def test_of_a_challenge_too_short_to_answer(self, folder: Folder) -> None:
        assert folder.warnings(client("timeout: 3s") + "challenge_lifetime: 29s\n") == [
            "15: challenge_lifetime: is hardly time enough to look up a code and type it"
        ]
