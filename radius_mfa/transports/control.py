"""What the supervisor and its processes tell each other: short objects, and now and then a descriptor."""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any

_LONGEST = 128 * 1024  # octets of a message; the kernel's own limit is above it
_FD = array.array("i").itemsize

Message = dict[str, Any]


class Control:
    """One end.  A message comes whole or not at all (SOCK_SEQPACKET, unix(7))."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Control, socket.socket]:
        """An end for here, and one to be inherited."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(here), there

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: Message, fd: int | None = None) -> None:
        """Whoever has gone hears no more, and needs to hear nothing."""
        octets = json.dumps(message).encode()
        if len(octets) > _LONGEST:
            raise ValueError("a message of the control is too long")
        ancillary = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        try:
            self._sock.sendmsg((octets,), ancillary)
        except (BrokenPipeError, ConnectionError, BlockingIOError):
            return

    def receive(self) -> tuple[Message, int | None] | None:
        """The next message with the descriptor that came with it; None where the other end has gone.

        Raises BlockingIOError where there is none yet.
        """
        try:
            octets, ancillary, _, _ = self._sock.recvmsg(_LONGEST, socket.CMSG_SPACE(_FD), socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return None
        if not octets:
            return None
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data[: len(data) // _FD * _FD])
        for extra in fds[1:]:
            os.close(extra)
        return json.loads(octets), fds[0] if fds else None

    def close(self) -> None:
        self._sock.close()
