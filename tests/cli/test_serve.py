"""`radius-mfa serve`: how it begins, and why it does not.  What it does is in `end_to_end`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from radius_mfa import __version__
from radius_mfa.stores.key_file import create_key_file
from tests.cli.support import Ran, run_process
from tests.peers.server import Server
from tests.peers.service_manager import Manager


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def changed(config: Path, old: str, new: str) -> None:
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def serve(config: Path) -> Ran:
    return run_process("--config", config, "serve")


def test_ready_is_said_once_it_listens_and_it_ends_in_peace(config: Path) -> None:
    with Server(config) as server:
        assert server.addresses[0][0] == "::1"
        assert server.port > 0
        assert server.stop() == 0
        assert [record["event"] for record in server.log] == ["ready"]
        assert "stopped" in server.said()


def test_a_service_manager_knows_what_it_is_at(config: Path) -> None:
    """sd_notify(3): ready once it listens, alive while its event loop turns, reloading until that has ended."""
    with Manager(config.parent, watchdog=0.2) as manager:
        with Server(config, manager.environment) as server:
            known = f"{__version__}: listen [::1]:{server.port}, policies"
            assert manager.hears() == {"READY": "1", "STATUS": f"{known} 1"}
            for _ in range(3):
                manager.hears_of_life()

            text = config.read_text()
            config.write_text(
                text + text[text.index("  - name: here\n    when") :].replace("name: here", "name: there")
            )
            server.reload()
            assert manager.hears()["RELOADING"] == "1"
            assert manager.hears() == {"READY": "1", "STATUS": f"{known} 2"}

            changed(config, "name: there", "name: here")
            server.reload()
            assert manager.hears()["RELOADING"] == "1"
            refused = manager.hears()
            assert refused["READY"] == "1"
            assert refused["STATUS"].startswith(f"{known} 2; reload refused")
            assert "radius-mfa.yaml:" in refused["STATUS"]
            assert refused["STATUS"].endswith("; the log says why")
        assert manager.hears()["STOPPING"] == "1"


def test_without_a_key_it_makes_none(config: Path) -> None:
    key = config.with_name("key")
    key.unlink()
    line = serve(config).line(1)
    how = "put its copy back, or for a new store run `radius-mfa keys init`"
    assert line == f"radius-mfa: {key}: there is no key file; {how}"
    assert not key.exists()


def test_a_key_that_others_can_read_is_refused(config: Path) -> None:
    config.with_name("key").chmod(0o604)
    assert "can be read or written by others; run `chmod 600" in serve(config).line(1)


def test_a_key_file_that_is_none_is_refused(config: Path) -> None:
    config.with_name("key").write_text("the dog ate it\n")
    line = serve(config).line(1)
    assert "key:1: not a key" in line
    assert "dog" not in line


def test_another_key_than_the_stores_is_refused(config: Path) -> None:
    with Server(config):
        pass
    config.with_name("key").unlink()
    create_key_file(config.with_name("key"))
    assert ": this key file lacks key " in serve(config).line(1)


def test_a_store_without_a_folder(config: Path) -> None:
    changed(config, "/state.db", "/no/such/state.db")
    assert serve(config).line(1).endswith("no/such/state.db: its folder does not exist")


def test_an_audit_file_without_a_folder(config: Path) -> None:
    changed(config, "key_file: key", "key_file: key\naudit: {file: no/such/audit.jsonl}")
    line = serve(config).line(2)
    at = config.read_text()[: config.read_text().index("audit: ")].count("\n") + 1
    path = config.parent / "no/such/audit.jsonl"
    assert line == f"{config}:{at}: audit.file: {path}: its folder does not exist; make it"


def test_an_audit_file_that_is_a_folder(config: Path) -> None:
    changed(config, "key_file: key", "key_file: key\naudit: {file: .}")
    line = serve(config).line(2)
    assert line.startswith(f"{config}:")
    assert line.endswith(': audit.file: "." is a folder; name a file in it')


def test_a_port_in_use(config: Path, taken: int) -> None:
    changed(config, '"[::1]:0"', f"127.0.0.1:{taken}")
    line = serve(config).line(2)
    said = f"{config}:2: listen[0].udp: cannot listen on 127.0.0.1 port {taken}: Address already in use"
    assert line == f"{said}; stop what listens there, or choose another port"
    # Nor is the store touched: who has the port may be a server of an older version.
    assert not config.with_name("state.db").exists()


def test_an_address_of_another_machine(config: Path) -> None:
    changed(config, '"[::1]:0"', "192.0.2.1:1812")
    assert serve(config).line(2).endswith("cannot listen on 192.0.2.1 port 1812: Cannot assign requested address")


def test_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert serve(path).line(2) == f"{path}: cannot be read: No such file or directory"


@pytest.mark.parametrize("text", ["listen: [", "a: b: c", "\tlisten: x", "? [", "&a *b", "x" * 1_100_000])
def test_what_is_no_yaml_is_told_by_its_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    ran = serve(path)
    assert ran.status == 2
    assert ran.err
    assert all(line.startswith(f"{path}:") for line in ran.err.splitlines())


def test_what_a_thread_or_an_object_ends_with_is_said_without_its_text(config: Path) -> None:
    """A mistake that no code of ours is there to make, so this one is made in the process of the server."""
    breaks = """
import sys, threading
from radius_mfa.assembly.server import Server
from radius_mfa.cli.main import main

class Breaks:
    def __del__(self):
        raise ValueError("the secret it choked on")

def ends():
    raise KeyError("the secret it choked on")

async def start(loaded, start=Server.start):
    thread = threading.Thread(target=ends)
    thread.start()
    thread.join()
    Breaks()
    return await start(loaded)

Server.start = start
main(sys.argv[sys.argv.index("--config") :])
"""
    with Server(config, within=[sys.executable, "-c", breaks]) as server:
        said = [(record["event"], record.get("error")) for record in server.log]
        assert said == [("internal_error", "KeyError"), ("internal_error", "ValueError"), ("ready", None)]
        assert "secret" not in server.said()


def test_with_nowhere_to_listen_it_does_not_begin(config: Path) -> None:
    """`listen: []` is for what runs inside of FreeRADIUS."""
    changed(config, 'listen:\n  - udp: "[::1]:0"\n', "listen: []\n")
    what = "is empty, which is for what runs inside of FreeRADIUS; name an address to serve at"
    assert serve(config).line(2) == f"{config}:1: listen: {what}"
