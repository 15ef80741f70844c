"""What load balancers and whoever starts us anew are told, of a server of one process and of several."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from time import monotonic
from urllib.error import HTTPError

import pytest

from tests.end_to_end.nas import ACCEPT, REJECT, STATUS_SERVER
from tests.end_to_end.site import SLOW, Site
from tests.end_to_end.test_metrics import METRICS, address_of, fetch, fetch_until
from tests.peers.server import Server

_PATIENCE = 20.0  # seconds


def health(server: Server, path: str = "/readyz") -> tuple[int, str]:
    """Status and text."""
    url = "http://{}:{}{}".format(*address_of(server), path)
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode()


def until_said(server: Server, status: int, text: str, path: str = "/readyz") -> None:
    """Ask until it is so."""
    end = monotonic() + _PATIENCE
    while (said := health(server, path)) != (status, text):
        assert monotonic() < end, said


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def server(request: pytest.FixtureRequest, university: Site) -> Iterator[Server]:
    """With workers it is the background process that is asked."""
    with university.another("health.yaml", {**METRICS, "workers": request.param}) as it:
        yield it


def test_from_the_start_to_the_end_it_says_what_keeps_it_from_logins(university: Site, server: Server) -> None:
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
    with university.nas(SLOW, server) as nas:
        packet = nas.packet(b"u0", b"wrong")
        nas.socket.send(packet)
        assert nas.exchange(nas.raw([], code=STATUS_SERVER)).code == ACCEPT
        server.terminate()
        server.wait_for("stopping")
        name = "background" if server.processes() else "server"
        until_said(server, 503, f"{name}: it is stopping\n")
        nas.socket.settimeout(_PATIENCE)
        assert nas.read(nas.socket.recv(4096), packet).code == REJECT
    assert server.stop() == 0
    assert "Traceback" not in server.said()
