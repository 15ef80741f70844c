"""What is slow to start and harmed by nobody: one site for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.end_to_end.site import Site, site
from tests.peers.postgresql import end_shared

# A slow machine is no counterexample: what may take how long is a benchmark's affair.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _postgresql_ends() -> Iterator[None]:
    """Whoever was first to need the shared PostgreSQL has started it."""
    yield
    end_shared()


@pytest.fixture(scope="session")
def university(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with its server running.  Each test logs in with users of its own."""
    with site(tmp_path_factory.mktemp("university")) as it:
        yield it
    said = it.server.said()
    assert "internal_error" not in said, said
    assert "Traceback" not in said, said
