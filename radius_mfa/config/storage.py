"""Where the state is kept: what the YAML may say of it, and what becomes of that.

A URL may hold a password.  It is taken out of it, and no error here shows any part of what was written
but names of ours, `{it}` included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from radius_mfa.config.values import Secret, is_loopback, readable_file

_SQLITE, _POSTGRESQL = "sqlite:///", "postgresql://"
_FORMS = "must be sqlite:////path/of/a/file or postgresql://user@host/database"
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)
_ENCRYPTED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the state is kept.  `path`: SQLite's file; None for PostgreSQL, which is at `url`."""

    path: Path | None = None
    url: str = ""
    password: Secret | None = field(default=None, repr=False)

    def seen_from(self, folder: Path) -> Storage:
        """The same, its files looked for in `folder`.  Raises ValueError where those of a URL cannot be read."""
        if self.path is not None:
            return replace(self, path=folder / self.path)
        parts = urlsplit(self.url)
        query = [(key, _file(key, folder / value) if key in _FILES else value) for key, value in _query(parts)]
        return replace(self, url=_joined(parts, parts.netloc, query))

    @property
    def in_clear(self) -> bool:
        """Whether it goes to another machine, and nothing says that it has to be encrypted."""
        if self.path is not None:
            return False
        parts = urlsplit(self.url)
        query = dict(_query(parts))
        hosts = query.get("host") or _after_at(parts.netloc)[1]
        there = [each for each in hosts.split(",") if each and not each.startswith("/")]
        return query.get("sslmode") not in _ENCRYPTED and not all(is_loopback(_bare(each)) for each in there)


def storage(written: str) -> Storage:
    """`sqlite:///relative/path`, `sqlite:////absolute/path`, or `postgresql://…`."""
    if written.startswith(_SQLITE) and len(written) > len(_SQLITE) and written.isprintable():
        return Storage(Path(written.removeprefix(_SQLITE)))
    if written.startswith(_POSTGRESQL):
        return _postgresql(written)
    raise ValueError(_FORMS)


def _postgresql(written: str) -> Storage:
    if not re.fullmatch("[!-~]+", written):
        raise ValueError("has characters in it that no URL has; write them as %20")
    try:
        parts = urlsplit(written)
        query = parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True) if parts.query else []
    except ValueError:
        raise ValueError(_FORMS) from None
    who, hosts = _after_at(parts.netloc)
    if parts.fragment or written.endswith("#") or "@" in who:
        raise ValueError("has # or another @ in it: in a password these are %23, %40, and / is %2F")
    if not re.fullmatch("/[^/]+", parts.path):
        raise ValueError("must name a database: postgresql://user@host/database")
    user, colon, password = who.partition(":")
    passwords = [unquote(password)] if colon else []
    passwords += [value for key, value in query if key == "password"]
    query = [each for each in query if each[0] != "password"]
    _check_query(query, hosts)
    if hosts:
        _hosts(hosts)
    if len(passwords) > 1 or "" in passwords:
        raise ValueError("must have one password, or none")
    netloc = f"{user}@{hosts}" if user else hosts
    url = _joined(parts, netloc, query)
    return Storage(url=url, password=Secret(passwords[0]) if passwords else None)


def _check_query(query: Iterable[tuple[str, str]], hosts: str) -> None:
    seen = set()
    for key, value in query:
        if key not in _KEYS:
            shown = key if _NAME.fullmatch(key) else "a key"
            raise ValueError(f"{shown} is not known after ?; here can stand {', '.join(_KEYS)}")
        if key in seen:
            raise ValueError(f"{key} is given twice; remove one")
        if key == "host" and hosts:
            raise ValueError("host is given before the database already; remove one")
        seen.add(key)
        try:
            _KEYS[key](value)
        except ValueError as wrong:
            raise ValueError(f"{key} {wrong}") from None


# --- what may stand after the question mark -----------------------------------------------------------


def _one_of(*those: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in those:
            raise ValueError(f"must be {', '.join(those[:-1])} or {those[-1]}")

    return check


def _hosts(value: str) -> None:
    for each in [] if value.startswith("/") else value.split(","):
        found = _HOST.fullmatch(each)
        if found is None:
            raise ValueError(
                "must have hosts such as db.example.org:5432 with commas between, or the path of a socket"
            )
        _port(found[2] or "5432")


def _port(value: str) -> None:
    if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) <= 65535:
        raise ValueError("must have a port from 1 to 65535")


def _some(value: str) -> None:
    if not value:
        raise ValueError("is empty")


_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_TLS = _one_of("TLSv1.2", "TLSv1.3")
_KEYS: dict[str, Callable[[str], None]] = {
    "host": _hosts,
    "port": _port,
    "sslmode": _one_of("disable", "allow", "prefer", *_ENCRYPTED),
    **dict.fromkeys(_FILES, _some),
    "sslnegotiation": _one_of("postgres", "direct"),
    "ssl_min_protocol_version": _TLS,
    "ssl_max_protocol_version": _TLS,
    "target_session_attrs": _one_of("any", "primary", "read-write"),
}


def _file(key: str, file: Path) -> str:
    """The path of a file that can be read."""
    try:
        return str(readable_file(file))
    except ValueError as wrong:
        raise ValueError(f"{key} {str(wrong).removeprefix('{it} ')}") from None


# --- URLs -------------------------------------------------------------------------------------------


def _after_at(netloc: str) -> tuple[str, str]:
    """What stands before the last @, and what after it."""
    who, _, hosts = netloc.rpartition("@")
    return who, hosts


def _query(parts: SplitResult) -> list[tuple[str, str]]:
    return parse_qsl(parts.query)


def _joined(parts: SplitResult, netloc: str, query: list[tuple[str, str]]) -> str:
    asked = urlencode(query, safe="/:,[]", quote_via=quote)
    return f"{_POSTGRESQL}{netloc}{parts.path}" + (f"?{asked}" if asked else "")


def _bare(host: str) -> str:
    """Without its port, and without brackets."""
    found = _HOST.fullmatch(host)
    return (found[1] if found else host).strip("[]")
