"""What the processes of a server tell each other: short messages over Unix sockets, whoever sends never waits.

A message that there is no room for is lost, and whoever sends it knows; one to a process that has died is read by
its replacement.  Passwords are among what is told: it goes from memory to memory of one user's processes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import structlog

Message = dict[str, Any]
Heard = Callable[[Message], None]

_LONGEST = 65536  # octets: a packet of the longest, written out, and a reply, are a quarter of it
_AT_ONCE = 32  # messages, before others have their turn

log = structlog.get_logger()


class Neighbours:
    """The other processes, by number; `me`: our own.  `boxes`: receiving and sending end of each.

    `on(what, heard)` says who is told what comes under that name.
    """

    def __init__(self, me: int, boxes: Sequence[tuple[socket.socket, socket.socket]]) -> None:
        self.me = me
        self._boxes = boxes
        self._heard: dict[str, Heard] = {}
        self._loop = asyncio.get_running_loop()

    def on(self, what: str, heard: Heard) -> None:
        """Have `heard` called with each message of that name."""
        self._heard[what] = heard

    def listen(self) -> None:
        """Hear from now on, also what was told whoever had our place before."""
        self._loop.add_reader(self._boxes[self.me][0], self._read)

    def tell(self, number: int, what: str, message: Mapping[str, Any]) -> bool:
        """Whether there was room for it."""
        octets = orjson.dumps({"what": what, **message})
        try:
            self._boxes[number][1].send(octets)
        except OSError:  # full, or too long
            return False
        return True

    def tell_others(self, what: str, message: Mapping[str, Any]) -> None:
        """All but us."""
        for number in range(len(self._boxes)):
            if number != self.me:
                self.tell(number, what, message)

    def close(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._boxes[self.me][0])

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                octets = self._boxes[self.me][0].recv(_LONGEST)
            except BlockingIOError:
                return
            try:
                message = orjson.loads(octets)
                self._heard[message.pop("what")](message)
            except Exception as broken:  # of one that is of another version, or cut: what came with it is lost
                log.error("message_not_understood", error=type(broken).__name__)
