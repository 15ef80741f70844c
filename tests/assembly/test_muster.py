"""From one process to several: what is opened first, what takes this one's place, and what it is started with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from radius_mfa.stores.key_file import create_key_file
from tests.config.support import SMALL, Folder
from tests.peers.server import Server

_PATIENCE = 30.0  # seconds


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def crewed(folder: Folder, *, listen: str = "127.0.0.1:0", more: str = "") -> Path:
    """A server of two workers."""
    store = f"storage: sqlite:///{folder.path}/state.db\nkey_file: key\nworkers: 2\nlog: {{format: json}}\n"
    create_key_file(folder.path / "key")
    return folder.write(folder.file.name, SMALL.replace("127.0.0.1:1812", listen) + store + more)


def of_the_crew(server: Server) -> dict[int, list[str]]:
    """The processes that the supervisor has started, with what they were started with."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return {int(pid): command_of(int(pid)) for pid in children}


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def limits_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size"))


def sockets_of(pid: int) -> set[str]:
    places = (each.path for each in os.scandir(f"/proc/{pid}/fd"))
    return {name for name in map(os.readlink, places) if name.startswith("socket:")}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "radius_mfa", "--config", str(config), "serve"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)


def test_the_supervisor_takes_the_place_of_what_was_started(folder: Folder) -> None:
    """So that whoever has started it (systemd) knows its process: and nothing of the server is left in there."""
    with Server(crewed(folder, more="metrics: {listen: 127.0.0.1:0}\n")) as server:
        ready = server.log[-1]
        assert ready["workers"] == 2
        assert ready["policies"] == 1
        assert ready["metrics"][0] == "127.0.0.1"
        supervisor, crew = command_of(server.pid), of_the_crew(server)
        assert supervisor[1:-1] == ["-P", "-m", "radius_mfa.transports.supervisor", str(folder.file)]
        assert sorted(command[-2] for command in crew.values()) == ["background", "worker-0", "worker-1"]
        for command in crew.values():
            assert command[1:-2] == ["-P", "-m", "radius_mfa.cli.process"]
        for pid in (server.pid, *crew):
            assert limits_of(pid).split()[4:6] == ["0", "0"], "no core dump of one that has secrets"
        inherited = [sockets_of(pid) & sockets_of(server.pid) for pid in crew]
        assert all(len(each) >= 3 + 6 for each in inherited), "two of UDP, one of metrics, six ends of boxes"
        assert server.stop() == 0


def test_nothing_of_the_folder_it_was_started_in_is_run(folder: Folder) -> None:
    config = crewed(folder)
    traps = folder.path / "traps"
    for name in ("json", "selectors", "radius_mfa", "structlog"):
        (traps / name).mkdir(parents=True)
        (traps / name / "__init__.py").write_text("import os\nos._exit(9)\n")
    command = [str(Path(sys.executable).with_name("radius-mfa")), "--config", str(config), "serve"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=traps) as server:
        assert server.stderr is not None
        assert '"event": "ready"' in server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        assert server.wait(_PATIENCE) == 0


def test_a_port_that_somebody_has_is_said_before_anything_is_started(folder: Folder, taken: int) -> None:
    done = serve(crewed(folder, listen=f"127.0.0.1:{taken}"))

    assert done.returncode == 2
    assert done.stderr.startswith(f"{folder.file}:2: ")
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {taken}: Address already in use; stop what listens" in done.stderr
    assert not (folder.path / "state.db").exists()


def test_what_the_first_process_cannot_do_is_said_once_and_ends_all(folder: Folder) -> None:
    config = crewed(folder)
    (folder.path / "key").unlink()
    done = serve(config)

    assert done.returncode == 1
    assert done.stderr.startswith(f"radius-mfa: {folder.path}/key: there is no key file")
    assert done.stderr.count("\n") == 1


def test_what_only_workers_cannot_do_ends_all(folder: Folder) -> None:
    """The audit file is the workers': each of them has a line to say of it, at most."""
    done = serve(crewed(folder, more="audit: {file: no/such/audit.jsonl}\n"))

    assert done.returncode == 2
    assert set(done.stderr.splitlines()) == {done.stderr.splitlines()[0]}
    assert "audit.file" in done.stderr
