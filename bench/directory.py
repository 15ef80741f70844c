"""OpenLDAP with as many users as wanted: what both servers ask."""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import seed
from tests.peers.certificates import Authority

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
_SERVER, _FILLER = PROGRAMS = ("/usr/sbin/slapd", "/usr/sbin/slapadd")
_PATIENCE, _GLANCE = 30.0, 0.02  # seconds: until it must have started, and between two looks

_SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
threads 8
{tls}database mdb
maxsize 1073741824
suffix "{base}"
rootdn "cn=admin,{base}"
rootpw bench
directory {folder}
index objectClass,uid eq
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""


@dataclass(frozen=True, slots=True)
class Directory:
    """`ca_file`: who has signed its certificate, None where it speaks no TLS."""

    pid: int
    url: str
    ca_file: Path | None


def base32(number: int) -> str:
    """The TOTP seed of user `number`, as FreeRADIUS and an import want it."""
    return base64.b32encode(seed(number)).decode()


@contextmanager
def slapd(users: int, *, ldaps: bool = False) -> Iterator[Directory]:
    """A directory of users `u0`, `u1` …, on a free port."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-slapd-")))
        authority = Authority(folder / "tls") if ldaps else None
        configuration = _filled(folder, users, authority)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"{'ldaps' if ldaps else 'ldap'}://127.0.0.1:{port}"
        command = [_SERVER, "-f", str(configuration), "-h", url, "-d", "0"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _until_listening(port, process)
            yield Directory(process.pid, url, authority.ca_file if authority else None)
        finally:
            process.terminate()
            process.wait()


def _filled(folder: Path, users: int, authority: Authority | None) -> Path:
    """Its configuration file, with everybody in its database."""
    database, configuration, ldif = folder / "ldap", folder / "slapd.conf", folder / "users.ldif"
    database.mkdir()
    certificate = authority.certify("127.0.0.1") if authority else None
    tls = f"TLSCertificateFile {certificate}\nTLSCertificateKeyFile {certificate}\n" if certificate else ""
    configuration.write_text(_SLAPD.format(base=BASE, folder=database, tls=tls))
    with ldif.open("w") as lines:
        lines.writelines(_entries(users))
    subprocess.run([_FILLER, "-q", "-f", configuration, "-l", ldif], check=True)
    return configuration


def _entries(users: int) -> Iterator[str]:
    """LDIF.  `description` is the TOTP seed: FreeRADIUS reads it there, and ours does not ask for it."""
    yield f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: bench\ndc: example\n\n"
    yield f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    for number in range(users):
        salt = b"%08d" % number
        hashed = base64.b64encode(hashlib.sha1(b"pw%d" % number + salt).digest() + salt).decode()
        yield (
            f"dn: uid=u{number},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: u{number}\ncn: User {number}\n"
            f"sn: U\ndepartmentNumber: staff\ndescription: {base32(number)}\nuserPassword: {{SSHA}}{hashed}\n\n"
        )


def _until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(round(_PATIENCE / _GLANCE)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(_GLANCE)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError("slapd did not start")
