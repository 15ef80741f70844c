"""A real Active Directory: Debian's samba as the domain controller of a small domain.

    with Samba() as samba:
        samba.address, samba.ca_file, samba.base, samba.bind_dn, samba.bind_password

It wants the usual ports, so it has a network namespace of its own, which takes root or sudo to make; the ports
of LDAP and LDAPS are brought to free ones here.  Everything is in a temporary folder, and any number can run
at once.  Who is in it: `ACCOUNTS`, one for each thing that can be said of an account.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers.certificates import Authority
from tests.peers.clock import at_other_time
from tests.peers.slapd import entry

REALM, WORKGROUP = "AD.EXAMPLE.ORG", "AD"
BASE = "DC=ad,DC=example,DC=org"
_USERS = f"CN=Users,{BASE}"
STAFF, EMPLOYEES = f"CN=Staff,{_USERS}", f"CN=Employees,{_USERS}"

_PATIENCE = 60.0  # seconds that a busy machine may take to start it

# userAccountControl ([MS-ADTS] 2.2.16)
_DISABLED, _NORMAL, _NEVER_EXPIRES = 0x2, 0x200, 0x10000
_USUAL = _NORMAL | _NEVER_EXPIRES

_2001, _2100 = 1_000_000_000, 4_102_444_800
_AGE = "-100d"  # of the domain and its passwords; after 42 days they expire


def _filetime(seconds: float) -> str:
    """Seconds since 1970 as Windows counts time ([MS-DTYP] 2.3.3)."""
    return str(round((seconds + 11_644_473_600) * 10_000_000))


@dataclass(frozen=True)
class Account:
    """An account of the domain.  `attributes` come in place of, or beside, what everybody has."""

    name: str
    password: str = field(repr=False)
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)

    @property
    def dn(self) -> str:
        return f"CN=Name of {self.name},{_USERS}"

    @property
    def upn(self) -> str:
        return f"{self.name}@{REALM.lower()}"

    def ldif(self) -> str:
        everybody: dict[str, str | bytes] = {
            "changetype": "add",
            "objectClass": "user",
            "sAMAccountName": self.name,
            "userPrincipalName": self.upn,
            "userAccountControl": str(_USUAL),
            "unicodePwd": f'"{self.password}"'.encode("utf-16-le"),  # [MS-ADTS] 3.1.1.3.1.5
        }
        return entry(self.dn, {**everybody, **self.attributes})


SERVICE = Account("radius", "S3rvice-password")
ACCOUNTS = {
    account.name: account
    for account in (
        Account("plain", "Pl4in-password"),
        Account("日本太郎", "P4sswörd-日本"),
        Account("change", "Ch4nge-password", {"userAccountControl": str(_NORMAL), "pwdLastSet": "0"}),
        Account("disabled", "D1sabled-password", {"userAccountControl": str(_USUAL | _DISABLED)}),
        Account("stale", "St4le-password", {"userAccountControl": str(_NORMAL)}),
        Account("expired", "Exp1red-password", {"accountExpires": _filetime(_2001)}),
        Account("asleep", "Asl33p-password", {"logonHours": bytes(21)}),
        Account("elsewhere", "E1sewhere-password", {"userWorkstations": "ELSEWHERE"}),
        Account("locked", "L0cked-password", {"lockoutTime": _filetime(_2100)}),
    )
}

_CONFIGURATION = """
[global]
netbios name = DC1
workgroup = {workgroup}
realm = {realm}
server role = active directory domain controller
server services = ldap
private dir = {folder}/private
state directory = {folder}/state
cache directory = {folder}/cache
lock directory = {folder}/lock
pid directory = {folder}
ncalrpc dir = {folder}/ncalrpc
binddns dir = {folder}/dns
tls cafile = {ca_file}
tls certfile = {certificate}
tls keyfile = {certificate}
[sysvol]
path = {folder}/sysvol
[netlogon]
path = {folder}/sysvol/scripts
"""

# For Debian's own Python, which has samba's modules: what `samba-tool domain provision` does, but for the
# access rights of shared folders, which take extended attributes and serve nobody here; then the accounts.
_PROVISION = """
import logging, sys
from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.param import LoadParm
from samba.provision import FILL_FULL, provision
_, path, realm, workgroup = sys.argv
parameters = LoadParm()
parameters.load(path)
made = provision(
    logging.getLogger(), system_session(), smbconf=path, lp=parameters, samdb_fill=FILL_FULL,
    realm=realm, domain=workgroup, hostname="dc1", serverrole="active directory domain controller",
    dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2, dns_backend="NONE", skip_sysvolacl=True,
)
made.samdb.modify_ldif(sys.stdin.read())
"""


class Samba:
    """A domain controller, as a context manager.

    `address`: LDAPS, with a certificate for its host that `ca_file` vouches for.  `address_without_tls`: LDAP.
    """

    address: tuple[str, int]
    address_without_tls: tuple[str, int]
    base = BASE
    bind_dn = SERVICE.dn
    bind_password = SERVICE.password

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._folder = Path(tempfile.mkdtemp(prefix="samba-"))
            undo.callback(_run, "rm", "-r", self._folder)
            self._provision()
            self._start(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def _provision(self) -> None:
        authority = Authority(self._folder / "tls")
        certificate = authority.certify("127.0.0.1")
        self.ca_file = authority.ca_file
        text = _CONFIGURATION.format(
            folder=self._folder,
            realm=REALM,
            workgroup=WORKGROUP,
            ca_file=self.ca_file,
            certificate=certificate,
        )
        self._configuration = self._folder / "smb.conf"
        self._configuration.write_text(text)
        groups = ((STAFF, ACCOUNTS["plain"].dn), (EMPLOYEES, STAFF))
        entries = [account.ldif() for account in (SERVICE, *ACCOUNTS.values())] + [
            entry(group, {"changetype": "add", "objectClass": "group", "member": member})
            for group, member in groups
        ]
        python = at_other_time(_AGE, ("/usr/bin/python3", "-I"))
        _run(*python, "-c", _PROVISION, self._configuration, REALM, WORKGROUP, text="\n".join(entries))

    def _start(self, undo: ExitStack) -> None:
        ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.address_without_tls, self.address = (port.getsockname() for port in ports)
        control, theirs = socket.socketpair()
        socket.send_fds(control, [b"-"], [port.fileno() for port in ports])
        for port in ports:
            port.close()
        namespace = ("unshare", "--net", sys.executable, "-I", Path(__file__).with_name("namespace.py"), "389,636")
        server = ("samba", "--foreground", "--model=single", "--debug-stdout", "--configfile", self._configuration)
        command: tuple[str | Path, ...] = (*_become(), *namespace, *server)
        with (self._folder / "log").open("wb") as log, theirs:
            process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=log, stderr=subprocess.STDOUT)
        undo.callback(process.wait, _PATIENCE)
        undo.callback(control.close)  # at which the other side ends, and all of samba with it
        control.settimeout(_PATIENCE)
        with suppress(ConnectionResetError):
            if control.recv(8) == b"ready":
                return
        raise RuntimeError(f"samba does not start: {(self._folder / 'log').read_text()}")


def _become() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("sudo", "-n")


def _run(*command: str | Path, text: str = "") -> None:
    done = subprocess.run([*_become(), *command], input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode()}")
