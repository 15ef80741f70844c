"""The supervisor's lines of the log look like those of its processes, which structlog writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.transports.crew import in_memory, read_memory
from radius_mfa.transports.voice import Voice

# What structlog is set to is set for all of a process, so both speak in one of their own.
PROGRAM = """
import json, sys, structlog
from radius_mfa.observe.logging import configure
from radius_mfa.transports.voice import Voice
form, level, event, fields = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
configure(form, "info")
getattr(structlog.get_logger(), level)(event, **fields)
Voice(form).say(level, event, **fields)
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
SAID: list[dict[str, Any]] = [
    {"process": "worker-1", "pid": 42, "how": "Killed"},
    {"listen": [["::1", 1812]], "policies": 3, "workers": 2},
    {
        "problems": ["radius-mfa.yaml:3: is wrong", "two\nlines", "日本"],
        "note": "stays as it was",
        "error": "a\nb",
    },
    {"changes": ["it's", 'a "b"'], "key": "a=b", "empty": ""},
]


def both(form: str, level: str, event: str, fields: dict[str, Any]) -> list[str]:
    """What structlog says of it, and what the voice does."""
    command = [sys.executable, "-c", PROGRAM, form, level, event, json.dumps(fields)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return COLOURS.sub("", done.stderr).splitlines()


@pytest.mark.parametrize(("level", "fields"), [("info", SAID[1]), ("error", SAID[2])])
def test_in_json_it_has_the_keys_and_values_that_all_lines_have(level: str, fields: dict[str, Any]) -> None:
    theirs, ours = map(json.loads, both("json", level, "process_ended", fields))

    assert TIME.fullmatch(theirs.pop("timestamp"))
    assert TIME.fullmatch(ours.pop("timestamp"))
    assert ours == theirs == {"event": "process_ended", "level": level, **fields}


@pytest.mark.parametrize("fields", SAID)
def test_on_a_console_it_is_the_line_that_the_others_write_but_for_colours(fields: dict[str, Any]) -> None:
    theirs, ours = (line.split(" ", 1) for line in both("console", "info", "ready", fields))

    assert TIME.fullmatch(theirs[0])
    assert TIME.fullmatch(ours[0])
    assert ours[1].rstrip() == theirs[1].rstrip()


def test_the_time_is_that_of_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    before = datetime.now(UTC)
    Voice("json").say("info", "ready")
    said = datetime.fromisoformat(json.loads(capfd.readouterr().err)["timestamp"])

    assert before <= said <= datetime.now(UTC)


def test_the_form_may_change_with_a_reload(capfd: pytest.CaptureFixture[str]) -> None:
    voice = Voice("console")
    voice.say("info", "ready")
    voice.form = "json"
    voice.say("info", "reloaded")
    console, as_json = capfd.readouterr().err.splitlines()

    assert "ready" in console
    assert json.loads(as_json)["event"] == "reloaded"


def test_a_log_that_nobody_reads_is_no_reason_to_end() -> None:
    program = (
        "import os; from radius_mfa.transports.voice import Voice; Voice('json').say('info', 'a'); os._exit(7)"
    )
    nobody, log = os.pipe()
    os.close(nobody)
    try:
        assert subprocess.run([sys.executable, "-c", program], stderr=log, check=False, timeout=30).returncode == 7
    finally:
        os.close(log)


@given(form=st.sampled_from(["json", "console"]), text=st.text())
def test_whatever_is_said_is_one_line(form: str, text: str) -> None:
    log = in_memory("log", b"")
    try:
        Voice(form, log).say("error", "reload_refused", problems=[text], error=text)
        written = read_memory(log).decode()
    finally:
        os.close(log)

    assert written.splitlines() == [written.removesuffix("\n")]


def test_a_log_that_is_full_and_not_read_is_not_waited_for() -> None:
    reading, log = os.pipe()
    try:
        os.set_blocking(log, False)
        with suppress(BlockingIOError):
            while os.write(log, bytes(4096)):
                pass
        os.set_blocking(log, True)
        Voice("json", log).say("info", "reloaded", changes=["x" * 10_000])
    finally:
        os.close(reading)
        os.close(log)
