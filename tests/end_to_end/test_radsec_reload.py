"""What changes under a RadSec connection: configuration, certificates, the directory, and that the server ends."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, STATUS_SERVER
from tests.end_to_end.radsec import CLOSED, CUT, RadSecNas, Tls, refusal
from tests.end_to_end.radsec_site import (
    GATEWAY,
    HOSTS,
    ONE_FIELD,
    OTHER,
    PATIENT,
    RadSecSite,
    counted,
    is_served,
    until_counted,
    where,
)
from tests.end_to_end.site import SECOND, Account, site
from tests.end_to_end.test_directory_fails import silent, stopped
from tests.end_to_end.test_metrics import fetch, fetch_until
from tests.peers.certificates import Authority
from tests.peers.server import Server

WAYS = ("farewell", "cut", "reset")  # in which a gateway ends a connection
IDLE = 10.0  # seconds: the least that the YAML takes
_LATE = 8.0  # seconds that a loaded machine may be late: with a reload, too
_NOTICED = 20.0  # seconds in which a server knows, while somebody logs in, that its directory is gone, or back
_HELD = 1.0  # seconds at least that a refusal of PATIENT is held
_OFTEN = 20  # tries to be quicker than that, of which one succeeds unless the machine is very late each time


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadSecSite]:
    """At a site whose directory is stopped now and then, which others would notice."""
    with site(tmp_path_factory.mktemp("fragile")) as fragile:
        yield RadSecSite(fragile, tmp_path_factory.mktemp("reloaded") / "ours")


@pytest.fixture(scope="module")
def server(ground: RadSecSite) -> Iterator[Server]:
    """One that is not reloaded."""
    with ground.server("stays") as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def shortened(ground: RadSecSite) -> Iterator[Future[tuple[str, float]]]:
    """How a connection that is idle ends, and after how long, when a reload has given it less time."""
    with ThreadPoolExecutor(1) as pool, ground.server("shortened") as server:
        began = monotonic()
        with ground.nas(server) as nas:
            reload(ground, server, "shortened", ground.changes(idle_timeout="10s"))
            yield pool.submit(lambda: (nas.closed(), monotonic() - began))


def reload(ground: RadSecSite, server: Server, name: str, changes: dict[str, Any]) -> None:
    """Take another configuration, which is a good one."""
    ground.site.write(f"{name}.yaml", changes)
    server.reload()
    server.wait_for("reloaded")


# --- clients --------------------------------------------------------------------------------------


def test_who_is_no_client_any_more_is_cut_off_at_once_and_everybody_else_stays(ground: RadSecSite) -> None:
    """One is removed, one has another certificate, and one another address."""
    user = ground.site.staff()
    with (
        ground.server("clients") as server,
        ground.nas(server) as nas,
        ground.nas(server, ONE_FIELD) as removed,
        ground.nas(server, PATIENT) as recertified,
        ground.nas(server, OTHER, source=SECOND) as moved,
    ):
        state = nas.ask(user.name, user.password).state
        clients = [each for each in ground.clients() if each["name"] != "comma"]
        for client in clients:
            if client["name"] == "slow":
                client["certificate"] = "new.example.org"
            if client["name"] == "second":
                client["address"] = "127.0.0.77"
        reload(
            ground, server, "clients", {**ground.changes(), "clients": clients, "policies": without_comma(ground)}
        )
        for gone in (removed, recertified, moved):
            assert gone.closed(8.0) == CLOSED  # what is in flight would be waited for longer
            gone.socket.close()
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
        for name, source in ((ONE_FIELD, "127.0.8.1"), (PATIENT, "127.0.8.2"), (OTHER, SECOND)):
            assert refusal(where(server), ground.tls(name), source) == CUT
        until_counted(server, "radsec_closed", 3, reason="client_removed")
        assert [each["reason"] for each in ground.lines(server, "127.0.8.1")] == ["unknown_name"]
        assert [each["reason"] for each in ground.lines(server, "127.0.8.2")] == ["unknown_name"]
        _, *reasons = [each.get("reason") for each in ground.lines(server, SECOND)]
        assert reasons == ["client_removed", "address_not_of_client"]
        closed = [each["client"] for each in server.log if each.get("reason") == "client_removed"]
        assert sorted(closed) == ["comma", "second", "slow"]


def without_comma(ground: RadSecSite) -> list[dict[str, Any]]:
    """The usual policies, which do not speak of that client."""
    policies: list[dict[str, Any]] = ground.site.usual()["policies"]
    for policy in policies:
        clients = policy["when"].get("client")
        if isinstance(clients, list):
            policy["when"]["client"] = [each for each in clients if each != "comma"]
    return policies


# --- what it listens with -------------------------------------------------------------------------


class Kept:
    """Certificate, key and authorities of a server in files of their own, which can be others tomorrow."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self.client_ca = (folder / name for name in ("own.pem", "own.key", "ca.pem"))

    def put(self, authority: Authority) -> None:
        """Have a new certificate of that authority, and trust it for clients."""
        self.key.touch(0o600)
        own = authority.certify("radius.example.org", names=HOSTS).read_text()
        begins = own.index("-----BEGIN CERTIFICATE-----")
        self.key.write_text(own[:begins])
        self.certificate.write_text(own[begins:])
        self.client_ca.write_bytes(authority.ca_file.read_bytes())

    def listener(self) -> dict[str, str]:
        names = ("certificate", "key", "client_ca")
        return {name: str(getattr(self, name)) for name in names}


@pytest.fixture
def kept(ground: RadSecSite, tmp_path: Path) -> Kept:
    made = Kept(tmp_path)
    made.put(ground.authority)
    return made


def test_a_new_certificate_is_for_those_who_come_next_and_who_is_connected_stays(
    ground: RadSecSite, kept: Kept, tmp_path: Path
) -> None:
    user, new = ground.site.staff(), Authority(tmp_path / "new")
    with ground.server("certificates", ground.changes(**kept.listener())) as server, ground.nas(server) as nas:
        before = nas.socket.getpeercert(binary_form=True)
        state = nas.ask(user.name, user.password).state
        kept.put(new)
        server.reload()
        server.wait_for("reloaded")
        with pytest.raises(ssl.SSLCertVerificationError):
            ground.nas(server)
        # A certificate of yesterday's authority is no longer good.
        old = replace(ground.tls(), ca_file=new.ca_file)
        assert refusal(where(server), old) == "TLSV1_ALERT_UNKNOWN_CA"
        with RadSecNas(where(server), Tls(new.ca_file, new.certify(GATEWAY))) as other:
            assert other.socket.getpeercert(binary_form=True) != before
            assert is_served(other)
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


def test_a_key_that_is_not_the_certificates_is_refused_and_everything_stays(
    ground: RadSecSite, kept: Kept, tmp_path: Path
) -> None:
    user, own = ground.site.staff(), kept.certificate
    with ground.server("mismatch", ground.changes(**kept.listener())) as server, ground.nas(server) as nas:
        before, certificate = nas.socket.getpeercert(binary_form=True), own.read_text()
        state = nas.ask(user.name, user.password).state
        kept.put(Authority(tmp_path / "new"))
        own.write_text(certificate)
        server.reload()
        problems = server.wait_for("reload_refused")["problems"]
        config = ground.site.folder / "mismatch.yaml"
        lines = [number for number, text in enumerate(config.read_text().splitlines(), 1) if '"key": ' in text]
        assert [problem.split(": ")[:2] for problem in problems] == [
            [f"{config}:{line}", f"listen[{at}].key"] for at, line in enumerate(lines, 1)
        ]
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
        with ground.nas(server) as other:
            assert other.socket.getpeercert(binary_form=True) == before
            assert is_served(other)


def test_a_listener_more_needs_a_restart_and_those_there_are_stay(ground: RadSecSite) -> None:
    with ground.server("listeners") as server, ground.nas(server) as nas:
        changes = ground.changes()
        changes["listen"].insert(1, ground.listener("127.0.0.2"))
        ground.site.write("listeners.yaml", changes)
        server.reload()
        assert server.wait_for("restart_needed")["key"] == "listen"
        server.wait_for("reloaded")
        assert is_served(nas)
        for host in HOSTS:
            with ground.nas(server, host=host) as other:
                assert is_served(other)


# --- a connection that ends -----------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_a_connection_that_ends_takes_its_requests_along_and_its_states_outlive_it(
    ground: RadSecSite, server: Server, how: str
) -> None:
    """RFC 6613 §2.6.1: nobody is left to be answered."""
    user, nas = ground.site.staff(), ground.nas(server)
    state = nas.ask(user.name, user.password).state
    with silent(ground.site.slapd):
        for _ in range(3):
            nas.send(nas.packet(user.name.encode(), user.password.encode()))
        fetch_until(server, "radius_mfa_in_flight", 3)
        before = gone_along(server, "vpn")
        assert end(nas, how)
        until_counted(server, "discarded", before + 3, client="vpn", reason="connection_closed")
        fetch_until(server, "radius_mfa_in_flight", 0)
    with ground.nas(server) as other:
        assert other.ask(user.name, user.code(), state=state).code == ACCEPT
        assert whole_login(ground.site.staff(), other)
    fetch_until(server, "radius_mfa_connections", 0)


@pytest.mark.parametrize("how", WAYS)
def test_a_refusal_that_is_being_held_goes_with_its_connection(
    ground: RadSecSite, server: Server, how: str
) -> None:
    assert any(goes_along(ground, server, how) for _ in range(_OFTEN))
    got = fetch_until(server, "radius_mfa_held", 0)
    asked = got.value("radius_mfa_requests_total", client="slow", code="access_request")
    refused = got.value("radius_mfa_replies_total", client="slow", code="access_reject")
    assert refused + gone_along(server, "slow") == asked


def goes_along(ground: RadSecSite, server: Server, how: str) -> bool:
    """Whether a refusal is dropped with its connection, which is sooner than it would have left."""
    fetch_until(server, "radius_mfa_held", 0)
    before, nas = gone_along(server, "slow"), ground.nas(server, PATIENT)
    _, sent = being_refused(nas, server)
    if not end(nas, how):  # the refusal has left meanwhile
        return False
    while gone_along(server, "slow") == before:
        if monotonic() - sent >= _HELD:
            return False
    return monotonic() - sent < _HELD


def being_refused(nas: RadSecNas, server: Server) -> tuple[bytes, float]:
    """A packet of PATIENT whose refusal is being held, and when it was sent; another where we came too late."""
    for _ in range(_OFTEN):
        packet, sent = nas.packet(b"nobody", b"whatever"), monotonic()
        nas.send(packet)
        while nas.silent(0.001):
            assert monotonic() - sent < _NOTICED
            if fetch(server).value("radius_mfa_held") == 1:
                return packet, sent
        assert nas.read(nas.receive(), packet).code == REJECT
    raise AssertionError("no refusal was seen while it was held")


def gone_along(server: Server, client: str) -> float:
    """How many requests of a client went with their connections."""
    return counted(server, "discarded", client=client, reason="connection_closed")


def end(nas: RadSecNas, how: str) -> bool:
    """With a farewell, without one, or as if the machine were gone; False: a farewell was not answered by one."""
    if how == "reset":
        nas.reset()
        return True
    is_answered = how != "farewell" or nas.farewell() == CLOSED
    nas.socket.close()
    return is_answered


def test_what_was_decided_is_decided_though_the_reply_went_with_its_connection(
    ground: RadSecSite, server: Server
) -> None:
    """The gateway asks the same again over another one (RFC 5080 §2.2.1), and nobody's code is used twice."""
    user, nas = ground.site.staff(), ground.nas(server)
    state, code = nas.ask(user.name, user.password).state, user.code()
    nas.send(nas.packet(user.name.encode(), code.encode(), state=state))
    nas.receive()
    nas.reset()
    with ground.nas(server) as other:
        assert other.ask(user.name, code, state=state).code == ACCEPT
        assert other.ask(user.name, user.wrong_code(), state=state).code == REJECT


def whole_login(user: Account, nas: RadSecNas) -> bool:
    challenge = nas.ask(user.name, user.password)
    assert challenge.code == CHALLENGE
    return nas.ask(user.name, user.code(), state=challenge.state).code == ACCEPT


def test_status_server_is_not_answered_while_the_directory_is_gone(ground: RadSecSite, server: Server) -> None:
    """`status_server: ready`, RFC 5997 §4.2: a gateway that has another server asks that."""
    user = ground.site.staff()
    with ground.nas(server) as nas:
        assert is_served(nas)
        with stopped(ground.site.slapd):
            until_served(nas, user, served=False)
        until_served(nas, user, served=True)
        assert whole_login(user, nas)


def until_served(nas: RadSecNas, user: Account, *, served: bool) -> None:
    """Log in until Status-Server is answered, or is not."""
    end_by = monotonic() + _NOTICED
    while says_ready(nas, user) is not served:
        assert monotonic() < end_by, f"Status-Server is {'not ' if served else ''}answered"


def says_ready(nas: RadSecNas, user: Account) -> bool:
    """Whether Status-Server is answered; if so, it is before a login that is asked for behind it."""
    status, login = nas.raw([], code=STATUS_SERVER), nas.packet(user.name.encode(), user.password.encode())
    nas.send(status, login)
    octets = nas.receive()
    is_ready = octets[1] == status[1]
    if is_ready:
        assert nas.read(octets, status).code == ACCEPT
        octets = nas.receive()
    assert nas.read(octets, login).code in {CHALLENGE, REJECT}
    return is_ready


# --- the end --------------------------------------------------------------------------------------


def test_what_is_under_way_is_answered_before_the_server_says_farewell(ground: RadSecSite) -> None:
    """With close_notify, or it could be somebody on the way who has cut the connection (RFC 8446 §6.1)."""
    with ground.server("ends") as server, ground.nas(server, PATIENT) as nas, ground.nas(server) as idle:
        packet, _ = being_refused(nas, server)
        server.terminate()
        server.wait_for("stopping")
        assert nas.read(nas.receive(), packet).code == REJECT
        for each in (nas, idle):
            assert (each.closed(), each.unread) == (CLOSED, b"")
            each.socket.close()
        with pytest.raises(ConnectionRefusedError):
            ground.nas(server)
        assert server.ended() == 0
        assert "drain_cut_short" not in server.said()


def test_whoever_does_not_answer_the_farewell_holds_up_nobody(ground: RadSecSite) -> None:
    """It has a moment for it, whoever it is: all of them the same."""
    with ground.server("waits") as server, ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(ground.nas(server))
        began = monotonic()
        assert server.stop() == 0
        assert monotonic() - began < 8  # it is 2 for all of them, and would be 12 for one after the other


# --- the last of them, since its time has passed by now -------------------------------------------


def test_a_shorter_idle_timeout_is_for_those_too_who_are_connected(
    shortened: Future[tuple[str, float]],
) -> None:
    how, after = shortened.result()
    assert how == CLOSED
    assert IDLE <= after < IDLE + _LATE
