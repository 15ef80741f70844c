"""One certificate for all tunnels of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("eap") / "authority")


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Path:
    """With its key, and those of two authorities between it and the root, so that it needs some pieces."""
    return authority.intermediate("between").intermediate("nearer").certify("radius.example.org")
