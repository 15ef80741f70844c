"""What the benchmark runs: OpenLDAP with as many users as wanted, and the server as it is run."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from bench.load import seed
from bench.policies import other_policy
from tests.peers.certificates import Authority
from tests.peers.postgresql import Postgresql

SECRET = b"bench shared secret"
_BASE = "dc=example,dc=org"
_PEOPLE = f"ou=people,{_BASE}"
_PATIENCE, _GLANCE = 30.0, 0.02  # seconds: until something must have started, and between two looks
_QUIET = frozenset({"debug", "info"})

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

# Everything a server in service has: policies to look through, the store on a disk, an audit file.
_YAML = """\
listen:
  - udp: 127.0.0.1:0
workers: {workers}
clients:
  - {{name: vpn, address: 127.0.0.1, secret: "{secret}", timeout: 3s, retries: 3}}
  - {{name: branch, address: 192.0.2.1, secret: "another {secret}", timeout: 3s, retries: 3}}
directory:
  ldap:
    servers: ["{ldap}"]
    bind_dn: "cn=admin,{base}"
    bind_password: bench
    base_dn: "ou=people,{base}"
{ca_file}    user_filter: "(uid={{username}})"
    attributes: {{id: uid, name: cn, groups: departmentNumber}}
factors:
  totp: {{issuer: bench}}
storage: "{storage}"
key_file: "{folder}/key"
policies:
{policies}  - {{name: staff, when: {{client: vpn, group: staff}}, factors: [totp], reply: {{Class: staff}}}}
audit: {{file: "{folder}/audit.jsonl"}}
"""


@dataclass(frozen=True, slots=True)
class Rig:
    """What is running: `server` and `directory` are process ids, `port` the server's.

    `ready`: seconds from the start of a process until every listener was bound, of each of the starts.
    `import_seconds`: what `token import` took for all users, its own start included.
    """

    config: Path
    server: int
    directory: int
    port: int
    ready: tuple[float, ...]
    import_seconds: float


def family(pid: int) -> list[int]:
    """A process and its children: a server with several workers is a supervisor with those."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def cpu(pid: int) -> float:
    """CPU seconds so far, user and system, of a process and its children (clock_getcpuclockid(3))."""
    return sum(time.clock_gettime(~each << 3 | 2) for each in family(pid))


def resident(pid: int) -> float:
    """Resident memory of a process and its children in MB (10⁶ octets); what they share counts for each."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def busy() -> float:
    """CPU seconds that all cores of the machine have worked so far, whoever for (proc(5))."""
    user, nice, system, _idle, _waiting, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def rig(
    users: int, starts: int, *, ldaps: bool = False, postgresql: bool = False, workers: int = 1, policies: int = 2
) -> Iterator[Rig]:
    """Start both, the server `starts` times, and import the tokens of all users; stop both in the end.

    `ldaps`: the server speaks TLS to the directory.  `postgresql`: it keeps its state there.  `policies`: of which
    the last one decides.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-bench-")))
        storage = f"sqlite:///{folder}/state.db"
        if postgresql:
            database = stack.enter_context(Postgresql(fsync=True))
            storage = database.url(database.new_database())
        authority = Authority(folder / "tls") if ldaps else None
        with _slapd(folder, users, authority.certify("127.0.0.1") if authority else None) as (directory, url):
            config = folder / "bench.yaml"
            config.touch(0o600)  # there are secrets in it
            config.write_text(_yaml(folder, url, storage, authority, workers, policies))
            run_command(config, "keys", "init")
            began = time.perf_counter()
            run_command(config, "token", "import", str(tokens(folder, users)))
            import_seconds = time.perf_counter() - began
            ready = []
            for _ in range(starts - 1):
                with _serving(config) as (_, _, seconds):
                    ready.append(seconds)
            with _serving(config) as (server, port, seconds):
                yield Rig(config, server, directory, port, (*ready, seconds), import_seconds)


def _yaml(folder: Path, ldap: str, storage: str, authority: Authority | None, workers: int, policies: int) -> str:
    ca_file = f'    ca_file: "{authority.ca_file}"\n' if authority else ""
    where = {"ldap": ldap, "base": _BASE, "folder": folder, "ca_file": ca_file, "storage": storage}
    others = "".join(map(other_policy, range(policies - 1)))
    return _YAML.format(secret=SECRET.decode(), workers=workers, policies=others, **where)


# --- the directory --------------------------------------------------------------------------------


@contextmanager
def _slapd(folder: Path, users: int, certificate: Path | None) -> Iterator[tuple[int, str]]:
    """Its process id and its URL."""
    database, configuration, ldif = folder / "ldap", folder / "slapd.conf", folder / "users.ldif"
    database.mkdir()
    tls = f"TLSCertificateFile {certificate}\nTLSCertificateKeyFile {certificate}\n" if certificate else ""
    configuration.write_text(_SLAPD.format(base=_BASE, folder=database, tls=tls))
    with ldif.open("w") as lines:
        lines.writelines(_entries(users))
    subprocess.run(["/usr/sbin/slapadd", "-q", "-f", configuration, "-l", ldif], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"{'ldaps' if certificate else 'ldap'}://127.0.0.1:{port}"
    command = ["/usr/sbin/slapd", "-f", str(configuration), "-h", url, "-d", "0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _until_listening(port, process)
        yield process.pid, url
    finally:
        process.terminate()
        process.wait()


def _entries(users: int) -> Iterator[str]:
    yield f"dn: {_BASE}\nobjectClass: dcObject\nobjectClass: organization\no: bench\ndc: example\n\n"
    yield f"dn: {_PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    for number in range(users):
        salt = b"%08d" % number
        hashed = base64.b64encode(hashlib.sha1(b"pw%d" % number + salt).digest() + salt).decode()
        yield (
            f"dn: uid=u{number},{_PEOPLE}\nobjectClass: inetOrgPerson\nuid: u{number}\ncn: User {number}\n"
            f"sn: U\ndepartmentNumber: staff\nuserPassword: {{SSHA}}{hashed}\n\n"
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


# --- the server -----------------------------------------------------------------------------------


def _command(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "radius_mfa", "--config", str(config), *arguments]


def run_command(config: Path, *arguments: str) -> None:
    """One of `radius-mfa`'s commands, which has to work."""
    subprocess.run(_command(config, *arguments), check=True, stdout=subprocess.DEVNULL)


def tokens(folder: Path, users: int) -> Path:
    """A file of TOTP tokens to be imported, one for each user of the load."""
    path = folder / "tokens.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["username", "secret"])
        rows.writerows((f"u{number}", base64.b32encode(seed(number)).decode()) for number in range(users))
    return path


@contextmanager
def _serving(config: Path) -> Iterator[tuple[int, int, float]]:
    """Its process id, its port, and the seconds it took to be ready."""
    began = time.perf_counter()
    process = subprocess.Popen(_command(config, "serve"), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = _Listener(process.stderr)
    try:
        port = said.port.result(_PATIENCE)
        yield process.pid, port, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()
        said.join()
        process.stderr.close()


class _Listener(threading.Thread):
    """Reads what the server says until it ends, since a full pipe would hold it up; shows what is not routine.

    `port`: where it listens, once it says that it does.
    """

    def __init__(self, lines: IO[str]) -> None:
        super().__init__()
        self._lines = lines
        self.port: Future[int] = Future()
        self.start()

    def run(self) -> None:
        for line in self._lines:
            record = _record(line)
            if record.get("event") == "ready":
                self.port.set_result(record["listen"][0][1])
            elif record.get("level") not in _QUIET:
                print(line, end="", file=sys.stderr)
        if not self.port.done():
            self.port.set_exception(RuntimeError("the server did not start"))


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
