"""What all commands have in common: where the configuration is, how they end."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from radius_mfa import __version__
from radius_mfa.cli.main import ended
from tests.cli.support import run_cli, run_process

# The module, beside the command of the same name that is in it.
serve = importlib.import_module("radius_mfa.cli.serve")

COMMANDS = (
    "audit",
    "backup",
    "check",
    "clients",
    "demo",
    "device",
    "explain",
    "hash",
    "init",
    "keys",
    "login",
    "portal",
    "restore",
    "serve",
    "token",
    "user",
)


def test_it_runs_as_a_module_too() -> None:
    ran = run_process("--version")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"radius-mfa, version {__version__}\n"


@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_names_every_command(asked: str) -> None:
    _, _, listed = run_cli(asked).worked().out.partition("Commands:\n")
    assert tuple(re.findall(r"^  (\w+)", listed, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_takes_a_configuration(command: str) -> None:
    assert run_cli(command, "--help").worked().err == ""
    assert command == "demo" or "--config FILE" in run_cli(command, "--help").out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nothing-such",),
        ("--nothing-such",),
        ("check", "too", "much"),
        ("check", "--config"),
        ("user",),
        ("user", "show"),
        ("user", "nothing-such"),
        ("token", "import"),
        ("login", "alice", "--timeout", "0"),
        ("login", "alice", "--timeout", "soon"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_2(arguments: tuple[str, ...]) -> None:
    line = run_cli(*arguments).line(2)
    assert line.startswith("radius-mfa")
    assert line.endswith("--help'.")


def test_the_configuration_may_stand_before_and_after_the_verb(config: Path) -> None:
    for arguments in (("--config", config, "check"), ("check", "--config", config)):
        assert run_cli(*arguments).worked().out == f"{config}: ok\n"
    for words in (("--config", config, "user", "show"), ("user", "--config", config, "show")):
        assert run_cli(*words, "Alice").worked().out
    assert run_cli("user", "show", "Alice", "--config", config).worked().out


def test_the_last_one_said_counts(config: Path) -> None:
    assert run_cli("--config", "nowhere.yaml", "check", "--config", config).status == 0


def test_the_environment_names_it_where_the_command_line_does_not(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RADIUS_MFA_CONFIG", str(config))
    assert run_cli("check").worked().out == f"{config}: ok\n"
    assert run_cli("check", "--config", "nowhere.yaml").line(2).startswith("nowhere.yaml: ")
    monkeypatch.setenv("RADIUS_MFA_CONFIG", "/nowhere/else.yaml")
    assert run_cli("check").line(2) == "/nowhere/else.yaml: cannot be read: No such file or directory"
    # Set to nothing, it says nothing.
    monkeypatch.setenv("RADIUS_MFA_CONFIG", "")
    assert run_cli("check", "--config", config).status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("serve",),
        ("keys", "init"),
        ("user", "show", "alice"),
        ("user", "enrol", "alice"),
        ("user", "mail", "alice", "alice@example.net"),
        ("user", "list"),
        ("user", "voucher", "alice"),
        ("user", "recovery-codes", "alice"),
        ("device", "list"),
        ("token", "import", "tokens.csv"),
        ("login", "alice", "--password", "x"),
    ],
)
def test_every_command_says_at_once_all_that_is_wrong_with_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("clients: []\nnothing: such\n")
    ran = run_cli("--config", path, *arguments)
    assert ran.status == 2
    lines = ran.err.splitlines()
    assert f"{path}:1: clients: must not be empty" in lines
    assert lines[-1].startswith(f"{path}:2: nothing: unknown key")
    assert all(line.startswith(f"{path}:1: ") for line in lines[:-1])


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    command = [sys.executable, "-m", "radius_mfa", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert done.stderr == "radius-mfa: No space left on device\n"


def test_a_mistake_of_ours_is_one_line_with_its_place_and_nothing_of_what_it_was_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> None:
        raise KeyError("the secret it choked on")

    assert ended(broken) == 1
    line = capsys.readouterr().err.strip()
    assert re.fullmatch(
        r"radius-mfa: internal error: KeyError at .*test_main\.py:\d+; please report this line", line
    )
