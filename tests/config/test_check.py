"""What must hold between the values, and what the administrator is warned of."""

from __future__ import annotations

import pytest

from radius_mfa.config.load import load_usable
from tests.config.support import (
    DICTIONARY,
    HASH,
    SECOND_CLIENT,
    SMALL,
    Folder,
    client,
    ldap,
    policy,
    spoilt,
    two_clients,
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

    def test_of_a_policy_are_configured(self, folder: Folder) -> None:
        assert folder.problems(policy("factors: [totp, mail]")) == [
            '14: policies[0].factors[1]: "mail" is not configured; add factors.mail'
        ]
        assert folder.problems(policy("factors: totp") + "factors: {recovery_codes: {}}\n") == [
            '14: policies[0].factors: "totp" is not configured; add factors.totp'
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


class TestPolicies:
    def test_have_names_of_their_own(self, folder: Folder) -> None:
        assert folder.problems(SMALL + "  - {name: vpn}\n") == [
            '14: policies[1].name: "vpn" names another policy, on line 12; change one'
        ]

    @pytest.mark.parametrize("condition", ["client_group: wlan", "group: staff", "days: mon"])
    def test_with_never_name_a_client(self, folder: Folder, condition: str) -> None:
        text = two_clients(SECOND_CLIENT) + f"  - {{name: b, second_factor: never, when: {{{condition}}}}}\n"
        assert folder.problems(text) == [
            "15: policies[1].second_factor: never must name a client; add when: {client: …}"
        ]

    def test_with_never_may_name_more_than_a_client(self, folder: Folder) -> None:
        text = SMALL + "  - {name: b, second_factor: never, when: {client: vpn, group: kiosks}}\n"
        assert folder.problems(text) == []

    @pytest.mark.parametrize(
        ("when", "problem"),
        [
            ("{clent: vpn}", "unknown key; did you mean client?"),
            ("{nas: vpn}", "unknown key; here can stand client, client_group, group, user"),
        ],
    )
    def test_have_no_condition_that_is_not_known(self, folder: Folder, when: str, problem: str) -> None:
        (found,) = folder.problems(spoilt("{client: vpn}", when))
        assert found.startswith(f"13: policies[0].when.{when[1:-6]}: {problem}")

    def test_may_ask_for_any_attribute(self, folder: Folder) -> None:
        loaded = folder.load(spoilt("{client: vpn}", "{client: vpn, NAS-Port-Type: [5, Virtual]}"))
        assert loaded.configuration.policies[0].when.attributes == {"NAS-Port-Type": ("5", "Virtual")}

    def test_return_attributes_of_the_dictionary(self, folder: Folder) -> None:
        assert folder.problems(policy("reply: {Class: [a, b], Session-Timeout: 3600}")) == []

    @pytest.mark.parametrize(
        ("reply", "key", "problem"),
        [
            ("{Clas: staff}", "Clas", "unknown attribute 'Clas' (did you mean Class?)"),
            ("{Session-Timeout: soon}", "Session-Timeout", "'soon' is not a number"),
            ("{Class: [a, ''], State: x}", "State", "State belongs to the server itself"),
        ],
    )
    def test_return_nothing_that_makes_no_attribute(
        self, folder: Folder, reply: str, key: str, problem: str
    ) -> None:
        found = folder.problems(policy(f"reply: {reply}"))
        assert any(each.startswith(f"14: policies[0].reply.{key}: {problem}") for each in found)

    def test_a_reply_that_fits_in_no_packet_is_refused(self, folder: Folder) -> None:
        """RFC 2865 §3: 4096 octets, and others want their part of them."""
        many = ", ".join(["x" * 250] * 12)
        assert folder.problems(policy(f"reply: {{Class: [{many}]}}")) == [
            "14: policies[0].reply: is 3024 octets in all; there is room for 3000 (RFC 2865 §3)"
        ]

    def test_do_not_show_a_returned_value_that_is_not_in_the_file(self, folder: Folder) -> None:
        found = folder.problems(policy("reply: {Session-Timeout: '${S}'}"), {"S": "hunter2"})
        assert found == ['14: policies[0].reply.Session-Timeout: "${S}" cannot be its value']


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

    @pytest.mark.parametrize(("secret", "warned"), [("a" * 12, True), ("a" * 13, False), ("ä" * 7, False)])
    def test_of_short_secrets(self, folder: Folder, secret: str, warned: bool) -> None:
        """RFC 2865 §3 asks for 16 octets at least."""
        found = folder.warnings(spoilt("0123456789abcdef", secret))
        assert found == [
            "6: clients[0].secret: 12 octets or fewer can be guessed from recorded packets; take 16 or more"
        ] * warned  # fmt: skip

    @pytest.mark.parametrize("secret", ["$VPN_SECRET_OF_OURS", "prefix-${VPN_SECRET}"])
    def test_of_a_variable_that_is_none(self, folder: Folder, secret: str) -> None:
        assert folder.warnings(spoilt("0123456789abcdef", f'"{secret}"')) == [
            "6: clients[0].secret: is taken as written; a variable is ${NAME} and nothing else"
        ]

    def test_of_audit_events_that_go_nowhere(self, folder: Folder) -> None:
        (warning,) = folder.warnings(SMALL + "log: {level: warning}\n")
        assert warning.startswith("14: log.level: hides the audit events")
        assert folder.warnings(SMALL + "log: {level: warning}\naudit: {file: audit.jsonl}\n") == []

    def test_of_message_authenticator_off(self, folder: Folder) -> None:
        (warning,) = folder.warnings(client("message_authenticator: off"))
        assert warning.startswith("7: clients[0].message_authenticator: off leaves the way open")

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

    def test_of_a_gateway_that_gives_up_at_once(self, folder: Folder) -> None:
        assert folder.warnings(client("timeout: 300ms", "retries: 1")) == [
            "7: clients[0].timeout: timeout × (retries + 1) is 0.6 s: a directory will hardly answer in that time"
        ]

    def test_of_a_gateway_that_waits_longer_than_its_challenge_lives(self, folder: Folder) -> None:
        assert folder.warnings(client("timeout: 60s", "retries: 4")) == [
            "7: clients[0].timeout: timeout × (retries + 1) is 300 s: as long as challenge_lifetime, or longer"
        ]

    def test_of_a_challenge_too_short_to_answer(self, folder: Folder) -> None:
        assert folder.warnings(client("timeout: 3s") + "challenge_lifetime: 29s\n") == [
            "15: challenge_lifetime: is hardly time enough to look up a code and type it"
        ]

    def test_of_conditions_on_nobody(self, folder: Folder) -> None:
        """The contract's own block names a client that it does not have."""
        text = two_clients(SECOND_CLIENT).replace("client: vpn", "client: [vpn, wfi], client_group: lan")
        assert folder.warnings(text) == [
            '14: policies[0].when.client[1]: there is no client "wfi", so this never holds; did you mean "wifi"?',
            '14: policies[0].when.client_group: there is no client group "lan", so this never holds; '
            'did you mean "wlan"?',
        ]

    @pytest.mark.parametrize(
        ("when", "station", "warned"),
        [
            ("{client: vpn}", "none", True),
            ("{client: vpn}", "ip", True),  # it is another client's
            ("{client: wifi}", "none", True),
            ("{client: wifi}", "ip", False),
            ("{client: wifi}", "mac", False),
            ("{client: [vpn, wifi]}", "mac", False),
            ("{client_group: wlan}", "mac", False),
            ("{client_group: wlan}", "none", True),
            ("{client: vpn, client_group: wlan}", "mac", False),  # it matches nobody, which is another's to tell
            ("{user: alice}", "mac", False),
            ("{user: alice}", "none", True),
        ],
    )
    def test_of_trust_where_no_client_says_what_a_station_is_worth(
        self, folder: Folder, when: str, station: str, warned: bool
    ) -> None:
        text = two_clients(SECOND_CLIENT.replace("]}", f"], station: {station}}}")).replace("{client: vpn}", when)
        assert folder.warnings(text + "    trust_device: true\n") == [
            "15: policies[0].trust_device: no client that it could match says what a station is worth "
            "(station: mac or ip): none is trusted"
        ] * warned  # fmt: skip
        assert folder.warnings(text + "    trust_device: false\n") == []

    def test_of_trust_that_spares_nothing(self, folder: Folder) -> None:
        (warning,) = folder.warnings(policy("second_factor: never", "trust_device: true"))
        assert warning.startswith("15: policies[0].trust_device: is of no use beside second_factor: never")
