"""Logins over TLS (RFC 6614) by RadSec clients that none of us wrote: radclient asks them, they ask us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, Radclient, Reply
from tests.end_to_end.radsec import Tls
from tests.end_to_end.site import STAFF_GETS, Account, Site, told
from tests.end_to_end.test_metrics import METRICS, fetch
from tests.peers.certificates import Authority
from tests.peers.foreign_proxy import ForeignProxy
from tests.peers.freeradius import FreeRadiusProxy
from tests.peers.ports import free_port
from tests.peers.radsecproxy import RadsecProxy
from tests.peers.server import Server

GATEWAY = "gw.example.org"
KINDS = ("freeradius", "radsecproxy")
HOSTS = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Campus:
    """A site whose client `vpn` is known by its certificate, and what such servers and clients need."""

    site: Site
    authority: Authority
    tls: Tls

    @contextmanager
    def server(self, name: str, ports: tuple[int, int] = (0, 0)) -> Iterator[Server]:
        """One that listens on IPv4 and IPv6, at these ports."""
        certificate = str(self.authority.certify("radius.example.org", names=HOSTS))
        tls = {"certificate": certificate, "key": certificate, "client_ca": str(self.authority.ca_file)}
        clients = self.site.usual()["clients"]
        clients[0] = {"name": "vpn", "certificate": GATEWAY, "timeout": "300ms", "retries": 20}
        listen = [
            {"radsec": f"[{host}]:{port}" if ":" in host else f"{host}:{port}", **tls}
            for host, port in zip(HOSTS, ports, strict=True)
        ]
        with self.site.another(f"{name}.yaml", {"listen": listen, "clients": clients, **METRICS}) as server:
            yield server

    def proxy(self, kind: str, server: Server, host: str = HOSTS[0], **more: Any) -> ForeignProxy:
        """FreeRADIUS or radsecproxy in front of that server."""
        assert self.tls.certificate
        where = server.addresses[HOSTS.index(host)]
        made = FreeRadiusProxy if kind == "freeradius" else RadsecProxy
        proxy: ForeignProxy = made(where, self.tls.certificate, self.tls.ca_file, **more)
        return proxy


@pytest.fixture(scope="module")
def campus(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Campus:
    authority = Authority(tmp_path_factory.mktemp("radsec") / "ours")
    return Campus(university, authority, Tls(authority.ca_file, authority.certify(GATEWAY)))


@pytest.fixture(scope="module")
def server(campus: Campus) -> Iterator[Server]:
    with campus.server("radsec") as running:
        yield running


@pytest.fixture(params=[(kind, host) for kind in KINDS for host in HOSTS], ids=" ".join)
def proxy(request: pytest.FixtureRequest, campus: Campus, server: Server) -> Iterator[ForeignProxy]:
    """Each of them, by IPv4 and by IPv6."""
    kind, host = request.param
    with campus.proxy(kind, server, host) as running:
        connected(running)
        yield running


def connected(proxy: ForeignProxy) -> None:
    """Wait until it has what it needs for a request."""
    if isinstance(proxy, RadsecProxy):
        proxy.connected()


def ask(proxy: ForeignProxy, user: Account, text: str, state: bytes = b"") -> Reply:
    """A round, by radclient."""
    return Radclient(proxy.port, proxy.secret).ask(user.name, text, state)


def status_servers(server: Server) -> float:
    """How many of them the server has had from the gateway."""
    return fetch(server).shown("radius_mfa_requests_total", client="vpn").get("status_server", 0)


def test_password_and_code_are_let_in_with_what_the_policy_returns(campus: Campus, proxy: ForeignProxy) -> None:
    user = campus.site.staff()
    challenge = ask(proxy, user, user.password)
    assert (challenge.code, challenge.message) == (CHALLENGE, told("challenged"))
    accept = ask(proxy, user, user.code(), challenge.state)
    assert accept.code == ACCEPT
    assert accept.values[1:] == STAFF_GETS
    assert campus.site.outcomes(user.name) == ["challenge challenged", "accept accepted"]


def test_a_wrong_code_is_asked_again_and_a_wrong_password_refused(campus: Campus, proxy: ForeignProxy) -> None:
    user = campus.site.staff()
    challenge = ask(proxy, user, user.password)
    again = ask(proxy, user, user.wrong_code(), challenge.state)
    assert again.code == CHALLENGE
    assert ask(proxy, user, user.code(), again.state).code == ACCEPT
    refused = ask(proxy, user, "wrong")
    assert (refused.code, refused.message) == (REJECT, told("refused"))


def test_the_rounds_of_a_login_may_come_by_different_connections(campus: Campus, server: Server) -> None:
    user = campus.site.staff()
    with campus.proxy("freeradius", server) as one, campus.proxy("radsecproxy", server, HOSTS[1]) as other:
        connected(other)
        challenge = ask(one, user, user.password)
        assert ask(other, user, user.code(), challenge.state).code == ACCEPT


def test_a_client_of_tls_1_2_is_served_as_well(campus: Campus, server: Server) -> None:
    user = campus.site.staff()
    with campus.proxy("freeradius", server, version="1.2") as proxy:
        challenge = ask(proxy, user, user.password)
        assert ask(proxy, user, user.code(), challenge.state).code == ACCEPT
        assert "TLS 1.3" not in proxy.log()


def test_freeradius_connects_again_to_a_server_that_was_restarted_between_two_rounds(campus: Campus) -> None:
    user = campus.site.staff()
    ports = free_port(), free_port()
    with campus.server("before", ports) as before, campus.proxy("freeradius", before) as proxy:
        challenge = ask(proxy, user, user.password)
        assert before.stop() == 0
        proxy.wait_for("Client has closed connection")
        with campus.server("after", ports):
            assert ask(proxy, user, user.code(), challenge.state).code == ACCEPT


def test_radsecproxy_sees_that_the_server_is_there_and_connects_again_when_it_is_back(campus: Campus) -> None:
    """Status-Server over TLS (RFC 6614 §2.4, RFC 5997), which it sends when it has nothing else to do."""
    user = campus.site.staff()
    ports = free_port(), free_port()
    with campus.server("before", ports) as before, campus.proxy("radsecproxy", before, hurry=8) as proxy:
        assert isinstance(proxy, RadsecProxy)
        proxy.connected()
        challenge = ask(proxy, user, user.password)
        proxy.has_looked()
        assert status_servers(before) >= 1  # it may have looked again
        assert before.stop() == 0
        with campus.server("after", ports):
            proxy.connected()
            assert ask(proxy, user, user.code(), challenge.state).code == ACCEPT


def test_a_login_goes_on_at_another_server_when_the_one_that_began_it_is_gone(
    campus: Campus, server: Server
) -> None:
    user = campus.site.staff()
    spare = server.addresses[0]
    with campus.server("first") as first, campus.proxy("radsecproxy", first, spare=spare) as proxy:
        assert isinstance(proxy, RadsecProxy)
        proxy.connected(2)
        challenge = ask(proxy, user, user.password)
        assert first.stop() == 0
        proxy.wait_for("connection to server ours lost")
        accept = ask(proxy, user, user.code(), challenge.state)
        assert (accept.code, accept.values[1:]) == (ACCEPT, STAFF_GETS)
