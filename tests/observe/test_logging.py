"""The log, as a process of its own writes it: what is set here is set for all of a process."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from radius_mfa.observe.logging import configure_elsewhere

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


@pytest.fixture
def _as_before() -> Iterator[None]:
    """What is set for all of a process is set back."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Those that are there are closed by whoever takes their place.
    root.handlers[:] = []
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_as_before")
class TestElsewhere:
    """The log of a program that we are inside of."""

    def said(self, level: str) -> list[tuple[str, str]]:
        said: list[tuple[str, str]] = []
        configure_elsewhere(lambda *line: said.append(line), level)
        log = structlog.get_logger()
        log.debug("details", of="it")
        log.info("ready", listeners=["127.0.0.1:1812"], since=1.5)
        log.warning("odd", client="vpn\nforged\x1b[31m z\u00fcrich \u2028", note="")
        log.warning("cut", client="vpn", note="raise it")
        log.error("broken")
        log.critical("over")
        return said

    def test_a_line_goes_with_its_level_in_words(self) -> None:
        assert self.said("debug") == [
            ("debug", "details: of=it"),
            ("info", "ready: listeners=['127.0.0.1:1812'], since=1.5"),
            ("warning", "odd: client=vpn\\nforged\\x1b[31m z\u00fcrich \\u2028"),
            ("warning", "cut: client=vpn: raise it"),
            ("error", "broken"),
            ("critical", "over"),
        ]

    @pytest.mark.parametrize(("level", "lines"), [("debug", 6), ("info", 5), ("warning", 4), ("error", 2)])
    def test_the_level_is_the_lowest_that_is_said(self, level: str, lines: int) -> None:
        assert len(self.said(level)) == lines

    def test_the_last_who_is_told_to_listen_listens_alone(self) -> None:
        first = self.said("error")
        second = self.said("error")
        logging.getLogger("library").warning("worry")

        assert len(first) == 2
        assert second[2:] == [("warning", "library: worry")]

    def test_libraries_are_heard_from_warnings_on_and_on_one_line(self) -> None:
        said: list[tuple[str, str]] = []
        configure_elsewhere(lambda *line: said.append(line), "debug")
        library = logging.getLogger("library")
        library.info("chatter")
        library.warning("worry about %s", "vpn\nforged")
        library.error("failed")
        library.critical("over")

        assert said == [
            ("warning", "library: worry about vpn\\nforged"),
            ("error", "library: failed"),
            ("error", "library: over"),
        ]
