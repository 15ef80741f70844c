"""A Debian of our own: what is written to /etc, our folders and /var/log goes to another folder; /run is empty.

    machine = Machine(folder)
    machine.run("useradd …", cwd=…)

It takes root, or sudo.  Everything that a command has started ends with it; what it has written stays.
`tests.peers.shell` sits down at one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
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
export PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
# netdevice(7): SIOCSIFFLAGS; then SIOCSIFADDR and SIOCSIFNETMASK, for an address that examples have for a server.
_LOOPBACK = """
/usr/bin/python3 -I -c 'import fcntl, socket, struct
control = socket.socket()
def set(what, name, form, *values): fcntl.ioctl(control, what, struct.pack("16s" + form, name, *values))
def address(text): return socket.AF_INET, socket.inet_aton(text)
set(0x8914, b"lo", "H22x", 0x41)
for at, text in enumerate(("192.0.2.1", "192.0.2.2", "192.0.2.10")):
    set(0x8916, b"lo:%d" % at, "H2x4s16x", *address(text))
    set(0x891C, b"lo:%d" % at, "H2x4s16x", *address("255.255.255.255"))'
"""


class Machine:
    """`folder`: where it keeps what it writes; it is made, unless it is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.exists():
            for each in _OURS:
                (folder / each).mkdir(parents=True)
            as_root("cp", "-a", "/etc", folder)

    def like(self, folder: Path) -> Machine:
        """Another one, as this one is now; both have one /opt."""
        other = Machine(folder)
        as_root("rm", "-r", folder / "etc", folder / "opt")
        as_root("cp", "-a", self.folder / "etc", folder)
        (folder / "opt").symlink_to(self.folder / "opt")
        return other

    def command(
        self, text: str, cwd: Path, *, networked: bool = False, beside: int | None = None
    ) -> Sequence[str]:
        """What has bash run a text there, as root, to the first command that fails.

        `networked`: with the network that there is, in place of one of its own, which has loopback alone.
        `beside`: the id of a process of another machine, whose network it shares.
        """
        own = ("--mount", "--pid", "--fork", "--kill-child")
        alone = not networked and beside is None
        environment = {
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))},
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "FOLDER": str(self.folder),
            "SYSTEMCTL": str(_SYSTEMCTL),
        }
        words = [f"{name}={value}" for name, value in environment.items()]
        joined = () if beside is None else ("nsenter", f"--net=/proc/{beside}/ns/net")
        unshared = ("unshare", *own, *(("--net",) if alone else ()))
        begin = _BEGIN + (_LOOPBACK if alone else "")
        return [*_become(), "env", "-i", *words, *joined, *unshared, "bash", "-c", f"{begin}cd {cwd}\n{text}"]

    def run(self, commands: str, cwd: Path, *, networked: bool = False) -> str:
        """Run them, of which none asks for anything; what they have printed."""
        done = subprocess.run(
            self.command(commands, cwd, networked=networked),
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


def as_root(*command: str | Path) -> None:
    """Run it here, not at a machine."""
    subprocess.run([*_become(), *command], check=True)
