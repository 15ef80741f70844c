"""`radius-mfa hash`: a password for an account in the YAML."""

from __future__ import annotations

import subprocess
import sys

import pytest
from argon2 import PasswordHasher

from tests.cli.support import run_process
from tests.peers.terminal import Terminal


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
    with Terminal([sys.executable, "-m", "radius_mfa", "hash"]) as terminal:
        for asked in ("Password", "Repeat for confirmation"):
            terminal.answers(asked, "correct horse")
        assert terminal.ends() == 0

    assert "correct horse" not in terminal.shown
    assert PasswordHasher().verify(terminal.shown.split()[-1], "correct horse")
