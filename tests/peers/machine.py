"""A Debian of our own: what is written to /etc, our folders and /var/log goes to another folder; /run is empty.

    machine = Machine(folder)
    machine.run("useradd …", cwd=…)

It takes root, or sudo.  Everything that a command has started ends with it; what it has written stays.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SYSTEMCTL = Path(__file__).with_name("systemctl.py")
_OURS = ("opt/radius-mfa", "var/lib/radius-mfa", "var/log")  # of ours alone, and empty at first

# /opt and /var/lib keep what else is there.
_BEGIN = """
set -eu
keep() {
    mkdir -p "$FOLDER/was$1"
    mount --rbind "$1" "$FOLDER/was$1"
    mount -t tmpfs -o mode=0755 none "$1"
    for each in "$FOLDER/was$1"/*; do
        [ -d "$each" ] || continue
        mkdir "$1/${each##*/}"
        mount --rbind "$each" "$1/${each##*/}"
    done
}
mount --bind "$FOLDER/etc" /etc
for top in /opt /var/lib; do
    keep $top
    mkdir -p $top/radius-mfa
    mount --bind "$FOLDER$top/radius-mfa" $top/radius-mfa
done
mount --bind "$FOLDER/var/log" /var/log
mount -t tmpfs -o mode=0755 none /run
install -d -o freerad -g freerad /run/freeradius /var/log/freeradius
install -m 0755 "$SYSTEMCTL" /run/systemctl.py
mkdir /run/bin
printf '#!/bin/sh\\nexec /usr/bin/python3 -I /run/systemctl.py "$@"\\n' > /run/bin/systemctl
chmod 0755 /run/bin/systemctl
"""
_LOOPBACK = """
/usr/bin/python3 -I -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 0x41))'  # netdevice(7): SIOCSIFFLAGS
"""


class Machine:
    """`folder`: where it keeps what it writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for each in _OURS:
            (folder / each).mkdir(parents=True)
        _run("cp", "-a", "/etc", folder)

    def like(self, folder: Path) -> Machine:
        """Another one, as this one is now; both have one /opt."""
        other = Machine(folder)
        _run("rm", "-r", folder / "etc", folder / "opt")
        _run("cp", "-a", self._folder / "etc", folder)
        (folder / "opt").symlink_to(self._folder / "opt")
        return other

    def run(self, commands: str, cwd: Path, *, networked: bool = False) -> str:
        """Run them as root, as a shell does, to the first that fails; what they have printed.

        `networked`: with the network that there is, in place of one of its own, which has loopback alone.
        """
        own = ("--mount", "--pid", "--fork", "--kill-child", *(() if networked else ("--net",)))
        text = _BEGIN + ("" if networked else _LOOPBACK) + "export PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        environment = {
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))},
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "FOLDER": str(self._folder),
            "SYSTEMCTL": str(_SYSTEMCTL),
        }
        words = [f"{name}={value}" for name, value in environment.items()]
        done = subprocess.run(
            [*_become(), "env", "-i", *words, "unshare", *own, "bash", "-c", f"{text}cd {cwd}\n{commands}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def _become() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("sudo", "-n")


def _run(*command: str | Path) -> None:
    subprocess.run([*_become(), *command], check=True)
