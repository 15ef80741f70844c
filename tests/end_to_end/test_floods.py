"""Floods: more than is wanted, from strangers, from broken NASes and from good ones; logins go on meanwhile."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import pytest

from bench.rig import resident
from radius_mfa.wire.desk import Limits
from tests.cli.support import run_cli
from tests.end_to_end.nas import (
    ACCEPT,
    CALLING_STATION_ID,
    CHALLENGE,
    STATUS_SERVER,
    USER_NAME,
    USER_PASSWORD,
    RawNas,
    raw_nas,
)
from tests.end_to_end.site import OFF, SECRET, UNKNOWN, USERS, VPN, Account, Site
from tests.end_to_end.test_directory_fails import silent
from tests.peers.server import Server
from tests.peers.slapd import Slapd
from tests.wire.support import hide, request

PREFIX = "127.0.4."  # a client of many sources, one of which floods
_BURST = 64  # datagrams at a time; the flood makes room for whoever else is at the machine
_BATCH = 200  # logins that begin at once: fewer than a socket has Identifiers
_LOGINS = 5  # while a flood goes on, at least


class MeasuredServer(Server):
    """One that can be looked at from outside."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def resident(self) -> float:
        """Resident memory in MB (10⁶ octets)."""
        return resident(self.pid)


class Flooded:
    """A server, what it counts, and a NAS that only asks whether it has read all that was sent."""

    def __init__(self, site: Site, server: MeasuredServer) -> None:
        self.site = site
        self.server = server
        host, port = server.log[-1]["metrics"]
        self._metrics = f"http://{host}:{port}/metrics"

    def counts(self, name: str) -> Counter[str]:
        """`radius_mfa_NAME_total` by its labels as they are written."""
        with urlopen(self._metrics) as response:
            text = response.read().decode()
        found = re.findall(rf"^radius_mfa_{name}_total(?:{{(.*)}})? ([\d.e+]+)$", text, re.MULTILINE)
        return Counter({labels: int(float(number)) for labels, number in found})

    def catch_up(self) -> None:
        """Until it has read everything: datagrams keep their order, and those the kernel dropped are told."""
        with self.site.nas(OFF, self.server) as nas:
            assert nas.exchange(nas.raw([], code=STATUS_SERVER)).code == ACCEPT

    def discarded(self, reason: str, client: str = "") -> int:
        labels = {f'client="{client}"', f'reason="{reason}"'}
        return next((n for each, n in self.counts("discarded").items() if set(each.split(",")) == labels), 0)

    def overflowed(self) -> int:
        """Datagrams the kernel had no room for."""
        return self.counts("receive_overflowed").total()

    def lines(self, event: str, **fields: str) -> list[dict[str, Any]]:
        """What the log has said of it, from start to end; stops the server."""
        self.server.said()
        return [each for each in self.server.log if each["event"] == event and fields.items() <= each.items()]

    def logs_in(self, source: str = VPN, user: Account | None = None) -> None:
        user = user or self.site.staff()
        with self.site.nas(source, self.server) as nas:
            state = nas.ask(user.name, user.password).state
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


class Own(Flooded):
    """One with a directory and a store of its own, so that either may be stopped, or counted at."""

    slapd: Slapd

    def binds(self) -> int:
        """How often slapd was asked to bind somebody so far, this time included (slapd-monitor(5))."""
        where = ["-b", "cn=Bind,cn=Operations,cn=Monitor", "-s", "base", "monitorOpInitiated"]
        command = ["ldapsearch", "-x", "-LLL", "-H", self.slapd.url, *where]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        found = re.search(r"^monitorOpInitiated: (\d+)$", done.stdout, re.MULTILINE)
        assert found, done.stdout
        return int(found[1])


@pytest.fixture
def flooded(university: Site) -> Iterator[Flooded]:
    with measured(university.write("floods.yaml", changes(university))) as server:
        yield Flooded(university, server)


@pytest.fixture
def own(university: Site, tmp_path: Path) -> Iterator[Own]:
    with Slapd(users=USERS, options="\ndatabase monitor\n") as slapd:
        ldap = university.usual()["directory"]["ldap"]
        ldap |= {"servers": slapd.url, "bind_password": slapd.bind_password}
        config = university.write(
            "own.yaml",
            changes(university)
            | {"directory": {"ldap": ldap}, "storage": f"sqlite:///{tmp_path}/state.db"}
            | {"audit": {"file": str(tmp_path / "audit.jsonl")}},
        )
        import_tokens(university, config)
        with measured(config) as server:
            it = Own(university, server)
            it.slapd = slapd
            yield it


def import_tokens(university: Site, config: Path) -> None:
    """Into the store of that configuration, for the usual people, who are in every directory."""
    lines = (university.folder / "tokens.csv").read_text().splitlines()
    usual = config.with_name("usual.csv")
    usual.write_text("\n".join([lines[0], *(line for line in lines if re.match(r"u\d+,", line))]))
    run_cli("--config", config, "token", "import", usual).worked()


@contextmanager
def measured(config: Path) -> Iterator[MeasuredServer]:
    """A server over that configuration, which in the end has said nothing of a mistake of ours."""
    server = MeasuredServer(config)
    with server:
        yield server
        said = server.said()
    assert "internal_error" not in said, said
    assert "Traceback" not in said, said


def changes(university: Site) -> dict[str, Any]:
    """A client of many sources, and metrics."""
    prefix = {"name": "prefix", "address": f"{PREFIX}0/24", "secret": SECRET, "timeout": "5s", "retries": 3}
    return {
        **university.usual(),
        "clients": [*university.usual()["clients"], prefix],
        "policies": [*university.usual()["policies"], {"name": "prefix", "when": {"client": "prefix"}}],
        "metrics": {"listen": "127.0.0.1:0"},
        "audit": {"file": "floods.jsonl"},
    }


@contextmanager
def flood(port: int, packets: Sequence[bytes], times: int, *sources: str) -> Iterator[Callable[[], int]]:
    """Send so many packets from these sources beside what the block does; it ends with all of them sent.

    Gives how many were sent so far.
    """
    sent = 0
    sockets = []
    for source in sources:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        sockets.append(sock)

    def send() -> None:
        nonlocal sent
        each, turn = cycle(packets), cycle(sockets)
        while sent < times:
            for _ in range(_BURST):
                next(turn).send(next(each))
            sent += _BURST
            os.sched_yield()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield lambda: sent
    finally:
        thread.join()
        for sock in sockets:
            sock.close()


def round_ones(nas: RawNas, user: Account, times: int) -> list[bytes]:
    """So many logins that begin, each of a station of its own."""
    name, password = user.name.encode(), user.password.encode()
    return [nas.packet(name, password, (CALLING_STATION_ID, b"%d" % each)) for each in range(times)]


# --- strangers ------------------------------------------------------------------------------------


def test_a_flood_from_an_unknown_source_is_one_line_and_every_datagram_is_counted(flooded: Flooded) -> None:
    times = 30_016
    with flooded.site.nas(VPN, flooded.server) as nas:
        packets = round_ones(nas, flooded.site.staff(), 100)
    with flood(flooded.server.port, packets, times, UNKNOWN):
        for _ in range(_LOGINS):
            flooded.logs_in()
    flooded.catch_up()
    assert flooded.discarded("unknown_source") + flooded.overflowed() >= times
    assert flooded.discarded("unknown_source") <= times
    (line,) = flooded.lines("discarded")
    assert (line["reason"], line["source"], line["client"]) == ("unknown_source", UNKNOWN, "")


def test_a_thousand_strangers_do_not_fill_the_log_and_take_no_lines_from_clients(flooded: Flooded) -> None:
    sources = [f"127.7.{high}.{low}" for high in range(4) for low in range(1, 251)]
    with flood(flooded.server.port, [os.urandom(64)], 10_048, *sources):
        flooded.logs_in()
    flooded.catch_up()
    with flooded.site.nas(VPN, flooded.server) as nas:
        nas.socket.send(b"short")
        nas.ask("", "")
    strangers = [line for line in flooded.lines("discarded") if line["reason"] == "unknown_source"]
    assert 100 <= len(strangers) <= 128
    assert len(flooded.lines("discarded", client="vpn")) == 1


# --- a known source -------------------------------------------------------------------------------


def test_a_flood_of_bad_message_authenticators_stops_neither_its_source_nor_others(flooded: Flooded) -> None:
    """RFC 3579 §3.2: discarded in silence; and what does not verify takes nobody's room."""
    times, source, other = 20_032, f"{PREFIX}1", f"{PREFIX}2"
    with raw_nas(flooded.server.port, "not the secret", source) as nas:
        packets = round_ones(nas, flooded.site.staff(), 256)
    with flood(flooded.server.port, packets, times, source) as sent:
        for _ in range(_LOGINS):
            flooded.logs_in(source)
            flooded.logs_in(other)
        assert sent()
    flooded.catch_up()
    discarded = flooded.discarded("message_authenticator_wrong", "prefix")
    assert discarded <= times <= discarded + flooded.overflowed()
    (line,) = flooded.lines("discarded")
    assert (line["reason"], line["source"], line["client"]) == ("message_authenticator_wrong", source, "prefix")


def test_a_flood_of_verified_requests_leaves_room_to_other_sources_and_to_logins_half_way(
    own: Own,
) -> None:
    """While the directory says nothing they stay in flight: half of its client's share for one source, and a
    quarter of that for who has a good State."""
    limit = Limits().in_flight_per_client // 2 * 3 // 4
    times, source, other = 1024, f"{PREFIX}1", f"{PREFIX}2"
    here, there, new = (own.site.staff() for _ in range(3))
    with ExitStack() as stack:
        flooding = [stack.enter_context(own.site.nas(source, own.server)) for _ in range(4)]
        good = stack.enter_context(own.site.nas(other, own.server))
        states = [nas.ask(user.name, user.password).state for nas, user in ((flooding[0], here), (good, there))]
        crowd = [(nas, round_ones(nas, own.site.staff(), times // 4)) for nas in flooding]
        with silent(own.slapd):
            for nas, packets in crowd:
                for packet in packets:
                    nas.socket.send(packet)
            begins = good.packet(new.name.encode(), new.password.encode())
            good.socket.send(begins)
            own.catch_up()
            assert (own.discarded("client_busy", "prefix"), own.overflowed()) == (times - limit, 0)
            for user, state in zip((here, there), states, strict=True):
                code = user.code()
                for host in (source, other):
                    with own.site.nas(host, own.server) as nas:
                        reply = nas.ask(user.name, code, state=state)
                        assert reply.code == ACCEPT  # the second time, as the NAS's own repetition
        state = good.exchange(begins).state
        assert good.ask(new.name, new.code(), state=state).code == ACCEPT
        own.logs_in(source)
        own.catch_up()
        assert own.discarded("client_busy", "prefix") == times - limit
    lines = own.lines("discarded", reason="client_busy")
    assert [(line["client"], line["source"]) for line in lines] == [("prefix", source)]


def test_20_000_logins_that_nobody_finishes_take_bounded_room_and_push_out_none(flooded: Flooded) -> None:
    """A State is sealed and kept nowhere; what is remembered of a challenge is bounded for its client."""
    half = 10_000
    before, during, after = (flooded.site.staff() for _ in range(3))
    crowd = [flooded.site.staff() for _ in range(20)]
    source, other = f"{PREFIX}1", f"{PREFIX}2"
    with flooded.site.nas(source, flooded.server) as nas, flooded.site.nas(other, flooded.server) as good:
        memory = [flooded.server.resident]
        first = good.ask(before.name, before.password).state
        begin_all(nas, crowd, range(half))
        memory.append(flooded.server.resident)
        middle = good.ask(during.name, during.password).state
        begin_all(nas, crowd, range(half, 2 * half))
        memory.append(flooded.server.resident)
        for user, state in ((before, first), (during, middle)):
            assert good.ask(user.name, user.code(), state=state).code == ACCEPT
        state = good.ask(after.name, after.password).state
        assert good.ask(after.name, after.code(), state=state).code == ACCEPT
    print("resident, in MB, at the start, after 10,000 and 20,000:", *(f"{each:.1f}" for each in memory))
    assert memory[1] - memory[0] < 40
    assert memory[2] - memory[1] < 20


def begin_all(nas: RawNas, crowd: Sequence[Account], stations: range) -> None:
    """Have a login begin at each station, and its challenge come; so many at once as one source may."""
    for start in stations[::_BATCH]:
        packets = []
        for station in range(start, min(start + _BATCH, stations.stop)):
            user, where = crowd[station % len(crowd)], (CALLING_STATION_ID, b"%d" % station)
            packets.append(nas.packet(user.name.encode(), user.password.encode(), where))
        assert {reply.code for reply in nas.exchange_all(packets)} == {CHALLENGE}


# --- a wrong shared secret ------------------------------------------------------------------------


def test_a_wrong_shared_secret_is_never_tried_as_a_password_and_locks_nobody(own: Own) -> None:
    """RFC 2865 §5.2: unsigned, it shows in nothing but passwords that are none."""
    times, seed = 4032, Random(1)
    users = [own.site.staff() for _ in range(10)]
    packets = [rubbish(users[number % len(users)].name, seed) for number in range(times)]
    own.logs_in()  # so that there are connections
    before = own.binds()
    with flood(own.server.port, packets, times, OFF):
        for _ in range(_LOGINS):
            own.logs_in()
    own.catch_up()
    decided = own.counts("decisions")
    unreadable = sum(n for labels, n in decided.items() if 'outcome="password_unreadable"' in labels)
    assert unreadable + own.counts("discarded").total() + own.overflowed() >= times
    assert unreadable > times // 8
    assert own.binds() - before == _LOGINS + 1  # and this very question
    for user in users:  # nobody is locked, there or here
        own.logs_in(user=user)
    (line,) = own.lines("password_unreadable")
    assert line["client"] == "off"
    assert "shared secret is probably wrong" in line["detail"]


def rubbish(name: str, seed: Random) -> bytes:
    """A request made with another secret, without Message-Authenticator.

    3 in 10⁶ such passwords come out as text: with the seed, none of these.
    """
    salt = seed.randbytes(16)
    attributes = [(USER_NAME, name.encode()), (USER_PASSWORD, hide(b"whatever", b"another secret", salt))]
    return request(attributes, identifier=salt[0], salt=salt, sign=None)
