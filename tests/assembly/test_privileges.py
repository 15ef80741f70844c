"""Giving up root: what is left of it, and what stands in the way.  The server as a whole: `cli.test_privileges`.

These tests are root's, too.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.config.support import SMALL
from tests.peers.certificates import Authority
from tests.peers.server import Server
from tests.stores.postgresql import new_url

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups")
OPENED = ("unshare", "--mount", sys.executable, "-m", "tests.peers.opened")

# What a process says of itself that has become nobody: of all its threads, of the way back.
BECOMES = """
import json, os, pathlib, sys, threading
from radius_mfa.assembly.privileges import become, no_core_dumps
from radius_mfa.assembly.rules import load
from radius_mfa.core.errors import ConfigurationError

over = threading.Event()
threading.Thread(target=over.wait, daemon=True).start()  # as the one that answers for the metrics
loaded = load(pathlib.Path(sys.argv[1]), {})
no_core_dumps()
try:
    become(loaded)
except ConfigurationError as wrong:
    print(json.dumps({"problems": wrong.problems}))
    sys.exit()
threads = [
    [line.split()[1:] for line in each.read_text().splitlines() if line.startswith(("Uid", "Gid", "Groups"))]
    for each in pathlib.Path("/proc/self/task").glob("*/status")
]
ways_back = []
for name, way in (("setuid", os.setuid), ("setgid", os.setgid), ("seteuid", os.seteuid)):
    try:
        way(0)
        ways_back.append(name)
    except PermissionError:
        pass
print(json.dumps({"threads": threads, "ways_back": ways_back, "home": os.environ["HOME"]}))
"""

# What comes of reading the memory of another process, and of attaching to it.
LOOKS = """
import ctypes, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
octet = ctypes.create_string_buffer(1)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
here = Vector(ctypes.addressof(octet), 1)
libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(here), 1, 0)
print(os.strerror(ctypes.get_errno()))
libc.ptrace(16, pid, None, None)  # PTRACE_ATTACH
print(os.strerror(ctypes.get_errno()))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Nobody's, and not below pytest's own, which it keeps closed."""
    with TemporaryDirectory(prefix="privileges-") as name:
        path = Path(name)
        path.chmod(0o755)
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        yield path


@pytest.fixture
def config(folder: Path) -> Path:
    """Root's, with a key that is nobody's."""
    path = folder / "radius-mfa.yaml"
    path.touch(0o600)
    storage = f"storage: sqlite:///{folder}/state.db\nkey_file: key\nuser: nobody\n"
    path.write_text(SMALL.replace("127.0.0.1:1812", "127.0.0.1:0") + storage)
    made = subprocess.run([sys.executable, "-m", "radius_mfa", "--config", path, "keys", "init"], check=False)
    assert made.returncode == 0
    return path


def becomes(config: Path, *within: str) -> dict[str, Any]:
    """What comes of it, `within` another command."""
    command: Sequence[str | Path] = [*OPENED, *within, sys.executable, "-c", BECOMES, config]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def problem(config: Path, *within: str) -> str:
    (line,) = becomes(config, *within)["problems"]
    assert line.startswith(f"{config}:")
    return str(line.split(": ", 1)[1])


def test_nothing_of_root_is_left_in_any_thread_and_there_is_no_way_back(config: Path) -> None:
    said = becomes(config)
    uid, gid = [str(NOBODY.pw_uid)] * 4, [str(NOBODY.pw_gid)] * 4
    assert said["threads"] == [[uid, gid, [gid[0]]]] * 2
    assert said["ways_back"] == []
    assert said["home"] == NOBODY.pw_dir


def test_the_groups_are_those_of_the_user(config: Path, tmp_path: Path) -> None:
    """The file of groups is another one in there; the groups of root, which it starts with, are gone."""
    groups = tmp_path / "group"
    groups.write_text(f"root:x:0:\nnogroup:x:{NOBODY.pw_gid}:\nmail-keys:x:4711:nobody\nelse:x:4712:daemon\n")
    mounted = ("sh", "-c", f'mount --bind {groups} /etc/group && exec setpriv --groups 0,4 "$@"', "sh")
    for thread in becomes(config, *mounted)["threads"]:
        assert sorted(map(int, thread[2])) == [4711, NOBODY.pw_gid]


def test_who_may_not_change_users_says_so(config: Path) -> None:
    """Root in a container without the capability (capabilities(7), CAP_SETGID)."""
    without = ("setpriv", "--bounding-set=-setgid", "--inh-caps=-setgid")
    assert problem(config, *without) == "user: cannot become nobody: Operation not permitted"


def test_where_the_kernel_would_leave_the_rights_nothing_is_served(config: Path) -> None:
    """SECBIT_NO_SETUID_FIXUP: another user id, and all the capabilities (capabilities(7))."""
    leaving = ("setpriv", "--securebits=+no_setuid_fixup")
    assert problem(config, *leaving) == "user: cannot become nobody: there is a way back to root"


@pytest.mark.parametrize("left", ["state.db-wal", "state.db-shm"])
def test_what_root_has_left_beside_the_store_is_said(config: Path, left: str) -> None:
    (config.parent / left).touch(0o600)
    assert problem(config) == f"storage: nobody may not read and write {config.parent}/{left}: chown it"


def test_files_that_are_read_later_on_are_looked_at_too(config: Path, tmp_path: Path) -> None:
    authorities, texts = Authority(tmp_path / "ca").ca_file, config.with_name("texts")
    authorities.chmod(0o600)
    texts.mkdir(0o700)
    mail = f"{{smtp: 'smtps://localhost', sender: a@example.org, ca_file: {authorities}}}"
    own = Authority(tmp_path / "own").certify("radius.example.org")
    radsec = f"  - {{radsec: '127.0.0.1:0', certificate: {own}, key: {own}, client_ca: {authorities}}}\n"
    bind = "bind_dn: cn=r, bind_password: bind-password, base_dn: dc=x"
    ldap = f"{{servers: 'ldaps://[::1]', ca_file: {authorities}, {bind}}}"
    text = config.read_text().replace("directory:\n", f"directory:\n  ldap: {ldap}\n")
    text = text.replace("clients:\n", f"{radsec}clients:\n")
    eap = Authority(tmp_path / "eap").certify("radius.example.org", purpose="server")
    more = f"messages: texts\neap: {{certificate: {eap}, key: {eap}}}\n"
    config.write_text(f"{text}factors: {{totp: {{}}, mail: {mail}}}\n{more}")
    listened = {"certificate": own, "key": own, "client_ca": authorities}.items()
    assert [line.split(": ", 1)[1] for line in becomes(config)["problems"]] == [
        *(f"listen[1].{key}: nobody may not read {file}: chown it" for key, file in listened),
        *(f"eap.{key}: nobody may not read {eap}: chown it" for key in ("certificate", "key")),
        f"directory.ldap.ca_file: nobody may not read {authorities}: chown it",
        f"factors.mail.ca_file: nobody may not read {authorities}: chown it",
        f"messages: nobody may not read {texts}: chown it",
    ]


def test_a_folder_that_it_may_not_look_into_is_not_taken_for_an_empty_one(config: Path) -> None:
    closed = config.with_name("closed")
    closed.mkdir(0o700)
    config.with_name("key").rename(closed / "key")
    config.write_text(config.read_text().replace("key_file: key", "key_file: closed/key"))
    assert problem(config) == f"key_file: nobody may not read {closed}/key: chown it"


def test_a_file_that_it_will_not_be_able_to_read_again_is_said_at_the_start_and_changes_nothing(
    config: Path,
) -> None:
    with Server(config, within=OPENED) as server:
        assert server.log[0]["note"] == f"{config}: nobody may not read it: there is no reload"
        server.reload()
        problems = server.wait_for("reload_refused")["problems"]
        assert problems == [f"{config}: cannot be read: Permission denied"]
        os.chown(config, NOBODY.pw_uid, -1)
        server.reload()
        server.wait_for("reloaded")


@pytest.mark.parametrize("starts", [(), AS_NOBODY])
def test_another_process_of_the_same_user_cannot_look_into_the_memory(
    config: Path, starts: tuple[str, ...]
) -> None:
    """Nor be a debugger of it: both ask for the same right (ptrace(2), PTRACE_MODE_ATTACH)."""
    for name in (config.name, "key"):
        os.chown(config.with_name(name), NOBODY.pw_uid, -1)
    with Server(config, within=[*OPENED, *starts]) as server:
        looked = subprocess.run(
            [*OPENED, *AS_NOBODY, sys.executable, "-c", LOOKS, str(server.pid)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert looked.stdout.splitlines() == ["Operation not permitted"] * 2


def test_postgresql_is_reached_though_roots_home_is_closed(config: Path, tmp_path: Path) -> None:
    """asyncpg looks for certificates in $HOME, and gives up where it may not."""
    home = tmp_path / "home"
    home.mkdir(0o700)
    config.write_text(
        config.read_text().replace(
            f"sqlite:///{config.parent}/state.db", new_url().replace("sslmode=disable", "sslmode=prefer")
        )
    )
    with Server(config, {"HOME": str(home)}, within=OPENED) as server:
        assert server.port
