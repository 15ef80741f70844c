"""A real rsyslogd, listening over UDP, TCP and a local socket of its own."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.ports import free_port

_PATIENCE = 20.0  # seconds
# What was received, a line each, tabs between; how it came says which input took it.
_CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="{folder}/log" CreatePath="off")
input(type="imudp" address="127.0.0.1" port="{port}")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="said" type="string" string="{template}")
action(type="ompipe" Pipe="{folder}/said" template="said")
"""
_SAID = (
    *(
        "inputname",
        "syslogfacility-text",
        "syslogseverity-text",
        "app-name",
        "procid",
        "msgid",
        "protocol-version",
    ),
    *("timestamp:::date-rfc3339", "msg"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """A message as rsyslog has understood it."""

    by: str
    facility: str
    severity: str
    app_name: str
    procid: str
    msgid: str
    version: str
    timestamp: str
    message: str


class Rsyslog:
    """Where it listens: `port` for UDP and TCP, `path` for what is local."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.path = folder / "log"
        os.mkfifo(folder / "said")
        # Open to write as well, or it would end whenever rsyslog does.
        self._said = os.open(folder / "said", os.O_RDWR | os.O_CLOEXEC)
        self._rest = b""

    def close(self) -> None:
        os.close(self._said)

    @contextmanager
    def running(self) -> Iterator[None]:
        """From when it listens; it may be started again."""
        template = "\\t".join(f"%{each}%" for each in _SAID) + "\\n"
        configuration = self.folder / "rsyslog.conf"
        configuration.write_text(_CONFIGURATION.format(folder=self.folder, port=self.port, template=template))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notify = self.folder / "notify"
            notify.unlink(missing_ok=True)
            notified.bind(str(notify))
            notified.settimeout(_PATIENCE)
            process = subprocess.Popen(
                ["/usr/sbin/rsyslogd", "-n", "-f", configuration, "-i", self.folder / "pid"],
                env={"NOTIFY_SOCKET": str(notify), "PATH": os.defpath},
            )
            try:
                while b"READY=1" not in notified.recv(4096):
                    pass
                yield
            finally:
                process.terminate()
                process.wait(_PATIENCE)

    def next(self) -> Said:
        """The next message; TimeoutError if there is none."""
        while b"\n" not in self._rest:
            if not select.select([self._said], [], [], _PATIENCE)[0]:
                raise TimeoutError
            self._rest += os.read(self._said, 1 << 16)
        line, self._rest = self._rest.split(b"\n", 1)
        return Said(*line.decode().split("\t"))
