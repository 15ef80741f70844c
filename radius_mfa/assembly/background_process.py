"""The background process: `Background`, the counts of all, and who reads the YAML on a reload."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

from radius_mfa import __version__
from radius_mfa.assembly.background import Background
from radius_mfa.assembly.crewed import Berth
from radius_mfa.assembly.footing import Footing
from radius_mfa.assembly.reload import Prepared, read
from radius_mfa.assembly.upkeep import keep_written
from radius_mfa.config.load import Loaded
from radius_mfa.config.snapshot import frozen
from radius_mfa.observe.health import MAIL
from radius_mfa.observe.metrics import Together
from radius_mfa.observe.vitals import Stage, Vitals, signs_on
from radius_mfa.transports.control import Message
from radius_mfa.transports.crew import in_memory
from radius_mfa.transports.neighbours import Neighbours

log = structlog.get_logger()


class BackgroundProcess:
    """`crewed.Role`."""

    def __init__(self, berth: Berth, footing: Footing) -> None:
        self._berth = berth
        self._footing = footing
        self._background = Background(footing)
        self._neighbours = Neighbours(berth.number, berth.boxes)
        self._together = Together(footing.meter, berth.slates_of_others, berth.slate.write)
        self._vitals = Vitals(berth.name, dict, lambda: signs_on(berth.slates_by_name()))
        self._neighbours.on("wake", lambda _: self._background.wake())
        for what in ("wrong", "signer"):
            self._neighbours.on(what, _not_for_us)

    @classmethod
    async def start(cls, berth: Berth) -> BackgroundProcess:
        """Begin.  Raises ConfigurationError, KeyFileError, StoreError."""
        async with AsyncExitStack() as stack:
            footing = await Footing.open(berth.started, stack, berth.name, upgrade=True)
            stack.push_async_callback(footing.tasks.cancel)
            meter, health = footing.meter, footing.health
            berth.go_on_counting(meter)
            meter.watch_process(berth.name)
            meter.watch("info", lambda: {(__version__,): 1})
            meter.watch("up", lambda: {(MAIL,): health.works(MAIL)})
            process = cls(berth, footing)
            process._background.go_on(berth.shown_before())
            await process._background.start(berth.started, berth.metrics, process._together, process._vitals)
            stack.push_async_callback(process._background.stop)
            process._neighbours.listen()
            footing.tasks.begin(footing.presence.keep())
            footing.tasks.begin(keep_written(process._together.write_down))
            await footing.presence.known()
            process._vitals.stage = Stage.SERVING
            stack.pop_all()
        return process

    async def prepare(self, loaded: Loaded) -> Prepared:
        """As `Background` does."""
        return await self._background.prepare(loaded)

    def told(self, message: Message) -> None:
        """By the supervisor, beside what all are."""
        match message["do"]:
            case "read":
                self._read(message["reload"])
            case "drain":
                self._vitals.stage = Stage.STOPPING

    async def stop(self) -> None:
        """Let what is being sent end."""
        self._vitals.stage = Stage.STOPPING
        await self._background.stop()
        with suppress(OSError, ValueError):
            self._together.write_down()
        self._neighbours.close()
        await self._footing.close()

    def _read(self, reload: object) -> None:
        """What has become of the YAML, for all to prepare in the reload of that number."""
        berth, orders = self._berth, self._berth.orders
        try:
            news = read(Path(berth.crew.yaml), berth.started, berth.in_force)
            fd = in_memory("configuration", frozen(news.loaded))
        except Exception as broken:  # a mistake of ours must not be the last reload there is
            self._background.refused()
            orders.refuse(reload, broken)
            return
        configuration = news.loaded.configuration
        for warning in news.loaded.warnings:
            log.warning("configuration", note=warning)
        orders.answer(
            {
                "is": "read",
                "reload": reload,
                "changes": news.changes,
                "restart": news.restart,
                "policies": len(configuration.policies),
                "log_format": configuration.log.format,
            },
            fd,
        )
        os.close(fd)


def _not_for_us(_message: Message) -> None:
    """Between workers."""
