"""What systemd does with a unit, where there is none: start it as its file says, and wait until it runs.

    systemctl restart freeradius

A program, for `tests.peers.machine`.  It knows of `User=`, `EnvironmentFile=`, `ExecStartPre=`, `ExecStart=` and
`Type=notify`.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

_UNITS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
_RUN = Path("/run/radius-units")
_PATIENCE = 60.0  # seconds until a unit has to say that it is ready
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> None:
    match sys.argv[1:]:
        case ["daemon-reload"]:
            return
        case ["start" | "restart", *names] | ["enable", "--now", *names] if names:
            for name in names:
                _stop(name)
                _start(name)
        case ["stop", *names] if names:
            for name in names:
                _stop(name)
        case ["reload", name]:
            os.kill(int((_RUN / name).read_text()), signal.SIGHUP)
        case other:
            raise SystemExit(f"systemctl: what is {other}?")


def _unit(name: str) -> dict[str, str]:
    file = next(file for folder in _UNITS if (file := folder / f"{name}.service").exists())
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line and line[0] != "#")


def _stop(name: str) -> None:
    file = _RUN / name
    if file.exists():
        pid = int(file.read_text())
        process = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        select.select([process], [], [], _PATIENCE)  # it can be read once the process has ended
        file.unlink()


def _start(name: str) -> None:
    unit = _unit(name)
    user = unit["User"]
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", "-i", _PATH, *_values(unit)]
    if "ExecStartPre" in unit:
        subprocess.run([*become, *_words(unit["ExecStartPre"])], check=True, stdout=subprocess.DEVNULL)
    _RUN.mkdir(exist_ok=True)
    path = _RUN / f"{name}.notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        path.chmod(0o777)
        told.settimeout(_PATIENCE)
        process = subprocess.Popen(
            [*become, f"NOTIFY_SOCKET={path}", *_words(unit["ExecStart"])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        (_RUN / name).write_text(str(process.pid))
        while unit.get("Type") == "notify" and b"READY=1" not in told.recv(4096):
            pass


def _values(unit: dict[str, str]) -> list[str]:
    file = Path(unit.get("EnvironmentFile", "/dev/null").removeprefix("-"))
    return [word for line in file.read_text().splitlines() for word in shlex.split(line, comments=True)]


def _words(command: str) -> list[str]:
    return shlex.split(command.replace("$FREERADIUS_OPTIONS", ""))


if __name__ == "__main__":
    main()
