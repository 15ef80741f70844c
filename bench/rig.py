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
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import seed

SECRET = "bench shared secret"
_BASE = "dc=example,dc=org"
_PATIENCE = 30.0

_SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
threads 8
database mdb
maxsize 1073741824
suffix "{base}"
rootdn "cn=admin,{base}"
rootpw bench
directory {folder}
index objectClass,uid eq
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""

_YAML = """\
listen:
  - udp: 127.0.0.1:0
clients:
  - {{name: vpn, address: 127.0.0.1, secret: "{secret}", timeout: 3s, retries: 3}}
directory:
  ldap:
    servers: ["{ldap}"]
    bind_dn: "cn=admin,{base}"
    bind_password: bench
    base_dn: "ou=people,{base}"
    user_filter: "(uid={{username}})"
    attributes: {{id: uid, name: cn, groups: departmentNumber}}
factors:
  totp: {{issuer: bench}}
storage: "sqlite:///{folder}/state.db"
key_file: "{folder}/key"
policies:
  - {{name: machines, when: {{client: vpn, group: kiosks}}, second_factor: never}}
  - {{name: staff, when: {{client: vpn, group: staff}}, factors: [totp], reply: {{Class: staff}}}}
audit: {{file: "{folder}/audit.jsonl"}}
"""


@dataclass(frozen=True, slots=True)
class Rig:
    """What is running.  `ready`: seconds from the start of the process until every listener was bound."""

    folder: Path
    config: Path
    server: int
    directory: int
    port: int
    ready: float
    import_seconds: float


def cpu(pid: int) -> float:
    """CPU seconds, user and system, of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Resident memory in MB (10⁶ octets)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def rig(users: int) -> Iterator[Rig]:
    """Start both, import the tokens of all users, and stop both in the end."""
    with tempfile.TemporaryDirectory(prefix="radius-mfa-bench-") as name, _slapd(name, users) as (ldap, slapd):
        folder = Path(name)
        config = folder / "bench.yaml"
        config.write_text(_YAML.format(secret=SECRET, ldap=ldap, base=_BASE, folder=folder))
        _run(config, "keys", "init")
        began = time.perf_counter()
        _run(config, "token", "import", str(_tokens(folder, users)))
        import_seconds = time.perf_counter() - began
        with _server(config) as (server, port, ready):
            yield Rig(folder, config, server, slapd, port, ready, import_seconds)


def _run(config: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "radius_mfa", "--config", str(config), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _tokens(folder: Path, users: int) -> Path:
    path = folder / "tokens.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["username", "secret"])
        rows.writerows((f"u{n}", base64.b32encode(seed(n)).decode()) for n in range(users))
    return path


@contextmanager
def _slapd(name: str, users: int) -> Iterator[tuple[str, int]]:
    folder = Path(name)
    database = folder / "ldap"
    database.mkdir()
    configuration = folder / "slapd.conf"
    configuration.write_text(_SLAPD.format(base=_BASE, folder=database))
    ldif = folder / "users.ldif"
    with ldif.open("w") as out:
        out.write(f"dn: {_BASE}\nobjectClass: dcObject\nobjectClass: organization\no: bench\ndc: example\n\n")
        out.write(f"dn: ou=people,{_BASE}\nobjectClass: organizationalUnit\nou: people\n\n")
        for n in range(users):
            salt = b"%08d" % n
            hashed = base64.b64encode(hashlib.sha1(b"pw%d" % n + salt).digest() + salt).decode()
            out.write(f"dn: uid=u{n},ou=people,{_BASE}\nobjectClass: inetOrgPerson\nuid: u{n}\ncn: User {n}\n")
            out.write(f"sn: U\ndepartmentNumber: staff\nuserPassword: {{SSHA}}{hashed}\n\n")
    subprocess.run(["slapadd", "-q", "-f", configuration, "-l", ldif], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"ldap://127.0.0.1:{port}"
    process = subprocess.Popen(["slapd", "-f", configuration, "-h", url, "-d", "0"], stderr=subprocess.DEVNULL)
    try:
        _until_listening(port, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError("slapd did not start")


@contextmanager
def _server(config: Path) -> Iterator[tuple[int, int, float]]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "radius_mfa", "--config", str(config), "serve"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            record = json.loads(line)
            if record["event"] == "ready":
                yield process.pid, record["listen"][0][1], time.perf_counter() - began
                return
            print(line, end="", file=sys.stderr)
        raise RuntimeError("the server did not start")
    finally:
        process.terminate()
        process.wait()
