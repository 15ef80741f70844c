"""What the image has of ours, made once for all tests of a process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.images import IMAGE, ROOT, stages


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, built of what the Containerfile copies and of nothing else."""
    folder = tmp_path_factory.mktemp("image")
    for name in stages(IMAGE)[0].copied():
        source, target = ROOT / name, folder / "src" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    wheel: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        folder / "src",
    ]
    subprocess.run(wheel, check=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "package")
    return folder / "package"
