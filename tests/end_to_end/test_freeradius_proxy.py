"""Logins by way of FreeRADIUS over UDP: radclient asks it, it asks us, and finds out whether we are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, Radclient, raw_nas
from tests.end_to_end.site import SECRET, SLOW, STAFF_GETS, VPN, Account, Site, masked, site
from tests.end_to_end.test_directory_fails import stopped
from tests.peers.freeradius import FreeRadiusUdpProxy, StatusCheck
from tests.peers.radclient import radclient
from tests.peers.server import Server

PROBE = "monitor"
LOOKS: tuple[StatusCheck, StatusCheck] = ("status-server", "request")
HURRY = 8  # seconds of a proxy that is in a hurry, in one of ours
_MOMENT = 0.05  # seconds between two tries of a NAS that is in a hurry as well
_PATIENCE = 20.0  # seconds
_TRIES = 10


@pytest.fixture(scope="module")
def proxy(university: Site) -> Iterator[FreeRadiusUdpProxy]:
    """Where the client `vpn` has it."""
    with FreeRadiusUdpProxy(university.server.addresses[0], SECRET, source=VPN) as proxy:
        yield proxy


def received(proxy: FreeRadiusUdpProxy, code: str) -> list[str]:
    """The attributes of the next such reply that the proxy has from its server, in order, by name."""
    proxy.wait_for(f"Received {code} Id ")
    proxy.wait_for("Finished request")
    log = re.sub(r"^\(\d+\) ", "", proxy.log(), flags=re.MULTILINE)
    *_, last = re.findall(rf"^Received {code} Id .*\n((?:  \S+ = .*\n)+)", log, re.MULTILINE)
    return re.findall(r"^  (\S+) = ", last, re.MULTILINE)


def test_a_login_of_two_rounds_with_message_authenticator_first_both_ways(
    university: Site, proxy: FreeRadiusUdpProxy
) -> None:
    user, nas = university.staff(), Radclient(proxy.port, proxy.secret)
    challenge = nas.ask(user.name, user.password)
    assert challenge.code == CHALLENGE
    assert received(proxy, CHALLENGE) == ["Message-Authenticator", "Reply-Message", "State", "Proxy-State"]
    accept = nas.ask(user.name, user.code(), challenge.state)
    assert (accept.code, accept.values[1:]) == (ACCEPT, STAFF_GETS)
    assert received(proxy, ACCEPT)[0] == "Message-Authenticator"
    refused = nas.ask(user.name, "wrong")
    assert refused.code == REJECT
    assert university.outcomes(user.name) == ["challenge challenged", "accept accepted", "reject wrong_password"]


def test_what_proxies_on_the_way_have_written_comes_back_to_each(
    university: Site, proxy: FreeRadiusUdpProxy
) -> None:
    """Proxy-State of a NAS that is a proxy itself, of a proxy, and of the one behind it (RFC 2865 §5.33)."""
    user = university.staff()
    own = ("Proxy-State = 0x00ff", "Proxy-State = 0x6f6e65")
    where = ("127.0.0.1", proxy.port)
    with FreeRadiusUdpProxy(where, proxy.secret) as before:

        def ask(*attributes: str, code: str) -> str:
            signed = ("Message-Authenticator = 0x00", f'User-Name = "{user.name}"', *attributes, *own)
            reply = radclient(before.port, before.secret, *signed)
            assert reply.code == code, reply.output
            assert tuple(f"{name} = {value}" for name, value in reply.attributes if name == "Proxy-State") == own
            assert received(proxy, code)[-4:] == ["Proxy-State"] * 4
            assert received(before, code).count("Proxy-State") == 3
            return reply.first("State")

        state = ask(f'User-Password = "{user.password}"', code=CHALLENGE)
        ask(f'User-Password = "{user.code()}"', f"State = {state}", code=ACCEPT)


def refused_once_passed_on_twice(university: Site, proxy: FreeRadiusUdpProxy) -> Account:
    """Whose wrong password the proxy has passed on twice before it was refused.

    A refusal is a second under way; where it is there first nevertheless, somebody else tries.
    """
    for _ in range(_TRIES):
        user = university.staff()
        with raw_nas(proxy.port, proxy.secret) as nas:
            wrong, end = nas.packet(user.name.encode(), b"wrong"), monotonic() + _PATIENCE
            while not nas.received():
                assert monotonic() < end
                nas.socket.send(wrong)
                if proxy.says("Sending duplicate proxied request", _MOMENT):  # which it does not do at once
                    nas.socket.settimeout(_PATIENCE)
                    assert nas.read(nas.socket.recv(4096), wrong).code == REJECT
                    return user
        proxy.wait_for("Finished request")  # what it says of this one is over
    raise AssertionError("the reply was always there first")


def test_what_a_nas_repeats_through_the_proxy_is_decided_once(university: Site) -> None:
    """RFC 5080 §2.2.2: the proxy passes on what is not answered yet, and repeats the reply to what is."""
    with (
        FreeRadiusUdpProxy(university.server.addresses[0], SECRET, source=SLOW, hurry=HURRY) as proxy,
        raw_nas(proxy.port, proxy.secret) as nas,
    ):
        user = refused_once_passed_on_twice(university, proxy)
        state = nas.ask(user.name, user.password).state
        right = nas.packet(user.name.encode(), user.code().encode(), state=state)
        accept = nas.exchange(right)
        assert (accept.code, nas.exchange(right).octets) == (ACCEPT, accept.octets)
    assert university.outcomes(user.name) == ["reject wrong_password", "challenge challenged", "accept accepted"]


def looking(server: Server, how: StatusCheck) -> FreeRadiusUdpProxy:
    """A proxy that asks whether the server is there once that owes it a reply."""
    where = server.addresses[0]
    return FreeRadiusUdpProxy(where, SECRET, source=VPN, status_check=how, probe=PROBE, hurry=HURRY)


def test_it_finds_the_server_down_when_the_directory_is_and_up_again_by_itself(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """By Status-Server (RFC 5997) and, where a proxy has none of that, by a name of `probe_users`."""
    with ExitStack() as stack:
        it = stack.enter_context(site(tmp_path_factory.mktemp("fragile"), users=40, enrolled=30))
        clients = it.usual()["clients"]
        clients[0]["probe_users"] = [PROBE]
        changes = {"clients": clients, "when_directory_fails": "discard"}
        server = stack.enter_context(it.another("probed.yaml", changes))
        by_status, by_request = proxies = [stack.enter_context(looking(server, how)) for how in LOOKS]
        user = it.staff()
        with stopped(it.slapd):
            for proxy in proxies:
                with raw_nas(proxy.port, proxy.secret) as nas:
                    nas.socket.send(nas.packet(user.name.encode(), user.password.encode()))
            for proxy in proxies:
                proxy.wait_for("as zombie")
                proxy.wait_for("No response to status check")
                proxy.wait_for("as dead")
        for proxy in proxies:
            proxy.wait_for(f"port {server.port} alive")
            assert "(3 in current sequence)" in proxy.log()
        assert "Sent Status-Server" in by_status.log()
        assert "Sent Status-Server" not in by_request.log()
        for proxy in proxies:
            user, client = it.staff(), Radclient(proxy.port, proxy.secret)
            state = client.ask(user.name, user.password).state
            assert client.ask(user.name, user.code(), state).code == ACCEPT
        assert not it.audit(masked(PROBE))
