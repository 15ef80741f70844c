"""eapol_test as the tests use it (tests.peers.eapol), against Debian's FreeRADIUS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from radius_mfa.cli.eapol_output import Packet
from radius_mfa.cli.supplicant import EapolTestError
from tests.peers.certificates import Authority
from tests.peers.eapol import Supplicant
from tests.peers.freeradius_eap import PROMPT, FreeRadiusEap

NAME = "radius.example.org"
METHODS = ["ttls-pap", "ttls-gtc", "peap-gtc"]
REQUEST, ACCEPT, CHALLENGE = 1, 2, 11
USER_NAME, REPLY_MESSAGE, CLASS, CALLED_STATION_ID, EAP_MESSAGE = 1, 18, 25, 30, 79


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trust") / "authority")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[FreeRadiusEap]:
    with FreeRadiusEap(authority.certify(NAME), {"alice": "sesame"}) as server:
        yield server


@pytest.fixture(scope="module")
def device(server: FreeRadiusEap, authority: Authority) -> Supplicant:
    return Supplicant(server.port, server.secret, authority.ca_file, NAME)


@pytest.mark.parametrize("tls13", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_login_and_another_that_takes_the_session_up(device: Supplicant, method: str, tls13: bool) -> None:
    """RFC 5281 §7.6 and RFC 9427 §2: the keys are new, and again the same on both sides."""
    once = device.log_in(method, "alice", ["sesame"], tls13=tls13)
    assert once.accepted, once.output
    assert (once.keys_match, once.handshakes, once.resumed) == (True, (False,), False)
    assert once.tls == ("TLSv1.3" if tls13 else "TLSv1.2")
    again = device.log_in(method, "alice", ["sesame"], tls13=tls13, reauth=1)
    assert again.accepted, again.output
    assert (again.keys_match, again.handshakes, again.resumed) == (True, (False, True), True)
    assert again.prompts == ([] if method == "ttls-pap" else [PROMPT])
    assert len(again.replies(ACCEPT)) == 2


@pytest.mark.parametrize("tls13", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_small_fragments_both_ways(device: Supplicant, method: str, tls13: bool) -> None:
    """RFC 5281 §9.2.2: Framed-MTU 500 makes the server's small, `fragment` ours."""
    usual = device.log_in(method, "alice", ["sesame"], tls13=tls13)
    small = device.log_in(method, "alice", ["sesame"], tls13=tls13, fragment=100, mtu=500)
    assert small.accepted, small.output
    assert small.keys_match
    assert len(small.replies(CHALLENGE)) > len(usual.replies(CHALLENGE))
    # Both count what is of TLS, before EAP's header and the method's own (RFC 5281 §9.1).
    assert longest(small.replies(REQUEST)) <= 100 + 10
    assert longest(small.replies(CHALLENGE)) <= 500 + 10


def longest(packets: list[Packet]) -> int:
    """Octets of the longest EAP packet."""
    return max(sum(each.length for each in packet.attributes if each.number == EAP_MESSAGE) for packet in packets)


def test_attributes_of_our_own(device: Supplicant) -> None:
    more = [f"{CALLED_STATION_ID}:s:00-00-5E-00-53-02:network"]
    out = device.log_in(
        "ttls-pap", "alice", ["sesame"], anonymous="@example.org", mac="00:00:5e:00:53:01", attributes=more
    )
    asked = {each.number: each.value for each in out.packets[0].attributes}
    assert asked[USER_NAME] == b"@example.org"
    assert asked[CALLED_STATION_ID] == b"00-00-5E-00-53-02:network"
    assert out.first(REPLY_MESSAGE) == b"Welcome, 00-00-5E-00-53-01"
    assert out.first(CLASS) == b"01"
    assert out.accepted


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_password_is_an_access_reject(device: Supplicant, method: str) -> None:
    out = device.log_in(method, "alice", ["wrong"])
    assert (out.accepted, out.keys_match, out.last.name) == (False, False, "Access-Reject")


def test_who_answers_nothing_goes_away(device: Supplicant) -> None:
    out = device.log_in("peap-gtc", "alice", [])
    assert (out.accepted, out.prompts, out.last.name) == (False, [PROMPT], "Access-Challenge")


def test_who_is_not_trusted_is_told_no_password(device: Supplicant, server: FreeRadiusEap, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    out = Supplicant(server.port, server.secret, other.ca_file).log_in("ttls-pap", "alice", ["sesame"])
    assert not out.accepted
    assert any("CTRL-EVENT-EAP-TLS-CERT-ERROR" in event for event in out.events)


def test_a_folder_in_which_there_can_be_no_socket(
    device: Supplicant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(EapolTestError, match="set TMPDIR to a short path"):
        device.log_in("ttls-pap", "alice", ["sesame"])
    assert not list(folder.iterdir())
