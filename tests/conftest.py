"""What is slow to start and harmed by nobody: one site for all tests of a process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from itertools import chain, compress, groupby, islice
from operator import not_
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from tests.end_to_end.site import Site, site
from tests.peers.postgresql import end_shared

# A slow machine is no counterexample: what may take how long is a benchmark's affair.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


# Where tests start much and wait for it; most others take milliseconds.
_LONG = {"bench", "deploy", "end_to_end", "test_packaging.py"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each process begins with tests that take long, so that none has such a one left when the others are done.

    Of several, each is first given as many tests as any other, in the order they are in.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    modules = [[*module] for _, module in groupby(items, key=lambda item: item.path)]
    is_long = [not _LONG.isdisjoint(module[0].path.parts) for module in modules]
    long = [*compress(modules, is_long)]
    short = chain.from_iterable(compress(modules, map(not_, is_long)))
    ordered: list[pytest.Item] = []
    for process in range(processes):
        ordered += chain.from_iterable(long[process::processes])
        ordered += islice(short, max(0, len(items) * (process + 1) // processes - len(ordered)))
    items[:] = ordered


@pytest.fixture(autouse=True)
def _process_stays_as_it_was() -> Iterator[None]:
    """What a test leaves behind is met by whichever is the next one in this process: another one in each run."""
    before = _of_the_process()
    yield
    after = _of_the_process()
    structlog.configure(**before["log"])
    assert after == before


def _of_the_process() -> Mapping[str, Any]:
    """What there is once in a process and can be set by anybody."""
    log = structlog.get_config()
    return {
        "log": {**log, "processors": [*log["processors"]]},
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "folder": Path.cwd(),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "stdin": sys.stdin,
    }


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
