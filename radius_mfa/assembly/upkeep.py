"""What a server does besides answering: it clears away, and keeps what it has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from radius_mfa.config.certificates import SOON, days_left
from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.core.ports import Clock
from radius_mfa.core.seldom import Seldom
from radius_mfa.core.store import Store
from radius_mfa.observe.audit_files import delete_rotated
from radius_mfa.observe.kernel_clock import KernelClock, kernel_clock
from radius_mfa.wire.sources import Sources

PURGE_EVERY = 60.0  # seconds
ROTATED_EVERY = 600.0  # seconds
_CLOCK_MARGIN = 3600.0  # seconds: a clock that jumps must not make a State forgotten while it is good
KEEP_EVERY = 10.0  # seconds; what a crash loses of the counts
_WRITE_EVERY = 1.0  # seconds that the counts of a process may be old in the eyes of the one that shows them
ADD_UP_EVERY = 1.0  # seconds for which each number of a histogram is kept as it was measured
OUTBOX_EVERY = 15.0  # seconds that the metrics may be behind the outbox
_CLOCK_SETTLES = 60.0  # seconds from our start
_READ_EVERY = 60.0  # seconds until what another node has learnt is known here


log = structlog.get_logger()


async def purge(store: Store, clock: Clock, retention: Callable[[], float], every: float = PURGE_EVERY) -> None:
    """Delete what nobody asks for any more, and let count what has waited long enough, for ever.

    `retention`: seconds that logins are kept; `every`: seconds between two times.
    """
    while True:
        await asyncio.sleep(every)
        now = clock.wall()
        try:
            await store.ripen(now)  # first: what has waited while no server ran must not be past its time
            await store.purge(now - _CLOCK_MARGIN, now - retention())
        except RadiusMfaError as broken:
            log.error("purge_failed", error=str(broken))


async def delete_rotated_audits(
    rotated: Callable[[], tuple[Path, float] | None], clock: Clock, every: float = ROTATED_EVERY
) -> None:
    """Delete what the audit file was rotated to and has been kept long enough, for ever.

    `rotated`: the file, and seconds that those are kept; None: they are not ours to delete.  A clock that is set
    ahead meanwhile makes none of them older: it could be wrong.
    """
    begun = clock.wall() - clock.monotonic()
    while True:
        await asyncio.sleep(every)
        if (asked := rotated()) is None:
            continue
        path, retention = asked
        try:
            now = min(clock.wall(), begun + clock.monotonic())
            for each in await asyncio.to_thread(delete_rotated, path, now, retention):
                log.info("audit_deleted", file=str(each))
        except OSError as broken:
            log.error("audit_not_deleted", file=str(broken.filename), error=broken.strerror)


def tell_of(ends: Mapping[str, float], now: float) -> None:
    """Log how many whole days each certificate is still good for.  `ends`: until when, in seconds since 1970."""
    for name, end in ends.items():
        days = days_left(end, now)
        until = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d")
        say = log.error if end <= now else log.warning if days < SOON else log.info
        say("certificate", certificate=name, days=days, until=until)


def tell_of_clock(clock: KernelClock | None) -> None:
    """Log that nobody keeps the clock, where the kernel says so: codes are as right as it is."""
    if clock is not None and not clock.is_kept:
        log.warning("clock_unsynchronised", note="codes are as right as the clock: run an NTP client")


async def tell_of_clock_later() -> None:
    """The same once whoever keeps it has had the time to, after a machine has started with us."""
    await asyncio.sleep(_CLOCK_SETTLES)
    tell_of_clock(kernel_clock())


async def keep_written(write: Callable[[], object]) -> None:
    """Write the counts down for other processes, for ever.  `write` may raise OSError or ValueError."""
    fails = False
    while True:
        await asyncio.sleep(_WRITE_EVERY)
        try:
            write()
        except (OSError, ValueError) as broken:
            if not fails:
                log.error("counts_not_written", error=type(broken).__name__)
            fails = True
        else:
            fails = False


async def keep_doing(what: Callable[[], object], every: float) -> None:
    """Do it every so many seconds, for ever; the first time after the first of them."""
    while True:
        await asyncio.sleep(every)
        what()


class OutboxWatch:
    """What waits in the outbox, for the metrics, which are not to ask the store whenever they are fetched.

    `delivers`: whether mail is configured now; nothing is shown where it is not, nor where the store does not say.
    """

    def __init__(
        self, store: Store, clock: Clock, delivers: Callable[[], bool], every: float = OUTBOX_EVERY
    ) -> None:
        """`every`: seconds between two looks."""
        self._store = store
        self._clock = clock
        self._delivers = delivers
        self._every = every
        self._found: tuple[int, float] | None = None  # how many, and how old the oldest was then

    async def keep(self) -> None:
        """Look again now and then, for ever."""
        while True:
            await asyncio.sleep(self._every)
            await self.look()

    async def look(self) -> None:
        """Ask the store; what it cannot say is said by who delivers."""
        found = None  # what was found before is shown for as long as the store is asked
        if self._delivers():
            with suppress(RadiusMfaError):
                number, since = await self._store.waiting_mails()
                found = number, max(self._clock.wall() - since, 0.0) if number else 0.0
        self._found = found

    def waiting(self) -> dict[tuple[str, ...], float]:
        """How many mails there were."""
        return {} if self._found is None else {(): self._found[0]}

    def age(self) -> dict[tuple[str, ...], float]:
        """How many seconds the oldest had waited, 0 where there was none."""
        return {} if self._found is None else {(): self._found[1]}


class SourceKeeper:
    """Writes down, once in a while, what was counted of sources, and learns what other nodes have seen of them.

    `every`: seconds between two times, where nothing should not wait.
    """

    def __init__(self, sources: Sources, store: Store, clock: Clock, every: float = KEEP_EVERY) -> None:
        self._every = every
        self._sources = sources
        self._store = store
        self._clock = clock
        self._news = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._read = float("-inf")
        self._lines = Seldom(1)

    def note(self) -> None:
        """There is something that should not wait: a source has sent its first Message-Authenticator."""
        self._news.set()

    async def keep(self) -> None:
        """Write down and learn, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._every):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                await self.write()
                if self._clock.monotonic() - self._read >= _READ_EVERY:
                    await self.read()
            except RadiusMfaError as broken:
                if self._lines.may_say("broken", self._clock.monotonic()):
                    log.error("sources_not_kept", error=str(broken))

    async def write(self) -> None:
        """Write down what there is now; what cannot be written is kept for the next time.  Raises StoreError."""
        async with self._one_at_a_time:
            await self._write()

    async def _write(self) -> None:
        tallies = self._sources.take()
        if not tallies:
            return
        try:
            await self._store.add_sources(tallies)
        except BaseException:  # cut short as well: better counted twice than a signer forgotten
            self._sources.put_back(tallies)
            raise

    async def end(self) -> None:
        """Write down the last of it."""
        try:
            await self.write()
        except RadiusMfaError as broken:
            log.error("sources_not_kept", error=str(broken))

    async def read(self) -> None:
        """Go by what is kept from now on.  Raises StoreError."""
        async with self._one_at_a_time:
            await self._write()  # or who has just signed would not be among them
            kept = await self._store.sources()
            self._read = self._clock.monotonic()
            self._sources.know((each.client, each.source) for each in kept if each.signed)
