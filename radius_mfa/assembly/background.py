"""What goes on beside the logins, once for all workers: mail is delivered, the old cleared away, counts shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from radius_mfa.assembly.footing import GRACE, Footing
from radius_mfa.assembly.mail import outbox_of
from radius_mfa.assembly.reload import Prepared
from radius_mfa.assembly.upkeep import (
    OutboxWatch,
    delete_rotated_audits,
    keep_doing,
    purge,
    tell_of,
    tell_of_clock_later,
)
from radius_mfa.config.certificates import DAY, ends_of
from radius_mfa.config.load import Loaded
from radius_mfa.observe.kernel_clock import KernelClock, kernel_clock
from radius_mfa.observe.metrics import Values
from radius_mfa.observe.vitals import BEAT_EVERY, Vitals

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
        self._reload_worked = True
        self._taken_over = footing.clock.wall()  # when the configuration in force was

    async def start(self, loaded: Loaded, metrics: socket | None, collector: Collector, vitals: Vitals) -> None:
        """`metrics`: where `collector` and `vitals` are asked, its own from now on.  Raises ConfigurationError."""
        self._begin(loaded, outbox_of(loaded.configuration, self._footing), ends_of(loaded.configuration))
        footing = self._footing
        if metrics is not None:
            from radius_mfa.observe.endpoint import MetricsEndpoint

            await self._show()  # before anybody can ask: what is left out may end an alert
            self._endpoint = MetricsEndpoint(metrics, collector, vitals)
        footing.tasks.begin(tell_of_clock_later())
        footing.tasks.begin(keep_doing(vitals.beat, BEAT_EVERY))
        footing.tasks.begin(purge(footing.store, footing.clock, self._retention))
        footing.tasks.begin(delete_rotated_audits(self._rotated_audits, footing.clock))
        footing.tasks.begin(keep_doing(self._tell_of_certificates, DAY))

    def go_on(self, shown: Mapping[str, Mapping[Values, float]]) -> None:
        """From what a predecessor has shown: no reload has come between."""
        for worked in shown.get("config_reload_successful", {}).values():
            self._reload_worked = bool(worked)
        for when in shown.get("config_reloaded_timestamp_seconds", {}).values():
            self._taken_over = when

    async def prepare(self, loaded: Loaded) -> Prepared:
        """What would go on under another configuration.  Raises ConfigurationError; nothing has changed then."""
        outbox = outbox_of(loaded.configuration, self._footing)
        certificates = ends_of(loaded.configuration)

        def commit() -> None:
            before = self._outbox
            self._begin(loaded, outbox, certificates)
            self._reload_worked, self._taken_over = True, self._footing.clock.wall()
            if before is not None:
                self._footing.tasks.begin(before.close(GRACE))

        async def abandon() -> None:  # an outbox that has not begun holds on to nothing
            self.refused()

        return Prepared(commit, abandon)

    def refused(self) -> None:
        """What was to be taken over cannot be: the configuration before stays."""
        self._reload_worked = False

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

    async def _show(self) -> None:
        """Let the metrics have what is so at the moment."""
        footing, watch = self._footing, self._footing.meter.watch
        waiting = OutboxWatch(footing.store, footing.clock, lambda: self._outbox is not None)
        await waiting.look()
        footing.tasks.begin(waiting.keep())
        watch("outbox_waiting", waiting.waiting)
        watch("outbox_age_seconds", waiting.age)
        watch("certificate_expires_days", self._days_left)
        watch("config_reload_successful", lambda: {(): self._reload_worked})
        watch("config_reloaded_timestamp_seconds", lambda: {(): self._taken_over})
        watch("clock_synchronised", lambda: _known(lambda clock: clock.is_kept))
        watch("clock_offset_seconds", lambda: _known(lambda clock: clock.offset))
        watch("clock_error_seconds", lambda: _known(lambda clock: clock.error))

    def _days_left(self) -> dict[tuple[str, ...], float]:
        now = self._footing.clock.wall()
        return {(name,): (end - now) / DAY for name, end in self._certificates.items()}

    def _rotated_audits(self) -> tuple[Path, float] | None:
        audit = self._loaded.configuration.audit
        return (audit.file, audit.retention) if audit.file and audit.delete_rotated else None

    def _retention(self) -> float:
        return self._loaded.configuration.audit.retention


def _known(what: Callable[[KernelClock], float | None]) -> dict[tuple[str, ...], float]:
    """That of the kernel's clock; nothing where the kernel does not say."""
    clock = kernel_clock()
    number = None if clock is None else what(clock)
    return {} if number is None else {(): number}
