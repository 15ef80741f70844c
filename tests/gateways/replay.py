"""Packets as gateways send them, from a file a gateway, replayed to a server in process whose clock stands still.

What a file says:

    facts       where its packets come from
    client      the gateway's own lines under `clients` in the YAML
    returns     what the policy returns, as under `reply`
    device      what `station` of that client makes of the user's device; nothing: no device is named
    packets     in the order they are sent; of each
      is          what it is
      octets      the packet, a line for its header and one for each attribute; State: that of the last reply
      shows       its attributes by name and value; …: whatever it is
      password    what its User-Password hides
      answer      code, says (Reply-Message), attributes (all others); method: that this was refused as not offered

The octets go out as they stand.  Only where a State has to be put in, the length and the Message-Authenticator are
made anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, Self, cast

import yaml

from radius_mfa.assembly.policies import policies_of
from radius_mfa.assembly.rules import clients_of
from radius_mfa.config.load import load
from radius_mfa.core.enrolment import Seed
from radius_mfa.core.guard import Guard
from radius_mfa.core.messages import AccessRequest, AuditEvent, Nas, Reply
from radius_mfa.core.rules import Rules
from radius_mfa.core.trust import station_of
from radius_mfa.data import CONFIG
from radius_mfa.service.service import Service
from radius_mfa.service.texts import Texts
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.exchange import Exchange
from radius_mfa.wire.sources import Sources
from tests.adapters import House, user_named
from tests.end_to_end.nas import ByHand, RawReply
from tests.wire.support import CountingMeter, capturing_log

SECRET = "the secret of this gateway"
SEED = bytes(range(20))  # alice's
GATEWAY = "192.0.2.10"
DICTIONARY = Dictionary.shipped()

_STATE, _MESSAGE_AUTHENTICATOR = 24, 80
_ENGLISH = {"en": yaml.safe_load((CONFIG / "messages" / "en.yaml").read_text())}

# A gateway that tries often, so that refusals need not be held for long.
_SITE = """
listen: [{udp: 127.0.0.1:1812}]
clients: []
directory:
  static:
    users:
      - username: nobody
        password: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$3WwZ3u8T7b5wWn0nQkz0JgAAAAAAAAAAAAAAAAAAAAA"
policies: []
"""
_HASTY = {"timeout": "100ms", "retries": "20"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One packet of a file."""

    what: str
    lines: tuple[bytes | None, ...] = field(repr=False)
    shows: tuple[tuple[str, str], ...]
    password: str | None
    answer: Mapping[str, Any]

    @classmethod
    def of(cls, packet: Mapping[str, Any]) -> Self:
        lines = packet["octets"].replace("\n      ", "").splitlines()
        return cls(
            packet["is"],
            tuple(None if line == "State" else bytes.fromhex(line) for line in lines),
            tuple(item for each in packet["shows"] for item in each.items()),
            packet.get("password"),
            packet["answer"],
        )

    def octets(self, state: bytes) -> bytes:
        """What goes over the network, `state` put in where there is to be one."""
        if None not in self.lines:
            return b"".join(cast(Sequence[bytes], self.lines))
        pieces = [bytes((_STATE, 2 + len(state))) + state if line is None else line for line in self.lines]
        pieces[0] = pieces[0][:2] + sum(map(len, pieces)).to_bytes(2, "big") + pieces[0][4:]
        zeroed = bytes((_MESSAGE_AUTHENTICATOR, 18)) + bytes(16)
        if zeroed in pieces:  # RFC 3579 §3.2
            signature = hmac.digest(SECRET.encode(), b"".join(pieces), "md5")
            pieces[pieces.index(zeroed)] = zeroed[:2] + signature
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Fixture:
    """A file: see above."""

    profile: str
    facts: str
    client: Mapping[str, str]
    returns: Mapping[str, str]
    device: str | None
    packets: tuple[Sent, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        # As text throughout, as our own YAML is read.
        said = yaml.load(path.read_text(), yaml.BaseLoader)
        packets = tuple(map(Sent.of, said["packets"]))
        return cls(path.stem, said["facts"], said["client"], said["returns"], said.get("device"), packets)


class Replayer(ByHand):
    """The gateway's end.  `events`: what the audit file has of it; `nas`: the client as the server knows it."""

    def __init__(self, house: House, exchange: Exchange, nas: Nas, events: list[AuditEvent]) -> None:
        super().__init__(SECRET.encode())
        self.nas = nas
        self.events = events
        self.devices: list[str | None] = []  # of each request that was looked at
        self._house = house
        self._exchange = exchange
        self._port = 40000

    def exchange_all(self, packets: Sequence[bytes]) -> list[RawReply]:
        """From another port each time, as some gateways have it."""
        self._port += 1
        return [self.read(self._house.run(self._reply_to(packet)), packet) for packet in packets]

    def again(self, packet: bytes) -> RawReply:
        """The same once more, from the same port."""
        return self.read(self._house.run(self._reply_to(packet)), packet)

    async def _reply_to(self, packet: bytes) -> bytes:
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._exchange.receive(packet, (GATEWAY, self._port), "socket", reply.set_result)
        return await asyncio.wait_for(reply, 10)


@contextmanager
def replaying(fixture: Fixture, folder: Path) -> Iterator[Replayer]:
    """A server that has that gateway for its client, and alice with a token."""
    client = {"name": "gw", "address": GATEWAY, "secret": SECRET, **fixture.client, **_HASTY}
    site = yaml.safe_load(_SITE)
    site["clients"] = [client]
    site["policies"] = [{"name": "staff", "when": {"client": "gw"}, "reply": dict(fixture.returns)}]
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    configuration = load(folder / "site.yaml", {}, DICTIONARY).configuration
    clients = clients_of(configuration)
    served = clients.find(GATEWAY)
    assert served is not None
    house = House(Rules(policies_of(configuration, DICTIONARY), Guard(), 300.0, UTC))
    try:
        alice = user_named("alice")
        house.run(house.enrolment.add([Seed(alice.id, alice.username, SEED)], confirmed=True))
        events: list[AuditEvent] = []
        texts = Texts(_ENGLISH, contact="")
        service = Service(house.conversation, texts, events.append, house.clock, house.entropy, CountingMeter())
        devices: list[str | None] = []

        async def answer(request: AccessRequest) -> Reply | None:
            devices.append(station_of(request))
            return await service.answer(request)

        exchange = Exchange(
            clients,
            answer,
            DICTIONARY,
            CountingMeter(),
            house.clock,
            capturing_log()[0],
            sources=Sources(()),
            replies={},
            note=lambda client, source: None,
            vouches=service.vouches,
            is_ready=lambda: True,
            jitter=lambda: 0.0,
        )
        replayer = Replayer(house, exchange, served.nas, events)
        replayer.devices = devices
        yield replayer
    finally:
        house.close()


def hidden_in(value: bytes, salt: bytes) -> str:
    """The text of a User-Password (RFC 2865 §5.2)."""
    plain, last = b"", salt
    for at in range(0, len(value), 16):
        pad = hashlib.md5(SECRET.encode() + last).digest()
        last = value[at : at + 16]
        plain += bytes(a ^ b for a, b in zip(last, pad, strict=True))
    return plain.rstrip(b"\x00").decode()
