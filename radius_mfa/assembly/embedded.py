"""The server inside of FreeRADIUS, in a thread of its own: what FreeRADIUS does itself is left out."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from radius_mfa.assembly.backends import probe_key_file, probe_store
from radius_mfa.assembly.rules import dictionary_of, load
from radius_mfa.assembly.server import Server
from radius_mfa.assembly.upkeep import keep_doing
from radius_mfa.config.load import Loaded
from radius_mfa.config.model import Configuration
from radius_mfa.core.messages import Nas
from radius_mfa.observe.logging import configure_elsewhere
from radius_mfa.observe.uncaught import say_what_nobody_catches
from radius_mfa.transports.freeradius import Inside
from radius_mfa.transports.loop_thread import LoopThread, new_loop
from radius_mfa.wire.pairs import Pairs

_M_ARENA_MAX, _ARENAS = -8, 2  # mallopt(3)
_TO_SAY_SO = 1.0  # seconds before FreeRADIUS gives a request up
_REOPEN_EVERY = 60.0  # seconds: FreeRADIUS tells nobody that its logs have been rotated

log = structlog.get_logger()


def begin(yaml: Path, max_request_time: float, longest: float, say: Callable[[str, str], object]) -> Inside:
    """Everything opened and begun.  Raises ConfigurationError, KeyFileError, StoreError.

    `max_request_time`: seconds after which FreeRADIUS gives a request up; `longest`: those in which one login may
    hold up the others.  `say`: takes a line of the log, after its level.
    """
    configure_elsewhere(say, "info")
    loaded = without_what_freeradius_does(load(yaml, os.environ, in_force=True))
    configure_elsewhere(say, loaded.configuration.log.level)
    for warning in loaded.warnings:
        log.warning("configuration", note=warning)
    # asyncpg looks for certificates there, and gives up where it may not look: FreeRADIUS keeps root's.
    os.environ["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
    # Or each of FreeRADIUS's threads has a heap of its own, where what was freed stays: 0.5 MB in 1,000 logins.
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    loop = LoopThread("radius_mfa", new_loop)
    try:
        server = loop.run(_start(loaded))
    except BaseException:
        loop.stop()
        raise
    for client in loaded.configuration.clients:
        _warn_of_window(server.nas(client.name), max_request_time)
    return Inside(
        loop=loop,
        nas=server.nas,
        answer=server.answer,
        stop=server.stop,
        is_ready=server.is_ready,
        saw=server.saw,
        most=max_request_time - _TO_SAY_SO,
        longest=longest,
        vocabulary=Pairs(dictionary_of(loaded)),
        meter=server.meter,
        clock=server.clock,
        jitter=random.random,
    )


def check(yaml: Path) -> None:
    """Look whether it could begin; nothing is made.  Raises as `begin` does."""
    loaded = without_what_freeradius_does(load(yaml, os.environ, in_force=True))
    asyncio.run(_probe(loaded.configuration))


async def _probe(configuration: Configuration) -> None:
    await probe_key_file(configuration)
    await probe_store(configuration)


def without_what_freeradius_does(loaded: Loaded) -> Loaded:
    """It listens, ends tunnels, and has become the user that it wants to be."""
    left_out = {"listen": (), "eap": None, "user": None, "workers": 1}
    return replace(loaded, configuration=loaded.configuration.model_copy(update=left_out))


async def _start(loaded: Loaded) -> Server:
    say_what_nobody_catches(asyncio.get_running_loop())
    server = await Server.start_within(loaded, "freeradius")
    server.begin(keep_doing(server.reopen_audit, _REOPEN_EVERY))
    return server


def _warn_of_window(nas: Nas | None, seconds: float) -> None:
    if nas is not None and nas.window > seconds:
        note = f"it waits for {nas.window:g} s, and FreeRADIUS for {seconds:g}: raise its max_request_time"
        log.warning("window_cut", client=nas.name, note=note)
