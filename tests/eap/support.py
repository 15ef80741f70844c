"""Both ends of an EAP conversation in memory: our `Dialogue`, and the supplicant of `bench`, none of ours.

    played = Table(terms_of(certificate), Login(Method.TTLS_GTC, b"alice", (b"password", b"123456")))
    end = played.play("The code, please", Verdict.ACCEPT)

`Table` lets a supplicant do what it should; `Bare` says what a test wants, within the tunnel or before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from OpenSSL import SSL

from bench.eap.packets import LENGTH, MORE, fragment_of, packet_of
from bench.eap.peer import Login, Peer
from bench.eap.tls import Tunnel
from radius_mfa.core.sessions import Session
from radius_mfa.eap.dialogue import Dialogue, End, Event, Say, TakenUp
from radius_mfa.eap.inner import Asked
from radius_mfa.eap.packet import Response, Type, read_response
from radius_mfa.eap.tunnel import Terms

BOTH = (Type.TTLS, Type.PEAP)
SESSION = Session("u-alice", "alice", "staff", 0.0)
ACKNOWLEDGED = b"\0"


class Verdict(Enum):
    """What becomes of whoever asks to be let in; a text instead is asked of them."""

    ACCEPT = auto()
    ACCEPT_ONCE = auto()  # and the TLS session may not be taken up again
    REFUSE = auto()


def terms_of(certificate: Path, *versions: str, lifetime: float = 3600.0) -> Terms:
    return Terms(certificate, certificate, versions or ("1.2", "1.3"), lifetime)


def nobody(_name: bytes) -> Session | None:
    """No session is worth anything."""
    return None


def judge(dialogue: Dialogue, verdict: Verdict | str) -> Event:
    if isinstance(verdict, str):
        return dialogue.challenge(verdict)
    if verdict is Verdict.REFUSE:
        return dialogue.refuse()
    return dialogue.accept(keep=verdict is Verdict.ACCEPT)


class Table:
    """A server and a supplicant.  `asked`: what was to be decided; `rounds`: responses; `sent`: our requests."""

    def __init__(
        self,
        terms: Terms,
        login: Login,
        session: SSL.Session | None = None,
        *,
        methods: Sequence[Type] = BOTH,
        find: Callable[[bytes], Session | None] = nobody,
        mtu: int | None = None,
    ) -> None:
        self.peer = Peer(login, session)
        identity = read_response(self.peer.identity(255))
        assert identity is not None
        self.dialogue = Dialogue(identity, methods, terms, find, mtu)
        self.asked: list[Asked | TakenUp] = []
        self.sent: list[bytes] = []

    def play(self, *verdicts: Verdict | str) -> End:
        """To its end; so many decisions, and no more, are asked for."""
        left = iter(verdicts)
        event: Event | None = self.dialogue.begin()
        while not isinstance(event, End):
            if isinstance(event, Say):
                self.sent.append(event.packet)
                response = read_response(self.peer.answer(event.packet))
                assert response is not None
                event = self.dialogue.hear(response)
            else:
                assert event is not None
                self.asked.append(event)
                event = judge(self.dialogue, next(left))
        self.peer.answer(event.packet)
        assert next(left, None) is None
        return event


class Client(Tunnel):
    """The supplicant's end, which can also do what none of them should."""

    def closing(self) -> bytes:
        """The alert by which it is closed (RFC 5246 §7.2.1)."""
        self._connection.shutdown()
        return self.records()

    def negotiating_anew(self) -> bytes:
        """Another handshake within the tunnel (RFC 5246 §7.4.1.1)."""
        self._connection.renegotiate()
        with suppress(SSL.WantReadError):
            self._connection.do_handshake()
        return self.records()


class Bare:
    """A supplicant that says what it is told to.  `event`: what came of the last; `heard`: within the tunnel."""

    def __init__(
        self,
        terms: Terms,
        kind: Type,
        tls: str = "1.2",
        session: SSL.Session | None = None,
        *,
        methods: Sequence[Type] = (),
        find: Callable[[bytes], Session | None] = nobody,
        ca_file: Path | None = None,
    ) -> None:
        self.kind = kind
        self.tunnel = Client(tls, ca_file, session)
        self.dialogue = Dialogue(Response(0, Type.IDENTITY, b"anonymous"), methods or (kind,), terms, find, 1400)
        self.identifier = 0
        self.heard = b""
        self.event = self._noted(self.dialogue.begin())

    def _noted(self, event: Event | None) -> Event | None:
        if isinstance(event, Say):
            self.identifier = packet_of(event.packet).identifier
        return event

    def send(self, data: bytes, *, kind: int | None = None, identifier: int | None = None) -> Event | None:
        """A response with this behind its Type."""
        number = self.identifier if identifier is None else identifier
        self.event = self._noted(self.dialogue.hear(Response(number, self.kind if kind is None else kind, data)))
        return self.event

    def tell(self, message: bytes) -> Event | None:
        """A whole message in one piece; all pieces of the answer to it are heard."""
        event, received = self.send(ACKNOWLEDGED + message), b""
        while isinstance(event, Say):
            piece = fragment_of(packet_of(event.packet).data)
            received += piece.data
            if not piece.flags & MORE:
                break
            event = self.send(ACKNOWLEDGED)
        if isinstance(event, Say):
            self.heard = self.tunnel.take(received)
        return event

    def hello(self) -> bytes:
        """What opens the handshake."""
        self.tunnel.take(b"")
        return self.tunnel.records()

    def shake_hands(self) -> Event | None:
        """Until both have said that it is over, and PEAP has asked who it is."""
        message = self.hello()
        while message:
            self.tell(message)
            message = self.tunnel.records()
        return self.tell(b"") if self.kind == Type.PEAP else self.event

    def say(self, octets: bytes) -> Event | None:
        """Within the tunnel."""
        self.tunnel.put(octets)
        return self.tell(self.tunnel.records())

    def judged(self, verdict: Verdict | str) -> Event | None:
        """Decided on; what is said of it within the tunnel is heard."""
        self.event = self._noted(judge(self.dialogue, verdict))
        if isinstance(self.event, Say):
            self.heard = self.tunnel.take(fragment_of(packet_of(self.event.packet).data).data)
        return self.event


def cut(message: bytes, room: int) -> list[bytes]:
    """Pieces of a supplicant's, of at most `room` octets of the message each."""
    parts = [message[at : at + room] for at in range(0, len(message), room)] or [b""]
    first, *rest = parts
    if not rest:
        return [ACKNOWLEDGED + first]
    head = bytes((LENGTH | MORE,)) + len(message).to_bytes(4, "big") + first
    return [head, *(bytes((MORE,)) + each for each in rest[:-1]), ACKNOWLEDGED + rest[-1]]


def why(event: Event | None) -> str:
    """How it has ended, in words; only what has ended has any."""
    assert isinstance(event, End)
    assert event.keys is None
    return event.why
