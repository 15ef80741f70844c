"""`radius-mfa portal`."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
import structlog

from radius_mfa.cli.common import (
    begin_log,
    config_option,
    keep_telling,
    load_configuration,
    run_until_told,
    told_to_end,
)

if TYPE_CHECKING:
    from radius_mfa.config.load import Loaded

log = structlog.get_logger()


@click.command()
@config_option
def portal() -> None:
    """Run the portal in the foreground, beside a server with the same configuration.

    It logs `ready` once it listens.  SIGTERM finishes what is in flight; SIGHUP opens the audit file anew,
    and shows the certificate that is there now.  Any other change of the configuration takes a restart,
    which signs nobody out.
    """
    from radius_mfa.core.errors import ConfigurationError
    from radius_mfa.transports.core_dumps import no_core_dumps
    from radius_mfa.transports.sockets import allow_descriptors

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to be done about it
    no_core_dumps()
    allow_descriptors()
    loaded = load_configuration()
    if loaded.configuration.portal is None:
        raise ConfigurationError(loaded.places.cite("is missing; the portal needs listen and url", "portal"))
    begin_log(loaded)
    run_until_told(_portal(loaded))


async def _portal(loaded: Loaded) -> None:
    from radius_mfa.assembly.portal import open_door, open_portal, renew_certificate
    from radius_mfa.assembly.privileges import become_portals
    from radius_mfa.observe.uncaught import say_what_nobody_catches
    from radius_mfa.observe.vitals import Stage
    from radius_mfa.portal.app import application
    from radius_mfa.portal.health import health_told
    from radius_mfa.portal.serving import served
    from radius_mfa.transports.service_manager import ServiceManager

    manager = ServiceManager.found()
    ended, loop = told_to_end(), asyncio.get_running_loop()
    say_what_nobody_catches(loop)
    async with AsyncExitStack() as stack:
        door = open_door(loaded, stack)  # before root is given up, and the store is touched
        become_portals(loaded)
        ports = await stack.enter_async_context(open_portal(loaded))

        def again() -> None:
            manager.reloading()
            ports.reopen_audit()
            if problem := renew_certificate(loaded, door):
                manager.refused([problem])
            else:
                manager.reloaded()

        loop.add_signal_handler(signal.SIGHUP, again)
        vitals = await stack.enter_async_context(health_told(door.health, ports.unready))
        await stack.enter_async_context(served(application(ports), door.sock, door.tls, door.proxies))
        vitals.stage = Stage.SERVING
        listen = [door.sock.getsockname()[:2]]
        log.info("ready", listen=listen, health=door.asked_at, url=ports.settings.url)
        manager.ready(listen=listen, url=ports.settings.url)
        telling = loop.create_task(keep_telling(manager))
        await ended.wait()
        log.info("stopping")
        vitals.stage = Stage.STOPPING
        manager.stopping()
        telling.cancel()
    log.info("stopped")
