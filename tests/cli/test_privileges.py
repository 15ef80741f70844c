"""A server that is started as root: bound as root, run as somebody else, looked into by nobody.

These tests are root's, as those are that make namespaces and disks of their own.
"""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.support import rewritten, run_process
from tests.peers.server import Server

NOBODY = pwd.getpwnam("nobody")
OPENED = ("unshare", "--mount", sys.executable, "-m", "tests.peers.opened")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that nobody may enter and that is nobody's: not below pytest's own, which it keeps closed."""
    with TemporaryDirectory(prefix="dropping-") as name:
        home = Path(name)
        home.chmod(0o755)
        os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
        yield home


@pytest.fixture
def dropping(config: Path, folder: Path) -> Path:
    """A configuration that is nobody's, of a server that becomes nobody."""
    text = config.read_text().replace("key_file: key", f"key_file: {folder}/key\nuser: nobody")
    text = text.replace(f"sqlite:///{config.parent}/state.db", f"sqlite:///{folder}/state.db")
    path = folder / "radius-mfa.yaml"
    path.touch(0o600)
    path.write_text(f"{text}audit: {{file: {folder}/audit.jsonl}}\nmetrics: {{listen: 127.0.0.1:0}}\n")
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    run_process("--config", path, "keys", "init").worked()
    return path


def status(server: Server) -> dict[str, str]:
    """What the kernel says of the process."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_binds_a_port_of_roots_and_goes_on_as_somebody_else_for_good(dropping: Path) -> None:
    rewritten(dropping, 'udp: "[::1]:0"', "udp: 127.0.0.1:833")
    with Server(dropping, within=OPENED) as server:
        assert server.port == 833
        said = status(server)
        uid, gid = str(NOBODY.pw_uid), str(NOBODY.pw_gid)
        assert said["Uid"].split() == [uid] * 4
        assert said["Gid"].split() == [gid] * 4
        assert set(said["Groups"].split()) <= {gid}
        for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(said[capabilities], 16) == 0
        secret = "a secret of twenty or so"
        login = run_process(
            "login", "Alice", "--server", "127.0.0.1:833", "--secret", secret, "--password", "correct horse"
        )
        assert "Access-Reject" in login.out  # of whom no factor is known
        server.reload()
        server.wait_for("reloaded")
    made = {each.name: each.stat() for each in dropping.parent.iterdir()}
    assert {"key", "state.db", "audit.jsonl"} <= made.keys()
    assert {each.st_uid for each in made.values()} == {NOBODY.pw_uid}


def test_its_memory_is_nobodys_business_and_no_core_is_left(dropping: Path) -> None:
    with Server(dropping, within=OPENED) as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        # What is not dumpable is root's, whoever runs it (proc(5)): no debugger of the same user attaches.
        assert Path(f"/proc/{server.pid}/mem").stat().st_uid == 0
        peek = ["head", "-c", "1", f"/proc/{server.pid}/environ"]
        peeked = subprocess.run(peek, capture_output=True, check=False, user=NOBODY.pw_uid, group=NOBODY.pw_gid)
        assert peeked.returncode != 0
        os.kill(server.pid, signal.SIGABRT)
        server.ended()
    assert not [each for each in dropping.parent.iterdir() if each.name.startswith("core")]


def test_what_a_command_makes_as_root_belongs_to_the_server(dropping: Path) -> None:
    folder = dropping.parent
    run_process("--config", dropping, "user", "enrol", "Alice").worked()
    run_process("--config", dropping, "keys", "rotate").worked()
    assert {each.name: each.stat().st_uid for each in folder.iterdir()} == dict.fromkeys(
        ("key", "state.db", "radius-mfa.yaml"), NOBODY.pw_uid
    )
    with Server(dropping, within=OPENED):
        run_process("--config", dropping, "user", "enrol", "bob").worked()
        assert {each.stat().st_uid for each in folder.iterdir()} == {NOBODY.pw_uid}


def refused(config: Path) -> list[str]:
    """What is said by a server that does not start, without the file and its lines."""
    command = [*OPENED, sys.executable, "-m", "radius_mfa", "--config", str(config), "serve"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    return [line.split(": ", 1)[1] for line in ran.stderr.splitlines()]


def test_what_it_may_not_use_is_said_at_once_with_its_key_and_all_of_it(dropping: Path) -> None:
    folder = dropping.parent
    run_process("--config", dropping, "user", "list").worked()
    (folder / "audit.jsonl").touch(0o640)
    for name in ("key", "state.db", "audit.jsonl"):
        os.chown(folder / name, 0, 0)
    assert refused(dropping) == [
        f"key_file: nobody may not read {folder}/key: chown it",
        f"storage: nobody may not read and write {folder}/state.db: chown it",
        f"audit.file: nobody may not read and write {folder}/audit.jsonl: chown it",
    ]
    for name in ("key", "state.db", "audit.jsonl"):
        os.chown(folder / name, NOBODY.pw_uid, -1)
    os.chown(folder, 0, 0)
    (folder / "audit.jsonl").unlink()
    assert refused(dropping) == [
        f"storage: nobody may not make files in {folder}, as SQLite does: chown it",
        f"audit.file: nobody may not make files in {folder}: chown it",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-user", "there is no user no-such-user on this machine"),
        ("root", "must be somebody with no more rights than it needs, not root"),
    ],
)
def test_a_user_that_cannot_be_meant_is_refused(dropping: Path, name: str, said: str) -> None:
    rewritten(dropping, "user: nobody", f"user: {name}")
    ran = run_process("--config", dropping, "serve")
    assert ran.status == 2
    assert ran.err.splitlines()[-1].endswith(f": user: {said}")


def test_who_is_not_root_stays_who_they_are_and_it_is_said(dropping: Path) -> None:
    rewritten(dropping, "user: nobody", "user: daemon")
    with Server(dropping, within=[*OPENED, *AS_NOBODY]) as server:
        assert server.log[0]["event"] == "not_started_as_root"
        assert status(server)["Uid"].split()[0] == str(NOBODY.pw_uid)


def test_files_are_for_their_owner_whatever_the_umask(dropping: Path) -> None:
    before = os.umask(0)
    try:
        with Server(dropping, within=OPENED):
            run_process("--config", dropping, "user", "enrol", "Alice").worked()
            run_process("--config", dropping, "token", "export", "--output", dropping.with_name("out")).worked()
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in dropping.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes.pop("audit.jsonl") == 0o640
    assert {"key", "state.db", "state.db-wal", "out"} <= modes.keys()
    assert set(modes.values()) == {0o600}
