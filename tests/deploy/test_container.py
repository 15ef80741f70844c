"""What goes into the image.  `.ci/container` builds it for real, and test_compose.py runs what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.deploy.images import IMAGE, ROOT, stages

BUILT, RUN = stages(IMAGE)


def files(folder: Path) -> set[Path]:
    """What there is of the package, what its links lead to as well; of deploy/ nothing, whose images these are."""
    found = (
        Path(at) / name for at, _, names in os.walk(folder / "radius_mfa", followlinks=True) for name in names
    )
    there = {path.relative_to(folder) for path in found if path.suffix != ".pyc"}
    return {path for path in there if not path.is_relative_to("radius_mfa/data/deploy")}


def test_it_has_all_of_the_package(package: Path) -> None:
    assert files(package) == files(ROOT)


def test_nothing_but_the_package_goes_into_it() -> None:
    """A YAML, a key file or a .venv that lies in the checkout stays there."""
    described = {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"}

    assert set(BUILT.copied()) == described | {"config", "dictionaries", "radius_mfa"}
    assert RUN.all("COPY") == ["--from=build /opt/radius-mfa /opt/radius-mfa"]


def test_it_runs_as_a_number_that_is_not_root_and_through_no_shell() -> None:
    uid, gid = map(int, RUN.one("USER").split(":"))

    assert uid > 0
    assert gid > 0
    assert RUN.command("ENTRYPOINT") == ["radius-mfa"]
    assert RUN.command("CMD") == ["serve"]
    assert RUN.one("STOPSIGNAL") == "SIGTERM"
