"""Streams over TLS that are nearly right: what comes of them is a reply, silence or the end of the connection; and
nothing secret is said of any of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from tests.cli.support import run_cli
from tests.end_to_end.nas import (
    ACCEPT,
    CALLING_STATION_ID,
    CODES,
    MESSAGE_AUTHENTICATOR,
    REJECT,
    STATUS_SERVER,
    walked,
)
from tests.end_to_end.radsec import CLOSED, EndedError, RadSecNas, Tls, refusal
from tests.end_to_end.radsec_site import GATEWAY, ONE_FIELD, RadSecSite, counted, is_served, where
from tests.end_to_end.site import Account, Site
from tests.end_to_end.test_metrics import fetch_until
from tests.end_to_end.test_secrets import Told
from tests.peers.certificates import Authority
from tests.peers.server import Server

_STREAMS, _TIMES = 300, 6


@pytest.fixture(scope="module")
def ground(university: Site, tmp_path_factory: pytest.TempPathFactory) -> RadSecSite:
    return RadSecSite(university, tmp_path_factory.mktemp("fuzz") / "ours")


@pytest.fixture
def server(ground: RadSecSite) -> Iterator[Server]:
    """The most talkative."""
    with ground.server("fuzz", {"log": {"level": "debug"}, "audit": {"file": "fuzz.jsonl"}}) as running:
        yield running


class Streams:
    """Octets made of good packets, none of which has a right code; what is done to them is the same each time."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def packets(self, nas: RadSecNas, user: Account, states: list[bytes]) -> list[bytes]:
        """Logins that begin, that go on with a wrong code, Status-Server, and what is none of our business."""
        name, password, chance = user.name.encode(), user.password.encode(), self._random
        made = []
        for _ in range(chance.randint(1, 4)):
            sign, station = chance.random() < 0.5, (CALLING_STATION_ID, b"%d" % chance.randrange(9))
            kind = chance.choice(("begins", "wrong", "goes on", "status", "other"))
            if kind == "begins":
                made.append(nas.packet(name, password, station, sign=sign))
            elif kind == "wrong":
                made.append(nas.packet(name, chance.randbytes(chance.randrange(128)), station, sign=sign))
            elif kind == "goes on":
                state = chance.choice(states)
                made.append(nas.packet(name, user.wrong_code().encode(), station, state=state, sign=sign))
            elif kind == "status":
                made.append(nas.raw([], code=STATUS_SERVER, sign=sign))
            else:
                made.append(nas.raw([station], code=chance.randrange(256), sign=sign))
        return made

    def spoilt(self, packets: list[bytes]) -> bytes:
        """Joined, with bits flipped, something cut out or put in, or one packet in the middle of another."""
        chance, stream = self._random, bytearray(b"".join(packets))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(stream) + 1)
            how = chance.choice(("flip", "cut", "put in", "interleave", "end"))
            if how == "flip" and at < len(stream):
                stream[at] ^= 1 << chance.randrange(8)
            elif how == "cut":
                del stream[at : at + chance.randrange(1, 20)]
            elif how == "put in":
                stream[at:at] = chance.randbytes(chance.randrange(1, 20))
            elif how == "interleave":
                stream[at:at] = chance.choice(packets)
            elif how == "end":
                del stream[max(at, 1) :]
        return bytes(stream)

    def pieces(self, stream: bytes) -> list[bytes]:
        """Of any length, each for a record of its own."""
        made, at = [], 0
        while at < len(stream):
            length = self._random.choice((1, 3, 20, 100, 5000))
            made.append(stream[at : at + length])
            at += length
        return made


def replies_on(nas: RadSecNas) -> list[bytes]:
    """What has come so far, and nothing but packets."""
    found = []
    with suppress(TimeoutError, EndedError):
        while True:
            found.append(nas.receive(0.001))
    return found


def test_300_streams_that_are_nearly_right_let_nobody_in_and_break_nothing(
    ground: RadSecSite, server: Server
) -> None:
    """Every Accept is one to Status-Server, and so only signed (RFC 5997 §3); RFC 6613 §2.6.4 of the rest."""
    streams, users, replies = Streams(6614), [ground.site.staff() for _ in range(_TIMES)], list[bytes]()
    for user in users:  # another one before they are locked out
        with ExitStack() as stack:
            crowd = [stack.enter_context(ground.nas(server)) for _ in range(_STREAMS // _TIMES)]
            states = begun(crowd[0], user)
            for nas in crowd:
                nas.send(*streams.pieces(streams.spoilt(streams.packets(nas, user, states))))
            with ground.nas(server) as last:
                assert is_served(last)
            fetch_until(server, "radius_mfa_in_flight", 0)
            fetch_until(server, "radius_mfa_held", 0)
            replies += [reply for nas in crowd for reply in replies_on(nas)]
        fetch_until(server, "radius_mfa_connections", 0)
    accepts = [reply for reply in replies if reply[0] == 2]
    assert all([number for number, _ in walked(reply[20:])] == [MESSAGE_AUTHENTICATOR] for reply in accepts)
    assert {reply[0] for reply in replies} == set(CODES)  # all that there are, so that it was more than rubbish
    assert counted(server, "radsec_closed", reason="malformed") > _STREAMS / 5
    outcomes = Counter(each for user in users for each in ground.site.outcomes(user.name, "fuzz.jsonl"))
    assert outcomes["challenge code_wrong"] >= _TIMES
    assert not [each for each in outcomes if "accept" in each]
    with ground.nas(server) as nas:
        user = ground.site.staff()
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


def begun(nas: RadSecNas, user: Account) -> list[bytes]:
    """States of logins that have begun."""
    packets = [nas.packet(user.name.encode(), user.password.encode()) for _ in range(20)]
    return [reply.state for reply in nas.exchange_all(packets)]


def test_nothing_secret_is_said_of_a_connection_nor_of_what_is_wrong_with_one(
    ground: RadSecSite, server: Server, tmp_path: Path
) -> None:
    """At the most talkative level; and `radius-mfa check` of the same configuration has nothing to say of it."""
    user, told = ground.site.staff(), Told()
    key = ground.certificate.read_text().partition("-----BEGIN CERTIFICATE-----")[0]
    for line in key.splitlines()[1:-1]:
        told.add("line of the key", line)
    told.add("password", user.password)
    told.add("seed", user.seed)
    with ground.nas(server) as nas:
        state = nas.ask(user.name, user.password).state
        for code in (user.wrong_code(), user.code()):
            told.add("code", code)
            told.add("State", state)
            state = nas.ask(user.name, code, state=state).state
        asked = nas.packet(user.name.encode(), b"another password", sign=False)
        told.add("password", "another password")
        told.add("packet", asked[20:])
        nas.send(asked, asked[:2] + b"\0\x13" + asked[4:])
        assert nas.closed() == CLOSED
    with ground.nas(server, ONE_FIELD) as nas:
        line = f"{user.password},{user.wrong_code()}"
        told.add("line", line)
        assert nas.ask(user.name, line).code == REJECT
    for shown in (None, Authority(tmp_path / "foreign").certify(GATEWAY)):
        refusal(where(server), Tls(ground.authority.ca_file, shown))
    checked = run_cli("--config", server.config, "check").worked()
    said = server.said() + (ground.site.folder / "fuzz.jsonl").read_text() + checked.out + checked.err
    assert all(each in said for each in ("radsec_refused", "radsec_closed", "code_wrong", "accepted"))
    assert told.found_in(said) == []
