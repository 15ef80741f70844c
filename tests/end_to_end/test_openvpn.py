"""Logins of people with OpenVPN, whose RADIUS plugin takes an Access-Challenge for a refusal: one field.

It sends no Message-Authenticator, and shows nobody but its log the text of a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.end_to_end.nas import CALLING_STATION_ID, MESSAGE_AUTHENTICATOR, USER_NAME, walked
from tests.end_to_end.site import Account, Site, told
from tests.peers.openvpn import RETRIES, WAIT, Client, OpenVpn
from tests.peers.server import Server

SOURCE, SECRET = "127.0.0.14", "a-secret-that-is-one-word"
NAS_PORT_TYPE, ACCT_SESSION_ID, FRAMED_IP_ADDRESS = 61, 44, 8
VIRTUAL = bytes([0, 0, 0, 5])  # of NAS-Port-Type (RFC 2865 §5.41)


@pytest.fixture(scope="module")
def server(university: Site) -> Iterator[Server]:
    """One that knows the gateway, where devices may be trusted."""
    client = {
        "name": "openvpn",
        "address": SOURCE,
        "secret": SECRET,
        "profile": "openvpn",
        "message_authenticator": "auto",
        "timeout": f"{WAIT}s",
        "retries": RETRIES - 1,  # after the last one it does not wait
        "station": "ip",
    }
    policy = {"name": "openvpn", "when": {"client": "openvpn"}, "trust_device": True}
    with university.another("openvpn.yaml", {"clients": [client], "policies": [policy]}) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[OpenVpn]:
    with OpenVpn(server.port, SOURCE, SECRET) as gateway:
        yield gateway


def is_up(client: Client) -> bool:
    """Whether the tunnel comes up and leads somewhere; else the user was told that they are refused."""
    return client.is_connected() and is_up_still(client)


def is_up_still(client: Client) -> bool:
    return client.send(b"through the tunnel") == b"through the tunnel"


def let_in_again(gateway: OpenVpn, user: Account, by: str = "Password") -> None:
    """Wait until the gateway has let them in once more."""
    gateway.wait_for(f"TLS: Username/{by} authentication succeeded for username '{user.name}'")


def test_password_and_code_bring_the_tunnel_up(university: Site, gateway: OpenVpn) -> None:
    user = university.staff()
    with gateway.client(user.name, f"{user.password},{user.code()}") as client:
        assert is_up(client)
    assert university.outcomes(user.name) == ["accept accepted"]


@pytest.mark.parametrize("wrong", ["password", "code"])
def test_a_wrong_password_or_code_is_refused(university: Site, gateway: OpenVpn, wrong: str) -> None:
    user = university.staff()
    password = "wrong" if wrong == "password" else user.password
    with gateway.client(user.name, f"{password},{user.wrong_code()}") as client:
        assert not is_up(client)
    assert university.outcomes(user.name) == [
        f"reject {'wrong_password' if wrong == 'password' else 'code_wrong'}"
    ]


def test_the_password_alone_is_refused_and_the_log_of_the_gateway_says_what_is_missing(
    university: Site, gateway: OpenVpn
) -> None:
    user = university.staff()
    with gateway.client(user.name, user.password) as client:
        assert not is_up(client)
    assert university.outcomes(user.name) == ["reject code_missing"]
    gateway.wait_for(f"Reply-Message:{told('code_missing')}")


def test_who_asks_for_a_mail_is_refused_gets_one_and_comes_in_with_its_code(
    university: Site, gateway: OpenVpn
) -> None:
    user = university.with_address(university.staff())
    with gateway.client(user.name, f"{user.password},mail") as client:
        assert not is_up(client)
    assert university.outcomes(user.name) == ["reject mail_sent"]
    code = re.search(r"\b\d{4} \d{4}\b", university.mail_to(user).message.get_content())
    assert code
    with gateway.client(user.name, f"{user.password},{code[0].replace(' ', '')}") as client:
        assert is_up(client)
    assert university.outcomes(user.name)[1:] == ["accept accepted"]
    assert len(university.mails_to(user)) == 1


def test_another_key_asks_for_the_password_again_and_a_code_works_once(university: Site, gateway: OpenVpn) -> None:
    user = university.staff()
    with gateway.client(user.name, f"{user.password},{user.code()}") as client:
        assert is_up(client)
        client.renegotiate()
        client.is_refused()
    assert university.outcomes(user.name) == ["accept accepted", "reject code_used"]
    assert university.show(user)["failures"] == 0


def test_at_a_trusted_device_the_line_outlives_another_key_with_its_code_and_without(
    university: Site, gateway: OpenVpn
) -> None:
    user = university.staff()
    with gateway.client(user.name, f"{user.password},{user.code()} trust") as client:
        assert is_up(client)
        let_in_again(gateway, user)
        client.renegotiate()
        let_in_again(gateway, user)
        assert is_up_still(client)
    with gateway.client(user.name, user.password, client.station) as client:
        assert is_up(client)
        let_in_again(gateway, user)
        client.renegotiate()
        let_in_again(gateway, user)
        assert is_up_still(client)
    with gateway.client(user.name, user.password) as client:  # from elsewhere
        assert not is_up(client)
    by_device = ["accept accepted_by_device"] * 3
    assert university.outcomes(user.name) == ["accept accepted", *by_device, "reject code_missing"]


def test_with_a_token_of_its_own_the_gateway_does_not_ask_again(university: Site, server: Server) -> None:
    """`auth-gen-token`: what an administrator does against refusals by the hour."""
    user = university.staff()
    with OpenVpn(server.port, SOURCE, SECRET, "auth-gen-token") as gateway:
        with gateway.client(user.name, f"{user.password},{user.code()}") as client:
            assert is_up(client)
            client.renegotiate()
            let_in_again(gateway, user, "auth-token")
            assert is_up_still(client)
        assert len(gateway.relay.requests) == 1
    assert university.outcomes(user.name) == ["accept accepted"]


def test_a_reply_that_is_lost_costs_a_second_and_no_code(university: Site, gateway: OpenVpn) -> None:
    """It asks again from another port with another Request Authenticator (RFC 5080 §2.2.2)."""
    user = university.staff()
    gateway.relay.requests.clear()
    gateway.relay.lose = 1
    with gateway.client(user.name, f"{user.password},{user.code()}") as client:
        assert is_up(client)
    (port, first), (other_port, second) = gateway.relay.requests[:2]
    assert port != other_port
    assert first[4:20] != second[4:20]
    assert university.outcomes(user.name) == ["accept accepted"]


def test_what_the_plugin_says(university: Site, gateway: OpenVpn) -> None:
    """The same session at another key, but for the address inside, which the user has by then."""
    user = university.staff()
    gateway.relay.requests.clear()
    with gateway.client(user.name, f"{user.password},{user.code()}") as client:
        assert is_up(client)
        client.renegotiate()
        client.is_refused()
    first, later = (dict(walked(octets[20:])) for _, octets in gateway.relay.requests)
    assert first[USER_NAME] == user.name.encode()
    assert first[CALLING_STATION_ID] == client.station.encode()
    assert first[NAS_PORT_TYPE] == VIRTUAL
    assert MESSAGE_AUTHENTICATOR not in first
    assert first[ACCT_SESSION_ID] == later[ACCT_SESSION_ID]
    assert later.keys() - first.keys() == {FRAMED_IP_ADDRESS}
