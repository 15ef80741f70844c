"""802.1X whose tunnels FreeRADIUS ends: eapol_test logs in at it, and what is typed within we decide on."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bench.eap import packets
from bench.eap.inner import Inner
from bench.eap.peer import Login, Peer
from bench.eap.peer import Method as Spoken
from bench.eap.radius import access_request, reply_of
from radius_mfa.cli.eapol_network import Method
from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, CLASS, Radclient
from tests.end_to_end.site import SECRET, Account, Site
from tests.end_to_end.test_mail import code_in
from tests.end_to_end.wireless import METHODS, NAME, VLAN, new_mac
from tests.peers.certificates import Authority
from tests.peers.eapol import Outcome, Supplicant
from tests.peers.freeradius_inside import FreeRadiusInside

USER_NAME, FRAMED_MTU, NAS_IDENTIFIER, TUNNEL_PRIVATE_GROUP_ID = 1, 12, 32, 81
AP, GUESTS = "127.0.0.1", "guests"
REJECT_CODE = 3
ANONYMOUS = "anonymous@example.org"

_names = count(1)


class Tunnels:
    """`freeradius`, which is running, and devices before it."""

    def __init__(self, site: Site, freeradius: FreeRadiusInside, authority: Authority, audit: str) -> None:
        self.site = site
        self.freeradius = freeradius
        self.supplicant = Supplicant(freeradius.port, SECRET, authority.ca_file, NAME)
        self._audit = audit

    def log_in(self, method: str | Method, account: Account, typed: str, **how: Any) -> Outcome:
        """What is typed is one line: password, comma, code."""
        how = {"mac": new_mac(), "anonymous": ANONYMOUS, **how}
        return self.supplicant.log_in(method, account.name, [typed], **how)

    def outcomes(self, account: Account) -> list[str]:
        return self.site.outcomes(account.name, self._audit)

    def audit(self, account: Account) -> list[dict[str, Any]]:
        return self.site.audit(account.name, self._audit)


def right(account: Account) -> str:
    return f"{account.password},{account.code()}"


def configuration(site: Site, audit: str) -> dict[str, Any]:
    """Changes to the usual one: one client more, and what it says of itself decides on its policy."""
    usual = site.usual()
    ap = {"name": "ap", "address": AP, "secret": SECRET, "profile": "wifi", "station": "mac", "groups": ["wifi"]}
    policies = [
        {"name": GUESTS, "when": {"client": "ap", "NAS-Identifier": GUESTS}, "reply": {"Class": GUESTS}},
        {"name": "eap", "when": {"client": "ap"}, "trust_device": True, "reply": {"vlan": VLAN, "Class": "eap"}},
    ]
    return {
        "clients": [ap, *(each for each in usual["clients"] if each["name"] != "vpn")],
        "policies": [*policies, *usual["policies"]],
        "audit": {"file": audit},
    }


@contextmanager
def tunnels(
    site: Site, folder: Path, changes: Mapping[str, str] | None = None, more: str = ""
) -> Iterator[Tunnels]:
    """`changes`: to the files of deploy/freeradius.  `more`: modules."""
    authority = Authority(folder)
    certificate = authority.certify(NAME, purpose="server")
    name = f"tunnels-{next(_names)}"
    with FreeRadiusInside(
        site.write(f"{name}.yaml", configuration(site, f"{name}.jsonl")),
        {"ap": AP},
        SECRET,
        sites=("radius_mfa-eap", "radius_mfa-inner-tunnel"),
        modules=("radius_mfa", "radius_mfa-eap"),
        more=more,
        changes={r'"/etc/radius-mfa/eap\.(pem|key)"': f'"{certificate}"', **(changes or {})},
        threads=4,
    ) as freeradius:
        yield Tunnels(site, freeradius, authority, f"{name}.jsonl")


@pytest.fixture(scope="module")
def wifi(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnels]:
    with tunnels(university, tmp_path_factory.mktemp("tunnels") / "authority") as it:
        yield it


@pytest.mark.parametrize("method", METHODS)
def test_password_and_code_in_one_line_let_in_with_keys_and_what_the_policy_returns(
    wifi: Tunnels, method: str
) -> None:
    """RFC 3580 §3.16, RFC 2868: the Access-Accept is the outer one, and says nothing of who is within."""
    user = wifi.site.staff()
    outcome = wifi.log_in(method, user, right(user))
    assert (outcome.accepted, outcome.keys_match) == (True, True), outcome.output
    assert outcome.first(TUNNEL_PRIVATE_GROUP_ID) == VLAN.encode()
    assert (outcome.first(CLASS), outcome.first(USER_NAME)) == (b"eap", ANONYMOUS.encode())
    assert outcome.first(FRAMED_MTU) is None  # FreeRADIUS's own, of the pieces of its TLS
    assert wifi.outcomes(user) == ["accept accepted"]
    assert wifi.audit(user)[0]["detail"] == f"outer name {ANONYMOUS}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ends", ["wrong_password", "code_wrong", "code_used", "code_missing"])
def test_who_is_refused_within_is_refused_outside_and_the_log_says_why(
    wifi: Tunnels, method: str, ends: str
) -> None:
    user = wifi.site.staff()
    typed = {
        "wrong_password": f"wrong,{user.code()}",
        "code_wrong": f"{user.password},{user.wrong_code()}",
        "code_used": right(user),
        "code_missing": user.password,
    }[ends]
    if ends == "code_used":
        assert wifi.log_in("ttls-pap", user, typed).accepted

    outcome = wifi.log_in(method, user, typed)

    assert (outcome.accepted, outcome.last.code) == (False, REJECT_CODE), outcome.output
    assert wifi.outcomes(user)[-1] == f"reject {ends}"
    wifi.freeradius.wait_for(f"Login incorrect (radius_mfa: {ends}): [{ANONYMOUS}]")


@pytest.mark.parametrize("method", METHODS)
def test_mail_in_place_of_a_code_sends_one_that_lets_in_the_next_time(wifi: Tunnels, method: str) -> None:
    user = wifi.site.with_address(wifi.site.staff())
    assert not wifi.log_in(method, user, f"{user.password},mail").accepted
    assert wifi.outcomes(user) == ["reject mail_sent"]
    code = code_in(wifi.site.mail_to(user))
    assert wifi.log_in(method, user, f"{user.password},{code}").accepted


@pytest.mark.parametrize("method", METHODS)
def test_the_outer_name_may_not_be_somebody_elses(wifi: Tunnels, method: str) -> None:
    """RFC 5281 §7.3: it is what the NAS accounts for."""
    user, other = wifi.site.staff(), wifi.site.staff()
    outcome = wifi.log_in(method, user, right(user), anonymous=other.name)
    assert (outcome.accepted, outcome.last.code) == (False, REJECT_CODE)
    assert wifi.outcomes(user) == ["reject outer_name_of_another"]


@pytest.mark.parametrize(
    "outer", ['a"b', "a%b", "100%{User-Name}", "%{outer.request:Calling-Station-Id}", "DOM\\nobody", "a=b", "ä'b"]
)
def test_an_outer_name_is_read_as_it_is(wifi: Tunnels, outer: str) -> None:
    """Nothing in it is expanded, nor ends a value."""
    user = wifi.site.staff()
    assert wifi.log_in("ttls-pap", user, right(user), anonymous=outer).accepted
    assert wifi.audit(user)[0]["detail"] == f"outer name {outer}"


def test_a_trusted_device_is_the_one_that_the_nas_names(wifi: Tunnels) -> None:
    user, mac = wifi.site.staff(), new_mac()
    assert wifi.log_in("peap-gtc", user, f"{right(user)} trust", mac=mac).accepted
    assert wifi.log_in("ttls-gtc", user, user.password, mac=mac).accepted
    assert wifi.outcomes(user)[-1] == "accept accepted_by_device"
    assert not wifi.log_in("ttls-gtc", user, user.password).accepted


def test_a_policy_goes_by_what_the_nas_says(wifi: Tunnels) -> None:
    user = wifi.site.staff()
    outcome = wifi.log_in("peap-gtc", user, right(user), attributes=[f"{NAS_IDENTIFIER}:s:{GUESTS}"])
    assert (outcome.accepted, outcome.first(CLASS)) == (True, GUESTS.encode())


class Pretending(Inner):
    """It says within the tunnel what the NAS alone should say."""

    def __init__(self, account: Account, claims: Mapping[int, bytes]) -> None:
        super().__init__(account.name.encode(), (right(account).encode(),))
        self._claims = claims

    def first(self, *, gtc: bool) -> bytes:
        return super().first(gtc=gtc) + b"".join(packets.avp(*claim) for claim in self._claims.items())


def test_what_a_device_says_of_the_nas_within_the_tunnel_does_not_count(wifi: Tunnels) -> None:
    """RFC 5281 §10.2.1 lets it say any attribute of RADIUS there."""
    user = wifi.site.staff()
    peer = Peer(Login(Spoken.TTLS_PAP, user.name.encode(), ()))
    peer.inner = Pretending(user, {NAS_IDENTIFIER: GUESTS.encode(), CALLING_STATION_ID: b"00-00-5E-00-53-99"})
    secret, state, eap = SECRET.encode(), b"", peer.identity()
    with socket.socket(type=socket.SOCK_DGRAM) as nas:
        nas.connect(("127.0.0.1", wifi.freeradius.port))
        nas.settimeout(10)
        for identifier in count():
            sent = access_request(secret, identifier, peer.login.outer, eap, state, peer.login.station)
            nas.send(sent)
            reply = reply_of(secret, sent, nas.recv(4096))
            assert reply is not None
            state, eap = reply.state, peer.answer(reply.eap)
            if not eap:
                break
    assert reply is not None
    assert peer.is_accepted
    assert dict(reply.attributes)[CLASS] == b"eap"
    assert wifi.audit(user)[0]["station"] == peer.login.station.calling.decode()


@pytest.mark.parametrize("inner", ["auth=MSCHAPV2", "auth=CHAP", "autheap=MSCHAPV2", "autheap=MD5"])
def test_a_method_that_is_not_there_is_refused(wifi: Tunnels, inner: str) -> None:
    user = wifi.site.staff()
    method = Method("TTLS", inner, asks=False)
    assert not wifi.log_in(method, user, right(user)).accepted
    assert not wifi.outcomes(user)


# As somebody has it who lets MSCHAPv2 in beside us.
_MSCHAP = {
    r"^\tgtc \{": "\tmschapv2 {\n\t}\n\n\tgtc {",
    r"^\t\tradius_mfa_inner_eap \{": (
        '\t\tupdate control {\n\t\t\t&Cleartext-Password := "sesame"\n\t\t}\n\t\tradius_mfa_inner_eap {'
    ),
    r"^\t\tradius_mfa_inner_eap$": "\t\tAuth-Type MS-CHAP {\n\t\t\tmschap\n\t\t}\n\n\t\tradius_mfa_inner_eap",
}


def test_what_another_method_accepts_within_is_not_accepted_without_a_second_factor(
    university: Site, tmp_path: Path
) -> None:
    within = (("PEAP", "auth=MSCHAPV2", "peapver=0"), ("TTLS", "autheap=MSCHAPV2", ""))
    with tunnels(university, tmp_path / "authority", _MSCHAP, "mschap {\n    }") as wifi:
        for method in (Method(*each, asks=False) for each in within):
            user = university.staff()
            outcome = wifi.log_in(method, user, "sesame")
            assert (outcome.accepted, outcome.last.code) == (False, REJECT_CODE), outcome.output
            wifi.freeradius.wait_for("MSCHAP Success")
            wifi.freeradius.wait_for("Login incorrect (radius_mfa: not_accepted_here)")
        user = university.staff()
        assert wifi.log_in("peap-gtc", user, right(user)).accepted


def test_a_session_that_freeradius_takes_up_again_is_refused(university: Site, tmp_path: Path) -> None:
    """RFC 5281 §7.5: nobody would be asked for a second factor."""
    sessions = tmp_path / "sessions"
    sessions.mkdir(0o700)
    changes = {
        r"^\t\t\tenable = no": f'\t\t\tenable = yes\n\t\t\tname = "kept"\n\t\t\tpersist_dir = "{sessions}"',
        r"^\t\ttls_max_version = .*": '\t\ttls_max_version = "1.3"',
    }
    with tunnels(university, tmp_path / "authority", changes) as wifi:
        for method in METHODS:
            user = university.staff()
            assert wifi.log_in(method, user, right(user)).accepted
            outcome = wifi.log_in(method, user, f"{user.password},{user.next_code()}", reauth=1, tls13=True)
            assert outcome.handshakes == (False, True), wifi.freeradius.log()
            assert not outcome.accepted
            wifi.freeradius.wait_for("Login incorrect (radius_mfa: accepted by EAP without a second factor)")


def test_pap_is_served_beside(wifi: Tunnels) -> None:
    user, nas = wifi.site.staff(), Radclient(wifi.freeradius.port, SECRET)
    reply = nas.ask(user.name, right(user))  # this client's users type one line
    assert reply.code == ACCEPT
    assert CHALLENGE not in wifi.outcomes(user)
