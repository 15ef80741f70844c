"""Names and passwords of every kind inside of FreeRADIUS, and what is none of either."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, REJECT, RawNas, raw_nas
from tests.end_to_end.site import SECOND, SECRET, VPN, Site, odd, told
from tests.peers.freeradius_inside import FreeRadiusInside
from tests.peers.slapd import PEOPLE

CLIENTS = {"vpn": VPN, "second": SECOND}


@pytest.fixture(scope="module")
def freeradius(university: Site) -> Iterator[FreeRadiusInside]:
    with FreeRadiusInside(university.write("inside.yaml"), CLIENTS, SECRET, debugs=False) as freeradius:
        yield freeradius


@pytest.fixture
def nas(freeradius: FreeRadiusInside) -> Iterator[RawNas]:
    """At the address of the client `vpn`."""
    with raw_nas(freeradius.port, SECRET, VPN) as nas:
        yield nas


@pytest.mark.parametrize(
    "name", ["日本 太郎", "müller", "*)(uid=*", "*", "back\\slash \\2a", "a, b + c = #d", "n" * 253]
)
def test_whoever_it_is_the_right_password_and_code_are_let_in(
    university: Site, freeradius: FreeRadiusInside, name: str
) -> None:
    user = odd(name)
    with raw_nas(freeradius.port, SECRET, SECOND) as nas:
        challenge = nas.ask(user.name, user.password)
        assert challenge.code == CHALLENGE
        # Another test may have used a code of theirs: that it is looked at is enough.
        answer = nas.ask(user.name, user.wrong_code(), state=challenge.state)
        assert (answer.code, answer.message) == (CHALLENGE, told("code_wrong"))
    events = university.audit(name[:128]) or university.audit(name)
    assert {event["user_id"] for event in events} == {university.show(user)["id"]}


@pytest.mark.parametrize("name", ["  müller ", "MÜLLER", "müller\u3000", "mu\u0308ller", "Ｍüller"])
def test_a_name_is_one_user_however_it_is_typed(university: Site, freeradius: FreeRadiusInside, name: str) -> None:
    user = odd("müller")
    with raw_nas(freeradius.port, SECRET, SECOND) as nas:
        assert nas.ask(name, user.password).code == CHALLENGE
    assert {event["user_id"] for event in university.audit(name.strip())} == {university.show(user)["id"]}


@pytest.mark.parametrize(
    "password",
    [
        "quote\"d 'and' `so`",
        "back\\slash \\n \\000 \\",
        "%{User-Name} %{control:Tmp-String-9} %%",
        "${prefix}%(name)s{0}",
        "=0x41 := += # , ;",
        "pässwörd €",
        "日本語 \N{GRINNING FACE}\N{MUSICAL SYMBOL G CLEF}",
        "  spaces  ",
        "p" * 128,
    ],
)
def test_a_password_is_taken_to_the_octet(university: Site, nas: RawNas, password: str) -> None:
    user = replace(university.changeable(), password=password)
    secret = b64encode(password.encode()).decode()
    university.slapd.modify(
        f"dn: uid={user.name},{PEOPLE}\nchangetype: modify\nreplace: userPassword\nuserPassword:: {secret}\n"
    )
    challenge = nas.ask(user.name, password)
    assert challenge.code == CHALLENGE, university.outcomes(user.name)
    assert nas.ask(user.name, password[:-1]).code == REJECT
    assert nas.ask(user.name, user.code(), state=challenge.state).code == ACCEPT


def test_what_is_no_utf_8_is_refused_and_freeradius_goes_on(
    university: Site, freeradius: FreeRadiusInside, nas: RawNas
) -> None:
    user = university.staff()
    name = user.name.encode()
    packets = [
        nas.packet(b"octets", b"\xff\xfe no UTF-8 \x80"),  # which is right
        nas.packet(name, b"\xff\xfe\xfd"),
        nas.packet(name, user.password.encode() + b"\xe4"),
        nas.packet(b"m\xfcller", "pässwörd".encode()),
        nas.packet("日本 太郎".encode("shift_jis"), "パスワード".encode()),
        nas.packet(name, b"pass", (CALLING_STATION_ID, b"\xff")),
    ]
    assert [reply.code for reply in nas.exchange_all(packets)] == [REJECT] * len(packets)
    state = nas.ask(user.name, user.password).state
    assert nas.ask(user.name, user.code(), state=state).code == ACCEPT
    assert "0xe4" not in freeradius.log()  # nor any other octet of a password
    freeradius.wait_for(f"Login incorrect (radius_mfa: password_unreadable): [{user.name}] (from client vpn")


def test_nothing_is_cut_at_a_nul_that_is_in_the_midst_of_it(university: Site, nas: RawNas) -> None:
    """RFC 2865 §5.2 fills a password up with NULs, and those behind it are no part of it."""
    user = university.staff()
    name, password = user.name.encode(), user.password.encode()
    packets = [
        nas.packet(name, b"\0" + password),
        nas.packet(name, password + b"\0\0x"),
        nas.packet(b"nul", b"before\0after"),  # which is right
        nas.packet(b"nul", b"before"),
        nas.packet(b"\0", b"pw"),
        nas.packet(name + b"\0", password),
    ]
    assert [reply.code for reply in nas.exchange_all(packets)] == [REJECT] * len(packets)
    assert nas.exchange(nas.packet(name, password + bytes(32 - len(password)))).code == CHALLENGE


@pytest.mark.parametrize(
    "attributes",
    [
        [(2, bytes(16))],
        [(1, b"u1")],
        [(1, b"u1"), (3, bytes(17))],
        [(1, b"u1"), (79, b"\x02\x01\x00\x07\x01u1")],
        [(1, b"u1"), (26, b"\x00\x00\x01\x37\x01\x34" + bytes(50))],
        [(1, b"u1"), (2, bytes(16)), (2, bytes(16))],
        [(1, b"u1"), (2, bytes(16)), (3, bytes(17))],
    ],
    ids=["no name", "no password", "CHAP", "EAP", "MS-CHAP", "two passwords", "PAP and CHAP"],
)
def test_what_is_no_name_and_password_is_refused(nas: RawNas, attributes: list[tuple[int, bytes]]) -> None:
    assert nas.exchange(nas.raw(attributes)).code == REJECT
