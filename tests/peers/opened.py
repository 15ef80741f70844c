"""Run a command where everybody may read what Python and this project are made of.

    unshare --mount python -m tests.peers.opened COMMAND…

On many machines Python is somewhere in root's home, and a server that has given up root could import nothing more.
In a mount namespace of its own a layer over that home has another mode; the home itself stays as it is.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import radius_mfa


def main() -> None:
    folder = Path("/mnt")  # which is there on every machine, and elsewhere stays as it is
    subprocess.run(["mount", "-t", "tmpfs", "opened", folder], check=True)
    for place in (sys.base_prefix, sys.prefix, str(Path(radius_mfa.__file__).parent)):
        for number, each in enumerate(reversed([Path(place), *Path(place).parents])):
            if not each.stat().st_mode & stat.S_IXOTH:
                _open(each, folder / str(number))
    os.execvp(sys.argv[1], sys.argv[1:])


def _open(closed: Path, folder: Path) -> None:
    upper, work = folder / "upper", folder / "work"
    for each in (folder, upper, work):
        each.mkdir()
    layers = f"lowerdir={closed},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, closed], check=True)
    closed.chmod(closed.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)


if __name__ == "__main__":
    main()
