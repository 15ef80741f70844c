"""Values from the environment and secrets from files."""

from __future__ import annotations

import pytest

from radius_mfa.config.document import read_document
from radius_mfa.config.elsewhere import fill
from radius_mfa.config.load import load
from tests.config.support import DICTIONARY, HASH, SMALL, Folder, client, spoilt

_LITERAL = "secret: 0123456789abcdef"


def secret(line: str) -> str:
    return spoilt(_LITERAL, line)


class TestEnvironment:
    @pytest.mark.parametrize("written", ["${VPN_SECRET}", '"${VPN_SECRET}"', "'${VPN_SECRET}'"])
    def test_a_whole_scalar_is_replaced(self, folder: Folder, written: str) -> None:
        loaded = folder.load(secret(f"secret: {written}"), {"VPN_SECRET": "from the environment"})
        assert loaded.configuration.clients[0].secret[0].reveal() == "from the environment"

    def test_part_of_a_scalar_is_text(self, folder: Folder) -> None:
        loaded = folder.load(secret("secret: x${VPN_SECRET}-0123456789"), {"VPN_SECRET": "y"})
        assert loaded.configuration.clients[0].secret[0].reveal() == "x${VPN_SECRET}-0123456789"

    @pytest.mark.parametrize(
        "value", ["[a, b]", "a: b\nc: &x d", "${OTHER}", "true", " padded ", "# not a comment"]
    )
    def test_the_value_is_never_read_as_yaml(self, folder: Folder, value: str) -> None:
        loaded = folder.load(secret("secret: ${S}"), {"S": value, "OTHER": "other"})
        assert loaded.configuration.clients[0].secret[0].reveal() == value

    def test_numbers_and_lists_may_hold_variables(self, folder: Folder) -> None:
        text = client("retries: ${RETRIES}", "groups: [a, '${GROUP}']")
        found = folder.load(text, {"RETRIES": "7", "GROUP": "b"}).configuration.clients[0]
        assert (found.retries, found.groups) == (7, ("a", "b"))

    def test_without_quotes_in_a_flow_list_the_way_out_is_told(self, folder: Folder) -> None:
        (problem,) = folder.problems(client("groups: [a, ${GROUP}]"))
        assert problem.startswith("7: not valid YAML: ")
        assert problem.endswith('inside [ ] and { } write "${NAME}" in quotes')

    def test_a_missing_variable_is_named(self, folder: Folder) -> None:
        assert folder.problems(secret("secret: ${VPN_SECRET}")) == [
            "6: clients[0].secret: the environment variable VPN_SECRET is not set"
        ]

    def test_an_empty_variable_is_no_value(self, folder: Folder) -> None:
        assert folder.problems(secret("secret: ${S}"), {"S": ""}) == [
            "6: clients[0].secret: the environment variable S is empty"
        ]

    def test_octets_that_are_no_utf8_are_refused(self, folder: Folder) -> None:
        assert folder.problems(secret("secret: ${S}"), {"S": "\udcff"}) == [
            "6: clients[0].secret: the environment variable S is not UTF-8"
        ]

    @pytest.mark.parametrize("name", ["", "VPN-SECRET", "1A", "A B", "${A}"])
    def test_a_name_no_variable_can_have_is_refused(self, folder: Folder, name: str) -> None:
        (problem,) = folder.problems(secret(f'secret: "${{{name}}}"'))
        assert "is not the name of one (letters, digits and _): a variable is ${NAME} and nothing else" in problem

    @pytest.mark.parametrize(
        ("old", "new", "path", "name"),
        [
            (_LITERAL, "secret: ${VPN_SECRET:-%s}", "6: clients[0].secret", "VPN_SECRET"),
            (_LITERAL, "secret: ['${A:?%s}', fedcba9876543210]", "6: clients[0].secret[0]", "A"),
            (f'"{HASH}"', '"${H=%s}"', "10: directory.static.users[0].password", "H"),
            ("policies:", "storage: ${DB:-postgresql://u:%s@h/db}\npolicies:", "11: storage", "DB"),
            ("policies:", "storage_password: ${-%s}\npolicies:", "11: storage_password", ""),
        ],
    )
    def test_a_default_is_not_taken_and_not_shown(
        self, folder: Folder, old: str, new: str, path: str, name: str
    ) -> None:
        text = spoilt(old, new.replace("%s", TestBraces.SECRET))
        assert folder.problems(text, {"VPN_SECRET": "from the environment"}) == [
            f'{path}: "${{{name}…}}" is not the name of one (letters, digits and _): '
            "a variable is ${NAME} and nothing else; it takes no default"
        ]
        document = read_document("f.yaml", text)
        fill(document, {}, folder.path)
        assert TestBraces.SECRET not in "".join(document.hidden.values())

    def test_a_value_from_it_is_shown_by_its_name(self, folder: Folder) -> None:
        (problem,) = folder.problems(client("timeout: ${T}"), {"T": "hunter2"})
        assert problem.endswith('24h or 7d, not "${T}"')

    def test_keys_are_never_replaced(self, folder: Folder) -> None:
        (problem,) = folder.problems(client("${K}: a"), {"K": "timeout"})
        assert problem.startswith("7: clients[0].${K}: unknown key")


class TestSecretFiles:
    @pytest.mark.parametrize(
        ("content", "read"),
        [("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), ("abc\n\n", "abc\n"), (" a ", " a ")],
    )
    def test_one_newline_at_the_end_is_not_part_of_it(self, folder: Folder, content: str, read: str) -> None:
        folder.write("vpn.secret", content)
        loaded = folder.load(secret("secret_file: vpn.secret"))
        assert loaded.configuration.clients[0].secret[0].reveal() == read

    def test_the_path_starts_at_the_folder_of_the_yaml(self, folder: Folder) -> None:
        (folder.path / "secrets").mkdir()
        folder.write("secrets/vpn", "0123456789abcdef")
        assert folder.problems(secret("secret_file: secrets/vpn")) == []
        assert folder.problems(secret(f"secret_file: {folder.path}/secrets/vpn")) == []

    def test_there_may_be_two_while_one_is_replaced(self, folder: Folder) -> None:
        folder.write("old", "o" * 16)
        folder.write("new", "n" * 16)
        secrets = folder.load(secret("secret_file: [new, old]")).configuration.clients[0].secret
        assert [each.reveal() for each in secrets] == ["n" * 16, "o" * 16]

    def test_every_secret_has_its_file(self, folder: Folder) -> None:
        folder.write("s", "0123456789abcdef")
        folder.write("hash", HASH)
        folder.write("bind", "bind-password\n")
        folder.write("mail", "mail-password\n")
        text = secret("secret_file: s").replace(f'password: "{HASH}"', "password_file: hash") + (
            "factors:\n"
            "  totp: {}\n"
            "  mail: {smtp: 'smtp://localhost', sender: a@example.org, username: u, password_file: mail}\n"
        )
        folder.write("psk", "0f" * 16 + "\n")
        text = text.replace("directory:\n", "  - {name: gw, psk: {identity: gw, key_file: psk}}\ndirectory:\n")
        ldap = "  ldap: {servers: 'ldap://[::1]', bind_dn: cn=r, bind_password_file: bind, base_dn: dc=x}\n"
        configuration = folder.load(text.replace("directory:\n", "directory:\n" + ldap)).configuration
        assert configuration.directory.ldap is not None
        assert configuration.directory.ldap.bind_password.reveal() == "bind-password"
        assert configuration.directory.static is not None
        assert configuration.directory.static.users[0].password.reveal() == HASH
        assert configuration.factors.mail is not None
        assert configuration.factors.mail.password is not None
        assert configuration.factors.mail.password.reveal() == "mail-password"
        assert configuration.clients[1].psk is not None
        assert configuration.clients[1].psk.key.reveal() == "0f" * 16

    def test_both_a_secret_and_its_file_are_one_too_many(self, folder: Folder) -> None:
        folder.write("s", "0123456789abcdef")
        assert folder.problems(client("secret_file: s")) == [
            "7: clients[0].secret_file: secret is given too; remove one of the two"
        ]

    def test_a_missing_file_is_one_problem(self, folder: Folder) -> None:
        assert folder.problems(secret("secret_file: nowhere")) == [
            '6: clients[0].secret_file: "nowhere" cannot be read: No such file or directory'
        ]

    @pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
    def test_a_file_open_to_everyone_is_refused(self, folder: Folder, mode: int) -> None:
        folder.write("s", "0123456789abcdef", mode)
        assert folder.problems(secret("secret_file: s")) == [
            '6: clients[0].secret_file: "s" is open to everyone on this machine; chmod o= it'
        ]

    def test_a_group_may_read_it(self, folder: Folder) -> None:
        folder.write("s", "0123456789abcdef", 0o640)
        assert folder.problems(secret("secret_file: s")) == []

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"\xff", "is not UTF-8"),
            (b"a" * 65537, "is longer than 65536 octets"),
        ],
    )
    def test_a_file_without_a_secret_is_refused(self, folder: Folder, content: bytes, why: str) -> None:
        folder.write("s", content)
        assert folder.problems(secret("secret_file: s")) == [f'6: clients[0].secret_file: "s" {why}']

    @pytest.mark.parametrize(
        ("written", "why"),
        [
            ('"."', '"." is not a file'),
            ('"a\\0b"', '"a\\x00b" is not the path of a file'),
            ("true", "must be the path of a file"),
            ("{a: b}", "must be the path of a file"),
            ("", "has no value; give it one, or remove it"),
        ],
    )
    def test_what_is_no_file_is_refused(self, folder: Folder, written: str, why: str) -> None:
        assert folder.problems(secret(f"secret_file: {written}")) == [f"6: clients[0].secret_file: {why}"]

    def test_a_secret_given_as_a_path_is_not_shown(self, folder: Folder) -> None:
        assert folder.problems(secret("secret_file: ${S}"), {"S": "hunter2"}) == [
            '6: clients[0].secret_file: "${S}" cannot be read: No such file or directory'
        ]

    def test_a_slip_in_the_name_of_the_key_is_understood(self, folder: Folder) -> None:
        assert folder.problems(client("secret_fil: x")) == [
            "7: clients[0].secret_fil: unknown key; did you mean secret_file?"
        ]


class TestBraces:
    """After a slip with a brace a secret is the key of a mapping, and keys are shown."""

    SECRET = "Xq9z3Rk2LmVpTb71aa"
    SAID = "must be a single value, not a mapping; put quotes around it"

    @pytest.mark.parametrize(
        "written",
        [
            "{%s}", "{%s: }", "{%s: a, %s: b}", "{a, %s}", "{? %s}", "{%s: {%s: &a b}}", "{}", "{[%s]: a}",
            "\n      %s: a",
            "\n      %s: a\n      %s: b",
        ],
    )  # fmt: skip
    def test_around_a_secret_are_one_line_without_it(self, folder: Folder, written: str) -> None:
        text = secret("secret: " + written.replace("%s", self.SECRET))
        assert folder.problems(text) == [f"6: clients[0].secret: {self.SAID}"]

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            (_LITERAL, "secret: [{%s}, fedcba9876543210]", "6: clients[0].secret[0]: "),
            (_LITERAL, "psk: {identity: gw, key: {%s}}", "6: clients[0].psk.key: "),
            (f'password: "{HASH}"', "password: {%s}", "10: directory.static.users[0].password: "),
            ("policies:", "storage: {postgresql://radius:%s@db/radius}\npolicies:", "11: storage: "),
            ("policies:", "storage_password: {%s: a}\npolicies:", "11: storage_password: "),
            (
                "policies:",
                "factors: {mail: {smtp: {smtp://a:%s@m}, sender: a@b.c}}\npolicies:",
                "11: factors.mail.smtp: ",
            ),
        ],
    )  # fmt: skip
    def test_around_any_secret_or_address_with_one_are_the_same(
        self, folder: Folder, old: str, new: str, said: str
    ) -> None:
        problems = folder.problems(spoilt(old, new.replace("%s", self.SECRET)))
        assert f"{said}{self.SAID}" in problems
        assert self.SECRET not in "".join(problems)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (_LITERAL, "secert: {%s}"),
            (_LITERAL, "secret: {%s}\n   x"),
            (_LITERAL, "x: {secret: {%s}, secret:%s}"),
            ("  - name: vpn\n    address: 192.0.2.1\n", "  vpn:\n    secret: {%s}\n    "),
            ("directory:", "  - {name: b, address: 192.0.2.9, secret: abc, %s}\ndirectory:"),
            ("directory:", "  - {name: b, secret:%s, address: 192.0.2.9}\ndirectory:"),
        ],
    )
    def test_show_no_secret_wherever_else_the_slip_is(self, folder: Folder, old: str, new: str) -> None:
        problems = folder.problems(spoilt(old, new.replace("%s", self.SECRET)))
        assert problems
        assert self.SECRET not in "".join(problems)

    def test_below_a_file_and_the_name_of_a_profile_are_no_secrets(self, folder: Folder) -> None:
        assert folder.problems(SMALL + "profiles: {secret: {like: fortigate, shows_answr: a}}\n") == [
            "14: profiles.secret.shows_answr: unknown key; did you mean shows_answer?"
        ]
        assert folder.problems(secret("secret_file: {a: b}")) == [
            "6: clients[0].secret_file: must be the path of a file"
        ]


class TestKeys:
    """After a slip with a colon or a space a secret is part of a key, or a text where a mapping should be."""

    SECRET = TestBraces.SECRET
    HEX = "00112233445566778899aabbccddeeff"
    STAND = "unknown key; here can stand identity, key, key_file"

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            ("psk: %s", "psk: must be a mapping of keys and values, not a text"),
            ("psk: {%s: x}", f"psk.…: {STAND}"),
            ("psk: {%s: a, %s: b}", f"psk.…: {STAND}"),
            ("psk: {identity: gw, kye: x}", "psk.kye: unknown key; did you mean key?"),
        ],
    )
    def test_a_psk_is_shown_nowhere(self, folder: Folder, written: str, said: str) -> None:
        problems = folder.problems(client(written.replace("%s", self.HEX)))
        assert f"7: clients[0].{said}" in problems
        assert self.HEX not in "".join(problems)

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            ("users: [alice:%s]", "[0]: must be a mapping of keys and values, not a text"),
            ("users: alice:%s", ": must be a list, each item behind a - and a space, not a text"),
            (
                "users: {alice:%s: a, alice:%s: b}",
                ": must be a list, each item behind a - and a space, not a mapping",
            ),
            ("users: [{alice:%s: a}]", "[0].…: unknown key; here can stand username, "),
            ("users: [{alice: a}]", "[0].alice: unknown key; here can stand username, "),
            ("users: [{usrename: a}]", "[0].usrename: unknown key; did you mean username?"),
        ],
    )
    def test_an_account_in_one_text_is_not_shown(self, folder: Folder, written: str, said: str) -> None:
        accounts = f'users:\n      - {{username: alice, password: "{HASH}"}}'
        problems = folder.problems(spoilt(accounts, written.replace("%s", self.SECRET)))
        assert any(f"directory.static.users{said}" in each for each in problems), problems
        assert self.SECRET not in "".join(problems)

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("secret:%s: x", "secret…"),
            ("secret= %s: x", "secret…"),
            ("Secret:%s: x", "Secret…"),
            ("secert:%s: x", "secert…"),
            ("bind_password:%s: x", "bind_password…"),
            ("password %s: x", "password…"),
            ("psk:%s: {a: b}", "psk…"),
            ("storage:postgresql://u:%s@h/db: x", "storage…"),
            ("shared_secret: {%s: a, %s: b}", "shared_secret"),
            ("bind_pw: {%s: *x}", "bind_pw"),
            ("API-Token: [{a: b, %s}, {%s: a, %s: &x b}]", "API-Token"),
        ],
    )
    def test_of_one_that_is_unknown_only_the_name_is_shown(self, folder: Folder, written: str, shown: str) -> None:
        problems = folder.problems(client(written.replace("%s", self.SECRET)))
        assert [each for each in problems if each.startswith(f"7: clients[0].{shown}: unknown key")]
        assert self.SECRET not in "".join(problems)

    def test_the_same_holds_within_another_that_is_unknown(self, folder: Folder) -> None:
        text = SMALL + "x:\n  y: [{secret:%s: {a: 1, a: 2}, my_token: {%s: 1, %s: 2}}]\n"
        problems = folder.problems(text.replace("%s", self.SECRET))
        assert [each.partition(": unknown")[0] for each in problems if "unknown" in each] == ["14: x"]
        assert self.SECRET not in "".join(problems)

    def test_a_key_that_is_no_secrets_is_shown_whole(self, folder: Folder) -> None:
        (problem,) = folder.problems(client("adress 2: x"))
        assert problem.startswith("7: clients[0].adress 2: unknown key")

    def test_names_of_the_administrators_and_attributes_are_left_alone(self, folder: Folder) -> None:
        text = SMALL.replace("{client: vpn}", "{client: vpn, Acme-Token: [a]}").replace(
            "secret:", "realms: {secret.test: ''}\n    secret:"
        )
        assert folder.problems(text) == ["14: policies[0].when.Acme-Token[0]: unknown attribute 'Acme-Token'"]


def test_a_configuration_never_shows_its_secrets(folder: Folder) -> None:
    environment = {"S": "from-the-environment", "PG": "postgresql://radius:hunter2@db/radius"}
    text = secret("secret: ['${S}', in-the-yaml-itself]") + "storage: ${PG}\n"
    loaded = folder.load(text, environment)
    for secret_text in ("from-the-environment", "in-the-yaml-itself", "hunter2", HASH):
        assert secret_text not in repr(loaded) + str(loaded) + repr(loaded.configuration.clients[0].secret[0])


OPEN = "stands in a file that everyone on this machine can read; chmod o= it, or take ${NAME}"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o604, True), (0o644, True)])
def test_a_secret_in_a_file_that_everybody_can_read_is_warned_of(folder: Folder, mode: int, warned: bool) -> None:
    folder.write(folder.file.name, SMALL, mode)
    found = load(folder.file, {}, DICTIONARY).warnings
    assert [each.removeprefix(f"{folder.file}:") for each in found] == (
        [f"6: clients[0].secret: {OPEN}"] if warned else []
    )


def test_a_file_without_secrets_may_be_open_to_everybody(folder: Folder) -> None:
    folder.write("secret", "0123456789abcdef")
    secrets: dict[str, dict[str, str]] = {"${SECRET}": {"SECRET": "0123456789abcdef"}, "secret_file": {}}
    for written, environment in secrets.items():
        text = SMALL.replace("secret: 0123456789abcdef", "secret_file: secret")
        if written != "secret_file":
            text = SMALL.replace("0123456789abcdef", f'"{written}"')
        text = text.replace(f'"{HASH}"', '"${HASH}"')
        folder.write(folder.file.name, text, 0o644)
        assert load(folder.file, {**environment, "HASH": HASH}, DICTIONARY).warnings == ()


def test_a_password_in_the_url_of_the_store_is_one_of_them(folder: Folder) -> None:
    text = SMALL.replace("secret: 0123456789abcdef", "secret: ${SECRET}").replace(f'"{HASH}"', '"${HASH}"')
    environment = {"SECRET": "0123456789abcdef", "HASH": HASH}
    for written, warned in (("radius:hunter2@", [f"14: storage: {OPEN}"]), ("radius@", [])):
        folder.write(folder.file.name, f"{text}storage: postgresql://{written}localhost/radius\n", 0o644)
        found = load(folder.file, environment, DICTIONARY).warnings
        assert [each.removeprefix(f"{folder.file}:") for each in found] == warned
