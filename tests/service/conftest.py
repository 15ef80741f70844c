"""One certificate for all tunnels of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.certificates import Authority


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its key."""
    return Authority(tmp_path_factory.mktemp("eap") / "authority").certify("radius.example.org")
