"""The server in this process, put together as it is when it runs, but for its sockets: octets in, octets out.

Every packet is followed to its decision before the next is sent, but for those of a burst; a refusal comes
back when its delay is over, and nobody waits for it.  The store is in memory, and nobody delivers the mail: the
codes are taken out of the outbox.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from bench.soak.mutate import Craft, Datagram
from bench.soak.oracle import Account, Question
from bench.soak.site import configuration
from bench.soak.tally import Tally, Trouble
from radius_mfa.assembly.answering import conversation_of
from radius_mfa.assembly.backends import Shields, SystemClock, backends_of, open_directory
from radius_mfa.assembly.rules import clients_of, load, rules_of, texts_of
from radius_mfa.config.load import Loaded
from radius_mfa.core.enrolment import Seed
from radius_mfa.core.messages import AccessRequest, Reply
from radius_mfa.core.stored import MailKind
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.metrics import COUNTED, Counts, Values
from radius_mfa.service.service import Service
from radius_mfa.stores.key_file import KeyFile
from radius_mfa.stores.seal import AeadSealer
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.wire.clients import Clients
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.exchange import Answer, Exchange
from radius_mfa.wire.sources import Sources

Changed = Callable[[Answer], Answer]
"""Puts something else in place of what decides: a server that is broken on purpose."""

_WITH_MAIL, _WITH_RECOVERY = 3, 5  # every third user has an address, every fifth recovery codes
_MAIL_EVERY = 100  # packets
_LAST = 5.0  # seconds for what is in flight in the end
# The reasons of a good request; all others are of the octets.
_GOOD = frozenset(
    {"not_ready", "duplicate_in_flight", "superseded", "client_busy", "server_busy", "closing", "too_many_held"}
    | {"withheld", "answer_failed"}
)

_current: ContextVar[Datagram | None] = ContextVar("current", default=None)


def as_it_is(answer: Answer) -> Answer:
    """Nothing is broken."""
    return answer


class _Each(dict[Values, int]):
    """Tells of each time that something is counted, and counts nothing itself."""

    def __init__(self, tell: Callable[[Values], None]) -> None:
        self._tell = tell

    def __missing__(self, values: Values) -> int:
        return 0

    def __setitem__(self, values: Values, times: int) -> None:
        self._tell(values)


class _Meter(Counts):
    """Counts, and tells of what is caught inside and must not happen."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self.discarded_by_wire = 0

    def counter(self, name: str) -> MutableMapping[Values, int]:
        return _Each(lambda values: self.count(name, **dict(zip(COUNTED[name][0], values, strict=True))))

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        super().count(name, amount, **labels)
        self.add_up()  # there is nobody who does it once a second
        broken = (
            (name == "discarded" and labels["reason"] == "answer_failed")
            or (name == "decisions" and labels["outcome"] == "internal_error")
            or name == "unencodable"
        )
        if broken:
            self._tally.trouble(Trouble.EXCEPTION, _current.get(), f"{name} {labels}")
        self.discarded_by_wire += name == "discarded" and labels["reason"] not in _GOOD


class _Doorbell:
    """There is nobody to deliver."""

    def wake(self) -> None:
        pass


class House:
    """Takes datagrams.  `accounts` get their tokens, addresses and recovery codes."""

    def __init__(
        self, tally: Tally, accounts: Sequence[Account], change: Changed, clients: Clients | None = None
    ) -> None:
        configured, self._tally = _loaded().configuration, tally
        self._meter = _Meter(tally)
        self._sealer = AeadSealer(KeyFile.new())
        self._store = SqliteStore.open("sqlite://", SystemClock())
        directory = open_directory(configured, Shields())
        self._backends = backends_of(configured, self._store, self._sealer, directory)
        self._accounts = {f"static:{account.name}": account for account in accounts}
        self._audit = AuditFile(Path(os.devnull))
        rules = rules_of(configured, _dictionary())
        conversation = conversation_of(rules, self._backends, directory, _Doorbell())
        clock, entropy = self._backends.clock, self._backends.entropy
        service = Service(conversation, texts_of(configured), self._audit, clock, entropy, self._meter)
        self._decide = change(service.answer)
        self._running = 0
        self._decided = asyncio.Event()
        self._sent = 0
        self._exchange = Exchange(
            clients or clients_of(configured),
            self._answer,
            _dictionary(),
            self._meter,
            clock,
            structlog.get_logger(),
            sources=Sources(),
            replies={},
            note=lambda _client, _source: None,
            vouches=service.vouches,
            is_ready=lambda: True,
            jitter=random.random,
        )

    async def furnish(self) -> None:
        """Tokens, addresses, recovery codes."""
        enrolment = self._backends.enrolment
        seeds = [Seed(user_id, each.name, each.seed) for user_id, each in self._accounts.items()]
        await enrolment.add(seeds, confirmed=True)
        for number, (user_id, account) in enumerate(self._accounts.items()):
            if number % _WITH_MAIL == 0:
                await self._store.set_mail_address(user_id, account.name, f"{account.name}@example.net")
                account.lengths.add(8)
            if number % _WITH_RECOVERY == 0:
                shown = await enrolment.new_recovery_codes(user_id, account.name)
                account.lengths.add(12)
                account.codes |= {code.replace("-", "") for code in shown}

    async def take(self, datagrams: Sequence[Datagram]) -> None:
        """Receive these at once, and wait until every one of them is decided."""
        received = [(self._receive(each), each.port) for each in datagrams]
        questions = [(read, port) for read, port in received if isinstance(read, Question)]
        if not questions:
            return
        await asyncio.sleep(0)  # the tasks begin
        while self._running:
            self._decided.clear()
            await self._decided.wait()
        for read, port in questions:
            self._tally.oracle.decided(read, port, time.time())
        self._sent += len(datagrams)
        if self._sent > _MAIL_EVERY:
            self._sent = 0
            await self._read_mail()

    def _receive(self, datagram: Datagram) -> object:
        read, arrived = self._tally.sent(datagram), time.time()
        token = _current.set(datagram)
        before = self._meter.discarded_by_wire

        def send(reply: bytes) -> None:
            self._tally.replied(datagram, read, reply, arrived, time.time())

        try:
            self._exchange.receive(datagram.octets, (datagram.host, datagram.port), "socket", send)
        except Exception as error:
            self._tally.trouble(Trouble.EXCEPTION, datagram, f"{type(error).__name__} out of receive: {error}")
        finally:
            _current.reset(token)
        if isinstance(read, Question) and self._meter.discarded_by_wire > before:
            self._tally.trouble(Trouble.DISCARDED, datagram, "a good request")
        return read

    async def _answer(self, request: AccessRequest) -> Reply | None:
        self._running += 1
        try:
            return await self._decide(request)
        finally:
            self._running -= 1
            self._decided.set()

    async def _read_mail(self) -> None:
        now = time.time()
        for mail in await self._store.claim_mails(now, now + 60, 100):
            if mail.kind is MailKind.CODE:
                code = self._sealer.open("mail", mail.code, mail.user_id, mail.id)
                assert code is not None  # it was sealed here
                self._accounts[mail.user_id].codes.add(code.decode())
            await self._store.drop_mail(mail.id)

    async def close(self) -> None:
        """Let the refusals that are held leave, then end."""
        await self._exchange.drain(_LAST)
        await self._backends.directory.close()
        await self._store.close()
        self._audit.close()


@asynccontextmanager
async def house(
    tally: Tally, accounts: Sequence[Account], change: Changed = as_it_is, clients: Clients | None = None
) -> AsyncIterator[House]:
    """A house that is furnished.  What nobody in it catches is an exception of the tally's."""

    def unhandled(_loop: object, context: dict[str, Any]) -> None:
        tally.trouble(Trouble.EXCEPTION, _current.get(), f"on the loop: {context.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(unhandled)
    it = House(tally, accounts, change, clients)
    try:
        await it.furnish()
        yield it
    finally:
        await it.close()


def try_inside(
    tally: Tally,
    craft: Craft,
    everybody: Sequence[Account],
    packets: int,
    *,
    change: Changed = as_it_is,
    clients: Clients | None = None,
) -> None:
    """Send so many packets to a house of their own; `clients`: None for those of the configuration."""
    with without_log(), asyncio.Runner() as runner:
        runner.run(_try(tally, craft, everybody, packets, change, clients))


async def _try(
    tally: Tally,
    craft: Craft,
    everybody: Sequence[Account],
    packets: int,
    change: Changed,
    clients: Clients | None,
) -> None:
    async with house(tally, everybody, change, clients) as it:
        left = packets
        while left > 0:
            burst = craft.burst()
            await it.take(burst)
            left -= len(burst)


@contextmanager
def without_log() -> Iterator[None]:
    """What the server would log is not shown: a million lines about discarded packets."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def clients_as_configured(**changes: str) -> Clients:
    """The clients of the site, with other values than its configuration has: of a server set up wrongly."""
    configured = _loaded().configuration
    changed = [client.model_copy(update=changes) for client in configured.clients]
    return clients_of(configured.model_copy(update={"clients": tuple(changed)}))


@lru_cache
def _loaded() -> Loaded:
    with TemporaryDirectory(prefix="radius-mfa-soak-") as folder:
        path = Path(folder) / "soak.yaml"
        path.write_text(json.dumps(configuration(Path(folder))))  # JSON is YAML
        return load(path, {})


@lru_cache
def _dictionary() -> Dictionary:
    return Dictionary.shipped()
