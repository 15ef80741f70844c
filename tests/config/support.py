"""A small configuration to spoil, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from radius_mfa.config.load import Loaded, load, load_usable
from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.data import CONFIG
from radius_mfa.wire.dictionary import Dictionary
from tests.peers.certificates import Authority

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$3WwZ3u8T7b5wWn0nQkz0JgAAAAAAAAAAAAAAAAAAAAA"

# Line by line: the tests below count on where things stand.
SMALL = f"""\
listen:
  - udp: 127.0.0.1:1812
clients:
  - name: vpn
    address: 192.0.2.1
    secret: 0123456789abcdef
directory:
  static:
    users:
      - {{username: alice, password: "{HASH}"}}
policies:
  - name: vpn
    when: {{client: vpn}}
"""

LDAP = """\
  ldap:
    servers: ldap://127.0.0.1
    bind_dn: cn=radius,dc=example
    bind_password: bind-password
    base_dn: dc=example
"""

SECOND_CLIENT = "  - {name: wifi, address: 198.51.100.1, secret: fedcba9876543210, groups: [wlan]}\n"

DICTIONARY = Dictionary.shipped()


def spoilt(old: str, new: str) -> str:
    """SMALL with `old`, which it must have, replaced."""
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


def client(*lines: str) -> str:
    """SMALL with more lines in its client, from line 7 on."""
    return spoilt("directory:\n", "".join(f"    {line}\n" for line in lines) + "directory:\n")


def two_clients(second: str) -> str:
    """SMALL with a client more, from line 7 on."""
    return spoilt("directory:\n", second + "directory:\n")


def listener(written: str) -> str:
    """SMALL with another listener, on line 2."""
    return spoilt("udp: 127.0.0.1:1812", written)


def radsec(certificate: str = "server.pem", key: str = "server.pem", client_ca: str = "ca.pem") -> str:
    """SMALL with a listener for RadSec, on line 2, and a client that may come to it, on line 7."""
    files = f"certificate: '{certificate}', key: '{key}', client_ca: '{client_ca}'"
    text = listener(f"{{radsec: 127.0.0.1:2083, {files}}}")
    return text.replace("directory:\n", "  - {name: gw, certificate: gw.example.org}\ndirectory:\n")


def policy(*lines: str) -> str:
    """SMALL with more lines in its policy, from line 14 on."""
    return SMALL + "".join(f"    {line}\n" for line in lines)


def ldap(*lines: str) -> str:
    """SMALL with LDAP on lines 8 to 12, and more lines in it from line 13 on."""
    return spoilt("directory:\n", "directory:\n" + LDAP + "".join(f"    {line}\n" for line in lines))


def shipped(folder: Folder, name: str) -> Path:
    """A configuration as it is shipped, with the files that it names beside it."""
    own = Authority(folder.path / "ours").certify("radius.example.org", purpose="server", days=90).read_bytes()
    for each in ("eap.pem", "eap.key"):
        folder.write(each, own)
    return folder.write(name, (CONFIG / name).read_text())


class Folder:
    """A place for one configuration and the files it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "radius-mfa.yaml"

    def write(self, name: str, content: str | bytes = "", mode: int = 0o600) -> Path:
        path = self.path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def load(self, text: str | bytes, environment: Mapping[str, str] | None = None) -> Loaded:
        self.write(self.file.name, text)
        return load(self.file, environment or {}, DICTIONARY)

    def problems(
        self, text: str | bytes, environment: Mapping[str, str] | None = None, *, usable: bool = False
    ) -> list[str]:
        """What is wrong with `text`, each line from the line number on; nothing where it loads."""
        self.write(self.file.name, text)
        try:
            (load_usable if usable else load)(self.file, environment or {}, DICTIONARY)
        except ConfigurationError as wrong:
            return [each.removeprefix(f"{self.file}:") for each in wrong.problems]
        return []

    def warnings(self, text: str) -> list[str]:
        return [each.removeprefix(f"{self.file}:") for each in self.load(text).warnings]


def refused(parse: Callable[[str], object], written: str) -> str:
    """Why a value that is no such is none."""
    with pytest.raises(ValueError, match=r".") as wrong:
        parse(written)
    return str(wrong.value)


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
    (client("psk: hunter2"), "7: clients[0].psk: must be a mapping of keys and values, not a text"),
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
