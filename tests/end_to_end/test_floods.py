"""Floods: more than is wanted, from strangers, from broken NASes and from good ones; logins go on meanwhile."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import pytest

from tests.end_to_end.nas import (
    ACCEPT,
    CALLING_STATION_ID,
    CHALLENGE,
    REJECT,
    STATUS_SERVER,
    USER_NAME,
    USER_PASSWORD,
    RawNas,
    raw_nas,
    walked,
)
from tests.end_to_end.site import OFF, SECRET, UNKNOWN, VPN, Account, Site, totp
from tests.peers.server import Server
from tests.peers.slapd import Slapd
from tests.wire.support import hide, request

PREFIX = "127.0.4."  # a client of many sources, one of which floods
_BURST = 64  # datagrams at a time; the flood makes room for whoever else is at the machine
_LOGINS = 5  # while a flood goes on, at least


class Flooded:
    """A server, what it counts, and a NAS that only asks whether it has read all that was sent."""

    def __init__(self, site: Site, server: Server) -> None:
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

    def logs_in(self, source: str = VPN) -> None:
        user = self.site.staff()
        with self.site.nas(source, self.server) as nas:
            state = nas.ask(user.name, user.password).state
            assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


@pytest.fixture
def flooded(university: Site, request: pytest.FixtureRequest) -> Iterator[Flooded]:
    clients = [
        *university.usual()["clients"],
        {"name": "prefix", "address": f"{PREFIX}0/24", "secret": SECRET, "timeout": "5s", "retries": 3},
    ]
    policies = [*university.usual()["policies"], {"name": "prefix", "when": {"client": "prefix"}}]
    changes = {"clients": clients, "policies": policies, "metrics": {"listen": "127.0.0.1:0"}}
    changes["audit"] = {"file": "floods.jsonl"}
    with university.another("floods.yaml", changes) as server:
        yield Flooded(university, server)
        said = server.said()
        assert "internal_error" not in said, said
        assert "Traceback" not in said, said


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
            time.sleep(0)

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


def test_a_flood_of_verified_requests_from_one_source_leaves_room_to_the_others(flooded: Flooded) -> None:
    """Half of what is a client's; and of that, a quarter for logins that are half way."""
    source, other = f"{PREFIX}1", f"{PREFIX}2"
    times, half_way = 12_032, flooded.site.staff()
    crowd = [flooded.site.staff() for _ in range(20)]
    with flooded.site.nas(source, flooded.server) as nas:
        packets = [each for user in crowd for each in round_ones(nas, user, 100)]
        state = nas.ask(half_way.name, half_way.password).state
        with flood(flooded.server.port, packets, times, *[source] * 8) as sent:
            for _ in range(_LOGINS):
                flooded.logs_in(other)
            # Begun before, at the very source that floods.
            assert nas.ask(half_way.name, half_way.code(), state=state).code == ACCEPT
        assert sent() == times
        flooded.logs_in(source)
    busy = flooded.discarded("client_busy", "prefix")
    assert busy
    lines = flooded.lines("discarded", reason="client_busy")
    assert [line["source"] for line in lines] == [source]


def test_20_000_logins_that_nobody_finishes_take_bounded_room_and_push_out_none(flooded: Flooded) -> None:
    """A State is sealed and kept nowhere; what is remembered of a challenge is bounded for its client."""
    port, source, other = flooded.server.port, f"{PREFIX}1", f"{PREFIX}2"
    before, during, after = (flooded.site.staff() for _ in range(3))
    crowd = [flooded.site.staff() for _ in range(20)]
    asked = 0
    with raw_nas(port, SECRET, source) as nas, raw_nas(port, SECRET, other) as good:
        first = good.ask(before.name, before.password).state
        memory = [resident(flooded.server)]
        middle = b""
        stations = count()
        for batch in range(100):
            if batch == 50:
                memory.append(resident(flooded.server))
                middle = good.ask(during.name, during.password).state
            packets = []
            for number in range(200):
                user = crowd[number % len(crowd)]
                station = (CALLING_STATION_ID, b"%d" % next(stations))
                packets.append(nas.packet(user.name.encode(), user.password.encode(), station))
            asked += sum(reply.code == CHALLENGE for reply in nas.exchange_all(packets))
        memory.append(resident(flooded.server))
        assert good.ask(before.name, before.code(), state=first).code == ACCEPT
        assert good.ask(during.name, during.code(), state=middle).code == ACCEPT
        state = good.ask(after.name, after.password).state
        assert good.ask(after.name, after.code(), state=state).code == ACCEPT
    print(f"half-finished: {asked}; resident MB before, half way, after: {memory}")
    assert asked == 20_000
    assert memory[2] - memory[0] < 48


# --- a wrong shared secret ------------------------------------------------------------------------


def rubbish(name: str, seed: Random) -> bytes:
    """A request made with another secret, without Message-Authenticator: only the password shows it (RFC 2865 §5.2).

    No NAS makes one whose password comes out as text by chance: those are 3 in 10⁶.
    """
    salt = seed.randbytes(16)
    hidden = hide(b"whatever", b"another secret", salt)
    attributes = [(USER_NAME, name.encode()), (USER_PASSWORD, hidden)]
    return request(attributes, code=1, identifier=salt[0], salt=salt, sign=None)


def binds(slapd: Slapd) -> int:
    """Bind operations that slapd has been asked for so far, by its own count."""
    import subprocess

    where = ["-b", "cn=Bind,cn=Operations,cn=Monitor", "-s", "base", "monitorOpInitiated"]
    command = ["ldapsearch", "-x", "-LLL", "-H", slapd.url, *where]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = re.search(r"^monitorOpInitiated: (\d+)$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return int(found[1])


def test_a_wrong_shared_secret_is_never_tried_as_a_password_and_locks_nobody(
    university: Site, tmp_path: Path
) -> None:
    times, seed = 4000, Random(1)
    users = [university.staff() for _ in range(10)]
    with Slapd(users=450, options="\ndatabase monitor\n") as slapd:
        changes = {
            "directory": {
                "ldap": {**university.usual()["directory"]["ldap"], "servers": slapd.url}
                | {"bind_password": slapd.bind_password, "attributes": {"id": "uid"}}
            },
            "metrics": {"listen": "127.0.0.1:0"},
            "storage": f"sqlite:///{tmp_path}/state.db",
            "audit": {"file": str(tmp_path / "audit.jsonl")},
        }
        config = university.write("wrong-secret.yaml", changes)
        from tests.cli.support import run_cli

        for user in users:
            run_cli("--config", config, "user", "enrol", user.name, "--secret", user.base32).worked()
        packets = [rubbish(users[n % len(users)].name, seed) for n in range(times)]
        with Server(config) as server:
            flooded = Flooded(university, server)
            flooded.logs_in()  # so that there are connections
            before = binds(slapd)
            with flood(server.port, packets, times, OFF):
                pass
            flooded.catch_up()
            decided = flooded.counts("decisions")
            assert binds(slapd) - before == 1  # this very question's
            unreadable = sum(n for labels, n in decided.items() if 'outcome="password_unreadable"' in labels)
            refused = flooded.counts("discarded").total() + flooded.overflowed()
            assert unreadable > times / 4
            assert unreadable + refused >= times
            for user in users:
                with university.nas(VPN, server) as nas:
                    state = nas.ask(user.name, user.password).state
                    assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
            (line,) = flooded.lines("password_unreadable")
    assert line["client"] == "off"
    assert "shared secret is probably wrong" in line["detail"]


def resident(server: Server) -> float:
    """Resident memory of the server in MB."""
    pages = int(Path(f"/proc/{pid(server)}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def pid(server: Server) -> int:
    return server._process.pid
