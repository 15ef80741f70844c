"""A worker: answers what comes to its socket of each UDP port, and to the connections it accepts."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress

import structlog

from radius_mfa.assembly.answering import Answering, Surroundings
from radius_mfa.assembly.crewed import Berth, another
from radius_mfa.assembly.footing import Footing
from radius_mfa.assembly.reload import Prepared
from radius_mfa.assembly.upkeep import keep_written
from radius_mfa.config.load import Loaded
from radius_mfa.transports.control import Message
from radius_mfa.transports.handover import Handover
from radius_mfa.transports.neighbours import Neighbours
from radius_mfa.transports.udp import UdpListener

log = structlog.get_logger()


class Worker:
    """`crewed.Role`; `core.ports.Mailer`: the background process delivers."""

    def __init__(self, berth: Berth, footing: Footing) -> None:
        self._berth = berth
        self._footing = footing
        self._neighbours = Neighbours(berth.number, berth.boxes)
        surroundings = Surroundings(
            self, self._tell_wrong, self._tell_signer, lambda _: self._handover.answer, berth.number
        )
        self._answering = Answering(footing, surroundings)
        self._handover = Handover(
            self._neighbours,
            berth.crew.workers,
            self._answering.answer,
            self._answering.nas,
            footing.clock,
            footing.meter,
        )
        self._adopted: dict[int, list[UdpListener]] = {}
        self._neighbours.on("wrong", self._hear_wrong)
        self._neighbours.on("signer", self._hear_signer)

    @classmethod
    async def start(cls, berth: Berth) -> Worker:
        """Answer, and say so.  Raises ConfigurationError, KeyFileError, StoreError."""
        async with AsyncExitStack() as stack:
            footing = await Footing.open(berth.started, stack, berth.name, upgrade=False)
            stack.push_async_callback(footing.tasks.cancel)
            berth.go_on_counting(footing.meter)
            footing.meter.watch_process(berth.name)
            worker = cls(berth, footing)
            await worker._answering.start(berth.started, berth.listeners, berth.number)
            stack.push_async_callback(worker._answering.stop)
            worker._neighbours.listen()  # not before there is somebody who can answer
            footing.tasks.begin(footing.presence.keep())
            footing.tasks.begin(keep_written(worker._write))
            await footing.presence.known()
            with suppress(OSError, ValueError):  # `keep_written` says so
                worker._write()  # from `ready` on the metrics have what is 0 so far
            stack.pop_all()
        return worker

    async def prepare(self, loaded: Loaded) -> Prepared:
        """As `Answering` does."""
        return await self._answering.prepare(loaded)

    def told(self, message: Message) -> None:
        """By the supervisor, beside what all are."""
        match message["do"]:
            case "adopt":
                self._adopt(message["slot"])
            case "release":
                for listener in self._adopted.get(message["slot"], ()):
                    listener.pause()
            case "here":
                self._handover.are_here(message["workers"])
            case "reopen":
                self._answering.reopen_audit()

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, close."""
        for listeners in self._adopted.values():
            for listener in listeners:
                listener.pause()
        await self._answering.stop()
        meter = self._footing.meter
        log.info("ended", requests=meter.total("requests"), discarded=meter.total("discarded"))
        with suppress(OSError, ValueError):
            self._write()
        self._neighbours.close()
        await self._footing.close()

    def wake(self) -> None:
        """There is a mail to be delivered."""
        self._neighbours.tell(self._berth.crew.workers, "wake", {})

    # --- those of a worker that has died ---------------------------------------------------------

    def _adopt(self, slot: int) -> None:
        """Read its sockets as well, until somebody has taken its place."""
        if slot in self._adopted:
            for listener in self._adopted[slot]:
                listener.resume()
            return
        listening = (each for each in self._berth.listeners if each.kind == "udp")
        self._adopted[slot] = [self._answering.listener_on(another(each.sockets[slot])) for each in listening]

    # --- what workers tell each other ------------------------------------------------------------

    def _tell_wrong(self, directory: str, user_id: str, nobody: bool, right: bool) -> None:
        told = {"directory": directory, "user": user_id, "nobody": nobody, "right": right}
        self._neighbours.tell_others("wrong", told)

    def _hear_wrong(self, told: Message) -> None:
        self._answering.shields.hear(told["directory"], told["user"], told["nobody"], told["right"])

    def _tell_signer(self, client: str, source: str) -> None:
        self._neighbours.tell_others("signer", {"client": client, "source": source})

    def _hear_signer(self, told: Message) -> None:
        self._answering.sources.learn(told["client"], told["source"])

    def _write(self) -> None:
        self._berth.slate.write(self._footing.meter.export())
