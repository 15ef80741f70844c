"""What is under way: for one client, on one connection, for one request; and how much of it there may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from radius_mfa.core.seldom import Seldom
from radius_mfa.wire.clients import Client
from radius_mfa.wire.packet import Packet
from radius_mfa.wire.replies import LONGEST, Key, Replies
from radius_mfa.wire.room import Room

Send = Callable[[bytes], None]
"""Sends a reply to where its request came from; never waits, never raises."""

KnownReplies = dict[tuple[str, float, bool], Replies]
"""By client, its window, and whether it has several addresses: a reload changes nothing where these stay."""

RADSEC_SECRET = b"radsec"  # RFC 6614 §2.3: TLS keeps the secrets, this one only fills its place

_MOST_LOGGED_OF_ONE = 128  # lines in a minute about one client
_ON_LINK = 512  # requests remembered of a connection: there are 256 Identifiers, and no share is to matter


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept at once.

    `in_flight`: requests being answered, in all and per client.  `held`: delayed replies, likewise.
    Beyond it they are not sent at all: to send them at once would hurry exactly the one who guesses
    most.  `remembered`: requests per client, in flight or answered, for the sake of duplicates.  Of
    what is a client's, no source of several has more than half.  Of what is in flight or remembered,
    requests without a good State get three quarters, so that under overload a login half-way is
    finished before another begins.
    """

    in_flight: int = 4096
    in_flight_per_client: int = 1024
    held: int = 16384
    held_per_client: int = 4096
    remembered: int = 32768


class Desk:
    """What is under way for one client.

    `over_tls`: the client as it is where TLS has proved who it is.  `table`: what `replies` are known by.
    """

    def __init__(self, client: Client, limits: Limits, known: KnownReplies) -> None:
        shared = len(client.networks) > 1 or any(each.num_addresses > 1 for each in client.networks)
        self.client = client
        self.over_tls = replace(client, secrets=(RADSEC_SECRET,), message_authenticator="optional")
        self.name = client.nas.name
        self.is_auto = client.message_authenticator == "auto"
        self.table = (client.nas.name, client.nas.window, shared)
        self.replies = known.get(self.table) or Replies(client.nas.window, Room(limits.remembered, shared=shared))
        self.in_flight = Room(limits.in_flight_per_client, shared=shared)
        self.held = Room(limits.held_per_client, shared=shared)
        self.lines = Seldom(_MOST_LOGGED_OF_ONE)


class Link:
    """A connection of a client that has proved who it is (RFC 6614 §2.3).

    Its duplicates are its own and end with it (RFC 6613 §2.6.1): nobody can repeat a packet on a connection
    that is no more.
    """

    __slots__ = ("client", "closed", "replies", "send", "source")

    def __init__(self, client: str, source: tuple[str, int], send: Send) -> None:
        self.client = client
        self.source = source
        self.send = send
        self.replies = Replies(LONGEST, Room(_ON_LINK, shared=False))
        self.closed = False


class Asked(Packet):
    """A request that is being answered.  `link`: the connection it came on, None for a datagram."""

    __slots__ = ("desk", "key", "replies", "send")

    desk: Desk
    key: Key
    send: Send
    replies: Replies
    link: Link | None = None

    @property
    def client(self) -> str:
        return self.desk.name

    @property
    def host(self) -> str:
        return self.key[1]

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits for the reply: the connection has ended."""
        return self.link is not None and self.link.closed


class AskedOver(Asked):
    """One that came on a connection."""

    __slots__ = ("link",)

    link: Link
