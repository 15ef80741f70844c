"""Debian's FreeRADIUS with our login inside: the files of deploy/freeradius, but for the paths and the ports.

with FreeRadiusInside(site.write("inside.yaml"), {"vpn": "127.0.0.1"}, SECRET) as freeradius:
    Radclient(freeradius.port, SECRET).ask(...)
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import radius_mfa
from tests.peers.clock import hurried
from tests.peers.foreign_proxy import ForeignProxy
from tests.peers.freeradius import write_private
from tests.peers.ports import free_port

ROOT = Path(radius_mfa.__file__).parents[1]
DEPLOY = ROOT / "deploy" / "freeradius"
_PATIENCE = 30.0  # seconds
_DEBIAN = Path("/etc/freeradius/3.0")
# The checkout and what is installed beside it: rlm_python3 follows no .pth file, which an editable install is.
PYTHON_PATH = f"{ROOT}:{sysconfig.get_path('purelib')}"

_CONFIGURATION = """
prefix = /usr
name = freeradius
raddbdir = "{folder}"
confdir = "{folder}"
logdir = "{folder}"
run_dir = "{folder}"
libdir = /usr/lib/freeradius
max_request_time = {max_request_time}
cleanup_delay = 5
max_requests = 16384
log {{
    auth = yes
}}
security {{
    reject_delay = 1
}}
thread pool {{
    start_servers = {threads}
    max_servers = {threads}
    min_spare_servers = {threads}
    max_spare_servers = {threads}
    max_requests_per_server = 0
}}
{clients}
"""
_LOGIN = """
modconfdir = {debian}/mods-config
modules {{
    $INCLUDE {debian}/mods-available/always
    $INCLUDE {debian}/mods-available/attr_filter
    $INCLUDE {debian}/mods-available/preprocess
    $INCLUDE {debian}/mods-available/realm
    {modules}
}}
policy {{
    $INCLUDE {debian}/policy.d/filter
    $INCLUDE {debian}/policy.d/eap
    $INCLUDE {debian}/policy.d/control
    $INCLUDE {folder}/policy.d/
}}
{sites}
"""
_CLIENT = """
client {name} {{
    ipaddr = {address}
    secret = "{secret}"
    require_message_authenticator = yes
}}
"""


class FreeRadiusInside(ForeignProxy):
    """`yaml`: our configuration, None where nothing of ours runs in it.  `clients`: addresses by name.

    `sites`: of deploy/freeradius/sites-available; one of them listens at `port`.  `modules`: of mods-available;
    `more`: modules that are none of ours, as FreeRADIUS's configuration has them.  `changes`: of what stands in
    the files, a pattern each and what comes in its place.  `debugs`: whether it says all it does.
    `hurry`: how many of its seconds pass in one, for it waits for many.
    """

    ready = "Ready to process requests"

    def __init__(
        self,
        yaml: Path | None,
        clients: Mapping[str, str],
        secret: str,
        *,
        sites: Sequence[str] = ("radius_mfa",),
        modules: Sequence[str] = ("radius_mfa",),
        more: str = "",
        changes: Mapping[str, str] | None = None,
        threads: int = 32,
        max_request_time: int = 30,
        debugs: bool = True,
        hurry: int = 1,
    ) -> None:
        super().__init__()
        self.secret = secret
        self._yaml = yaml
        self._clients = "".join(
            _CLIENT.format(name=name, address=address, secret=secret) for name, address in clients.items()
        )
        self._sites = sites
        self._modules = modules
        self._more = more
        self._changes = changes
        self._values = {"threads": threads, "max_request_time": max_request_time}
        self._debugs = debugs
        self._hurry = hurry

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(_PATIENCE)

    def does_not_start(self, *more: str) -> tuple[int, str]:
        """The exit status of one that comes to its end by itself, and what it has said.  `more`: options."""
        # Of ours it is to find what its python_path has, and nothing else.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with tempfile.TemporaryDirectory(prefix="radius-inside-") as folder:
            command = [*self._command(Path(folder), free_port()), *more]
            done = subprocess.run(command, capture_output=True, env=environment, timeout=_PATIENCE, check=False)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def _command(self, folder: Path, port: int) -> Sequence[str | Path]:
        beginning = _CONFIGURATION.format(folder=folder, clients=self._clients, **self._values)
        login = login_within(folder, port, self._yaml, self._sites, self._modules, self._more, self._changes)
        write_private(folder / "radiusd.conf", beginning + login)
        says = "-fxx" if self._debugs else "-f"
        return hurried(["/usr/sbin/freeradius", says, "-l", "stdout", "-d", folder], self._hurry)


def login_within(
    folder: Path,
    port: int,
    yaml: Path | None,
    sites: Sequence[str] = ("radius_mfa",),
    modules: Sequence[str] = ("radius_mfa",),
    more: str = "",
    changes: Mapping[str, str] | None = None,
) -> str:
    """The files of deploy/freeradius written there as they are here; what a configuration of FreeRADIUS ends with.

    All else is as `FreeRadiusInside` has it.
    """
    here = {
        r"^\tpython_path = .*": f'\tpython_path = "{PYTHON_PATH}"',
        r"^\t\tyaml = .*": f'\t\tyaml = "{yaml}"',
        r"^\t\tipaddr = \*": "\t\tipaddr = 127.0.0.1",
        r"^\t\tport = 1812": f"\t\tport = {port}",
        **(changes or {}),
    }
    left = {*(changes or ())}
    for each in DEPLOY.rglob("*"):
        if each.is_file():
            file, text = folder / each.relative_to(DEPLOY), each.read_text()
            file.parent.mkdir(exist_ok=True)
            if each.name in (*sites, *modules) or each.parent.name not in ("sites-available", "mods-available"):
                left -= {pattern for pattern in left if re.search(pattern, text, flags=re.MULTILINE)}
            write_private(file, _changed(text, here))
    assert not left, f"there is nothing of the kind to be changed: {left}"
    included = [f"$INCLUDE {folder}/mods-available/{name}" for name in modules]
    return _LOGIN.format(
        folder=folder,
        debian=_DEBIAN,
        modules="\n    ".join([*included, more]),
        sites="".join(f"$INCLUDE {folder}/sites-available/{name}\n" for name in sites),
    )


def _changed(text: str, here: Mapping[str, str]) -> str:
    for pattern, instead in here.items():
        text = re.sub(pattern, instead.replace("\\", r"\\"), text, flags=re.MULTILINE)
    return text
