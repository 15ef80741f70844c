"""From a file to a configuration, or to one clear line for everything in it that is wrong."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.keys import keys_at
from radius_mfa.config.load import load, load_usable
from radius_mfa.config.model import Configuration
from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.data import CONFIG
from tests.config.support import DICTIONARY, HASH, SMALL, Folder, client, ldap, policy, spoilt

EXAMPLES = sorted(path.name for path in CONFIG.glob("*.yaml") if path.name != "demo.yaml")
CONTRACT = Path(__file__).with_name("contract.yaml")


def secrets(*names: str) -> dict[str, str]:
    return {name: f"{name}-0123456789" for name in names}


class TestWhatLoads:
    def test_the_contracts_own_block(self, folder: Folder) -> None:
        for name in ("server.pem", "server.key", "clients.pem", "ca.pem", "eap.pem", "eap.key"):
            folder.write(name)
        loaded = folder.load(CONTRACT.read_text(), secrets("VPN_SECRET", "LDAP_PASSWORD"))
        assert loaded.configuration.timezone.key == "Asia/Tokyo"
        assert loaded.places.line("policies", 1, "when", "hours") == 67
        assert [each.removeprefix(f"{folder.file}:") for each in loaded.warnings] == [
            "3: listen[1].radsec: lets nobody in: no client has a certificate",
            "64: policies[0].trust_device: no client that it could match says what a station is worth "
            "(station: mac or ip): none is trusted",
            '67: policies[1].when.client: there is no client "library-wifi", so this never holds',
        ]

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_the_examples_without_a_warning(self, name: str) -> None:
        names = set(re.findall(r"\$\{([A-Z_]{2,})\}", (CONFIG / name).read_text()))
        environment = secrets(*names) | {"LAB_PASSWORD": HASH}
        assert load_usable(CONFIG / name, environment, DICTIONARY).warnings == ()

    def test_a_vpn_and_ldap_take_25_lines_at_most(self) -> None:
        assert len((CONFIG / "campus-vpn.yaml").read_text().splitlines()) <= 25

    def test_a_byte_order_mark_is_passed_over(self, folder: Folder) -> None:
        assert isinstance(folder.load(b"\xef\xbb\xbf" + SMALL.encode()).configuration, Configuration)

    def test_without_a_dictionary_what_is_returned_is_not_looked_up(self, folder: Folder) -> None:
        path = folder.write("f.yaml", policy("reply: {No-Such-Attribute: x}"))
        assert load(path, {}).configuration.policies[0].reply == {"No-Such-Attribute": {"": ("x",)}}

    def test_later_checks_can_cite_a_line(self, folder: Folder) -> None:
        cited = folder.load(SMALL).places.cite("does not answer", "clients", 0, "address")
        assert cited == f"{folder.file}:5: clients[0].address: does not answer"


class TestFilesThatAreNone:
    def refusal(self, path: Path) -> str:
        with pytest.raises(ConfigurationError) as wrong:
            load(path, {})
        (problem,) = wrong.value.problems
        return problem

    def test_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere.yaml"
        assert self.refusal(path) == f"{path}: cannot be read: No such file or directory"

    def test_a_directory(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"

    def test_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")  # whoever runs the tests, root too, cannot read it
        assert self.refusal(tmp_path / "loop").startswith(f"{tmp_path / 'loop'}: cannot be read: ")

    def test_too_long(self, folder: Folder) -> None:
        path = folder.write("f.yaml", b"#" * (1 << 20) + b"\n")
        assert self.refusal(path) == f"{path}: is longer than 1048576 octets"

    @pytest.mark.parametrize("content", ["", "\n", "# nothing\n", "---\n", "~\n"])
    def test_empty(self, folder: Folder, content: str) -> None:
        assert folder.problems(content) == ["1: is empty"]

    def test_not_utf8_with_the_line(self, folder: Folder) -> None:
        assert folder.problems(SMALL.encode() + b"contact: B\xfcro\n") == ["14: is not UTF-8 here"]

    @pytest.mark.parametrize("content", ["- udp: 127.0.0.1:1812\n", "just text\n", "true\n"])
    def test_not_a_mapping(self, folder: Folder, content: str) -> None:
        assert folder.problems(content) == ["1: must be a mapping of keys (listen: …, clients: …)"]

    def test_not_yaml(self, folder: Folder) -> None:
        (problem,) = folder.problems(SMALL + "contact: [\n")
        assert problem.startswith("15: not valid YAML: ")


# One slip each, and the one line that names it.
SLIPS = [
    (SMALL + "wrokers: 1\n", "14: wrokers: unknown key; did you mean workers?"),
    (SMALL + "log: {colour: x}\n", "14: log.colour: unknown key; here can stand format, level"),
    (client("timeuot: 5s"), "7: clients[0].timeuot: unknown key; did you mean timeout?"),
    (client("name: b"), "7: clients[0].name: is given twice, first on line 4; remove one"),
    (SMALL + "listen: []\n", "14: listen: is given twice, first on line 1; remove one"),
    (SMALL[: SMALL.index("policies:")], "1: policies: is missing"),
    (spoilt("name: vpn\n    address", "address"), "4: clients[0].name: is missing"),
    (
        spoilt("  - udp: 127.0.0.1:1812\n", "  udp: 127.0.0.1:1812\n"),
        "1: listen: must be a list, each item behind a - and a space, not a mapping",
    ),
    (
        spoilt("{client: vpn}", "[client]"),
        "13: policies[0].when: must be a mapping of keys and values, not a list; write its keys without - or [ ]",
    ),
    (SMALL + "log: json\n", '14: log: must be a mapping of keys and values, not "json"'),
    (SMALL + "contact: {a: b}\n", "14: contact: must be a single value, not a mapping"),
    (SMALL + "contact: true\n", "14: contact: must be text; put quotes around true"),
    (SMALL + "log:\n", "14: log: has no value; give it one, or remove it"),
    (
        policy("trust_device: off"),
        '14: policies[0].trust_device: must be true or false, in small letters and without quotes, not "off"',
    ),
    (
        policy("trust_device: yes"),
        '14: policies[0].trust_device: must be true or false, in small letters and without quotes, not "yes"',
    ),
    (
        client("timeout: 5"),
        '7: clients[0].timeout: must be a duration such as 500ms, 5s, 10m, 24h or 7d, not "5"',
    ),
    (client("timeout: 10m"), '7: clients[0].timeout: must be from 100ms to 60s, not "10m"'),
    (client("retries: 0x3"), '7: clients[0].retries: must be a whole number from 0 to 20, not "0x3"'),
    (client("retries: true"), "7: clients[0].retries: must be a whole number from 0 to 20, not true"),
    (
        client("station: 00:11:22:33:44:55"),
        '7: clients[0].station: must be none, mac or ip, not "00:11:22:33:44:55"',
    ),
    (
        client("message_authenticator: false"),
        "7: clients[0].message_authenticator: must be require, auto or off, not false",
    ),
    (
        client("profile: fortigat"),
        '7: clients[0].profile: there is no profile "fortigat"; did you mean fortigate? there are '
        + ", ".join(GATEWAYS),
    ),
    (spoilt("secret: 0123456789abcdef", 'secret: ""'), "6: clients[0].secret: is empty"),
    (spoilt("secret: 0123456789abcdef", "secret: [a, b, c]"), "6: clients[0].secret: takes 2 at most"),
    (spoilt("secret: 0123456789abcdef", "secret: []"), "6: clients[0].secret: must not be empty"),
    (
        spoilt("secret: 0123456789abcdef", "secret: ${NO}"),
        "6: clients[0].secret: the environment variable NO is not set",
    ),
    (spoilt("address: 192.0.2.1", "address: []"), "5: clients[0].address: must not be empty"),
    (
        spoilt("address: 192.0.2.1", "address: 192.0.2.1/24"),
        '5: clients[0].address: "192.0.2.1/24" has bits set beyond the prefix; '
        "write 192.0.2.0/24, or the address alone",
    ),
    (
        spoilt("address: 192.0.2.1", "address: [192.0.2.1, 192.0.2.1]"),
        '5: clients[0].address[1]: "192.0.2.1" is a client\'s address already, on line 5; change one',
    ),
    (
        spoilt("name: vpn\n    address", f"name: {'v' * 65}\n    address"),
        "4: clients[0].name: must have 1 to 64 octets",
    ),
    (spoilt("{client: vpn}", "{client: []}"), "13: policies[0].when.client: must not be empty"),
    (
        spoilt("{client: vpn}", "{client: [{a: b}]}"),
        "13: policies[0].when.client[0]: must be a single value, not a mapping",
    ),
    (
        client("certificate: '*.example.org'"),
        "7: clients[0].certificate: must be one exact name; * would let in whoever has any of them, "
        'not "*.example.org"',
    ),
    (
        client("certificate: gw.example.org."),
        "7: clients[0].certificate: must be a DNS name (in its xn-- form, no dot at the end) or an IP address, "
        'not "gw.example.org."',
    ),
    (client("psk: hunter2"), '7: clients[0].psk: must be a mapping of keys and values, not "hunter2"'),
    (client("psk: {identity: gw}"), "7: clients[0].psk.key: is missing; add it, or key_file"),
    (client("psk: {key: " + "00" * 16 + "}"), "7: clients[0].psk.identity: is missing"),
    (
        client("psk: {identity: gw, key: hunter2}"),
        "7: clients[0].psk.key: must be hex digits, two for each of 16 to 64 octets",
    ),
    (
        client(f"psk: {{identity: {'g' * 129}, key: {'00' * 16}}}"),
        "7: clients[0].psk.identity: must have 1 to 128 octets",
    ),
    (
        client(f"psk: {{identity: gw, kye: x, key: {'00' * 16}}}"),
        "7: clients[0].psk.kye: unknown key; did you mean key?",
    ),
    (
        spoilt("{client: vpn}", "{client: vpn, days: mo-fr}"),
        "13: policies[0].when.days: must be days such as mon-fri or sat,sun (of mon tue wed thu fri sat sun), "
        'not "mo-fr"',
    ),
    (
        policy("second_factor: off"),
        '14: policies[0].second_factor: must be required, when_enrolled or never, not "off"',
    ),
    (policy("factors: []"), "14: policies[0].factors: must not be empty"),
    (policy("factors: [sms]"), '14: policies[0].factors[0]: must be totp, mail or recovery_codes, not "sms"'),
    (
        client("realms: drop"),
        '7: clients[0].realms: must be keep, strip, or a mapping of realms to what each becomes, not "drop"',
    ),
    (
        client("realms: {}"),
        "7: clients[0].realms: must be keep, strip, or a mapping of realms to what each becomes, not a mapping",
    ),
    (
        client('realms: {A: "", a: ""}'),
        "7: clients[0].realms: has one realm twice (upper and lower case are the same)",
    ),
    (client("realms: {a: b@c}"), "7: clients[0].realms: a realm has neither @ nor \\ in it"),
    (
        client("realm_required: yes"),
        '7: clients[0].realm_required: must be true or false, in small letters and without quotes, not "yes"',
    ),
    (
        SMALL + "factors: {mail: {smtp: smtp://m, sender: a@example.org, blocked_domains: '*.example.org'}}\n",
        '14: factors.mail.blocked_domains: must be a domain such as example.org, not "*.example.org"',
    ),
    (
        SMALL + "factors: {mail: {smtp: smtp://m, start_tls: false, sender: a@b.c, username: u, password: p}}\n",
        "14: factors.mail.password: would cross the network in clear; let start_tls be true",
    ),
    (
        SMALL + "factors: {mail: {smtp: smtp://m, sender: nobody}}\n",
        '14: factors.mail.sender: must be an e-mail address, as mfa@example.org, not "nobody"',
    ),
    (ldap("groups: {by: dn}"), '13: directory.ldap.groups.by: must be attribute, search or in_chain, not "dn"'),
    (ldap("groups: {filter: '(member={dn})'}"), "13: directory.ldap.groups.filter: belongs to by: search"),
    (ldap("groups: {base_dn: ou=groups}"), "13: directory.ldap.groups.base_dn: belongs to by: search or in_chain"),
    (
        ldap("groups: {by: in_chain, nested: true}"),
        "13: directory.ldap.groups.nested: has no say with in_chain; remove it",
    ),
    (
        ldap("groups: {by: search, filter: '(member=x)'}"),
        "13: directory.ldap.groups.filter: must have {dn} in it, as in (member={dn})",
    ),
    (
        ldap("wrong_passwords: {within: 59s}"),
        '13: directory.ldap.wrong_passwords.within: must be from 1m to 7d, not "59s"',
    ),
    (
        ldap("wrong_passwords: {limit: few}"),
        '13: directory.ldap.wrong_passwords.limit: must be a whole number from 0 to 1000, not "few"',
    ),
    (
        ldap("ca_file: radius-mfa.yaml"),
        "13: directory.ldap.ca_file: is of no use without ldaps:// or start_tls; take one of these, or remove it",
    ),
    (
        ldap()
        .replace("ldap://127.0.0.1", "[ldap://127.0.0.1, ldap://127.0.0.2]")
        .replace("    secret", "    timeout: 100ms\n    retries: 0\n    secret"),
        "6: clients[0].timeout: timeout × (retries + 1), less a tenth, leaves 45 ms for each of 2 LDAP servers;"
        " 100 ms is the least that can work; raise it, and the gateway's own",
    ),
    (
        policy("reply: [Class]"),
        "14: policies[0].reply: must be a mapping of keys and values, not a list; write its keys without - or [ ]",
    ),
    (policy("reply: {Class: [{a: b}]}"), "14: policies[0].reply.Class[0]: must be a single value, not a mapping"),
    (
        ldap("start_tls: true", "ca_file: no.pem"),
        '14: directory.ldap.ca_file: "no.pem" cannot be read: No such file or directory',
    ),
    (ldap("user_filter: (uid={username}"), "13: directory.ldap.user_filter: has parentheses that do not match"),
    (
        ldap("attributes: {id: entry uuid}"),
        '13: directory.ldap.attributes.id: must be the name of an LDAP attribute, not "entry uuid"',
    ),
    (ldap().replace("ldap://127.0.0.1", "[]"), "9: directory.ldap.servers: must not be empty"),
    (
        spoilt(f'"{HASH}"', "hunter2"),
        "10: directory.static.users[0].password: must be an argon2id hash, $argon2id$v=19$m=…,t=…,p=…$salt$hash, "
        "in quotes",
    ),
    (
        SMALL + "timezone: Mars/Olympus\n",
        '14: timezone: must be a time zone such as Europe/Vienna or UTC, not "Mars/Olympus"',
    ),
    (SMALL + "challenge_lifetime: 2h\n", '14: challenge_lifetime: must be from 1s to 1h, not "2h"'),
    (
        SMALL + "storage: mysql://root:hunter2@db\n",
        "14: storage: must be sqlite:////path/of/a/file or postgresql://user@host/database",
    ),
    (
        SMALL + "when_directory_fails: accept\n",
        '14: when_directory_fails: must be reject or discard, not "accept"',
    ),
]


@pytest.mark.parametrize(("text", "problem"), SLIPS, ids=[problem for _, problem in SLIPS])
def test_one_slip_is_one_clear_line(folder: Folder, text: str, problem: str) -> None:
    assert folder.problems(text) == [problem]


def test_everything_wrong_is_told_at_once_in_the_order_of_the_lines(folder: Folder) -> None:
    text = """\
listen:
  - udp: 127.0.0.1:99999
wrokers: 1
clients:
  - name: vpn
    address: 192.0.2.1
    secret: ${MISSING}
    timeout: 5 seconds
    retries: 3
    retries: 4
  - name: wifi
    address: 192.0.2.1
    secret_file: nowhere
    station: 00:11:22:33:44:55
directory:
  ldap:
    servers: ldap://127.0.0.1
    start_tls: off
    ca_file: no.pem
    bind_dn: cn=radius
    base_dn: dc=example
policies:
  - name: vpn
    second_factor: never
    reply: {Clas: staff}
"""
    assert folder.problems(text) == [
        '2: listen[0].udp: "127.0.0.1:99999": a port is a number up to 65535',
        "3: wrokers: unknown key; did you mean workers?",
        "7: clients[0].secret: the environment variable MISSING is not set",
        '8: clients[0].timeout: must be a duration such as 500ms, 5s, 10m, 24h or 7d, not "5 seconds"',
        "10: clients[0].retries: is given twice, first on line 9; remove one",
        '12: clients[1].address: "192.0.2.1" is a client\'s address already, on line 6; change one',
        '13: clients[1].secret_file: "nowhere" cannot be read: No such file or directory',
        '14: clients[1].station: must be none, mac or ip, not "00:11:22:33:44:55"',
        "16: directory.ldap.bind_password: is missing; add it, or bind_password_file",
        '18: directory.ldap.start_tls: must be true or false, in small letters and without quotes, not "off"',
        '19: directory.ldap.ca_file: "no.pem" cannot be read: No such file or directory',
        "24: policies[0].second_factor: never must name a client; add when: {client: …}",
        "25: policies[0].reply.Clas: unknown attribute 'Clas' (did you mean Class?)",
    ]


def test_wrong_items_do_not_make_a_list_empty(folder: Folder) -> None:
    assert folder.problems(spoilt("udp: 127.0.0.1:1812", "upd: 127.0.0.1:1812")) == [
        "2: listen[0].upd: unknown key; did you mean udp?",
        "2: listen[0]: must have either udp or radsec",
    ]


# --- whatever the file is -----------------------------------------------------------------------

SECRET = "hunter2-in-the-environment"
PLACES: list[tuple[str | int, ...]] = [
    (),
    ("listen", 0),
    ("clients", 0),
    ("clients", 0, "psk"),
    ("directory",),
    ("directory", "ldap"),
    ("directory", "static", "users", 0),
    ("factors",),
    ("factors", "mail"),
    ("policies", 0),
    ("policies", 0, "when"),
]
KEYS = [*(key for place in PLACES for key in keys_at(place)), "secret_file", "users", "Class", "<<"]
SCALARS = st.sampled_from(
    [
        "${SECRET}",
        "${MISSING}",
        "",
        "~",
        "off",
        "true",
        "5s",
        "127.0.0.1:1812",
        "192.0.2.0/24",
        "mon-fri",
        "never",
        ".",
        "totp",
        "ldap://h",
        "(uid={username})",
        "[",
        "]",
        "{",
        "}",
        "*x",
        "&x",
        "!!int 1",
        "a: b: c",
        "\x01",
        "\u2028",
        '"',
    ]
)
SCRAPS = st.sampled_from(
    [*KEYS, ":", ": ", "\n", "\n  ", "\n  - ", "- ", ", ", "[", "]", "{", "}", "#", "'", '"', "\t"]
)
TREES = st.recursive(
    SCALARS | st.text(max_size=8) | st.booleans() | st.none(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=6),
    max_leaves=30,
)
TEXTS = st.one_of(
    st.text().map(str.encode),
    st.binary(),
    st.lists(SCRAPS | SCALARS, max_size=40).map(lambda scraps: "".join(scraps).encode()),
    st.dictionaries(st.sampled_from(KEYS), TREES, max_size=8).map(lambda tree: json.dumps(tree).encode()),
    st.tuples(st.integers(0, len(SMALL)), st.integers(0, 9), SCRAPS | SCALARS).map(
        lambda cut: (SMALL[: cut[0]] + cut[2] + SMALL[cut[0] + cut[1] :]).encode()
    ),
)


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anything") / "any.yaml"


@given(content=TEXTS)
def test_any_file_loads_or_is_refused_in_clear_lines_without_a_secret(anywhere: Path, content: bytes) -> None:
    anywhere.write_bytes(content)
    try:
        load_usable(anywhere, {"SECRET": SECRET}, DICTIONARY)
    except ConfigurationError as wrong:
        problems = wrong.problems
    else:
        return
    assert problems
    for problem in problems:
        assert len(problem.splitlines()) == 1
        name, line, text = problem.split(":", 2)
        assert name == os.fspath(anywhere)
        assert 1 <= int(line) <= len(content) + 1
        assert text.strip()
        assert SECRET not in problem
