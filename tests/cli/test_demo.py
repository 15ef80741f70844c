"""`radius-mfa demo`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import run_process


def test_once_it_shows_four_logins_and_ends() -> None:
    ran = run_process("demo", "--once")
    assert ran.status == 0, ran
    assert ran.err == ""
    packets = [line[2:] for line in ran.out.splitlines() if line[:1] == "←"]
    assert packets == [
        "Access-Challenge",
        "Access-Accept",
        "Access-Challenge",
        "Access-Challenge",
        "Access-Accept",
        "Access-Challenge",
        "Access-Challenge",
        "Access-Challenge",
        "Access-Challenge",
        "Access-Challenge",
        "Access-Reject",
    ]
    assert len(re.findall(r"\d{4} \d{4}", ran.out)) == 1  # the mail itself


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_it_is_told_to_end_says_how_to_log_in_and_leaves_nothing(
    tmp_path: Path, how: signal.Signals
) -> None:
    command = [sys.executable, "-u", "-m", "radius_mfa", "demo"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, text=True) as demo:
        try:
            assert demo.stdout is not None
            said = ""
            while not (code := re.search(r"^code: (\d{6})$", said, re.MULTILINE)):
                line = demo.stdout.readline()
                assert line, said
                said += line
            try_this = re.search(r"radius-mfa (login alice .*)", said)
            assert try_this
            run_process(*shlex.split(try_this[1]), "--answer", code[1]).worked()
        finally:
            demo.send_signal(how)
        _, err = demo.communicate(timeout=30)
    assert (demo.returncode, err.strip(), list(tmp_path.iterdir())) == (0, "", [])
