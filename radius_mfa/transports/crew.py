"""What the processes of one server have in common: the sockets, and what they are to do with them.

Nothing but numbers of descriptors, which every process has inherited, and where the YAML is.  There is one
worker for each number below `workers`; the number after them is the background process's.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass

BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Listening:
    """A listener of the YAML.  `kind`: udp or radsec; `fds`: a socket for each worker, or one for all."""

    kind: str
    fds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Crew:
    """`boxes`: where each process is told something by the others, by receiving and sending end.

    `slates`: where each leaves its numbers.  `configuration`: a file in memory with `config.snapshot`'s octets.
    """

    yaml: str
    workers: int
    listeners: tuple[Listening, ...]
    metrics: int | None
    configuration: int
    boxes: tuple[tuple[int, int], ...]
    slates: tuple[int, ...]
    log_format: str

    def packed(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def unpacked(cls, text: str) -> Crew:
        data = json.loads(text)
        data["listeners"] = tuple(Listening(each["kind"], tuple(each["fds"])) for each in data["listeners"])
        data["boxes"] = tuple((receive, send) for receive, send in data["boxes"])
        data["slates"] = tuple(data["slates"])
        return cls(**data)

    def name(self, number: int) -> str:
        """What log and metrics call a process."""
        return BACKGROUND if number == self.workers else f"worker-{number}"

    def descriptors(self) -> Iterator[int]:
        """All that a process inherits, but for the configuration and its own end of the control."""
        for listener in self.listeners:
            yield from listener.fds
        if self.metrics is not None:
            yield self.metrics
        for box in self.boxes:
            yield from box
        yield from self.slates


def in_memory(name: str, octets: bytes) -> int:
    """A descriptor of a file in memory that holds these octets."""
    fd = os.memfd_create(name)
    try:
        view = memoryview(octets)
        while view:
            view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_memory(fd: int) -> bytes:
    """All of a file in memory, wherever others are in it."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def box() -> tuple[socket.socket, socket.socket]:
    """Two ends of a pair of sockets for datagrams, the second to send to the first."""
    receive, send = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receive.setblocking(False)
    send.setblocking(False)
    return receive, send
