"""What nobody catches: said in the log, by its kind and place."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import structlog

from radius_mfa.core.errors import place_of

log = structlog.get_logger()


def say_what_nobody_catches(loop: asyncio.AbstractEventLoop) -> None:
    """In the log, from now on: of the loop, of threads, of objects at their end."""
    loop.set_exception_handler(_of_loop)
    threading.excepthook = sys.unraisablehook = _of_thread


def _of_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Its kind and place, and neither its text nor what it was called with: either may quote a packet."""
    _say(context.get("exception"), "event loop")


def _of_thread(broken: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
    """The same, where a thread of a library ends so, or an object of one."""
    _say(broken.exc_value, "thread")


def _say(broken: BaseException | None, otherwise: str) -> None:
    where = otherwise if broken is None else place_of(broken)
    log.error("internal_error", error="none" if broken is None else type(broken).__name__, where=where)
