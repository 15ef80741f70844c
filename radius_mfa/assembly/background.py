"""What goes on beside the logins, once for all workers: mail is delivered, the old cleared away, counts shown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from radius_mfa.assembly.footing import GRACE, Footing
from radius_mfa.assembly.mail import outbox_of
from radius_mfa.assembly.reload import Prepared
from radius_mfa.assembly.upkeep import delete_rotated_audits, keep_doing, purge, tell_of
from radius_mfa.config.certificates import DAY, ends_of
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
        self._certificates: dict[str, float] = {}  # until when they are good

    def start(self, loaded: Loaded, metrics: socket | None, collector: Collector) -> None:
        """`metrics`: where `collector` is asked, its own from now on.  Raises ConfigurationError."""
        self._begin(loaded, outbox_of(loaded.configuration, self._footing), ends_of(loaded.configuration))
        if metrics is not None:
            from radius_mfa.observe.endpoint import MetricsEndpoint

            self._endpoint = MetricsEndpoint(metrics, collector)
        footing = self._footing
        footing.meter.watch("certificate_expires_days", self._days_left)
        footing.tasks.begin(purge(footing.store, footing.clock, self._retention))
        footing.tasks.begin(delete_rotated_audits(self._rotated_audits, footing.clock))
        footing.tasks.begin(keep_doing(self._tell_of_certificates, DAY))

    async def prepare(self, loaded: Loaded) -> Prepared:
        """What would go on under another configuration.  Raises ConfigurationError; nothing has changed then."""
        outbox = outbox_of(loaded.configuration, self._footing)
        certificates = ends_of(loaded.configuration)

        def commit() -> None:
            before = self._outbox
            self._begin(loaded, outbox, certificates)
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

    def _begin(self, loaded: Loaded, outbox: Outbox | None, certificates: dict[str, float]) -> None:
        """`certificates`: as they are in their files now, which is as they are shown until the next reload."""
        self._loaded, self._outbox, self._certificates = loaded, outbox, certificates
        self._tell_of_certificates()
        if outbox is not None:
            outbox.start()

    def _tell_of_certificates(self) -> None:
        tell_of(self._certificates, self._footing.clock.wall())

    def _days_left(self) -> dict[tuple[str, ...], float]:
        now = self._footing.clock.wall()
        return {(name,): (end - now) / DAY for name, end in self._certificates.items()}

    def _rotated_audits(self) -> tuple[Path, float] | None:
        audit = self._loaded.configuration.audit
        return (audit.file, audit.retention) if audit.file and audit.delete_rotated else None

    def _retention(self) -> float:
        return self._loaded.configuration.audit.retention


async def _nothing_to_abandon() -> None:
    """An outbox that has not begun holds on to nothing."""
