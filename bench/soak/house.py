"""What the floods, the outages and the memory run need: directories, the server as it is run, users and tokens."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from bench.rig import resident, run_command, tokens
from tests.peers.ports import free_port
from tests.peers.server import Server
from tests.peers.slapd import Slapd

SECRET = b"the shared secret of the soak"
# Each source has an address of its own; the prefix's sources are 127.20.x.y.
GOOD, UNSIGNED, UNKNOWN, PREFIX = "127.0.0.1", "127.0.0.3", "127.99.0.1", "127.20."
TIMEOUT, RETRIES = 3.0, 3  # seconds; what every NAS here does


def source(number: int) -> str:
    """An address of the client `prefix`; 0 to 65279."""
    return f"{PREFIX}{number // 255}.{number % 255 + 1}"


class _Server(Server):
    @property
    def pid(self) -> int:
        return self._process.pid


class House:
    """A folder with everything in it.  `users`: numbers of accounts, again and again, none again too soon."""

    def __init__(self, folder: Path, slapds: list[Slapd], users: int) -> None:
        self.slapds = slapds
        self.users = cycle(range(users))
        self.port = free_port()
        self.config = folder / "soak.yaml"
        self.config.write_text(json.dumps(_configuration(folder, slapds, self.port)))  # JSON is YAML
        run_command(self.config, "keys", "init")
        run_command(self.config, "token", "import", str(tokens(folder, users)))
        self._server = _Server(self.config)

    @property
    def resident(self) -> float:
        """Of the server, in MB."""
        return resident(self._server.pid)

    def begin(self) -> None:
        """Start the server; returns when it is ready."""
        self._server = _Server(self.config)
        self._server.__enter__()
        host, port = self._server.log[-1]["metrics"]
        self._metrics = f"http://{host}:{port}/metrics"

    def kill(self) -> None:
        """End the server by SIGKILL."""
        self._server.kill()
        self._server.__exit__()

    def end(self) -> None:
        """End the server by SIGTERM, and wait for it.  A second time is nothing."""
        with suppress(AttributeError):  # it was never begun
            self._server.__exit__()

    def reload(self) -> None:
        """Have the server read its configuration again; returns when it has."""
        self._server.reload()
        self._server.wait_for("reloaded")

    def counted(self, name: str, label: str = "") -> int:
        """`radius_mfa_NAME_total`, added up over all labels, or those with this one."""
        with urlopen(self._metrics) as response:
            text = response.read().decode()
        found = re.findall(rf"^radius_mfa_{name}_total(?:{{(.*)}})? ([\d.e+]+)$", text, re.MULTILINE)
        return sum(int(float(number)) for labels, number in found if label in labels)


@contextmanager
def house(users: int, directories: int = 1) -> Iterator[House]:
    """All of it running; stopped in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-soak-")))
        slapds = [stack.enter_context(Slapd(users=users)) for _ in range(directories)]
        it = House(folder, slapds, users)
        stack.callback(it.end)
        it.begin()
        yield it


@contextmanager
def frozen(slapd: Slapd) -> Iterator[None]:
    """It takes connections, and says nothing."""
    os.kill(slapd.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(slapd.pid, signal.SIGCONT)


@contextmanager
def killed(slapd: Slapd) -> Iterator[None]:
    """It is gone without a word, and comes back in the end."""
    slapd.kill()
    try:
        yield
    finally:
        slapd.start()


def wait_until(at: float) -> None:
    """Until then, by `time.perf_counter`; no time at all if that is past."""
    time.sleep(max(at - time.perf_counter(), 0))


def _configuration(folder: Path, slapds: list[Slapd], port: int) -> dict[str, Any]:
    usual = {"secret": SECRET.decode(), "timeout": f"{TIMEOUT:.0f}s", "retries": RETRIES}
    first = slapds[0]
    for other in slapds[1:]:
        other.modify(_same_password(first))
    return {
        "listen": [{"udp": f"127.0.0.1:{port}"}],
        "clients": [
            {"name": "good", "address": GOOD, **usual},
            {"name": "prefix", "address": f"{PREFIX}0.0/16", **usual},
            {"name": "unsigned", "address": UNSIGNED, **usual, "message_authenticator": "off"},
        ],
        "directory": {
            "ldap": {
                "servers": [slapd.url for slapd in slapds],
                "bind_dn": first.bind_dn,
                "bind_password": first.bind_password,
                "base_dn": first.people,
                "attributes": {"id": "uid", "groups": "departmentNumber"},
            }
        },
        "factors": {"totp": {"issuer": "soak"}},
        "storage": f"sqlite:///{folder}/state.db",
        "key_file": f"{folder}/key",
        "policies": [
            {"name": "all", "when": {"client": ["good", "prefix", "unsigned"]}, "reply": {"Class": "staff"}}
        ],
        "metrics": {"listen": "127.0.0.1:0"},
        "audit": {"file": f"{folder}/audit.jsonl"},
    }


def _same_password(first: Slapd) -> str:
    """The service has one password at all directories."""
    return f"dn: {first.bind_dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: {first.bind_password}\n"
