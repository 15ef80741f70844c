"""What goes on beside the logins, as a process of a server has it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from radius_mfa.assembly.background import Background
from radius_mfa.assembly.footing import Footing
from radius_mfa.observe.metrics import Counts, Numbers
from radius_mfa.observe.vitals import Vitals
from radius_mfa.stores.key_file import create_key_file
from tests.assembly.support import STAFF, loaded

_OWN = {
    "config_reload_successful",
    "config_reloaded_timestamp_seconds",
    "outbox_age_seconds",
    "outbox_waiting",
}  # what is shown of any configuration with mail, by the process with the background alone


class Listening(socket.socket):
    """A listening socket.  `shown`: what had a value when it was first taken to be answered on."""

    def __init__(self, meter: Counts) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.shown: set[str] = set()
        self.bind(("127.0.0.1", 0))
        self.listen()
        self._meter = meter

    def getsockname(self) -> Any:
        numbers = Numbers.read(self._meter.export())
        assert numbers is not None
        self.shown = self.shown or {name for name, looked in numbers.watched.items() if looked}
        return super().getsockname()


def test_the_very_first_who_asks_is_shown_everything(tmp_path: Path) -> None:
    """Whoever takes the place of one that has died is asked at once, and what is left out may end an alert."""
    create_key_file(tmp_path / "key")

    async def play() -> None:
        async with AsyncExitStack() as stack:
            store = f"sqlite:///{tmp_path}/state.db"
            configured = loaded(tmp_path, STAFF, storage=store, key_file=str(tmp_path / "key"))
            footing = await Footing.open(configured, stack, "background", upgrade=True)
            stack.push_async_callback(footing.tasks.cancel)
            background, listening = Background(footing), Listening(footing.meter)
            await background.start(configured, listening, footing.meter, Vitals("background", dict))
            stack.push_async_callback(background.stop)
            assert listening.shown >= _OWN

    asyncio.run(play())
