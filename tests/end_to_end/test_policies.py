"""Policies as gateways and users meet them: who is asked for what, and what comes back in whichever round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import CAMPUS, COMMA, KIOSK, LIBRARY, SECOND, SECRET, VPN, Account, Site
from tests.peers.radclient import Received, radclient
from tests.peers.server import Server
from tests.peers.slapd import PEOPLE, STAFF, STUDENTS

POLICIES: list[dict[str, Any]] = [
    {
        "name": "guests",
        "when": {"realm": "guest", "not": {"client": "comma"}},
        "reply": {"Class": "guest", "vlan": "99"},
    },
    {
        "name": "dial-up",
        "when": {"client": ["vpn", "kiosk"], "NAS-Port-Type": ["Async", "xDSL"], "Called-Station-Id": "*:modem*"},
        "second_factor": "never",
        "reply": {"Class": "dial-up"},
    },
    {
        "name": "own-rooms",
        "when": {"client": "kiosk", "station": ["10.20.0.0/16", "02-00-5e-*"]},
        "second_factor": "never",
        "reply": {"Class": "own-rooms"},
    },
    {
        "name": "newcomers",
        "when": {"client": "library"},
        "unenrolled": "allow_until 2999-12-31",
        "reply": {"Class": "newcomers"},
    },
    {
        "name": "everybody",
        "when": {
            "any": [{"client": ["vpn", "comma", "campus"]}, {"all": [{"client": "kiosk"}, {"group": STAFF}]}]
        },
        "trust_device": True,
        "reply": {
            "Class": {STUDENTS: "student", STAFF: "staff", "else": "nobody"},
            "Filter-Id": "dept-{departmentNumber|none}",
            "Cisco-AVPair": ["shell:priv-lvl={employeeNumber|1}", "ip:inacl={{x}}"],
            "vlan": {STUDENTS: "20", STAFF: "{roomNumber|10}"},
            "Session-Timeout": "28800",
        },
    },
]


@pytest.fixture(scope="module")
def server(university: Site) -> Iterator[Server]:
    clients = university.usual()["clients"]
    for client in clients:
        if client["name"] == "second":
            client["realms"] = {"GUEST": ""}
    with university.another("policies.yaml", {"policies": POLICIES, "clients": clients}) as it:
        yield it


class Gateway:
    """radclient, at one address, with further attributes in each request."""

    def __init__(self, server: Server, source: str, *attributes: str) -> None:
        self._server = server
        self._always = [f"Packet-Src-IP-Address = {source}", "Message-Authenticator = 0x00", *attributes]

    def ask(self, name: str, password: str, state: str = "") -> Received:
        said = [f'User-Name = "{name}"', f'User-Password = "{password}"', *self._always]
        return radclient(self._server.port, SECRET, *said, *([f"State = {state}"] if state else []))

    def lets_in(self, user: Account, name: str = "", wrong: int = 0) -> dict[str, list[str]]:
        """All that comes back once a whole login has ended well, after so many wrong codes."""
        got = self.ask(name or user.name, user.password)
        assert got.code == CHALLENGE
        for code, _ in zip(user.wrong_codes(), range(wrong), strict=False):
            got = self.ask(name or user.name, code, got.first("State"))
            assert got.code == CHALLENGE
        return returned(self.ask(name or user.name, user.code(), got.first("State")))


def returned(got: Received) -> dict[str, list[str]]:
    assert got.code == ACCEPT
    found: dict[str, list[str]] = {}
    for name, value in got.attributes:
        if name != "Message-Authenticator":
            found.setdefault(name, []).append(value.strip('"'))
    return found


def knows(university: Site, user: Account, **attributes: str) -> None:
    """Put these into the user's entry."""
    lines = "-\n".join(f"replace: {name}\n{name}: {value}\n" for name, value in attributes.items())
    university.slapd.modify(f"dn: uid={user.name},{PEOPLE}\nchangetype: modify\n{lines}")


def vlan(number: str) -> dict[str, list[str]]:
    """RFC 3580 §3.31."""
    return {
        "Tunnel-Type:0": ["VLAN"],
        "Tunnel-Medium-Type:0": ["IEEE-802"],
        "Tunnel-Private-Group-Id:0": [number],
    }


OF_STAFF = {
    "Class": ["0x7374616666"],
    "Filter-Id": ["dept-none"],
    "Cisco-AVPair": ["shell:priv-lvl=1", "ip:inacl={x}"],
    **vlan("10"),
    "Session-Timeout": ["28800"],
}


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_whichever_round_ends_the_login_returns_what_the_groups_ask_for(
    university: Site, server: Server, wrong: int
) -> None:
    gateway = Gateway(server, VPN)

    assert gateway.lets_in(university.staff(), wrong=wrong) == OF_STAFF
    assert gateway.lets_in(university.student(), wrong=wrong) == {
        **OF_STAFF,
        "Class": ["0x73747564656e74"],
        **vlan("20"),
    }


def test_values_of_the_directory_entry_are_put_in(university: Site, server: Server) -> None:
    user = university.changeable()
    knows(university, user, departmentNumber="教務課", employeeNumber="15", roomNumber="123")

    assert Gateway(server, VPN).lets_in(user) == {
        **OF_STAFF,
        "Filter-Id": ["dept-教務課"],
        "Cisco-AVPair": ["shell:priv-lvl=15", "ip:inacl={x}"],
        **vlan("123"),
    }


def test_values_too_long_for_a_state_are_put_in_all_the_same(university: Site, server: Server) -> None:
    user = university.changeable()
    knows(university, user, departmentNumber="d" * 240)

    assert Gateway(server, VPN).lets_in(user, wrong=1) == {**OF_STAFF, "Filter-Id": ["dept-" + "d" * 240]}


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("roomNumber", "5000", "VLAN 5000 is not in 1-4094"),
        ("departmentNumber", "d" * 250, "255 octets are too many"),
    ],
)
def test_an_entry_that_makes_no_attribute_is_refused_and_staff_read_why(
    university: Site, server: Server, attribute: str, value: str, why: str
) -> None:
    """A port without its VLAN, or a tunnel without its filter, may be more than is meant."""
    user = university.changeable()
    knows(university, user, **{attribute: value})
    got = Gateway(server, VPN).ask(user.name, user.password)

    assert got.code == REJECT
    (event,) = university.audit(user.name)
    assert event["outcome"] == "reply_unusable"
    assert why in event["detail"]
    assert why not in got.first("Reply-Message")


def test_one_field_returns_the_same(university: Site, server: Server) -> None:
    user = university.staff()
    got = Gateway(server, COMMA).ask(user.name, f"{user.password},{user.code()}")

    assert returned(got) == OF_STAFF


def test_a_trusted_device_returns_the_same(university: Site, server: Server) -> None:
    user = university.staff()
    gateway = Gateway(server, CAMPUS, 'Calling-Station-Id = "02-00-5E-10-00-01"')
    asked = gateway.ask(user.name, user.password)
    assert returned(gateway.ask(user.name, f"{user.code()} trust", asked.first("State"))) == OF_STAFF

    assert returned(gateway.ask(user.name, user.password)) == OF_STAFF
    assert university.outcomes(user.name)[-1] == "accept accepted_by_device"


def test_the_realm_that_was_typed_decides_though_the_user_is_found_without(
    university: Site, server: Server
) -> None:
    user = university.staff()

    assert Gateway(server, SECOND).lets_in(user, f"GUEST\\\\{user.name}") == {
        "Class": ["0x6775657374"],
        **vlan("99"),
    }


def test_a_realm_that_is_merely_dropped_decides_nothing(university: Site, server: Server) -> None:
    """Whoever types it would choose the policy."""
    user = university.staff()

    assert Gateway(server, VPN).lets_in(user, f"GUEST\\\\{user.name}") == OF_STAFF


@pytest.mark.parametrize(
    ("attributes", "matches"),
    [
        (["NAS-Port-Type = xDSL", 'Called-Station-Id = "02-00-00-00-00-01:modem-7"'], True),
        (["NAS-Port-Type = Async", 'Called-Station-Id = ":modem"'], True),
        (["NAS-Port-Type = Virtual", 'Called-Station-Id = "02-00-00-00-00-01:modem-7"'], False),
        (["NAS-Port-Type = xDSL", 'Called-Station-Id = "02-00-00-00-00-01:MODEM-7"'], False),
        (["NAS-Port-Type = xDSL"], False),
        ([], False),
    ],
)
def test_attributes_of_the_request_decide(
    university: Site, server: Server, attributes: list[str], matches: bool
) -> None:
    user = university.staff()
    got = Gateway(server, VPN, *attributes).ask(user.name, user.password)

    assert got.code == (ACCEPT if matches else CHALLENGE)


@pytest.mark.parametrize(
    ("station", "matches"),
    [
        ("10.20.30.40", True),
        ("10.20.30.40[4500]", True),
        ("10.21.0.1", False),
        ("02-00-5E-00-00-07", True),
        ("02:00:5e:00:00:07", True),
        ("0200.5e00.0007", True),
        ("02-00-5F-00-00-07", False),
        ("10.20.30.40.50", False),
        ("", False),
    ],
)
def test_the_station_decides_whatever_its_spelling(
    university: Site, server: Server, station: str, matches: bool
) -> None:
    user = university.student()
    said = [f'Calling-Station-Id = "{station}"'] if station else []
    got = Gateway(server, KIOSK, *said).ask(user.name, user.password)

    assert got.code == (ACCEPT if matches else REJECT)
    assert university.outcomes(user.name) == [
        "accept accepted_by_password" if matches else "reject no_policy",
    ]


def test_any_and_all_decide_together(university: Site, server: Server) -> None:
    assert Gateway(server, KIOSK).lets_in(university.staff()) == OF_STAFF
    student = university.student()
    assert Gateway(server, KIOSK).ask(student.name, student.password).code == REJECT


def test_who_has_no_second_factor_yet_is_let_in_until_a_date_and_who_has_one_is_asked(
    university: Site, server: Server
) -> None:
    newcomer, user = university.newcomer(), university.staff()
    gateway = Gateway(server, LIBRARY)

    assert returned(gateway.ask(newcomer.name, newcomer.password)) == {"Class": ["0x6e6577636f6d657273"]}
    assert university.outcomes(newcomer.name) == ["accept accepted_unenrolled"]
    assert gateway.ask(newcomer.name, "wrong").code == REJECT
    assert gateway.ask(user.name, user.password).code == CHALLENGE
