"""A real OpenLDAP server on loopback, with a small university in it.

    with Slapd() as slapd:
        slapd.url, slapd.base, slapd.bind_dn, slapd.bind_password

It is Debian's slapd in a temporary folder, stopped by its own process id; any number can run at once.
What is in it: `u0`, `u1` … whose passwords are `pw0`, `pw1` …, and the people of `ODD_PEOPLE`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers.ports import free_port

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
STAFF, STUDENTS = f"cn=Staff,ou=groups,{BASE}", f"cn=Students,ou=groups,{BASE}"
BIND_DN, _ADMIN_DN = f"cn=radius,{BASE}", f"cn=admin,{BASE}"

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
database mdb
directory {folder}/data
maxsize 268435456
dbnosync
suffix "{base}"
rootdn "{admin}"
rootpw {password}
index objectClass,uid,mail eq
overlay memberof
access to attrs=userPassword
  by anonymous auth
{access}access to *
  by dn.exact="{service}" read
  by anonymous auth
"""

# How long slapd may take to start on a busy machine, and how often it is looked at.
_PATIENCE, _GLANCE = 30.0, 0.02

Values = str | bytes | Iterable[str | bytes]


@dataclass(frozen=True)
class Person:
    """Somebody in the directory.  `attributes` come in place of, or beside, what everybody has.

    `named_by`: the attribute, of one value, that makes the DN.
    """

    uid: str
    password: str | bytes
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, Values] = field(default_factory=dict)
    named_by: str = "uid"

    @property
    def dn(self) -> str:
        name = self.attributes.get(self.named_by, self.uid)
        assert isinstance(name, str)
        return f"{self.named_by}={escaped(name)},{PEOPLE}"

    def ldif(self) -> str:
        everybody: dict[str, Values] = {
            "objectClass": "inetOrgPerson",
            "uid": self.uid,
            "cn": f"Name of {self.uid}",
            "sn": "Surname",
            "employeeType": "active",
            "memberOf": self.groups,
            "userPassword": salted(self.password),
        }
        return entry(self.dn, {**everybody, **self.attributes})


def usual_person(number: int) -> Person:
    """`u0`, `u1` …: the even ones are staff, the odd ones students who read Japanese."""
    even = number % 2 == 0
    attributes: dict[str, Values] = {"cn": f"User {number}", "mail": f"u{number}@example.org"}
    if not even:
        attributes["preferredLanguage"] = "ja-JP"
    return Person(f"u{number}", f"pw{number}", (STAFF if even else STUDENTS,), attributes)


ODD_PEOPLE = {
    person.uid: person
    for person in (
        Person("日本 太郎", "パスワード", (STAFF, STUDENTS)),
        Person("müller", "pässwörd"),
        Person("*)(uid=*", "star"),
        Person("*", "lone star"),
        Person("back\\slash \\2a", "backslash"),
        Person("a, b + c = #d", "dn"),
        Person("x", "y"),
        # Its uid is too long for a DN in slapd's database.
        Person("n" * 253, "long name", attributes={"cn": "Long"}, named_by="cn"),
        Person("longpassword", "p" * 128),
        Person("longerpassword", "p" * 129),
        Person("spacedpassword", " a b "),
        Person("octets", b"\xff\xfe no UTF-8 \x80"),
        Person("nul", b"before\0after"),
        Person("inactive", "asleep", attributes={"employeeType": "left"}),
        Person("nopassword", "", attributes={"userPassword": ()}),
        # Two entries for one name, where the name may also be a mail address.
        Person("twin1", "twin", attributes={"mail": "twin@example.org"}),
        Person("twin2", "twin", attributes={"mail": "twin@example.org"}),
        # Two names for one entry.
        Person("first", "both", attributes={"uid": ("first", "Second"), "cn": "Both"}, named_by="cn"),
        # For an id that is kept elsewhere than in entryUUID.
        Person("twoids", "pw", attributes={"departmentNumber": ("1", "2")}),
        Person("longid", "pw", attributes={"departmentNumber": "d" * 65}),
        Person("borrowedid", "pw", attributes={"departmentNumber": "static:admin"}),
        Person("longestid", "pw", attributes={"departmentNumber": "d" * 64}),
        Person("binaryid", "pw", attributes={"audio": bytes(range(0x80, 0x90))}),
        Person("controlid", "pw", attributes={"audio": bytes(range(0x10, 0x20))}),
    )
}


class Slapd:
    """A server from `start` to `stop`; as a context manager also its data, gone at the end.

    `users`: how many usual people.  `ldif`: further entries.  `options`: further lines of its
    configuration.  `certificate`: PEM with its key: it speaks TLS as well.  `access`: lines that come
    before those by which the service may read everything.
    """

    base = BASE
    people = PEOPLE
    bind_dn = BIND_DN

    def __init__(
        self,
        users: int = 300,
        ldif: str = "",
        options: str = "",
        certificate: Path | None = None,
        access: str = "",
    ) -> None:
        self.bind_password = secrets.token_urlsafe(12)
        self._admin_password = secrets.token_urlsafe(12)
        self._people = [*map(usual_person, range(users)), *ODD_PEOPLE.values()]
        self._further = ldif
        self._options = options
        self._access = access
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._certificate = certificate
        self.port = self.tls_port = 0

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="slapd-")))
            undo.callback(self.stop)
            self._load()
            self.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def start(self) -> None:
        """Listen: on the port it had before, else on a free one, of which somebody else may be quicker to take."""
        for _ in range(5):
            port = self.port or free_port()
            tls_port = self.tls_port or (free_port() if self._certificate else 0)
            if self._listens(port, tls_port):
                self.port, self.tls_port = port, tls_port
                return
        raise RuntimeError(f"slapd does not start: {(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """End it if it runs; the data stay."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it without a farewell to anybody; the data stay."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def modify(self, ldif: str, *, relax: bool = False) -> None:
        """Change the running directory; an entry without `changetype` is added.

        `relax`: what the server else keeps to itself can be changed too.
        """
        how = ["-e", "relax"] if relax else []
        who = ["-x", "-H", self.url, "-D", _ADMIN_DN, "-w", self._admin_password]
        command = ["ldapmodify", "-a", *how, *who]
        _run(command, ldif)

    def _load(self) -> None:
        (self._folder / "data").mkdir()
        text = _CONFIGURATION.format(
            folder=self._folder,
            base=BASE,
            admin=_ADMIN_DN,
            password=self._admin_password,
            service=BIND_DN,
            access=self._access,
        )
        if self._certificate is not None:
            tls = f"TLSCertificateFile {self._certificate}\nTLSCertificateKeyFile {self._certificate}\n"
            text = text.replace("database mdb", f"{tls}database mdb", 1)
        (self._folder / "slapd.conf").write_text(text + self._options)
        (self._folder / "start.ldif").write_text("\n".join(self._entries()))
        _run(["/usr/sbin/slapadd", "-q", "-f", self._folder / "slapd.conf", "-l", self._folder / "start.ldif"])

    def _entries(self) -> Iterator[str]:
        yield entry(BASE, {"objectClass": ("dcObject", "organization"), "dc": "example", "o": "Example"})
        for unit in ("people", "groups"):
            yield entry(f"ou={unit},{BASE}", {"objectClass": "organizationalUnit", "ou": unit})
        yield entry(
            BIND_DN,
            {
                "objectClass": ("organizationalRole", "simpleSecurityObject"),
                "cn": "radius",
                "userPassword": salted(self.bind_password),
            },
        )
        for person in self._people:
            yield person.ldif()
        for group in (STAFF, STUDENTS):
            members = [person.dn for person in self._people if group in person.groups]
            yield entry(group, {"objectClass": "groupOfNames", "member": members or [BIND_DN]})
        yield self._further

    def _listens(self, port: int, tls_port: int) -> bool:
        """Start it there; whether it can be connected to."""
        urls = f"ldap://127.0.0.1:{port}" + (f" ldaps://127.0.0.1:{tls_port}" if tls_port else "")
        where = ("-f", str(self._folder / "slapd.conf"), "-h", urls)
        command = ("/usr/sbin/slapd", "-d", "0", *where)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(round(_PATIENCE / _GLANCE)):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self._ended():
                    self._process = None
                    return False
            else:
                # Somebody else may be listening there, and ours about to find out.
                return not self._ended()
        self.stop()
        return False

    def _ended(self) -> bool:
        assert self._process is not None
        try:
            self._process.wait(_GLANCE)
        except subprocess.TimeoutExpired:
            return False
        return True


_POLICIES = {
    "default": {"pwdMaxFailure": "3", "pwdLockout": "TRUE", "pwdMustChange": "TRUE"},
    "short": {"pwdMaxAge": "1", "pwdMustChange": "TRUE"},
    "graceful": {"pwdMaxAge": "1", "pwdGraceAuthnLimit": "100"},
}
_LONG_AGO = "20200101000000Z"


@contextmanager
def strict_slapd(certificate: Path | None = None) -> Iterator[Slapd]:
    """One with password policies.

    u1 has expired, u2 too with logins to spare, u3 must change, u4 is locked, u5 is well.
    """
    usual = {"objectClass": ("organizationalRole", "pwdPolicy"), "pwdAttribute": "userPassword"}
    policies = "\n".join(
        entry(f"cn={name},{BASE}", {**usual, "cn": name, **more}) for name, more in _POLICIES.items()
    )
    options = f'\nmoduleload ppolicy\noverlay ppolicy\nppolicy_default "cn=default,{BASE}"\nppolicy_use_lockout\n'
    with Slapd(users=6, ldif=policies, options=options, certificate=certificate) as running:
        for uid, attribute, value in (
            ("u1", "pwdPolicySubentry", f"cn=short,{BASE}"),
            ("u2", "pwdPolicySubentry", f"cn=graceful,{BASE}"),
            ("u3", "pwdReset", "TRUE"),
            ("u4", "pwdAccountLockedTime", "000001010000Z"),
        ):
            running.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\nadd: {attribute}\n{attribute}: {value}\n")
        for uid in ("u1", "u2"):
            changed = f"replace: pwdChangedTime\npwdChangedTime: {_LONG_AGO}\n"
            running.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\n{changed}", relax=True)
        yield running


def entry(dn: str, attributes: Mapping[str, Values]) -> str:
    """An entry as LDIF (RFC 2849), everything in base64."""
    lines = [_line("dn", dn)]
    for name, values in attributes.items():
        several = (values,) if isinstance(values, str | bytes) else values
        lines.extend(_line(name, value) for value in several)
    return "\n".join(lines) + "\n"


def escaped(value: str) -> str:
    """A value as a DN may have it (RFC 4514 §2.4)."""
    return "".join(each if each.isascii() and each.isalnum() else _in_hexadecimal(each) for each in value)


def _in_hexadecimal(text: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in text.encode())


def salted(password: str | bytes) -> str:
    """A password as slapd keeps it."""
    salt = os.urandom(8)
    octets = password.encode() if isinstance(password, str) else password
    return "{SSHA}" + base64.b64encode(hashlib.sha1(octets + salt).digest() + salt).decode()


def _run(command: Sequence[str | Path], text: str = "") -> None:
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode()}")


def _line(name: str, value: str | bytes) -> str:
    octets = value.encode() if isinstance(value, str) else value
    return f"{name}:: {base64.b64encode(octets).decode()}"
