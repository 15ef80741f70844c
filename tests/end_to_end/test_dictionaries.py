"""Attributes of a dictionary file of the administrator's own: in what is returned, and in what `login` shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from radius_mfa.directories.static import hash_password
from tests.cli.support import Ran, run_cli
from tests.peers.server import Server

ACME = "VENDOR Acme 60000\nATTRIBUTE Acme-Role 1 string Acme\n"
YAML = """\
listen:
  - udp: 127.0.0.1:0
workers: {workers}
clients:
  - {{name: here, address: 127.0.0.1, secret: 0123456789abcdef}}
directory:
  static:
    users:
      - {{username: alice, password: "{password}"}}
dictionaries: dictionary.acme
storage: sqlite:///state.db
key_file: key
policies:
  - name: here
    when: {{client: here}}
    second_factor: never
    reply: {{Acme-Role: staff}}
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_are_returned_and_shown_and_a_reload_reads_them_anew(tmp_path: Path, workers: int) -> None:
    config, dictionary = tmp_path / "radius-mfa.yaml", tmp_path / "dictionary.acme"
    config.touch(0o600)
    config.write_text(YAML.format(workers=workers, password=hash_password("correct horse")))
    dictionary.write_text(ACME)
    run_cli("--config", config, "keys", "init").worked()
    with Server(config) as server:
        assert "    Acme-Role = staff" in login(server, config).out.splitlines()

        dictionary.write_text(ACME.replace("Role 1", "Role 2"))
        server.reload()
        server.wait_for("reloaded")
        assert "    Acme-Role = staff" in login(server, config).out.splitlines()
        dictionary.write_text(ACME)  # what is shown is by number: it was written as 2
        assert "    Attr-26.60000.2 = 0x7374616666" in login(server, config).out.splitlines()

        dictionary.write_text(f"{ACME}ATTRIBUTE Acme-Flag 3 bool Acme\nXq9z3Rk2LmVpTb71aa\n")
        server.reload()
        server.wait_for("reload_refused")
        lines = [record["line"] for record in server.log]
        assert all(line.startswith("{") and "Xq9z3Rk2" not in line for line in lines), lines

        dictionary.write_text(ACME.replace("string", "text"))
        server.reload()
        server.wait_for("reload_refused")
        dictionary.write_text(ACME)
        assert "    Attr-26.60000.2 = 0x7374616666" in login(server, config).out.splitlines()


def login(server: Server, config: Path) -> Ran:
    where = ("--server", f"127.0.0.1:{server.port}", "--secret", "0123456789abcdef")
    return run_cli("--config", config, "login", "alice", *where, "--password", "correct horse").worked()
