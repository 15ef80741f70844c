"""One slapd for all tests that only read, and both event loops for what depends on one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from tests.directories.support import Play, Run
from tests.peers.slapd import Slapd


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    with Slapd() as running:
        yield running


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_in_loop(play: Play) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(play(), 30))

    return run_in_loop
