"""`radius-mfa hash`: a password for an account in the YAML."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from argon2 import PasswordHasher

from tests.cli.support import run_process


@pytest.mark.parametrize("typed", ["correct horse\n", "パスワード\r\n", "no line end"])
def test_what_is_printed_verifies_the_password_and_nothing_else(typed: str) -> None:
    hashed = run_process("hash", typed=typed).worked().out.strip()

    assert PasswordHasher().verify(hashed, typed.rstrip("\r\n"))
    assert "\n" not in hashed


def test_a_byte_order_mark_is_not_part_of_the_password() -> None:
    hashed = run_process("hash", typed="\ufeffcorrect horse\n").worked().out.strip()

    assert PasswordHasher().verify(hashed, "correct horse")


def test_where_standard_input_is_closed_it_is_told() -> None:
    command = f"{sys.executable} -m radius_mfa hash <&-"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith("standard input is closed: there is no password to read\n")


@pytest.mark.parametrize("typed", ["", "\n", "p" * 129 + "\n", "a\tb\n"])
def test_what_no_user_could_type_is_refused(typed: str) -> None:
    """RFC 2865 §5.2: 128 octets at most."""
    assert run_process("hash", typed=typed).line(1).startswith("a password has 1 to 128 octets of UTF-8")


def test_on_a_terminal_it_is_asked_for_twice_and_not_shown() -> None:
    pid, terminal = pty.fork()
    if not pid:  # the child
        os.execv(sys.executable, [sys.executable, "-m", "radius_mfa", "hash"])
    shown = b""
    for asked in (b"Password: ", b"Repeat for confirmation: "):
        while not shown.endswith(asked):
            shown += os.read(terminal, 1024)
        os.write(terminal, b"correct horse\n")
    try:
        while more := os.read(terminal, 1024):
            shown += more
    except OSError:  # the end of a terminal, on Linux
        pass
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0

    assert b"correct horse" not in shown
    assert PasswordHasher().verify(shown.decode().split()[-1], "correct horse")
