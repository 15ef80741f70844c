"""A small configuration to spoil, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from radius_mfa.config.load import Loaded, load, load_usable
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.wire.dictionary import Dictionary

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
