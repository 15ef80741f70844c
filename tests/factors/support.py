"""An outbox, and all it stands on: a real store, and whatever sends its letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from radius_mfa.config.messages import load_messages
from radius_mfa.core.errors import StoreError
from radius_mfa.core.store import Store
from radius_mfa.core.stored import Mail, MailKind, NewMailCode, Notice
from radius_mfa.core.visits import PORTAL
from radius_mfa.data import CONFIG
from radius_mfa.factors.mail import MailFactor, MailRules
from radius_mfa.factors.outbox import Outbox, Ports, Send
from radius_mfa.factors.smtp import SmtpSender, SmtpSettings
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.texts import Texts
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON, FixedClock, Fuse, SeededEntropy, fused, new_sealer
from tests.peers.smtp import MailServer
from tests.stores.support import attempt, settlement

TOKYO = ZoneInfo("Asia/Tokyo")
TEXTS = Texts(load_messages(CONFIG / "messages"), "ICT Support Center, extension 1234")
TIME_LIMIT = 10.0
LEASE = 60.0  # seconds; more than any claim lasts here
POLL = 0.05
PATIENCE = 30.0

Play = Callable[[], Any]


class Heard(Counts):
    """Counts that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        super().count(name, amount, **labels)
        self._changed.set()

    async def until(self, outcome: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.counted["mails", (("outcome", outcome),)] < times:
                self._changed.clear()
                await self._changed.wait()

    @property
    def outcomes(self) -> dict[str, int]:
        return {labels[0][1]: times for (name, labels), times in self.counted.items() if name == "mails"}


class Looks(Fuse):
    """Never blows; `seen`: somebody has looked into the outbox."""

    def __init__(self) -> None:
        super().__init__(-1, StoreError)
        self.seen = asyncio.Event()

    def pass_through(self, call: str, quoted: object) -> None:
        if call == "claim_mails":
            self.seen.set()


class Down(Fuse):
    """The outbox cannot be read the first three times."""

    def __init__(self) -> None:
        super().__init__(-1, StoreError)
        self.times = 0

    def pass_through(self, call: str, quoted: object) -> None:
        if call == "claim_mails":
            self.times += 1
            if self.times <= 3:
                raise StoreError("away")


@dataclass
class Post:
    """An outbox, started, and all it stands on.  `issued`: digits by reference."""

    store: Store
    clock: FixedClock
    outbox: Outbox
    heard: Heard = field(default_factory=Heard)
    sealer: Any = None
    factor: Any = None
    issued: dict[str, str] = field(default_factory=dict)

    async def issue(self, name: str = "alice", language: str = "en", client: str = "vpn") -> NewMailCode:
        """A code, and its mail in the outbox; nobody is woken."""
        user_id = f"u-{name}"
        facts = await self.store.facts(user_id, self.clock.monotonic() + 5)
        if not facts.mail_address:
            await self.store.set_mail_address(user_id, name, f"{name}@example.net")
            facts = await self.store.facts(user_id, self.clock.monotonic() + 5)
        new = self.factor.ask(facts, language, client, self.clock.wall())
        assert isinstance(new, NewMailCode)
        assert await self.store.issue_mail_code(new, self.clock.monotonic() + 5)
        self.issued[new.reference] = self.sealer.open("mail", new.code, user_id, new.id).decode()
        return new

    async def give(self, kind: MailKind, language: str = "en", *, lasts: float = 86400.0) -> Notice:
        """A mail without a code, to alice, in the outbox; nobody is woken."""
        await self.store.set_mail_address("u-alice", "alice", "alice@example.net")
        now, where = self.clock.wall(), ("alice@example.net", language, PORTAL)
        notice = Notice("0123456789abcdef", "u-alice", kind, *where, now, now + lasts)
        await self.settle_with(notice)
        return notice

    async def settle_with(self, notice: Notice) -> None:
        """A login that ends with a notice to its user."""
        mine, soon = attempt(user_id=notice.user_id), self.clock.monotonic() + 5
        await self.store.spend(mine, lambda counters: counters, soon)
        await self.store.settle(replace(settlement(mine), notice=notice), soon)

    def later(self, seconds: float) -> None:
        """Let time pass, and look."""
        self.clock.advance(seconds)
        self.outbox.wake()

    async def delivers_once(self, server: MailServer, *, mended_by: Callable[[], None]) -> None:
        """A mail that the server does not take as it is reaches it once it is mended, and reaches it once."""
        await self.issue()
        self.outbox.wake()
        await self.heard.until("postponed")
        mended_by()
        self.later(5)
        await self.heard.until("delivered")
        assert len(server.mails) == 1

    async def left(self) -> Sequence[Mail]:
        """What is in the outbox, whoever has claimed it and until when."""
        return await self.store.claim_mails(NOON * 2, NOON * 2, 1000)


def smtp(server: MailServer, timeout: float = TIME_LIMIT) -> Send:
    host, port = server.address
    return SmtpSender(SmtpSettings(host, port, "mfa@example.org", start_tls=False, timeout=timeout))


@asynccontextmanager
async def post(
    send: Send,
    *,
    fuse: Fuse | None = None,
    lifetime: float = 86400.0,
    url: str = "sqlite://",
    poll: float = PATIENCE,
    started: bool = True,
    portal: str = "",
) -> AsyncIterator[Post]:
    clock, heard, sealer = FixedClock(), Heard(), new_sealer()
    store = SqliteStore.open(url, clock)
    ports = Ports(fused(store, fuse), sealer, send, TEXTS.words, clock, heard, portal=portal)
    outbox = Outbox(ports, TIME_LIMIT, TOKYO, poll)
    factor = MailFactor(sealer, SeededEntropy(), MailRules(lifetime, 1000, 0.0))
    it = Post(store, clock, outbox, heard, sealer, factor)
    if started:
        outbox.start()
    try:
        yield it
    finally:
        await outbox.close(PATIENCE)
        await store.close()


def run(play: Play) -> None:
    asyncio.run(asyncio.wait_for(play(), 2 * PATIENCE))
