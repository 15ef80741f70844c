"""A configuration that needs no server, no directory of others, and nothing of the machine's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from radius_mfa.directories.static import hash_password
from tests.cli.explaining import OLD_POLICIES, POLICIES
from tests.cli.support import rewritten, run_cli

YAML = """\
listen:
  - udp: "[::1]:0"
clients:
  - name: here
    address: ["127.0.0.1", "::1"]
    secret: a secret of twenty or so
directory:
  static:
    users:
      - {{username: Alice, password: "{password}"}}
      - {{username: bob, password: "{password}"}}
      - {{username: gone, password: "{password}", active: false}}
factors:
  totp: {{issuer: Example}}
storage: sqlite:////{folder}/state.db
key_file: key
policies:
  - name: here
    when: {{client: here}}
    second_factor: required
"""


@pytest.fixture(scope="session")
def password() -> str:
    return hash_password("correct horse")


@pytest.fixture
def config(tmp_path: Path, password: str) -> Path:
    """A configuration with its key, which is in nobody's way."""
    path = tmp_path / "radius-mfa.yaml"
    path.touch(0o600)  # there is a secret in it
    path.write_text(YAML.format(folder=str(tmp_path).lstrip(os.sep), password=password))
    run_cli("--config", path, "keys", "init").worked()
    return path


@pytest.fixture
def site(config: Path) -> Path:
    """A configuration with several policies; Alice is of the staff, bob is in no group."""
    rewritten(config, 'username: Alice, password: "', 'username: Alice, groups: [staff], password: "')
    rewritten(config, "    secret: a secret", "    station: mac\n    secret: a secret")
    return rewritten(config, OLD_POLICIES, f"contact: Ask at the counter\n{POLICIES}")
