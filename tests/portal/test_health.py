"""What is told of the portal where no browser comes in."""

from __future__ import annotations

import asyncio
from queue import Queue
from threading import Event, Thread

from radius_mfa.observe.vitals import Stage
from radius_mfa.portal.health import PortalVitals


def test_ready_is_what_store_and_directory_say_between_start_and_end() -> None:
    broken = ["directory"]

    async def unready() -> tuple[str, ...]:
        return tuple(broken)

    async def main() -> None:
        vitals = PortalVitals(asyncio.get_running_loop(), unready)
        assert await asyncio.to_thread(vitals.unready) == ("portal: it is starting",)
        vitals.stage = Stage.SERVING
        assert await asyncio.to_thread(vitals.unready) == ("directory: it does not work",)
        broken.clear()
        assert await asyncio.to_thread(vitals.unready) == ()
        vitals.stage = Stage.STOPPING
        assert await asyncio.to_thread(vitals.unready) == ("portal: it is stopping",)
        assert vitals.ails() == ()

    asyncio.run(main())


def test_an_event_loop_that_stands_still_is_not_waited_for() -> None:
    async def unready() -> tuple[str, ...]:
        return ()

    loops: Queue[asyncio.AbstractEventLoop] = Queue()
    goes_on = Event()

    async def stand_still() -> None:
        loops.put(asyncio.get_running_loop())
        goes_on.wait(30)

    turning = Thread(target=asyncio.run, args=(stand_still(),))
    turning.start()
    vitals = PortalVitals(loops.get(timeout=30), unready, patience=0.1)
    vitals.stage = Stage.SERVING
    try:
        assert vitals.unready() == ("portal: it does not answer",)
    finally:
        goes_on.set()
        turning.join(30)
