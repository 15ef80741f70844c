"""Supplicants in front of a service, which has a house behind it: whole logins by 802.1X, without a socket.

with lan(certificate) as it:
    device = Device(it, it.login(Method.TTLS_PAP, f"{PASSWORD},{it.house.code('alice')}"))
    assert device.log_in().code is Code.ACCESS_ACCEPT
    assert it.heard() == ["accept accepted"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from OpenSSL import SSL

from bench.eap.peer import Login, Method, Peer
from radius_mfa.core.messages import AccessRequest, Attribute, AuditEvent, Code, Nas, Profile, Reply
from radius_mfa.core.policy import Policy
from radius_mfa.core.ports import Clock, Entropy, Meter, Sealer
from radius_mfa.data import CONFIG
from radius_mfa.eap.packet import Type
from radius_mfa.eap.tunnel import Terms
from radius_mfa.observe.metrics import Counts
from radius_mfa.service.service import Service
from radius_mfa.service.supplicants import Eap, Supplicants
from radius_mfa.service.talks import Talks
from radius_mfa.service.texts import Texts
from tests.adapters import STAFF_POLICY, Fuse, House, access_request, house

AP = Nas("ap", Profile("generic"), station="mac")
OTHER_AP = replace(AP, name="other ap")
PHONE, LAPTOP = b"02-00-00-00-00-01", b"02-00-00-00-00-02"
CHALLENGE_LIFETIME = 300.0
HANDSHAKE = 60.0
LANGUAGES = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIG / "messages").glob("*.yaml")}


@dataclass(repr=False)
class Lan:
    """A service that serves 802.1X.  `events`: what it has written down."""

    house: House
    service: Service
    talks: Talks
    counts: Counts
    events: list[AuditEvent] = field(default_factory=list)

    def answer(self, request: AccessRequest) -> Reply | None:
        return self.house.run(self.service.answer(request))

    def heard(self) -> list[str]:
        """What has been written down, in two words each."""
        return [f"{event.decision} {event.outcome}" for event in self.events]

    def became(self, what: str) -> int:
        """How many conversations became that."""
        return self.counts.counted.get(("eap", (("event", what),)), 0)

    def login(self, method: Method, *texts: str | Callable[[], str], name: bytes = b"alice", **more: Any) -> Login:
        """`texts`: what is typed; a function is asked for it when it is."""
        typed = ((text if isinstance(text, str) else text()).encode() for text in texts)
        return Login(method, name, cast(Sequence[bytes], typed), **more)


@contextmanager
def lan(
    certificate: Path,
    *,
    fuse: Fuse | None = None,
    identity: str = "none",
    session_lifetime: float = 86400.0,
    policies: Sequence[Policy] = (STAFF_POLICY,),
    methods: Sequence[Type] = (Type.TTLS, Type.PEAP),
    tls: Sequence[str] = ("1.2", "1.3"),
    discard_when_broken: bool = False,
    interleaves: bool = False,
) -> Iterator[Lan]:
    """alice has a token; the fuse is in every call of the conversation."""
    with house(policies, discard_when_broken=discard_when_broken) as it:
        it.enrol("alice")
        it.wire(fuse)
        if interleaves:
            it.interleave()
        events: list[AuditEvent] = []
        clock: Clock = it.clock
        entropy: Entropy = it.entropy
        meter: Meter = (counts := Counts())
        sealer: Sealer = it.sealer
        talks = Talks(clock, entropy, meter)
        terms = Terms(certificate, certificate, tls, session_lifetime)
        eap = Eap(methods, terms, session_lifetime, identity, CHALLENGE_LIFETIME)
        make = partial(Supplicants, eap, talks, sealer=sealer, clock=clock, entropy=entropy, meter=meter)
        texts = Texts(LANGUAGES, contact="Desk 1234")
        service = Service(it.conversation, texts, events.append, clock, entropy, counts, supplicants=make)
        yield Lan(it, service, talks, counts, events)


class Device:
    """One supplicant, and the NAS before it.  `asked`: all that the NAS has sent; `replies`: what came of it."""

    def __init__(
        self,
        lan: Lan,
        login: Login,
        session: SSL.Session | None = None,
        *,
        nas: Nas = AP,
        station: bytes | None = PHONE,
        extra: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        self.peer = Peer(login, session)
        self.nas = nas
        self.eap = self.peer.identity(1)
        self.state: bytes | None = None
        self.asked: list[AccessRequest] = []
        self.replies: list[Reply] = []
        self._lan = lan
        self._station = station
        self._extra = [*extra]

    def request(self, **differently: Any) -> AccessRequest:
        """The next one.  `eap` and all that `access_request` takes may be put in place of its own."""
        eap: bytes = differently.pop("eap", self.eap)
        pieces = [(int(Attribute.EAP_MESSAGE), eap[at : at + 253]) for at in range(0, len(eap) or 1, 253)]
        said = {
            "nas": self.nas,
            "user_name": self.peer.login.outer,
            "password": None,
            "state": self.state,
            "station": self._station,
            "arrived": self._lan.house.clock.monotonic(),
            "extra": [*self._extra, *pieces],
        }
        return access_request(**{**said, **differently})

    def hears(self, reply: Reply) -> None:
        """What the supplicant says to it is next."""
        self.replies.append(reply)
        self.state = reply.state
        self.eap = self.peer.answer(reply.eap)

    def goes_on(self) -> Reply:
        """One round."""
        self.asked.append(self.request())
        reply = self._lan.answer(self.asked[-1])
        assert reply is not None
        self.hears(reply)
        return reply

    def goes_to(self, rounds: int) -> None:
        """So many rounds."""
        for _ in range(rounds):
            self.goes_on()

    def log_in(self) -> Reply:
        """To its end, or on to it."""
        while self.eap:
            self.goes_on()
        return self.replies[-1]


def rounds_of(lan: Lan, login: Login) -> int:
    """How many rounds such a login takes."""
    device = Device(lan, login)
    device.log_in()
    return len(device.asked)


def is_accept(device: Device) -> bool:
    """Whether it has ended in an Access-Accept with the supplicant's keys; no other reply may have any."""
    *others, last = device.replies
    assert not any(each.msk or each.key_name for each in others)
    assert not any(each.messages for each in device.replies)  # RFC 3579 §2.6.5
    if last.code is not Code.ACCESS_ACCEPT:
        assert (last.msk, last.key_name, last.attributes) == (b"", b"", ())
        assert device.peer.is_accepted is False
        return False
    assert device.peer.is_accepted
    assert last.msk == device.peer.msk
    assert last.key_name[0] == device.peer.login.method.number
    return True
