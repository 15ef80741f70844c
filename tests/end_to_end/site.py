"""A university that has the server running: a real directory, NASes known by address, users with tokens."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from radius_mfa.data import CONFIG
from tests.cli.support import run_cli
from tests.end_to_end.nas import ForeignNas, Pyrad, Radclient, RawNas, raw_nas
from tests.peers.server import Server
from tests.peers.slapd import ODD_PEOPLE, STAFF, Person, Slapd
from tests.peers.smtp import MailServer, Taken

PERIOD = 30
SECRET = "the secret of all the gateways"
REJECT_DELAY = 0.15  # seconds, half of what a NAS of the tests waits
CONTACT = "Ask at the counter"

# One loopback address a NAS, since the source address alone says who asks.
VPN, SECOND, OFF, COMMA, SIX, STRANGER, SLOW, KIOSK, LENIENT, MARKER = (f"127.0.0.{n}" for n in range(1, 11))
PAM, PAM_SECRET = "127.0.0.11", "a-secret-that-is-one-word"
CAMPUS, LIBRARY = "127.0.0.12", "127.0.0.13"  # where devices may be trusted
AUTO = "127.0.1."  # each test takes an address of its own below it
UNKNOWN = "127.0.0.99"

# What an Access-Accept returns to the staff, as radclient shows it.
STAFF_GETS = (
    ("Class", "0x" + b"staff".hex()),
    ("Session-Timeout", "28800"),
    ("Filter-Id", "first"),
    ("Filter-Id", "second"),
    ("Fortinet-Group-Name", "vpn-staff"),
)

PEOPLE = (
    Person("comma", "se,cret", (STAFF,)),
    Person("digits", "pass123456", (STAFF,)),
)
USERS, _ENROLLED = 2000, 1800
_KNOWN = 10  # those before it are asked for by name, by several tests: no test has them for itself
_PATIENCE = 10.0  # seconds until an audit line must be there


_TEXTS: Mapping[str, str] = yaml.safe_load((CONFIG / "messages" / "en.yaml").read_text())


def told(key: str, **parameters: str) -> str:
    """What a user reads."""
    return _TEXTS[key].format(contact=CONTACT, **parameters)


def totp(seed: bytes, step: int) -> str:
    """RFC 6238 §4, RFC 4226 §5.3."""
    digest = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    at = digest[19] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def now() -> int:
    """The present TOTP step."""
    return int(time.time()) // PERIOD


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can log in, and the authenticator app of theirs."""

    name: str
    password: str
    seed: bytes = field(repr=False)

    @classmethod
    def of(cls, person: Person) -> Account:
        password = person.password if isinstance(person.password, str) else ""
        return cls(person.uid, password, hashlib.sha1(b"seed of " + person.uid.encode()).digest())

    @property
    def address(self) -> str:
        """Where their codes go once they have it, see `Site.with_address`."""
        return f"{self.name}@example.net"

    @property
    def base32(self) -> str:
        return base64.b32encode(self.seed).decode()

    def code(self, step: int | None = None) -> str:
        """What the app shows now, or showed at that step."""
        return totp(self.seed, now() if step is None else step)

    def next_code(self) -> str:
        """For who has used the present one.  The one before it may be too old by the time it is looked at."""
        return self.code(now() + 1)

    def wrong_codes(self) -> Iterator[str]:
        """Codes that are not right anywhere near the present."""
        near = {self.code(now() + steps) for steps in range(-4, 5)}
        return (code for code in map("{:06}".format, count(100_000)) if code not in near)

    def wrong_code(self) -> str:
        return next(self.wrong_codes())


def mail_section(server: MailServer) -> dict[str, Any]:
    """`factors.mail`, delivering there."""
    return {
        "smtp": f"smtp://127.0.0.1:{server.port}",
        "start_tls": False,
        "sender": "mfa@example.org",
        "blocked_domains": ["example.org"],
    }


def configuration(folder: Path, slapd: Slapd, mail_server: MailServer) -> dict[str, Any]:
    """The usual one; a test changes what it is about."""
    usual = {"secret": SECRET, "timeout": "300ms", "retries": 20}
    served = ["vpn", "second", "off", "auto", "comma", "six", "slow", "pam"]
    return {
        "listen": [{"udp": "127.0.0.1:0"}, {"udp": "[::1]:0"}],
        "clients": [
            {"name": "vpn", "address": [VPN, "::1"], **usual},
            {"name": "second", "address": SECOND, **usual},
            {"name": "off", "address": OFF, **usual, "message_authenticator": "off"},
            {"name": "pam", "address": PAM, **usual, "secret": PAM_SECRET, "message_authenticator": "off"},
            {"name": "auto", "address": f"{AUTO}0/24", **usual, "message_authenticator": "auto"},
            {"name": "comma", "address": COMMA, **usual, "profile": "one-field"},
            {"name": "six", "address": SIX, **usual, "profile": "one-field-6"},
            {"name": "stranger", "address": STRANGER, **usual},
            {"name": "campus", "address": CAMPUS, **usual, "station": "mac", "groups": ["wifi"]},
            {"name": "library", "address": LIBRARY, **usual, "station": "mac", "groups": ["wifi"]},
            {"name": "slow", "address": SLOW, **usual, "timeout": "5s"},
            {"name": "kiosk", "address": KIOSK, **usual},
            {"name": "lenient", "address": LENIENT, **usual},
            {"name": "marker", "address": MARKER, **usual, "timeout": "400ms"},
        ],
        "directory": {
            "ldap": {
                "servers": slapd.url,
                "bind_dn": slapd.bind_dn,
                "bind_password": slapd.bind_password,
                "base_dn": slapd.people,
                "user_filter": "(|(uid={username})(mail={username}))",
                "active_filter": "(employeeType=active)",
            }
        },
        "factors": {
            "totp": {"issuer": "Example University", "window": 1},
            "mail": mail_section(mail_server),
            "recovery_codes": {},
        },
        "lockout": {"failures": 5, "durations": ["15m", "1h"], "suspend_after": 50},
        "storage": f"sqlite:///{folder}/state.db",
        "key_file": "key",
        "policies": [
            {
                "name": "staff",
                "when": {"client": served, "group": STAFF},
                "reply": {
                    "Class": "staff",
                    "Session-Timeout": 28800,
                    "Filter-Id": ["first", "second"],
                    "Fortinet-Group-Name": "vpn-staff",
                },
            },
            {"name": "everybody", "when": {"client": served}, "reply": {"Class": "everybody"}},
            {"name": "wifi", "when": {"client_group": "wifi"}, "trust_device": True, "reply": {"Class": "wifi"}},
            {"name": "kiosk", "when": {"client": "kiosk"}, "second_factor": "never"},
            {"name": "lenient", "when": {"client": "lenient"}, "second_factor": "when_enrolled"},
        ],
        "contact": CONTACT,
        "audit": {"file": "audit.jsonl"},
    }


class Site:
    """A folder with configuration, key, store and audit file, a directory, and `server`, which is running."""

    def __init__(
        self,
        folder: Path,
        slapd: Slapd,
        mail_server: MailServer,
        changes: Mapping[str, Any] | None = None,
        enrolled: int = _ENROLLED,
    ) -> None:
        """`changes` to the usual configuration; `enrolled`: how many have a token from the beginning."""
        self.folder = folder
        self.slapd = slapd
        self.mail_server = mail_server
        self._changes = changes or {}
        self._enrolled = enrolled
        self._crowd = min(enrolled, _ENROLLED)  # where those begin whom `staff` and `student` leave alone
        self.config = self.write("site.yaml")
        self.server = Server(self.config)
        self._free = count()
        self._new = count(1)
        self._sources = count(1)

    def write(self, name: str, changes: Mapping[str, Any] | None = None) -> Path:
        """A configuration file of that name: the usual one, with `changes`."""
        path = self.folder / name
        path.touch(0o600)  # there are secrets in it
        path.write_text(json.dumps({**self.usual(), **(changes or {})}, indent=2))  # JSON is YAML
        return path

    def usual(self) -> dict[str, Any]:
        """The usual configuration, to be changed."""
        return {**configuration(self.folder, self.slapd, self.mail_server), **self._changes}

    def own_store(self, name: str, mail_server: MailServer) -> dict[str, Any]:
        """Changes that give a server an empty store of its own, and another mail server."""
        factors = {"totp": {}, "mail": mail_section(mail_server)}
        return {"storage": f"sqlite:///{self.folder}/{name}.db", "factors": factors}

    def prepare(self) -> None:
        """Make the key, and import the tokens of all who are activated."""
        run_cli("--config", self.config, "keys", "init").worked()
        run_cli("--config", self.config, "token", "import", self._tokens()).worked()

    def _tokens(self) -> Path:
        path = self.folder / "tokens.csv"
        people = [*(Person(f"u{n}", "") for n in range(self._enrolled)), *ODD_PEOPLE.values(), *PEOPLE]
        accounts = [Account.of(person) for person in people if person.uid != "inactive"]
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["username", "secret"])
            rows.writerows((account.name, account.base32) for account in accounts)
        return path

    @contextmanager
    def another(
        self,
        name: str = "another.yaml",
        changes: Mapping[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Iterator[Server]:
        """A second server, with the same key and store."""
        with Server(self.write(name, changes), environment) as server:
            yield server

    # --- who is there ---------------------------------------------------------------------------

    def staff(self) -> Account:
        """Somebody of the staff whom no other test has."""
        return _usual(self._next())

    def student(self) -> Account:
        """A student, who reads Japanese, whom no other test has."""
        return _usual(self._next() + 1)

    def changeable(self) -> Account:
        """Somebody of the staff whose entry a test may change: no other has them, even at a store of its own."""
        self._crowd -= 2
        return _usual(self._crowd)

    def _next(self) -> int:
        number = _KNOWN + 2 * next(self._free)
        assert number < self._crowd, "the site has run out of people"
        return number

    def crowd(self, leaving: int) -> list[Account]:
        """All who have a token but the first ones, to whom `staff` and `student` keep from now on."""
        self._crowd = leaving
        return [_account(number) for number in range(leaving, self._enrolled)]

    def unenrolled(self) -> Account:
        """Somebody of the staff who never has a token."""
        return _usual(_ENROLLED)

    def newcomer(self, *, student: bool = False) -> Account:
        """Somebody of the staff, or a student, without a token, whom no other test has."""
        return _usual(_ENROLLED + 2 * next(self._new) + student)

    def with_address(self, account: Account, config: Path | None = None) -> Account:
        """The same, with an address that codes can be mailed to."""
        run_cli("--config", config or self.config, "user", "mail", account.name, account.address).worked()
        return account

    def mails_to(self, account: Account) -> list[Taken]:
        """What the mail server has taken over for them so far."""
        return [mail for mail in self.mail_server.mails if mail.recipients == (account.address,)]

    def mail_to(self, account: Account) -> Taken:
        """The newest mail to them, once there is one."""
        asyncio.run(self.mail_server.until(lambda: bool(self.mails_to(account))))
        return self.mails_to(account)[-1]

    def source(self) -> str:
        """An address of the client `auto` that no other test has."""
        return f"{AUTO}{next(self._sources)}"

    # --- what can be asked ----------------------------------------------------------------------

    def nas(self, source: str = VPN, server: Server | None = None) -> AbstractContextManager[RawNas]:
        server = server or self.server
        port = server.addresses[1][1] if ":" in source else server.port
        return raw_nas(port, SECRET, source)

    def foreign(
        self, kind: str, source: str = VPN, *, server: Server | None = None, secret: str = SECRET
    ) -> ForeignNas:
        """radclient or pyrad at that address."""
        return (Radclient if kind == "radclient" else Pyrad)((server or self.server).port, secret, source)

    def unanswered(self, nas: RawNas, *packets: bytes, server: Server | None = None) -> bool:
        """Whether nothing comes back, by the time a refusal does that was asked for afterwards."""
        for packet in packets:
            nas.socket.send(packet)
        with self.nas(MARKER, server) as marker:  # whose refusals take longer than anybody's
            marker.ask("", "")
        return nas.received() == []

    def show(self, account: Account) -> dict[str, Any]:
        """`user show --json`."""
        shown = run_cli("--config", self.config, "user", "show", account.name, "--json").worked()
        record: dict[str, Any] = json.loads(shown.out)
        return record

    def audit(self, name: str, file: str = "audit.jsonl", *, least: int = 0) -> list[dict[str, Any]]:
        """The audit events of who was called so, in order.  `least` are waited for: a reply may come first."""
        end = time.monotonic() + _PATIENCE
        while True:
            lines = (self.folder / file).read_text().splitlines()
            events = [event for event in map(json.loads, lines) if event.get("user_name") == name]
            if len(events) >= least:
                return events
            assert time.monotonic() < end, (events, least)

    def outcomes(self, name: str, file: str = "audit.jsonl") -> list[str]:
        return [f"{event['decision']} {event['outcome']}" for event in self.audit(name, file)]


def masked(name: str) -> str:
    """As the audit file has a name that no directory entry stands behind."""
    return f"{name[0]}…({len(name)})"


def _usual(number: int) -> Account:
    assert number < USERS, "the site has run out of people"
    return _account(number)


def _account(number: int) -> Account:
    return Account.of(Person(f"u{number}", f"pw{number}"))


def odd(name: str) -> Account:
    return Account.of(ODD_PEOPLE[name])


def extra(name: str) -> Account:
    return next(Account.of(person) for person in PEOPLE if person.uid == name)


@contextmanager
def site(
    folder: Path, changes: Mapping[str, Any] | None = None, users: int = USERS, enrolled: int = _ENROLLED
) -> Iterator[Site]:
    """A site of its own, of so many users, see `Site`."""
    people = "\n".join(person.ldif() for person in PEOPLE)
    with Slapd(users=users, ldif=people) as slapd, MailServer() as mail_server:
        it = Site(folder, slapd, mail_server, changes, enrolled)
        it.prepare()
        with it.server:
            yield it
