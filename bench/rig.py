"""Our server as it is run, with everything on that one in service has on."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.directory import BASE, PEOPLE, Directory, base32
from bench.policies import other_policy
from bench.running import Running, running
from bench.stored import add_others
from tests.peers.postgresql import Postgresql

SECRET = b"bench shared secret"
_QUIET = frozenset({"debug", "info"})

# Everything a server in service has: policies to look through, the store on a disk, an audit file.
_YAML = """\
listen:
  - udp: 127.0.0.1:0
workers: {workers}
challenge_lifetime: {lifetime}
clients:
  - {{name: vpn, address: 127.0.0.1, secret: "{secret}", {nas}}}
{clients}directory:
  ldap:
    servers: ["{ldap}"]
    bind_dn: "cn=admin,{base}"
    bind_password: bench
    base_dn: "{people}"
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
_VPN = "timeout: 3s, retries: 3"
_ACCESS_POINT = "profile: wifi, message_authenticator: require"  # which waits as long
_EAP = 'eap: {{certificate: "{certificate}", key: "{key}", methods: [ttls], tls: ["1.2"]}}\n'


@dataclass(frozen=True, slots=True)
class Site:
    """What servers may differ in.  Of the `policies` the last one decides; all `clients` but one are silent.

    `stored`: users whose tokens are in the store, where that is more than those who log in.  `eap`: the
    certificate and the key of the tunnel, and the client is an access point.
    """

    workers: int = 1
    policies: int = 2
    clients: int = 2
    stored: int = 0
    lifetime: str = "5m"
    postgresql: bool = False
    eap: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a server needs.  `import_seconds`: what `token import` took for all users, its own start included.

    `stored`: users in the store.
    """

    config: Path
    import_seconds: float
    stored: int


@dataclass(frozen=True, slots=True)
class Rig:
    """What is running: `server` and `directory` are process ids, `port` the server's.

    `ready`: seconds from the start of a process until every listener was bound, of each of the starts.
    The rest is as it was `Prepared`.
    """

    config: Path
    server: int
    directory: int
    port: int
    ready: tuple[float, ...]
    import_seconds: float
    stored: int


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
def rig(users: int, directory: Directory, *, starts: int = 1, site: Site | None = None) -> Iterator[Rig]:
    """Import the tokens of all users and start the server, `starts` times; stop it in the end."""
    site = site or Site()
    with ExitStack() as stack:
        it = stack.enter_context(prepared(users, directory, site))
        ready = []
        for _ in range(starts - 1):
            with _serving(it.config) as server:
                ready.append(server.ready)
        server = stack.enter_context(_serving(it.config))
        ready.append(server.ready)
        yield Rig(it.config, server.pid, directory.pid, server.port, (*ready,), it.import_seconds, it.stored)


@contextmanager
def prepared(users: int, directory: Directory, site: Site) -> Iterator[Prepared]:
    """Import the tokens of all users, so that a server may be started."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-bench-")))
        storage = f"sqlite:///{folder}/state.db"
        if site.postgresql:
            database = stack.enter_context(Postgresql(fsync=True))
            storage = database.url(database.new_database())
        config = folder / "bench.yaml"
        config.touch(0o600)  # there are secrets in it
        config.write_text(_yaml(folder, directory, storage, Site()))
        run_command(config, "keys", "init")
        began = time.perf_counter()
        run_command(config, "token", "import", str(tokens(folder, users)))
        import_seconds = time.perf_counter() - began
        stored = users if site.postgresql else add_others(folder / "state.db", site.stored)
        config.write_text(_yaml(folder, directory, storage, site))
        yield Prepared(config, import_seconds, stored)


def _yaml(folder: Path, directory: Directory, storage: str, site: Site) -> str:
    configuration = _YAML.format(
        secret=SECRET.decode(),
        nas=_ACCESS_POINT if site.eap else _VPN,
        workers=site.workers,
        lifetime=site.lifetime,
        clients="".join(map(_other_client, range(site.clients - 1))),
        policies="".join(map(other_policy, range(site.policies - 1))),
        ldap=directory.url,
        base=BASE,
        people=PEOPLE,
        ca_file=f'    ca_file: "{directory.ca_file}"\n' if directory.ca_file else "",
        storage=storage,
        folder=folder,
    )
    if site.eap is None:
        return configuration
    certificate, key = site.eap
    return configuration + _EAP.format(certificate=certificate, key=key)


def _other_client(number: int) -> str:
    """A line of YAML: one that never asks.  Every eighth is a network.  The first is named in policies."""
    name = f"branch-{number}" if number else "branch"
    length = 28 if number % 8 == 7 else 32
    where = f"10.{number >> 12}.{number >> 4 & 255}.{(number & 15) << 4}/{length}"
    return f'  - {{name: {name}, address: {where}, secret: "another {SECRET.decode()} {number}"}}\n'


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
        rows.writerows((f"u{number}", base32(number)) for number in range(users))
    return path


@contextmanager
def _serving(config: Path) -> Iterator[Running]:
    with running(_command(config, "serve"), _port_of, lambda line: _record(line).get("level") in _QUIET) as it:
        yield it


def _port_of(line: str) -> int | None:
    record = _record(line)
    return int(record["listen"][0][1]) if record.get("event") == "ready" else None


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
