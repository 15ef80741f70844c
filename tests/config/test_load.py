"""From a file to a configuration, or to one clear line for everything in it that is wrong."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radius_mfa.config.keys import keys_at
from radius_mfa.config.load import load, load_usable
from radius_mfa.config.model import Configuration
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.data import CONFIG
from tests.config.support import DICTIONARY, HASH, SLIPS, SMALL, Folder, client, policy, shipped, spoilt

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
            "72: portal.listen: speaks no TLS, so a proxy is before it, which is not trusted: all people seem to "
            "come from there; name it (trusted_proxies: 127.0.0.1)",
            "72: portal: has no help_desk: nobody sees who asks for help there, and only `radius-mfa user` "
            "helps them",
        ]

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_the_examples_without_a_warning(self, folder: Folder, name: str) -> None:
        names = set(re.findall(r"\$\{([A-Z_]{2,})\}", (CONFIG / name).read_text()))
        environment = secrets(*names) | {"LAB_PASSWORD": HASH}
        assert load_usable(shipped(folder, name), environment, DICTIONARY).warnings == ()

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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (policy('reply: {Class: ""}'), "14: policies[0].reply.Class: must have 1 to 1024 octets"),
        (
            client("profile: ours") + "profiles: [{ours: {like: fortigate}}]\n",
            "15: profiles: must be a mapping of keys and values, not a list; write its keys without - or [ ]",
        ),
    ],
)
def test_what_comes_of_a_value_that_is_wrong_is_not_told_besides(folder: Folder, text: str, problem: str) -> None:
    assert folder.problems(text) == [problem]


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
@example(b'{"messages": "${SECRET}"}')
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
