"""What load balancers and whoever starts us anew are told, of a server of one process and of several."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from time import monotonic
from urllib.error import HTTPError

import pytest

from tests.end_to_end.nas import ACCEPT, REJECT
from tests.end_to_end.site import SLOW, Site
from tests.end_to_end.test_directory_fails import silent
from tests.end_to_end.test_metrics import METRICS, address_of, fetch, fetch_until
from tests.end_to_end.test_workers import status_for
from tests.peers.server import Server
from tests.peers.slapd import Slapd

_PATIENCE = 20.0  # seconds


def health(server: Server, path: str = "/readyz") -> tuple[int, str]:
    """Status and text."""
    url = "http://{}:{}{}".format(*address_of(server), path)
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode()


def until_unready(server: Server, why: str) -> None:
    """Ask until that is among the reasons."""
    end = monotonic() + _PATIENCE
    while why not in (said := health(server))[1].splitlines():
        assert monotonic() < end, said
    assert said[0] == 503


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    """A directory that falls silent, which others would notice."""
    with Slapd(users=1) as it:
        yield it


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def server(request: pytest.FixtureRequest, university: Site, slapd: Slapd) -> Iterator[Server]:
    """With workers it is the background process that is asked."""
    ldap = {**university.usual()["directory"]["ldap"], "servers": slapd.url, "bind_password": slapd.bind_password}
    changes = {"workers": request.param, "directory": {"ldap": ldap}, "status_server": "alive"}
    with university.another("health.yaml", {**METRICS, **changes}) as it:
        yield it


def test_from_the_start_to_the_end_it_says_what_keeps_it_from_logins(
    university: Site, server: Server, slapd: Slapd
) -> None:
    assert health(server) == health(server, "/healthz") == (200, "ok\n")

    # A YAML that is refused keeps nobody out, and is seen until it is mended.
    before = fetch(server).value("radius_mfa_config_reloaded_timestamp_seconds")
    good = server.config.read_text()
    server.config.write_text(good.replace('"policies"', '"polices"'))
    server.reload()
    server.wait_for("reload_refused")
    fetch_until(server, "radius_mfa_config_reload_successful", 0)
    assert health(server) == (200, "ok\n")
    if server.processes():  # whoever takes the place of who was asked knows of it from its first answer on
        server.kill_process("background")
        server.wait_for("process_ended")
        first = fetch(server)
        assert first.value("radius_mfa_config_reload_successful") == 0
        assert first.value("radius_mfa_config_reloaded_timestamp_seconds") == before
    server.config.write_text(good)
    server.reload()
    server.wait_for("reloaded")
    got = fetch_until(server, "radius_mfa_config_reload_successful", 1)
    assert got.value("radius_mfa_config_reloaded_timestamp_seconds") > before

    # Told to end, it takes nobody more, while what is in flight ends.
    name = "background" if server.processes() else "server"
    with university.nas(SLOW, server) as nas:
        packet = nas.packet(b"u0", b"wrong")
        with silent(slapd):  # so that it is in flight for as long as we look
            nas.socket.send(packet)
            # Each worker, whichever has the packet, has read what came before.
            asked = [status_for(nas, worker) for worker in range(2)]
            assert {reply.code for reply in nas.exchange_all(asked)} == {ACCEPT}
            server.terminate()
            server.wait_for("stopping")
            until_unready(server, f"{name}: it is stopping")
        nas.socket.settimeout(_PATIENCE)
        assert nas.read(nas.socket.recv(4096), packet).code == REJECT
    assert server.ended() == 0
    assert "Traceback" not in server.said()
