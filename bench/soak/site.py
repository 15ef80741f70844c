"""The site that the packets are sent to: its NASes by address, its accounts, and both as a configuration."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from argon2 import PasswordHasher

from bench.soak.oracle import Account, Client

USERS = 240
_ODD_PASSWORDS = ("pw,{}", "pässwörd {}", "pw{} 123456", "密码{}")
_FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # it is not argon2 that is tried

TIMEOUT = 0.1  # seconds; a refusal is held for half of it
_RETRIES = 20


def _client(
    name: str,
    networks: str,
    rule: Literal["require", "auto", "off"],
    suffix: str | int | None = None,
    secrets: int = 1,
) -> Client:
    made = tuple(b"%s secret of %s" % (which, name.encode()) for which in (b"first", b"second")[:secrets])
    window = TIMEOUT * (_RETRIES + 1)
    return Client(name, tuple(map(ip_network, networks.split())), made, rule, suffix, window)


CLIENTS = (
    _client("require", "127.0.0.1 ::1", "require"),
    _client("auto", "127.0.1.0/24", "auto"),
    _client("off", "127.0.0.3", "off"),
    _client("comma", "127.0.0.4", "require", ","),
    _client("six", "127.0.0.5", "off", 6),
    _client("two", "127.0.0.6", "auto", secrets=2),
    _client("prefix", "127.0.2.0/24", "off"),
    _client("within", "127.0.2.9", "require"),
)
HOSTS = {
    "require": ("127.0.0.1", "::1"),
    "auto": tuple(f"127.0.1.{number}" for number in range(1, 255)),
    "off": ("127.0.0.3",),
    "comma": ("127.0.0.4",),
    "six": ("127.0.0.5",),
    "two": ("127.0.0.6",),
    "prefix": ("127.0.2.1", "127.0.2.8", "127.0.2.10"),
    "within": ("127.0.2.9",),
}
UNKNOWN = ("127.0.0.99", "127.0.3.1")
_PROFILES = {None: "generic", ",": "one-field", 6: "one-field-6"}


def accounts() -> list[Account]:
    """Everybody, with a token each; a few passwords are such as people have."""
    found = []
    for number in range(USERS):
        odd = _ODD_PASSWORDS[number // 10 % len(_ODD_PASSWORDS)] if number % 10 == 0 else "pw{}"
        found.append(Account(f"u{number}", odd.format(number), hashlib.sha1(b"soak seed %d" % number).digest()))
    return found


def configuration(folder: Path, *, listen: tuple[str, ...] = ("127.0.0.1:0",)) -> dict[str, Any]:
    """What the server's YAML says."""
    return {
        "listen": [{"udp": address} for address in listen],
        "clients": [
            {
                "name": client.name,
                "address": list(map(str, client.networks)),
                "secret": [secret.decode() for secret in client.secrets],
                "message_authenticator": client.rule,
                "profile": _PROFILES[client.suffix],
                "timeout": f"{TIMEOUT * 1000:.0f}ms",
                "retries": _RETRIES,
            }
            for client in CLIENTS
        ],
        "directory": {
            "static": {
                "users": [{"username": name, "password": hashed} for name, hashed in _hashes()],
                # There, but so that a user is not refused by it for the rest of the run.
                "wrong_passwords": {"limit": 1000, "within": "1m"},
            }
        },
        "factors": {
            "totp": {"issuer": "soak"},
            "mail": {"smtp": "smtp://127.0.0.1:9", "sender": "mfa@example.org", "per_day": 1000, "cooldown": "0s"},
            "recovery_codes": {"count": 10},
        },
        # Nobody is ever locked: whoever is has spent no State, which cannot be told from the outside.
        "lockout": {"failures": 1000, "suspend_after": 100_000},
        "storage": f"sqlite:///{folder}/state.db",
        "key_file": f"{folder}/key",
        "policies": [
            {"name": "all", "when": {"client": [client.name for client in CLIENTS]}, "reply": {"Class": "staff"}}
        ],
        "audit": {"file": f"{folder}/audit.jsonl"},
    }


@lru_cache
def _hashes() -> tuple[tuple[str, str], ...]:
    return tuple((account.name, _FAST.hash(account.password)) for account in accounts())
