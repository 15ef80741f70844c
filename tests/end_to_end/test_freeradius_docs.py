"""The commands of docs/freeradius.md, as they stand there, on a Debian with its own FreeRADIUS."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.peers.freeradius_inside import ROOT
from tests.peers.machine import Machine

PAGE = (ROOT / "docs" / "freeradius.md").read_text()


def commands(section: str) -> str:
    """What a section has for the shell."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks, section
    return "".join(blocks)


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our repository, of which an installation may leave something behind."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("radius_mfa", "dictionaries", "config", "deploy"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("installed"))
    machine.run(commands("Installing"), checkout, networked=True)
    return machine


def test_all_three_ways_work_as_they_are_written(installed: Machine, checkout: Path, tmp_path: Path) -> None:
    """One test, for one installation: that takes longer than all the rest."""
    with_the_login_inside(installed.like(tmp_path / "inside"), checkout)
    before_our_own_server(installed.like(tmp_path / "before"), checkout)


def with_the_login_inside(machine: Machine, checkout: Path) -> None:
    said = machine.run(commands("Inside") + "echo TUNNEL\n" + commands("In the tunnel"), checkout)
    inside, _, tunnel = said.rpartition("TUNNEL\n")
    assert "Received Access-Accept" in inside, said
    assert "Class = 0x" + b"everybody".hex() in inside
    assert "accepted" in inside.rpartition("Received")[2]
    assert "Access-Accept" in tunnel, said
    slip = "sed -i s/policies:/polices:/ /etc/radius-mfa/freeradius.yaml\n! freeradius -C -l stdout\n"
    assert "radius_mfa: /etc/radius-mfa/freeradius.yaml:9: polices: unknown key" in machine.run(slip, checkout)


def before_our_own_server(machine: Machine, checkout: Path) -> None:
    said = machine.run(commands("Before ours"), checkout)
    assert "Received Access-Accept" in said
    assert "Class = 0x" + b"everybody".hex() in said
