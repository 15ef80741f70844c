"""A process of several: what it finds when it begins, and how it obeys the supervisor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from socket import socket
from typing import Protocol

import structlog

from radius_mfa.assembly.listening import Opened
from radius_mfa.assembly.reload import Prepared, problems_of
from radius_mfa.config.load import Loaded
from radius_mfa.config.snapshot import thawed
from radius_mfa.core.errors import ConfigurationError, RadiusMfaError
from radius_mfa.observe.logging import configure
from radius_mfa.observe.metrics import Counts, Numbers, Values
from radius_mfa.observe.slate import Slate
from radius_mfa.transports.control import Control, Message
from radius_mfa.transports.crew import Crew, read_memory
from radius_mfa.wire.dictionary import Dictionary

_MOST_PROBLEMS = 100  # lines that are told of a reload; the first ones are enough to begin with

log = structlog.get_logger()


class SupervisorGoneError(RadiusMfaError):
    """There is nobody to obey."""


class Orders:
    """What the supervisor says, in order."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._said: asyncio.Queue[tuple[Message, int | None]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._read)

    async def next(self) -> tuple[Message, int | None]:
        """The next, with a descriptor if one came with it."""
        return await self._said.get()

    def end(self) -> None:
        """To be heard as if the supervisor had said so, or because it has gone."""
        self._said.put_nowait(({"do": "stop"}, None))

    def answer(self, message: Message, fd: int | None = None) -> None:
        self._control.send(message, fd)

    def refuse(self, reload: object, broken: Exception) -> None:
        """Say why something cannot be done in the reload of that number."""
        problems = problems_of(broken)
        more = len(problems) - _MOST_PROBLEMS
        told = [*problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        self.answer({"is": "refused", "reload": reload, "problems": told})

    def _read(self) -> None:
        try:
            said = self._control.receive()
        except BlockingIOError:
            return
        if said is None:
            self._loop.remove_reader(self._control)
            self.end()
        elif said[0]["do"] == "answer":  # at once: what is asked is whether the loop turns, whatever it waits for
            self.answer({"is": "turning"})
        else:
            self._said.put_nowait(said)


class Berth:
    """A process's place in the crew.  `started`: the configuration it began under; `in_force`: that of now."""

    def __init__(self, orders: Orders, crew: Crew, number: int, configuration: int) -> None:
        self.orders = orders
        self.crew = crew
        self.number = number
        self.name = crew.name(number)
        self.started = self.in_force = loaded_from(configuration)
        self.boxes = [(socket(fileno=receive), socket(fileno=send)) for receive, send in crew.boxes]
        self.listeners = [Opened(each.kind, tuple(map(_socket, each.fds))) for each in crew.listeners]
        self.metrics = None if crew.metrics is None else _socket(crew.metrics)
        self._slates = [Slate(fd) for fd in crew.slates]

    @classmethod
    async def taken(cls, control_fd: int) -> Berth:
        """The one that the supervisor assigns.  Raises ConfigurationError, SupervisorGoneError."""
        orders = Orders(Control(socket(fileno=control_fd)))
        message, _ = await orders.next()
        if message["do"] != "begin":
            raise SupervisorGoneError("the supervisor has gone")
        return cls(orders, Crew.unpacked(message["crew"]), message["number"], message["configuration"])

    @property
    def slate(self) -> Slate:
        """Our own."""
        return self._slates[self.number]

    def slates_of_others(self) -> Sequence[bytes | None]:
        """What is on them."""
        return [*self.slates_by_name().values()]

    def slates_by_name(self) -> dict[str, bytes | None]:
        """The same, by whose they are."""
        others = ((number, each) for number, each in enumerate(self._slates) if number != self.number)
        return {self.crew.name(number): each.read() for number, each in others}

    def go_on_counting(self, counts: Counts) -> None:
        """From where whoever had this place before has left off."""
        before = self.slate.read()
        if before is not None and not counts.begin_with(before):
            log.warning("counts_begin_anew")

    def shown_before(self) -> Mapping[str, Mapping[Values, float]]:
        """What whoever had this place before has shown last as being so; until something of ours is written."""
        octets = self.slate.read()
        before = None if octets is None else Numbers.read(octets)
        return {} if before is None else before.watched


class Role(Protocol):
    """What a worker does, or the background process."""

    async def prepare(self, loaded: Loaded) -> Prepared: ...

    def told(self, message: Message) -> None: ...


async def obey(berth: Berth, role: Role) -> None:
    """Do what the supervisor says, until it says to stop, or is no more."""
    orders = berth.orders
    prepared: tuple[Loaded, Prepared] | None = None
    while True:
        message, fd = await orders.next()
        do = message["do"]
        if prepared is not None and do in ("prepare", "abandon", "stop"):
            await prepared[1].abandon()
            prepared = None
        if do == "stop":
            return
        if do == "prepare":
            prepared = await _prepare(berth, role, message["reload"], fd)
        elif do == "commit" and prepared is not None:
            berth.in_force, taking_over = prepared
            prepared = None
            taking_over.commit()
            log_as_configured(berth.in_force, berth.name)
        elif do == "commit":  # whoever takes this place begins under what all the others have
            raise SupervisorGoneError("the configuration that is in force cannot be taken over")
        else:
            role.told(message)


async def _prepare(berth: Berth, role: Role, reload: object, fd: int | None) -> tuple[Loaded, Prepared] | None:
    try:
        if fd is None:  # which the kernel drops where there may be no more open files (unix(7))
            raise ConfigurationError(f"{berth.name}: no configuration has come: too many open files")
        loaded = loaded_from(fd)
        prepared = await role.prepare(loaded)
    except Exception as broken:  # of whatever kind: the others are not to wait for it
        berth.orders.refuse(reload, broken)
        return None
    berth.orders.answer({"is": "prepared", "reload": reload})
    return loaded, prepared


def loaded_from(fd: int) -> Loaded:
    """The configuration in a file in memory, which is closed.  Raises ConfigurationError."""
    try:
        return thawed(read_memory(fd), Dictionary.shipped())
    finally:
        os.close(fd)


def another(sock: socket) -> socket:
    """Another descriptor of the same socket.

    `socket.dup` would make it one that waits, as sockets made from a number are taken to be, and so for every
    process that has it (F_SETFL, fcntl(2)): whoever reads it waits for the next datagram then, and does nothing
    else.
    """
    return socket(fileno=os.dup(sock.fileno()))


def log_as_configured(loaded: Loaded, name: str) -> None:
    """Log in the form and at the level of the configuration; each line says of which process it is."""
    configure(loaded.configuration.log.format, loaded.configuration.log.level, process=name)


def _socket(fd: int) -> socket:
    return socket(fileno=fd)
