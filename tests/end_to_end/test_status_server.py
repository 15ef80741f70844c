"""Whether the server says that it is there: only while a login could end well (`status_server: ready`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from select import select
from time import monotonic

import pytest

from tests.end_to_end.nas import ACCEPT, REJECT, STATUS_SERVER, RawNas, raw_nas
from tests.end_to_end.site import MARKER, SECRET, SLOW, Site, masked, site
from tests.end_to_end.test_directory_fails import silent, stopped
from tests.end_to_end.test_health import health
from tests.end_to_end.test_metrics import METRICS
from tests.peers.postgresql import Postgresql
from tests.peers.server import Server

PROBE = "monitor"
# Seconds in which it is noticed: with nobody logging in, with somebody who does, and that it is over.  The
# machine may be a loaded one.
AT_REST, UNDER_LOAD, BACK = 13.0 + 5, 3.0 + 5, 3.0 + 5
_PATIENCE = 20.0  # seconds
_PACE = 0.2  # seconds between two questions


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose directory is stopped now and then, which others would notice."""
    with site(tmp_path_factory.mktemp("fragile")) as it:
        yield it


@pytest.fixture
def probed(fragile: Site) -> Iterator[Server]:
    """A server that the client `vpn` asks for a user who is nobody."""
    clients = fragile.usual()["clients"]
    clients[0].update(probe_users=[PROBE], timeout="2s")
    with fragile.another("probed.yaml", {"clients": clients, "audit": {"file": "probed.jsonl"}}) as server:
        yield server


def answers(nas: RawNas, packet: bytes) -> str:
    """What comes back to a packet, "" for nothing.

    There is nothing where somebody is refused first who has asked later: what is looked for comes at once, or not
    at all, and a refusal takes a moment.
    """
    with raw_nas(nas.socket.getpeername()[1], SECRET, MARKER) as marker:
        nas.socket.send(packet)
        marker.socket.send(marker.packet(b"", b""))
        while ready := select([nas.socket, marker.socket], [], [], _PATIENCE)[0]:
            for octets in nas.received():
                if octets[1] == packet[1]:  # else it is about a login
                    return nas.read(octets, packet).code
            if marker.socket in ready:
                return ""
    raise AssertionError("the server does not answer at all")


def is_there(nas: RawNas) -> bool:
    """Whether Status-Server is answered, by what RFC 5997 §3 says."""
    code = answers(nas, nas.raw([], code=STATUS_SERVER))
    assert code in {ACCEPT, ""}
    return code == ACCEPT


def rest(nas: RawNas) -> None:
    """Wait a moment for what may still come."""
    nas.socket.settimeout(_PACE)
    with suppress(TimeoutError):
        while True:
            nas.socket.recv(4096)
    nas.socket.settimeout(_PATIENCE)


def until(nas: RawNas, there: bool, within: float, login: bytes = b"", password: bytes = b"whatever") -> float:
    """Ask until it is so, and for how many seconds; `login`: who logs in with each question."""
    began = monotonic()
    while (took := monotonic() - began) < within:
        if login:
            nas.socket.send(nas.packet(login, password))
        if is_there(nas) is there:
            return took
        rest(nas)
    raise AssertionError(f"Status-Server is {'not ' if there else ''}answered after {within} s")


def test_a_server_at_rest_notices_that_its_directory_is_gone_and_back(fragile: Site) -> None:
    with fragile.nas() as nas:
        until(nas, True, BACK)
        with stopped(fragile.slapd):
            print("at rest", until(nas, False, AT_REST))
        print("back", until(nas, True, BACK))


def test_a_login_that_fails_makes_it_look_at_once(fragile: Site) -> None:
    user = fragile.staff()
    with fragile.nas() as nas:
        until(nas, True, BACK)
        with stopped(fragile.slapd):
            print("under load", until(nas, False, UNDER_LOAD, user.name.encode()))
        print("back", until(nas, True, BACK))


def test_a_directory_that_says_nothing_is_noticed_before_logins_give_up(fragile: Site) -> None:
    user = fragile.staff()
    with fragile.nas(SLOW) as nas:  # whose logins have most of a minute
        until(nas, True, BACK)
        with silent(fragile.slapd):
            print("silent", until(nas, False, UNDER_LOAD, user.name.encode()))
        print("back", until(nas, True, BACK))


def test_alive_says_so_whatever_else_is_down(fragile: Site) -> None:
    with (
        fragile.another("alive.yaml", {"status_server": "alive"}) as alive,
        fragile.nas(server=alive) as nas,
        fragile.nas() as ready,
    ):
        with stopped(fragile.slapd):
            until(ready, False, UNDER_LOAD, b"u0")
            assert is_there(nas)
        until(ready, True, BACK)


def test_a_server_that_starts_while_its_directory_is_down_is_silent_from_the_start(fragile: Site) -> None:
    with ExitStack() as stack:
        with stopped(fragile.slapd):
            early = stack.enter_context(fragile.another("early.yaml", METRICS))
            nas = stack.enter_context(fragile.nas(server=early))
            assert not is_there(nas)
            assert health(early) == (503, "directory: it does not work\n"), (
                "those who ask by HTTP are told the same"
            )
            assert health(early, "/healthz") == (200, "ok\n"), "to start it anew would not help"
        print("back", until(nas, True, BACK))
        assert health(early) == (200, "ok\n")


def test_accounts_of_our_own_do_not_hide_that_the_directory_is_down(fragile: Site) -> None:
    directory = fragile.usual()["directory"]
    password = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$4bGlBOZQsEFLTWNmwsFE8SZmvmMRMFbM"
    static = {"users": [{"username": "glass", "password": password}]}
    with (
        fragile.another("both.yaml", {"directory": {**directory, "static": static}}) as both,
        fragile.nas(server=both) as nas,
    ):
        until(nas, True, BACK)
        with stopped(fragile.slapd):
            until(nas, False, AT_REST, b"glass")
        until(nas, True, BACK)


def test_a_directory_that_lets_nobody_look_is_as_good_as_down(fragile: Site) -> None:
    ldap = fragile.usual()["directory"]["ldap"]
    nowhere = {"ldap": {**ldap, "base_dn": "ou=nowhere,dc=example,dc=org"}}
    with (
        fragile.another("nowhere.yaml", {"directory": nowhere}) as lost,
        fragile.nas(server=lost) as nas,
    ):
        assert not is_there(nas)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_database_that_is_down_is_noticed_as_well(fragile: Site, how: str) -> None:
    user = fragile.staff()
    with Postgresql() as postgresql:
        storage = {"storage": postgresql.url(postgresql.new_database())}
        with fragile.another("database.yaml", storage) as server, fragile.nas(server=server) as nas:
            until(nas, True, BACK)
            postgresql.freeze() if how == "frozen" else postgresql.stop()
            print(how, until(nas, False, AT_REST, user.name.encode(), user.password.encode()))
            postgresql.thaw() if how == "frozen" else postgresql.start()
            print("back", until(nas, True, BACK))
            assert server.stop() == 0


def test_a_server_whose_look_hangs_ends_all_the_same(fragile: Site) -> None:
    with (
        fragile.another("hanging.yaml") as server,
        fragile.nas(server=server) as nas,
        silent(fragile.slapd),
    ):
        until(nas, False, AT_REST, b"u0")
        began = monotonic()
        assert server.stop() == 0
        assert monotonic() - began < 15  # ten of which are for what is in flight


def test_a_probe_user_is_refused_at_once_and_nobody_is_asked(fragile: Site, probed: Server) -> None:
    with fragile.nas(server=probed) as nas:
        nas.socket.settimeout(_PATIENCE)
        other, probe = nas.packet(b"somebody", b"whatever"), nas.packet(PROBE.encode(), b"whatever")
        nas.socket.send(other)
        nas.socket.send(probe)
        # In the order in which they have come: a refusal that takes its time takes a second for this client.
        assert nas.read(nas.socket.recv(4096), probe).code == REJECT
        assert nas.read(nas.socket.recv(4096), other).code == REJECT
        assert nas.ask(PROBE.upper(), "").code == REJECT
    outcomes = fragile.outcomes(masked("somebody"), "probed.jsonl")
    assert outcomes == ["reject unknown_user"]
    assert len((fragile.folder / "probed.jsonl").read_text().splitlines()) == 1


def test_a_probe_user_is_met_with_silence_while_nobody_could_log_in(fragile: Site, probed: Server) -> None:
    with fragile.nas(server=probed) as nas:
        with stopped(fragile.slapd):
            until(nas, False, UNDER_LOAD, b"u0")
            assert answers(nas, nas.packet(PROBE.encode(), b"whatever")) == ""
        until(nas, True, BACK)
        assert nas.ask(PROBE, "whatever").code == REJECT
