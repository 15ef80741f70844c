"""What a supplicant says, spoilt: to the parsers of EAP, and in whole conversations, in the tunnel and before it.

Nobody is ever let in here, so that any key that comes out is one too many; and no exception comes out but those
that the parsers declare.  The seed fixes how messages are spoilt; the secrets of TLS are others in every run.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from OpenSSL import SSL

from bench.eap import packets
from bench.eap.certificates import certify
from bench.eap.packets import LENGTH, MORE, START, Packet, fragment_of, packet_of
from bench.eap.peer import Login, Method, Peer
from bench.eap.tls import Tunnel
from bench.soak.spoil import OCTETS
from radius_mfa.core.sessions import Session
from radius_mfa.eap.avps import read_avps
from radius_mfa.eap.dialogue import Dialogue, End, Event, Say
from radius_mfa.eap.fragments import FragmentsError, Message, read_fragment
from radius_mfa.eap.inner import Inner, Peap, Ttls, is_good_result
from radius_mfa.eap.packet import Response, Type, read_response
from radius_mfa.eap.tunnel import Terms

_MOST_FAILURES = 10
_BATCH = 8  # inputs until another stage has its turn
_METHODS = (Type.TTLS, Type.PEAP)
_SESSION = Session("u1", "u1", "staff", 0.0)


@dataclass(frozen=True, slots=True)
class TunnelFigures:
    """What came of all inputs.  `tried`: by stage; `became`: what they came to; `failures`: how it was not so."""

    tried: Mapping[str, int] = field(default_factory=Counter)
    became: Mapping[str, int] = field(default_factory=Counter)
    exceptions: int = 0
    wrong_keys: int = 0
    failures: tuple[str, ...] = ()
    seconds: float = 0.0

    def __add__(self, other: TunnelFigures) -> TunnelFigures:
        """Both together; the seconds are the longer ones."""
        return TunnelFigures(
            Counter(self.tried) + Counter(other.tried),
            Counter(self.became) + Counter(other.became),
            self.exceptions + other.exceptions,
            self.wrong_keys + other.wrong_keys,
            (self.failures + other.failures)[:_MOST_FAILURES],
            max(self.seconds, other.seconds),
        )


def try_tunnels(inputs: int, seed: int, *, workers: int = 2) -> TunnelFigures:
    """Try at least so many inputs, in so many processes."""
    shares = [(-(-inputs // workers), f"{seed} tunnels-{number}") for number in range(workers)]
    if workers == 1:
        return _try(*shares[0])
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=fresh) as pool:
        return sum(pool.map(_try, *zip(*shares, strict=True)), TunnelFigures())


def _try(inputs: int, seed: str) -> TunnelFigures:
    with TemporaryDirectory(prefix="radius-mfa-soak-") as folder:
        return _Fuzz(Random(seed), Path(folder)).run(inputs)


class _Fuzz:
    """Makes the inputs and counts what becomes of them."""

    def __init__(self, random: Random, folder: Path) -> None:
        self._random = random
        certificate, key = certify(folder, "ECDSA P-256")
        self._terms = Terms(certificate, key, ("1.2", "1.3"), 3600)
        self._tried, self._became = Counter[str](), Counter[str]()
        self._exceptions = self._wrong_keys = 0
        self._failures: list[str] = []
        self._sessions: dict[str, SSL.Session] = {}

    def run(self, inputs: int) -> TunnelFigures:
        """The parsers have most of them: an input costs them a thousandth of what a handshake costs."""
        began = time.perf_counter()
        stages: tuple[tuple[Callable[[], None], int], ...] = (
            (self._packets, 6),
            (self._pieces, 6),
            (self._pairs, 6),
            (self._within_ttls, 6),
            (self._within_peap, 6),
            (self._before_the_tunnel, 6),
            (self._in_the_handshake, 3),
            (self._in_the_tunnel, 4),
        )
        turns, weights = zip(*stages, strict=True)
        while self._tried.total() < inputs:
            stage = self._random.choices(turns, weights)[0]
            try:
                stage()
            except Exception:
                self._exceptions += 1
                self._fails(traceback.format_exc())
        seconds = time.perf_counter() - began
        failures = tuple(self._failures)
        return TunnelFigures(self._tried, self._became, self._exceptions, self._wrong_keys, failures, seconds)

    def _fails(self, how: str) -> None:
        if len(self._failures) < _MOST_FAILURES:
            self._failures.append(how)

    def _tries(self, stage: str, became: object) -> None:
        self._tried[stage] += 1
        self._became[type(became).__name__ if became is not None else "nothing"] += 1

    # --- inputs ----------------------------------------------------------------------------------

    def _spoilt(self, octets: bytes) -> bytes:
        spoilt = bytearray(octets)
        for _ in range(self._random.choice([0, 1, 1, 1, 2, 3])):
            self._random.choice([*OCTETS, _lie_of_a_pair])(self._random, spoilt)
        return bytes(spoilt)

    def _eap(self) -> bytes:
        kind = self._random.choice([1, 2, 3, 6, 21, 25, 33, 254])
        data = self._random.choice([b"", b"u1", b"pw1,123456", b"\x1a", b"\x80\x03\x00\x02\x00\x01"])
        return Packet(packets.RESPONSE, self._random.randrange(256), kind, data).octets()

    def _avps(self) -> bytes:
        whole = self._random.choice(
            [packets.pap(b"u1", b"pw1,123456"), packets.eap_message(self._eap()), packets.avp(3, bytes(17))]
        )
        vendors = (25 << 8 | 64).to_bytes(4, "big") + b"\xc0\0\0\x10\0\0\x01\x37abcd"
        more = self._random.choice([b"", b"", packets.avp(1, b"u2"), packets.avp(77, b"x", 0), vendors])
        return whole + more

    # --- parsers -----------------------------------------------------------------------------------

    def _packets(self) -> None:
        for _ in range(_BATCH):
            self._tries("EAP packets", read_response(self._spoilt(self._eap())))

    def _pieces(self) -> None:
        message = Message()
        for _ in range(_BATCH):
            data = self._random.randbytes(self._random.choice([0, 1, 20, 1000, 4000]))
            flags = self._random.choice(
                [0, 0, MORE, MORE, LENGTH | MORE, LENGTH, START, self._random.randrange(256)]
            )
            total = self._random.choice([len(data), 2 * len(data), 5000, 2**32 - 1]).to_bytes(4, "big")
            octets = bytes((flags,)) + (total if flags & LENGTH else b"") + data
            try:
                self._tries("TLS fragments", message.add(read_fragment(self._spoilt(octets))))
            except FragmentsError as refused:
                self._tries("TLS fragments", refused)
                message = Message()

    def _pairs(self) -> None:
        for _ in range(_BATCH):
            self._tries("AVPs", read_avps(self._spoilt(self._avps())))

    def _within_ttls(self) -> None:
        self._within(Ttls(), "inner TTLS", self._avps)

    def _within_peap(self) -> None:
        self._within(Peap(), "inner PEAP", self._headless)

    def _headless(self) -> bytes:
        return self._eap()[self._random.choice([0, 4]) :]

    def _within(self, inner: Inner, stage: str, made: Callable[[], bytes]) -> None:
        for _ in range(_BATCH):
            octets = self._spoilt(made())
            is_good_result(octets)
            self._tries(stage, inner.hear(octets))

    # --- conversations -----------------------------------------------------------------------------

    def _dialogue(self, kinds: tuple[Type, ...] = _METHODS) -> Dialogue:
        mtu = self._random.choice([None, 100, 500, 1400])
        return Dialogue(Response(0, Type.IDENTITY, b""), kinds, self._terms, self._find, mtu)

    def _find(self, _name: bytes) -> Session | None:
        return self._random.choice([None, _SESSION])

    def _judged(self, dialogue: Dialogue, event: Event | None) -> Event | None:
        """Nobody is let in."""
        if isinstance(event, End) and event.keys is not None:
            self._wrong_keys += 1
            self._fails("keys came of a conversation in which nobody was let in")
        if event is None or isinstance(event, Say | End):
            return event
        if self._random.random() < 0.5 or not getattr(event, "text", b""):
            return self._judged(dialogue, dialogue.refuse())
        return self._judged(dialogue, dialogue.challenge("Enter the code"))

    def _hears(self, dialogue: Dialogue, stage: str, octets: bytes) -> Event | None:
        response = read_response(octets)
        event = dialogue.hear(response) if response is not None else None
        self._tries(stage, event)
        return self._judged(dialogue, event)

    def _login(self) -> tuple[Login, Type]:
        method = self._random.choice([*Method])
        tls = self._random.choice(["1.2", "1.3"])
        return Login(method, b"u1", (b"pw1,123456",) * 200, tls=tls), Type(method.number)

    def _peer(self) -> tuple[Peer, Type]:
        """A supplicant, often with the session of an earlier login."""
        login, kind = self._login()
        session = self._sessions.get(login.tls) if self._random.random() < 0.3 else None
        return Peer(login, session), kind

    def _before_the_tunnel(self) -> None:
        """Responses to the proposal that are nearly a ClientHello, or nearly something else."""
        dialogue = self._dialogue()
        event: Event | None = dialogue.begin()
        peer, _ = self._peer()
        while isinstance(event, Say):
            said = packet_of(event.packet)
            octets = peer.answer(event.packet) if said.data == b"\x20" else self._eap()
            heard = self._hears(dialogue, "before the tunnel", self._spoilt(octets))
            event = heard or self._hears(dialogue, "before the tunnel", _of(said.identifier, octets))
            if event is None or self._random.random() < 0.2:
                return

    def _in_the_handshake(self) -> None:
        """A whole login, one response of which is spoilt; those before are as they should be."""
        peer, kind = self._peer()
        dialogue = self._dialogue((kind,))
        event: Event | None = dialogue.begin()
        left = self._random.randrange(12)
        while isinstance(event, Say):
            try:
                octets = peer.answer(event.packet)
            except (packets.MalformedError, SSL.Error, StopIteration):
                return  # it has understood no more than we have
            event = self._hears(dialogue, "in the handshake", octets if left else self._spoilt(octets))
            left -= 1

    def _in_the_tunnel(self) -> None:
        """A tunnel that is open, in which everything is spoilt, or the records themselves."""
        login, kind = self._login()
        dialogue, tunnel = self._dialogue((kind,)), Tunnel(login.tls, None)
        talk = _Talk(dialogue, tunnel, dialogue.begin(), kind)
        talk.opens()
        made = self._headless if kind is Type.PEAP else self._avps
        while isinstance(talk.event, Say):
            tunnel.put(self._spoilt(made()) or b"\0")
            record = tunnel.records()
            spoilt = self._spoilt(record) if self._random.random() < 0.1 else record
            heard = self._judged(dialogue, talk.tell(spoilt))
            self._tries("in the tunnel", heard)
            talk.goes_on(heard)
        self._keep(login)

    def _keep(self, login: Login) -> None:
        """Have a session that may be taken up, made by a login that is let in."""
        if login.tls in self._sessions and self._random.random() < 0.9:
            return
        peer = Peer(replace(login, method=Method.TTLS_PAP))
        dialogue = self._dialogue((Type.TTLS,))
        event: Event | None = dialogue.begin()
        while not isinstance(event, End):
            response = read_response(peer.answer(event.packet)) if isinstance(event, Say) else None
            event = dialogue.hear(response) if response is not None else dialogue.accept(keep=True)
        peer.answer(event.packet)
        if peer.session is not None:
            self._sessions[login.tls] = peer.session


class _Talk:
    """A supplicant that says what it is told to, and acknowledges what comes."""

    def __init__(self, dialogue: Dialogue, tunnel: Tunnel, event: Event | None, kind: Type) -> None:
        self.event = event
        self._dialogue = dialogue
        self._tunnel = tunnel
        self._kind = kind

    def opens(self) -> None:
        self._tunnel.take(b"")
        while message := self._tunnel.records():
            self.goes_on(self.tell(message))

    def tell(self, message: bytes) -> Event | None:
        """One message, whole."""
        return self._answer(b"\0" + message)

    def goes_on(self, event: Event | None) -> None:
        """All pieces of what came are acknowledged, and heard."""
        received = b""
        while isinstance(event, Say):
            self.event = event
            piece = fragment_of(packet_of(event.packet).data)
            received += piece.data
            if not piece.flags & MORE:
                break
            event = self._answer(b"\0")
        self.event = event
        try:
            self._tunnel.take(received)
        except SSL.Error:  # an alert
            self.event = None

    def _answer(self, data: bytes) -> Event | None:
        assert isinstance(self.event, Say)
        identifier = packet_of(self.event.packet).identifier
        return self._dialogue.hear(Response(identifier, self._kind, data))


def _of(identifier: int, octets: bytes) -> bytes:
    """The same as the response to that request."""
    return octets[:1] + bytes((identifier,)) + octets[2:]


def _lie_of_a_pair(random: Random, octets: bytearray) -> None:
    """The length of the first AVP (RFC 5281 §10.1)."""
    octets[5:8] = random.choice([0, 7, 8, 11, 12, len(octets), len(octets) + 1, 2**24 - 1]).to_bytes(3, "big")
