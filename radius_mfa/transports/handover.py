"""Requests that belong to another worker: given to it, and its reply given back (`core.homes`).

The wire stays where the packet came in: its client, its duplicates, its limits, and the secret of the reply.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from radius_mfa.core.homes import home_of
from radius_mfa.core.messages import AccessRequest, Code, Nas, Reply, ReplyAttribute
from radius_mfa.core.ports import Clock, Meter
from radius_mfa.transports.neighbours import Message, Neighbours
from radius_mfa.wire.exchange import Answer

_MOST = 4096  # requests of others that are answered here at once


class HomeGoneError(Exception):
    """Whoever was asked has ended, and may or may not have decided."""


class Handover:
    """`answer` is a `wire.exchange.Answer` for all requests; `here` answers those that are ours.

    `workers`: how many there are.  `nas`: the client of that name, None where there is none any more.
    """

    def __init__(
        self,
        neighbours: Neighbours,
        workers: int,
        here: Answer,
        nas: Callable[[str], Nas | None],
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._neighbours = neighbours
        self._workers = workers
        self._here = here
        self._nas = nas
        self._clock = clock
        self._meter = meter
        # Not from 0: what our predecessor has asked may be answered yet, and is no answer to us.
        self._numbers = count(int.from_bytes(os.urandom(7), "big"))
        self._began = clock.monotonic()
        self._here_now = frozenset(range(workers))
        self._asked: dict[int, tuple[int, asyncio.Future[Reply | None]]] = {}  # with whom was asked
        self._answering: set[asyncio.Task[None]] = set()
        neighbours.on("ask", self._take)
        neighbours.on("reply", self._hear)

    async def answer(self, request: AccessRequest) -> Reply | None:
        """What to send back, None for nothing."""
        home = home_of(request, self._workers)
        if home is None or home == self._neighbours.me or home not in self._here_now:
            return await self._here(request)
        number = next(self._numbers)
        reply: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = home, reply
        sent = self._clock.monotonic()
        asked = {"number": number, "by": self._neighbours.me, "sent": sent, **_packed(request)}
        try:
            if not self._neighbours.tell(home, "ask", asked):
                self._meter.count("handed_over", outcome="no_room")
                return await self._here(request)
            async with asyncio.timeout(request.arrived + request.nas.window - self._clock.monotonic()):
                answered = await reply
        except TimeoutError:  # the NAS asks again
            self._meter.count("handed_over", outcome="no_reply")
            return None
        except HomeGoneError:
            self._meter.count("handed_over", outcome="home_gone")
            return await self._here(request)
        finally:
            del self._asked[number]
        self._meter.count("handed_over", outcome="answered")
        return answered

    def are_here(self, workers: Iterable[int]) -> None:
        """Only these are there: what others were asked is answered here, as is what they would be."""
        self._here_now = frozenset(workers)
        for home, reply in self._asked.values():
            if home not in self._here_now and not reply.done():
                reply.set_exception(HomeGoneError())

    # --- of others ------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        nas = self._nas(message["nas"])
        if message["sent"] < self._began:
            return  # it was for whoever was here before, and has been answered where it came
        if nas is None or len(self._answering) >= _MOST:
            return  # nobody of ours any more, or no room: the NAS asks again
        task = asyncio.get_running_loop().create_task(self._answer(message, _request(message, nas)))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, message: Message, request: AccessRequest) -> None:
        reply = await self._here(request)
        packed = None if reply is None else _packed_reply(reply)
        self._neighbours.tell(message["by"], "reply", {"number": message["number"], "reply": packed})

    def _hear(self, message: Message) -> None:
        _, asked = self._asked.get(message["number"], (0, None))
        if asked is not None and not asked.done():
            asked.set_result(None if message["reply"] is None else _reply(message["reply"]))


def _packed(request: AccessRequest) -> dict[str, Any]:
    """Of a packet: `outer_name` is of what came through a tunnel, and that is decided where the tunnel ends."""
    return {
        "nas": request.nas.name,
        "attributes": [(number, value.hex()) for number, value in request.attributes],
        "password": None if request.password is None else request.password.hex(),
        "source": request.source,
        "arrived": request.arrived,  # all processes of a machine have one monotonic clock
    }


def _request(message: Message, nas: Nas) -> AccessRequest:
    return AccessRequest(
        nas,
        tuple((number, bytes.fromhex(value)) for number, value in message["attributes"]),
        None if message["password"] is None else bytes.fromhex(message["password"]),
        message["source"],
        message["arrived"],
    )


def _packed_reply(reply: Reply) -> dict[str, Any]:
    return {
        "code": int(reply.code),
        "state": None if reply.state is None else reply.state.hex(),
        "messages": reply.messages,
        "attributes": [(each.name, each.value) for each in reply.attributes],
        "delayed": reply.delayed,
        "eap": reply.eap.hex(),
        "msk": reply.msk.hex(),
        "key_name": reply.key_name.hex(),
    }


def _reply(packed: Message) -> Reply:
    return Reply(
        code=Code(packed["code"]),
        state=None if packed["state"] is None else bytes.fromhex(packed["state"]),
        messages=tuple(packed["messages"]),
        attributes=tuple(ReplyAttribute(name, value) for name, value in packed["attributes"]),
        delayed=packed["delayed"],
        eap=bytes.fromhex(packed["eap"]),
        msk=bytes.fromhex(packed["msk"]),
        key_name=bytes.fromhex(packed["key_name"]),
    )
