"""What nobody catches is in the log by its kind and place, and nothing of what it was about."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading

import structlog

from radius_mfa.observe.uncaught import say_what_nobody_catches


def test_what_nobody_caught_is_said_by_kind_and_place() -> None:
    async def fails() -> None:
        raise ValueError("the secret it choked on")

    async def play() -> None:
        loop = asyncio.get_running_loop()
        say_what_nobody_catches(loop)
        task = loop.create_task(fails())
        await asyncio.wait([task])
        del task
        gc.collect()
        loop.call_soon(int, "the secret it was called with")
        await asyncio.sleep(0)
        loop.call_exception_handler({"message": "nothing in particular"})

    hooks = threading.excepthook, sys.unraisablehook
    try:
        with structlog.testing.capture_logs() as logged:
            asyncio.run(play())
    finally:
        threading.excepthook, sys.unraisablehook = hooks
    assert [(line["event"], line["error"]) for line in logged] == [
        ("internal_error", "ValueError"),
        ("internal_error", "ValueError"),
        ("internal_error", "none"),
    ]
    assert "secret" not in repr(logged)
