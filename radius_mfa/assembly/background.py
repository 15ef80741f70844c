"""What goes on beside the logins, once for all workers: mail is delivered, the old cleared away, counts shown."""

from __future__ import annotations

import asyncio
from socket import socket
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from radius_mfa.assembly.footing import GRACE, Footing
from radius_mfa.assembly.mail import outbox_of
from radius_mfa.assembly.reload import Prepared
from radius_mfa.assembly.upkeep import purge
from radius_mfa.config.load import Loaded

if TYPE_CHECKING:
    from radius_mfa.factors.outbox import Outbox
    from radius_mfa.observe.endpoint import MetricsEndpoint


class Background:
    """`core.ports.Mailer`; its outbox is exchanged on a reload."""

    def __init__(self, footing: Footing) -> None:
        self._footing = footing
        self._loaded: Loaded
        self._outbox: Outbox | None = None
        self._endpoint: MetricsEndpoint | None = None

    def start(self, loaded: Loaded, metrics: socket | None, collector: Collector) -> None:
        """`metrics`: where `collector` is asked, its own from now on.  Raises ConfigurationError."""
        self._begin(loaded, outbox_of(loaded.configuration, self._footing))
        if metrics is not None:
            from radius_mfa.observe.endpoint import MetricsEndpoint

            self._endpoint = MetricsEndpoint(metrics, collector)
        footing = self._footing
        footing.tasks.begin(purge(footing.store, footing.clock, self._retention))

    async def prepare(self, loaded: Loaded) -> Prepared:
        """What would go on under another configuration.  Raises ConfigurationError; nothing has changed then."""
        outbox = outbox_of(loaded.configuration, self._footing)

        def commit() -> None:
            before = self._outbox
            self._begin(loaded, outbox)
            if before is not None:
                self._footing.tasks.begin(before.close(GRACE))

        return Prepared(commit, _nothing_to_abandon)

    def wake(self) -> None:
        """There is a mail to be delivered."""
        if self._outbox is not None:
            self._outbox.wake()

    async def stop(self) -> None:
        """Let what is being sent end, and show no more."""
        if self._outbox is not None:
            await self._outbox.close(GRACE)
        if self._endpoint is not None:
            await asyncio.to_thread(self._endpoint.close)

    def _begin(self, loaded: Loaded, outbox: Outbox | None) -> None:
        self._loaded, self._outbox = loaded, outbox
        if outbox is not None:
            outbox.start()

    def _retention(self) -> float:
        return self._loaded.configuration.audit.retention


async def _nothing_to_abandon() -> None:
    """An outbox that has not begun holds on to nothing."""
