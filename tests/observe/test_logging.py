"""The log, as a process of its own writes it: what is set here is set for all of a process."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, structlog
from radius_mfa.observe.logging import configure
configure(sys.argv[1], sys.argv[2], **dict(each.split("=") for each in sys.argv[3:]))
log = structlog.get_logger()
log.debug("details")
log.info("ready", listeners=["127.0.0.1:1812"])
log.warning("odd", client="vpn\\nforged")
logging.getLogger("library").info("chatter")
logging.getLogger("library").warning("worry")
"""


def written(form: str, level: str, *always: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, form, level, *always]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_is_an_object_a_line_with_time_and_level() -> None:
    *lines, library = written("json", "info")
    ready, odd = map(json.loads, lines)

    assert ready.pop("timestamp").endswith("Z")
    assert ready == {"event": "ready", "level": "info", "listeners": ["127.0.0.1:1812"]}
    assert odd["client"] == "vpn\nforged"
    assert library == "WARNING library worry"


@pytest.mark.parametrize(("level", "events"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_is_the_lowest_that_is_shown(level: str, events: int) -> None:
    assert len(written("json", level)) == events + 1  # and the library's warning


def test_the_console_shows_the_event_and_no_forged_line() -> None:
    ready, odd, _ = written("console", "info")

    assert "ready" in ready
    assert "listeners" in ready
    assert "odd" in odd


def test_what_is_always_said_is_in_every_line_of_ours() -> None:
    ready, odd, _ = written("json", "info", "process=worker-1")

    assert [json.loads(line)["process"] for line in (ready, odd)] == ["worker-1", "worker-1"]
    assert all("worker-1" in line for line in written("console", "info", "process=worker-1")[:2])


def test_what_is_always_said_comes_before_what_a_line_says_of_itself() -> None:
    """Nothing that is logged may pass for another process."""
    ready, *_ = written("json", "info", "listeners=ours")

    assert json.loads(ready)["listeners"] == "ours"
