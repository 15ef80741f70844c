"""A process of a server with several: `python -m radius_mfa.cli.process NAME FD`, as the supervisor starts it."""

from __future__ import annotations

import asyncio
import signal
import sys

from radius_mfa.cli.common import run
from radius_mfa.cli.main import ended
from radius_mfa.observe.uncaught import say_what_nobody_catches
from radius_mfa.transports.core_dumps import no_core_dumps
from radius_mfa.transports.crew import BACKGROUND


async def _work(name: str, fd: int) -> None:
    # Imported here: a mistake in what follows is told in one line.
    from radius_mfa.assembly.crewed import Berth, log_as_configured, obey

    say_what_nobody_catches(asyncio.get_running_loop())
    berth = await Berth.taken(fd)
    log_as_configured(berth.started, berth.name)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, berth.orders.end)
    configuration = berth.started.configuration
    if name == BACKGROUND:
        from radius_mfa.assembly.background_process import BackgroundProcess

        background = await BackgroundProcess.start(berth)
        where = {"metrics": berth.metrics.getsockname()[:2]} if berth.metrics else {}
        berth.orders.answer({"is": "ready", "facts": {"policies": len(configuration.policies), **where}})
        await obey(berth, background)
        await background.stop()
        return
    from radius_mfa.assembly.worker import Worker

    worker = await Worker.start(berth)
    listen = [each.sockets[0].getsockname()[:2] for each in berth.listeners]
    berth.orders.answer({"is": "ready", "facts": {"listen": listen}})
    await obey(berth, worker)
    await worker.stop()


def main() -> None:
    """The supervisor tells when to end and when to reload: what a terminal sends to all is not meant for us."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    no_core_dumps()
    name, fd = sys.argv[1:]
    sys.exit(ended(lambda: run(_work(name, int(fd)))))


if __name__ == "__main__":
    main()
