"""`radius-mfa serve`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from radius_mfa.cli.common import (
    begin_log,
    config_option,
    config_path,
    keep_telling,
    load_configuration,
    run_until_told,
    told_to_end,
)

if TYPE_CHECKING:
    from radius_mfa.assembly.server import Server
    from radius_mfa.config.load import Loaded
    from radius_mfa.transports.service_manager import ServiceManager

log = structlog.get_logger()


@click.command()
@config_option
def serve() -> None:
    """Run the server in the foreground.

    It logs `ready` once every listener is bound.  SIGTERM finishes what is in flight; SIGHUP reads
    the configuration again, and keeps the old one if the new one is wrong.
    """
    from radius_mfa.transports.core_dumps import no_core_dumps
    from radius_mfa.transports.sockets import allow_descriptors

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to be read again
    no_core_dumps()
    allow_descriptors()
    path, loaded = config_path(), load_configuration()
    begin_log(loaded)
    if loaded.configuration.workers > 1:
        from radius_mfa.assembly.muster import become_supervisor

        become_supervisor(loaded)
    run_until_told(_serve(loaded, path))


async def _serve(loaded: Loaded, path: Path) -> None:
    from radius_mfa.assembly.server import Server
    from radius_mfa.observe.uncaught import say_what_nobody_catches
    from radius_mfa.transports.service_manager import ServiceManager

    manager = ServiceManager.found()
    ended, reload = told_to_end(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    say_what_nobody_catches(loop)
    server = await Server.start(loaded)
    manager.ready(listen=server.addresses, policies=len(loaded.configuration.policies))
    beside = [
        loop.create_task(_reload_when(reload, server, path, manager)),
        loop.create_task(keep_telling(manager)),
    ]
    await ended.wait()
    log.info("stopping")
    manager.stopping()
    for task in beside:
        task.cancel()
    await server.stop()


async def _reload_when(asked: asyncio.Event, server: Server, path: Path, manager: ServiceManager) -> None:
    """Reload each time `asked` is set; a configuration that is wrong changes nothing."""
    from radius_mfa.assembly.reload import problems_of

    while True:
        await asked.wait()
        asked.clear()
        manager.reloading()
        server.reopen_audit()
        try:
            news = await server.reload(path)
        except Exception as broken:  # a mistake of ours must not be the last reload there is
            problems = problems_of(broken)
            log.error("reload_refused", problems=problems)
            manager.refused(problems)
        else:
            begin_log(news.loaded)
            manager.reloaded(policies=len(news.loaded.configuration.policies))
