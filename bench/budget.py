"""The budget: what CPU time a login costs, by step.

Whole logins are made here, in this process, of the parts a server has: its configuration, the
running OpenLDAP, a store on the disk, and as many at once as in the load.  A stopwatch stands before each
part, so that a step is timed among the others and not by itself, where it would be faster.
What is not here is the server's own loop: its sockets, and a task for each packet.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.load import AT_ONCE, access_request, code
from bench.rig import SECRET
from bench.stopwatch import Stopwatch, timed
from radius_mfa.assembly.backends import Backends, opened
from radius_mfa.assembly.rules import clients_of, load, rules_of
from radius_mfa.config.messages import load_messages
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.messages import Code, Reply
from radius_mfa.core.rules import Rules
from radius_mfa.core.world import Ports
from radius_mfa.data import CONFIG
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.service import Service
from radius_mfa.service.texts import Texts
from radius_mfa.wire.clients import Clients
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.packet import Packet, decode, encode
from radius_mfa.wire.replies import Key, Replies, Seen
from radius_mfa.wire.room import Room

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# In the order they are printed.
STEPS = ("wire", "ldap", "store", "seal", "totp", "audit", "texts", "service")

_HOST = "127.0.0.1"
_REMEMBERED = 12.0


@asynccontextmanager
async def workbench(config: Path) -> AsyncIterator[Workbench]:
    """The parts of the server with that configuration, opened."""
    loaded = load(config, os.environ)
    configuration = loaded.configuration
    audit = AuditFile(config.with_name("budget.jsonl"))
    async with opened(loaded) as backends:
        texts = Texts(load_messages(CONFIG / "messages"), configuration.contact)
        rules, clients = rules_of(configuration, Dictionary.shipped()), clients_of(configuration)
        yield Workbench(backends, rules, clients, Dictionary.shipped(), texts, audit)
    audit.close()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A packet as the wire has read it."""

    key: Key
    packet: Packet


class Workbench:
    """The parts, put together as in the server, and a stopwatch before each."""

    def __init__(
        self,
        backends: Backends,
        rules: Rules,
        clients: Clients,
        dictionary: Dictionary,
        texts: Texts,
        audit: AuditFile,
    ) -> None:
        self._clock = backends.clock
        client = clients.find(_HOST)
        assert client is not None
        self._found = {_HOST: client}  # as the exchange remembers it
        self._dictionary = dictionary
        self._watch = watch = Stopwatch()
        ports = Ports(
            timed(backends.directory, watch, "ldap"),
            timed(backends.store, watch, "store"),
            {kind: timed(factor, watch, kind.value) for kind, factor in backends.factors.items()},
            timed(backends.sealer, watch, "seal"),
            backends.clock,
            backends.entropy,
            backends.trusted,
        )
        service = Service(
            Conversation(ports, rules),
            timed(texts, watch, "texts"),
            timed(audit, watch, "audit"),
            backends.clock,
            backends.entropy,
            Counts(),
        )
        self._answer = timed(service.answer, watch, "service")

    async def measure(self, users: range) -> dict[str, float]:
        """CPU µs a login by step, over one login of each of these users."""
        gc.collect()
        self._watch.spent.clear()
        packets = [access_request(SECRET, user & 255, b"u%d" % user, b"pw%d" % user, b"") for user in users]
        # The loop turns for what the directory sends, and in round two for what the store does in its turn.
        challenges = await self._round(packets, Code.ACCESS_CHALLENGE, "ldap")
        packets = [
            access_request(SECRET, user & 255, b"u%d" % user, code(user), challenge.state or b"")
            for user, challenge in zip(users, challenges, strict=True)
        ]
        await self._round(packets, Code.ACCESS_ACCEPT, "store")
        return {step: self._watch.spent[step] / len(users) * 1e6 for step in STEPS}

    async def _round(self, packets: Sequence[bytes], expected: Code, meanwhile: str) -> list[Reply]:
        """Each packet from octets to octets.  `meanwhile`: whose the time is in which none is worked on."""
        remembered = Replies(_REMEMBERED, Room(len(packets), shared=False))
        with self._watch.step("wire"):
            asked = [self._read(octets, port, remembered) for port, octets in enumerate(packets)]
        with self._watch.step(meanwhile):
            replies = await _each(self._answer, [each.packet.request for each in asked])
        given = [reply for reply in replies if reply is not None and reply.code is expected]
        if len(given) != len(packets):
            raise RuntimeError(f"{len(packets) - len(given)} packets were not answered by {expected.name}")
        with self._watch.step("wire"):
            for each, reply in zip(asked, given, strict=True):
                self._write(each, reply, remembered)
        return given

    def _read(self, octets: bytes, port: int, remembered: Replies) -> _Asked:
        """What the wire does with a packet before anybody is asked."""
        client = self._found[_HOST]
        packet = decode(octets, client, (_HOST, port), self._clock.monotonic(), Packet)
        assert isinstance(packet, Packet)
        key = (None, _HOST, port, packet.identifier)
        seen = remembered.ask(key, packet.authenticator, packet.request.arrived)
        assert seen is Seen.NEW
        return _Asked(key, packet)

    def _write(self, asked: _Asked, reply: Reply, remembered: Replies) -> None:
        """And with its reply."""
        octets = encode(reply, asked.packet, self._dictionary)
        assert octets is not None
        remembered.answer(asked.key, asked.packet.authenticator, octets, self._clock.monotonic())


async def _each(work: Callable[[_Item], Awaitable[_Result]], items: Sequence[_Item]) -> list[_Result]:
    """What `work` makes of every item, as many of them at once as logins in the load."""
    results: dict[int, _Result] = {}
    left = enumerate(items)

    async def take() -> None:
        for place, item in left:
            results[place] = await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(take())
    return [results[place] for place in range(len(items))]
