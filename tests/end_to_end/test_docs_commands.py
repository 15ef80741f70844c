"""Every command of the documentation: what stands in blocks for the shell is run, what stands in prose exists."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from radius_mfa.cli.main import app
from tests.end_to_end import systemd_story
from tests.end_to_end.pages import ROOT, blocks, comments, pages, without_blocks
from tests.end_to_end.reader import ELSEWHERE, installation, is_for_somebody_else, reader
from tests.end_to_end.walks import WALKS, Walk
from tests.peers.machine import Machine

# What others call a block for the shell; the first is one that does not say what it is.
_OTHER_NAMES = ("", "bash", "console", "shell", "shell-session")
# One that is indented is what something has printed.
_COMMAND = re.compile(r"^(?:\$|sudo|radius-mfa|make|pip|systemctl|docker|podman|kubectl) ", re.MULTILINE)
_IN_PROSE = re.compile(r"`(?:radius-mfa|mfa|make)\s[^`]+`")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One for all processes of pytest: whoever is first makes it, and the others wait."""
    ours = tmp_path_factory.getbasetemp()
    folder = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    with (folder / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return installation(folder / "installed", lambda: _checkout(tmp_path_factory.mktemp("checkout")))


def _checkout(folder: Path) -> Path:
    """Our repository, of which an installation may leave something behind."""
    for name in ("radius_mfa", "dictionaries", "config", "deploy"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.follow.__name__)
def test_a_page_that_is_followed_to_the_letter_leads_where_it_says(
    walk: Walk, installed: Machine, tmp_path: Path
) -> None:
    with reader(walk.page, tmp_path, installed, walk.neighbours) as it:
        walk.follow(it)

    left = [str(block) for block in walk.blocks() if block not in it.followed]
    assert not left, f"{walk.follow.__name__} has not run {left}"


@pytest.mark.parametrize("page", pages())
def test_every_block_for_the_shell_is_run(page: str) -> None:
    run = {block for walk in WALKS if walk.page == page for block in walk.blocks()} | {*systemd_story.FOLLOWED}

    left = [str(block) for block in blocks(page, "sh") if block not in run and not is_for_somebody_else(block)]

    assert not left, f"nobody runs {left}: have a walk of tests/end_to_end/walks.py follow them"


@pytest.mark.parametrize("page", pages())
def test_a_command_stands_in_no_other_block(page: str) -> None:
    for block in blocks(page):
        assert block.language not in _OTHER_NAMES, f"{block}: say ```sh, ```text, or what else it is"
        found = _COMMAND.search(block.text) if block.language == "text" else None
        assert not found, f"{block}: {found and found[0]!r} is for the shell: ```sh"


def test_what_is_run_elsewhere_is_there() -> None:
    for command, test in ELSEWHERE.items():
        assert (ROOT / "tests" / f"{test}.py").is_file(), command
        assert any(command in block.text for page in pages() for block in blocks(page, "sh")), command


@pytest.mark.parametrize("file", [*pages(), *sorted(map(str, comments()))])
def test_a_command_in_prose_exists(file: str) -> None:
    for found in _IN_PROSE.findall(without_blocks(file)):
        first, *words = shlex.split(found.strip("`").replace("'", "’"), comments=True)
        if first == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), found
        else:
            assert not unknown(words), f"{file}: {found}: {unknown(words)} is unknown"


def unknown(words: list[str]) -> list[str]:
    """Which words of a command line are no command and no option, as far as they stand where one has to."""
    command: click.Command = app
    options, wrong = set(_options(app)), []
    for word in words:
        if word.startswith("-"):
            wrong += [] if word.partition("=")[0] in options else [word]
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return wrong if word == "…" else [*wrong, word]
            command, options = found, options | set(_options(found))
    return wrong


def _options(command: click.Command) -> list[str]:
    return [name for parameter in command.get_params(click.Context(command)) for name in parameter.opts]
