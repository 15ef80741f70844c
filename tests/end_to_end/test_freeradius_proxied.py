"""FreeRADIUS before our server, with the files of deploy/freeradius: it asks us for our realms, and others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, Radclient, raw_nas
from tests.end_to_end.site import SECRET, STAFF_GETS, VPN, Site
from tests.peers.foreign_proxy import ForeignProxy
from tests.peers.freeradius import FreeRadius
from tests.peers.freeradius_inside import FreeRadiusInside
from tests.peers.radclient import radclient
from tests.peers.server import Server

NASES = "the secret of the NASes"
HURRY = 8  # seconds of FreeRADIUS in one of ours

_ELSEWHERE = """
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        update control {{
            &Auth-Type := Accept
        }}
        update reply {{
            &Reply-Message := "from elsewhere"
            &Tunnel-Private-Group-Id := "4000"
        }}
    }}
}}
"""


class Elsewhere(FreeRadius):
    """Another institution, which lets everybody in, and would have them in a network of ours."""

    def _served(self, folder: Path, port: int) -> str:
        return _ELSEWHERE.format(port=port)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as it:
        yield it


def before(server: Server, elsewhere: ForeignProxy, hurry: int = 1) -> FreeRadiusInside:
    """FreeRADIUS before that server and the other institution's."""
    changes = {
        r"^\tport = 1822": f"\tport = {server.port}\n\tsrc_ipaddr = {VPN}",
        r"change-me-radius-mfa": SECRET,
        r"^\tipaddr = 192\.0\.2\.20\n\tport = 1812": f"\tipaddr = 127.0.0.1\n\tport = {elsewhere.port}",
        r"change-me-elsewhere": elsewhere.secret,
    }
    return FreeRadiusInside(
        None,
        {"nas": "127.0.0.1"},
        NASES,
        sites=("radius_mfa-proxy",),
        modules=(),
        changes=changes,
        threads=4,
        hurry=hurry,
    )


@pytest.fixture(scope="module")
def proxy(university: Site, elsewhere: Elsewhere) -> Iterator[FreeRadiusInside]:
    with before(university.server, elsewhere) as proxy:
        yield proxy


def test_a_login_of_two_rounds(university: Site, proxy: FreeRadiusInside) -> None:
    user, nas = university.staff(), Radclient(proxy.port, NASES)
    challenge = nas.ask(user.name, user.password)
    assert challenge.code == CHALLENGE
    accept = nas.ask(user.name, user.code(), challenge.state)
    assert (accept.code, accept.values[1:]) == (ACCEPT, STAFF_GETS)
    assert nas.ask(user.name, "wrong").code == REJECT
    assert university.outcomes(user.name) == ["challenge challenged", "accept accepted", "reject wrong_password"]


def test_a_realm_of_others_is_theirs_and_what_they_return_is_looked_through(
    proxy: FreeRadiusInside, elsewhere: Elsewhere
) -> None:
    signed = ("Message-Authenticator = 0x00", "User-Name = bob@example.net", "User-Password = whatever")
    reply = radclient(proxy.port, NASES, *signed)
    assert elsewhere.says('User-Name = "bob@example.net"')
    assert (reply.code, reply.first("Reply-Message")) == (ACCEPT, "from elsewhere")
    assert reply.attributes[0][0] == "Message-Authenticator"  # CVE-2024-3596
    assert "Tunnel-Private-Group-Id" not in reply.output.rpartition("Received")[2]


def test_a_realm_of_nobody_is_refused_here(proxy: FreeRadiusInside) -> None:
    with raw_nas(proxy.port, NASES) as nas:
        assert nas.ask("bob@example.com", "whatever").code == REJECT  # signed, as `ask` sees to
    proxy.wait_for("no realm of ours, nor of anybody we ask")


def test_a_name_that_no_realm_could_have_is_refused_here_and_a_space_of_ours_is_none(
    university: Site, proxy: FreeRadiusInside
) -> None:
    user = university.staff()
    with raw_nas(proxy.port, NASES) as nas:
        assert nas.ask("bob@example..net", "whatever").code == REJECT
        assert nas.ask(f"{user.name} ", user.password).code == CHALLENGE


def test_nobody_answers_for_a_server_that_is_down(university: Site, elsewhere: Elsewhere) -> None:
    """So that a NAS asks its second server: silence, also once the server is known to be dead."""
    with (
        university.another() as server,
        before(server, elsewhere, HURRY) as proxy,
        raw_nas(proxy.port, NASES) as nas,
    ):
        server.kill()
        user = university.staff()
        for ends in ("due to lack of any response from home server", "Failed to find live home server"):
            if ends.startswith("Failed"):
                proxy.wait_for("as dead", 60.0)
            nas.socket.send(nas.packet(user.name.encode(), user.password.encode()))
            proxy.wait_for(ends)
            proxy.wait_for("Do-Not-Respond")
            proxy.wait_for("Not responding to request")
        assert nas.received() == []
