"""What is given away: the wheel and the sdist are whole, and say what they bring along and under which licence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

import radius_mfa

ROOT = Path(__file__).parent.parent
# What may be used beside MIT: permissive ones, MPL and LGPL.  As SPDX has them, or the classifiers of PyPI.
LICENCES = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "LGPL-3.0-only",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "License :: OSI Approved :: Apache Software License",
    "License :: OSI Approved :: BSD License",
    "License :: OSI Approved :: MIT License",
}


@pytest.fixture(scope="module")
def given_away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make dist` fills, with the environment that the wheel was installed into."""
    folder = tmp_path_factory.mktemp("dist") / "out"
    subprocess.run([ROOT / ".ci" / "dist", folder, sys.executable], check=True)
    return folder


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


# One test, so that no two processes of a run make it twice.
def test_what_is_given_away_is_whole_and_runs_outside_of_the_checkout(given_away: Path, tmp_path: Path) -> None:
    the_version_is_said_once(given_away)
    the_wheel_has_all_files_that_the_code_reads(one(given_away, "*.whl"))
    the_sdist_is_the_whole_tree(one(given_away, "*.tar.gz"))
    an_installed_wheel_logs_users_in(given_away / "installed" / "bin" / "radius-mfa", tmp_path)
    every_package_has_a_licence_that_is_allowed(one(given_away, "*.cdx.json"))
    the_sums_are_right(given_away)


def the_version_is_said_once(folder: Path) -> None:
    version = radius_mfa.__version__
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        f"radius_mfa-{version}-py3-none-any.whl",
        f"radius_mfa-{version}.tar.gz",
        f"radius_mfa-{version}.cdx.json",
        "constraints.txt",
        "SHA256SUMS",
    }
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["metadata"]["version"] == "attr: radius_mfa.__version__"
    pinned = re.compile(rf"(?<![\d.]){re.escape(version)}(?![\d.])")
    for path in [ROOT / "pyproject.toml", ROOT / "Makefile", *ROOT.glob("radius_mfa/**/*.py")]:
        if path != ROOT / "radius_mfa" / "__init__.py":
            assert not pinned.search(path.read_text()), path


def the_wheel_has_all_files_that_the_code_reads(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("config", "dictionaries", "deploy"):
        for path in files(ROOT / folder):
            assert f"radius_mfa/data/{path.relative_to(ROOT)}" in names, path
    for path in files(ROOT / "radius_mfa"):
        assert str(path.relative_to(ROOT)) in names, path
    assert not any(name.startswith(("tests/", "bench/", "docs/")) for name in names)


def the_sdist_is_the_whole_tree(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "setup.cfg", "pyproject.toml", ".ci/venv"):
        assert name in names
    for folder in ("config", "dictionaries", "deploy", "docs", "bench", "tests"):
        for path in files(ROOT / folder):
            assert str(path.relative_to(ROOT)) in names, path


def files(folder: Path) -> list[Path]:
    """Those below it that are somebody's work, without what they are linked to."""
    found = [
        Path(above) / name
        for above, _, these in os.walk(folder)
        for name in these
        if "__pycache__" not in above and not name.endswith(".pyc")
    ]
    assert found, folder
    return found


def an_installed_wheel_logs_users_in(command: Path, elsewhere: Path) -> None:
    said = subprocess.run(
        [command, "--version"], cwd=elsewhere, env={}, check=True, capture_output=True, text=True
    ).stdout
    assert said == f"radius-mfa, version {radius_mfa.__version__}\n"
    # It ends with 0 if all its logins went as they should.
    done = subprocess.run(
        [command, "demo", "--once"], cwd=elsewhere, env={"TMPDIR": str(elsewhere)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Access-Accept" in done.stdout


def every_package_has_a_licence_that_is_allowed(bill: Path) -> None:
    said: dict[str, Any] = json.loads(bill.read_text())
    assert said["bomFormat"] == "CycloneDX"
    assert "file:" not in bill.read_text()
    components = {each["name"]: licences(each) for each in said["components"]}
    assert {"radius-mfa", "pyrad", "PyOTP", "ldap3", "PyYAML", "structlog"} <= set(components)
    assert not {"pip", "pytest", "mypy"} & set(components)
    for name, these in components.items():
        assert these, name
        assert these <= LICENCES, (name, these)


def licences(component: dict[str, Any]) -> set[str]:
    """Each that it may be used under, or must be, all together."""
    found: set[str] = set()
    for each in component.get("licenses", ()):
        said = each.get("expression") or each["license"].get("id") or each["license"]["name"]
        found |= set(re.split(r" (?:AND|OR) |[()]", said)) - {"", "License :: OSI Approved"}
    return found


def the_sums_are_right(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
