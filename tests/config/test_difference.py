"""What a reload has changed, as an administrator would say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.difference import difference
from radius_mfa.config.load import Loaded, load
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

FIVE = client("timeout: 5s")
TWO_POLICIES = SMALL + "  - {name: rest, second_factor: required}\n"
REVERSED = SMALL[: SMALL.index("  - name: vpn\n    when")] + (
    "  - {name: rest, second_factor: required}\n  - name: vpn\n    when: {client: vpn}\n"
)
GATEWAY = "  - {name: gw, psk: {identity: gw, key: 00112233445566778899aabbccddeeff}}\n"


def changed(
    folder: Folder, before: str, after: str, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    return difference(folder.load(before, environment), folder.load(after, environment))


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (FIVE, client("timeout: 3s"), ['clients.vpn.timeout: "5s" → "3s"']),
        (SMALL, FIVE, ['clients.vpn.timeout: added, "5s"']),
        (FIVE, SMALL, ['clients.vpn.timeout: removed, was "5s"']),
        (
            client("realm_required: true"),
            client("realm_required: false"),
            ["clients.vpn.realm_required: true → false"],
        ),
        (SMALL, client("realm_required: true"), ["clients.vpn.realm_required: added, true"]),
        (SMALL, two_clients(SECOND_CLIENT), ["clients.wifi: added"]),
        (two_clients(SECOND_CLIENT), SMALL, ["clients.wifi: removed"]),
        (
            two_clients(SECOND_CLIENT),
            two_clients(SECOND_CLIENT.replace("wlan", "lan")),
            ['clients.wifi.groups: "wlan" → "lan"'],
        ),
        (client("groups: [a, b]"), client("groups: [b, c]"), ['clients.vpn.groups: ["a", "b"] → ["b", "c"]']),
        (client("groups: a"), client("groups: [a, b]"), ['clients.vpn.groups: "a" → ["a", "b"]']),
        (client("realms: keep"), client("realms: {EX: ''}"), ['clients.vpn.realms: "keep" → {"EX": ""}']),
        (client("realms: {EX: ex}"), client("realms: {EX: ''}"), ['clients.vpn.realms.EX: "ex" → ""']),
        (
            SMALL,
            SMALL.replace("1812", "1645"),
            ['listen: [{"udp": "127.0.0.1:1812"}] → [{"udp": "127.0.0.1:1645"}]'],
        ),
        (policy("reply: {Class: a}"), policy("reply: {Class: b}"), ['policies.vpn.reply.Class: "a" → "b"']),
        (
            policy("reply: {Class: a}"),
            policy("reply: {Class: [a, b]}"),
            ['policies.vpn.reply.Class: "a" → ["a", "b"]'],
        ),
        (TWO_POLICIES, REVERSED, ["policies: order changed"]),
        (SMALL, TWO_POLICIES, ["policies.rest: added"]),
        (SMALL, REVERSED, ["policies.rest: added"]),
        (SMALL, SMALL + "metrics: {listen: 127.0.0.1:9812}\n", ["metrics: added"]),
        (
            SMALL + "eap: {certificate: radius-mfa.yaml, key: radius-mfa.yaml}\n",
            SMALL + "eap: {certificate: radius-mfa.yaml, key: radius-mfa.yaml, session_lifetime: 0s}\n",
            ['eap.session_lifetime: added, "0s"'],
        ),
        (SMALL + "log: {level: info}\n", SMALL + "log: {level: debug}\n", ['log.level: "info" → "debug"']),
        (
            SMALL,
            spoilt("{username: alice", "{username: bob"),
            ["directory.static.users.bob: added", "directory.static.users.alice: removed"],
        ),
        (SMALL, spoilt('"}', '", active: false}'), ["directory.static.users.alice.active: added, false"]),
        (SMALL, SMALL + "contact: 'tab\u00a0and\u2002spaces'\n", ['contact: added, "tab\\xa0and\\u2002spaces"']),
    ],
)
def test_a_change_is_a_line(folder: Folder, before: str, after: str, lines: list[str]) -> None:
    assert sorted(changed(folder, before, after)) == sorted(lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SMALL, SMALL),
        (SMALL, "# a remark\n" + SMALL),
        (client("groups: a"), client("groups: [a]")),
        (client("groups: a", "retries: 3"), client("retries: 3", "groups: a")),
        (two_clients(SECOND_CLIENT), SMALL.replace("clients:\n", "clients:\n" + SECOND_CLIENT)),
    ],
)
def test_what_means_the_same_is_no_change(folder: Folder, before: str, after: str) -> None:
    """Of clients the order says nothing."""
    assert changed(folder, before, after) == ()


def test_several_are_in_the_order_of_the_file(folder: Folder) -> None:
    after = client("timeout: 3s").replace("1812", "1645") + "contact: us\n"
    assert [each.partition(": ")[0] for each in changed(folder, FIVE, after)] == [
        "listen",
        "clients.vpn.timeout",
        "contact",
    ]


class TestSecrets:
    @pytest.mark.parametrize(
        ("before", "after", "line"),
        [
            (SMALL, spoilt("0123456789abcdef", "hunter2-hunter2"), "clients.vpn.secret: changed"),
            (
                SMALL,
                spoilt("0123456789abcdef", "[hunter2-hunter2, 0123456789abcdef]"),
                "clients.vpn.secret: changed",
            ),
            (
                SMALL,
                spoilt(HASH, HASH.replace("WwZ3", "hunter2")),
                "directory.static.users.alice.password: changed",
            ),
            (ldap(), ldap().replace("bind-password", "hunter2"), "directory.ldap.bind_password: changed"),
            (
                two_clients(GATEWAY),
                two_clients(GATEWAY.replace("00112233", "deadbeef")),
                "clients.gw.psk.key: changed",
            ),
            (SMALL, two_clients(GATEWAY), "clients.gw: added"),
            (
                SMALL + "storage: postgresql://a:b@h/db\n",
                SMALL + "storage: postgresql://a:hunter2@h/db\n",
                "storage: changed",
            ),
            (
                SMALL + "storage: postgresql://a@h/db\n",
                SMALL + "storage: postgresql://a:hunter2@h/db\n",
                "storage: changed",
            ),
            (SMALL, SMALL + "storage: postgresql://a:hunter2@h/db\n", "storage: added"),
            (SMALL + "storage: postgresql://h/db?password=hunter2\n", SMALL, "storage: removed"),
            (
                SMALL + "storage: postgresql://h/db\n",
                SMALL + "storage: postgresql://h/db\nstorage_password: hunter2\n",
                "storage_password: added",
            ),
        ],
    )
    def test_are_only_said_to_have_changed(self, folder: Folder, before: str, after: str, line: str) -> None:
        assert changed(folder, before, after) == (line,)

    def test_in_a_file_change_with_what_is_in_it(self, folder: Folder) -> None:
        text = spoilt("secret: 0123456789abcdef", "secret_file: vpn.secret")
        folder.write("vpn.secret", "0123456789abcdef")
        before = folder.load(text)
        assert difference(folder.load(SMALL), before) == ()  # it is the same secret
        folder.write("vpn.secret", "hunter2-hunter2")
        assert difference(before, folder.load(text)) == ("clients.vpn.secret: changed",)

    @pytest.mark.parametrize(
        ("written", "line"),
        [
            ("contact: ${X}\n", "contact: changed"),
            ("audit: {file: '${X}'}\n", "audit.file: changed"),
            ("enrolment: {networks: [192.0.2.0/24, '${NET}']}\n", "enrolment.networks: changed"),
        ],
    )
    def test_are_whatever_came_from_the_environment(self, folder: Folder, written: str, line: str) -> None:
        before = folder.load(SMALL + written, {"X": "hunter2", "NET": "198.51.100.0/24"})
        after = folder.load(SMALL + written, {"X": "hunter3", "NET": "203.0.113.0/24"})
        assert difference(before, after) == (line,)
        assert difference(folder.load(SMALL + written.replace("${X}", "x"), {"NET": "192.0.2.1"}), after) == (
            line,
        )

    def test_may_be_in_a_name(self, folder: Folder) -> None:
        """Somebody has put all of his clients into the environment."""
        text = FIVE.replace("name: vpn\n    address", "name: ${NAME}\n    address")
        before = folder.load(text, {"NAME": "hunter2"})
        assert difference(before, folder.load(text.replace("5s", "3s"), {"NAME": "hunter2"})) == (
            'clients.${NAME}.timeout: "5s" → "3s"',
        )
        assert difference(before, folder.load(text, {"NAME": "hunter3"})) == (
            "clients.${NAME}: removed",
            "clients.${NAME}: added",
        )


class TestLength:
    def test_of_a_value_is_cut(self, folder: Folder) -> None:
        (line,) = changed(folder, SMALL + "contact: us\n", SMALL + f"contact: {'x' * 200}\n")
        assert line == f'contact: "us" → "{"x" * 79}…'

    def test_of_values_that_begin_alike_says_only_that_they_differ(self, folder: Folder) -> None:
        before, after = (SMALL + f"contact: {'x' * 199}{end}\n" for end in "ab")
        assert changed(folder, before, after) == ("contact: changed",)

    @pytest.mark.parametrize(
        ("clients", "last"), [(50, "clients.c49: added"), (51, "and 1 more"), (2050, "and 2000 more")]
    )
    def test_of_it_all_is_fifty_lines_and_how_many_more(self, folder: Folder, clients: int, last: str) -> None:
        many = (
            f"  - {{name: c{at}, address: 10.0.{at >> 8}.{at & 255}, secret: xxxxxxxxxxxxx}}\n"
            for at in range(clients)
        )
        lines = changed(folder, SMALL, two_clients("".join(many)))
        assert lines[49] == "clients.c49: added"
        assert lines[-1] == last
        assert len(lines) <= 51


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("difference") / "any.yaml"


SECRETS = st.text("0123456789abcdef", min_size=32, max_size=32)
CLIENTS = st.dictionaries(st.integers(0, 5), st.tuples(SECRETS, SECRETS), max_size=5)


@dataclass(frozen=True)
class Written:
    """A configuration with secrets all over it: of clients by number, in the store's URL, in the environment."""

    clients: Mapping[int, tuple[str, str]]
    password: str
    variable: str
    retries: int

    def load(self, file: Path) -> Loaded:
        clients = (
            f"  - {{name: c{number}, address: 10.0.0.{number}, secret: {secret}, "
            f"psk: {{identity: i{number}, key: {key}}}}}\n"
            for number, (secret, key) in sorted(self.clients.items())
        )
        text = client(f"retries: {self.retries}").replace("directory:\n", "".join(clients) + "directory:\n")
        storage = f"storage: postgresql://radius:{self.password}@127.0.0.1/radius\n"
        file.write_text(text + storage + "contact: ${CONTACT}\n")
        return load(file, {"CONTACT": self.variable}, DICTIONARY)

    @property
    def secrets(self) -> Iterator[str]:
        yield from (self.password, self.variable)
        for both in self.clients.values():
            yield from both


WRITTEN = st.builds(Written, CLIENTS, SECRETS, SECRETS, st.integers(0, 5))


@given(before=WRITTEN, after=WRITTEN)
def test_every_change_is_told_and_no_secret_with_it(anywhere: Path, before: Written, after: Written) -> None:
    found, found_now = before.load(anywhere), after.load(anywhere)
    lines = difference(found, found_now)
    assert not any(secret in line for secret in (*before.secrets, *after.secrets) for line in lines)
    assert bool(lines) == (found.configuration != found_now.configuration)
