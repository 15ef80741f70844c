"""`radius-mfa demo`."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys

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


def test_it_stays_up_until_it_is_interrupted_and_says_how_to_log_in() -> None:
    command = [sys.executable, "-u", "-m", "radius_mfa", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
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
            demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=30)
    assert err.strip() == ""
