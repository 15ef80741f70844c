"""What whoever has started us is told: systemd, if the unit has `Type=notify` (sd_notify(3)).

It is told in datagrams to the socket that NOTIFY_SOCKET names.  Nobody is told anything without that, and
whatever becomes of a datagram is no concern of the server's.  The portal and a server of one process tell, or the
supervisor; inside of FreeRADIUS nobody does, for that process is FreeRADIUS's.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from time import CLOCK_MONOTONIC, clock_gettime_ns

from radius_mfa import __version__

_LONGEST = 300  # characters of a status; it is one line on somebody's screen
_PLACE = re.compile(r"([^:]+\.ya?ml:\d+): ")  # what a problem of the YAML begins with


class ServiceManager:
    """`address`: of its socket, "" for nobody.  `watchdog`: seconds in which it wants to hear that we live, or 0.

    The status, a line of `systemctl status`, has what is known of the server by its names in the log.  Every user
    of the machine may read it, so it quotes nothing of a YAML: what stands where it should not may be a secret.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.alive_every = watchdog / 2  # 0: never
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._facts: dict[str, str] = {}

    @classmethod
    def found(cls, environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
        """The one that the environment names, and names no more: whatever we start has nothing to tell it."""
        names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        address, usec, pid = (environment.pop(name, "") for name in names)
        is_for_us = usec.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if is_for_us else 0.0)

    def ready(self, **facts: object) -> None:
        """Every listener is bound.  `facts`: `listen`, addresses and ports; whatever else as it is."""
        self._facts = {name: _shown(value) for name, value in facts.items()}
        self._tell("READY=1", self._status())

    def reloading(self) -> None:
        """What comes until `reloaded` or `refused` is no reason to think ill of us."""
        if self._facts:  # or it might take the end of this for the end of our start
            now = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
            self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", self._status("reading the configuration again"))

    def reloaded(self, **facts: object) -> None:
        """We work under what was read.  `facts`: those that have changed."""
        if self._facts:
            self._facts |= {name: _shown(value) for name, value in facts.items()}
            self._tell("READY=1", self._status())

    def refused(self, problems: Sequence[str]) -> None:
        """We work under what was before, because of these, of which only the place of the first is told."""
        if self._facts:
            place = _PLACE.match(problems[0])
            where = f": {place[1]}" if place else ""
            self._tell("READY=1", self._status(f"reload refused{where}; the log says why"))

    def alive(self) -> None:
        """To be said every `alive_every` seconds."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """We end what is in flight, and then ourselves."""
        self._tell("STOPPING=1", f"STATUS={__version__}: stopping")

    def _status(self, news: str = "") -> str:
        known = ", ".join(f"{name} {value}" for name, value in self._facts.items())
        line = " ".join(f"{__version__}: {known}{'; ' if news else ''}{news}".split())
        return f"STATUS={line if len(line) <= _LONGEST else line[: _LONGEST - 1] + '…'}"

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # If it does not listen it is not waited for: logins go on.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.sendto("\n".join(lines).encode(errors="replace"), self._address)


def _shown(value: object) -> str:
    """Addresses as they are written, one after another."""
    if isinstance(value, list | tuple):
        return " ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in value)
    return str(value)
