"""A NAS that asks again: as the same packet, or as a new one about the same login (RFC 5080 §2.2.2)."""

from __future__ import annotations

from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, REJECT
from tests.end_to_end.site import VPN, Site

STATION = (CALLING_STATION_ID, b"198.51.100.7")


def test_the_same_packet_gets_the_same_octets(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        first = nas.packet(user.name.encode(), user.password.encode())
        challenge = nas.exchange(first)
        assert nas.exchange(first).octets == challenge.octets
        second = nas.packet(user.name.encode(), user.code().encode(), state=challenge.state)
        accept = nas.exchange(second)
        assert accept.code == ACCEPT
        assert nas.exchange(second).octets == accept.octets
        wrong = nas.packet(user.name.encode(), b"wrong")
        reject = nas.exchange(wrong)
        assert reject.code == REJECT
        assert nas.exchange(wrong).octets == reject.octets
    assert len(university.audit(user.name)) == 3


def test_a_packet_that_is_still_being_answered_is_answered_once(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        packet = nas.packet(user.name.encode(), b"wrong")
        for _ in range(20):
            nas.socket.send(packet)
        assert nas.exchange(packet).code == REJECT
        assert university.unanswered(nas)
    assert university.outcomes(user.name) == ["reject wrong_password"]


def test_the_same_login_again_from_another_port_gets_the_same_challenge(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas, university.nas() as other:
        challenge = nas.ask(user.name, user.password, STATION)
        again = other.ask(user.name, user.password, STATION)
        assert (again.code, again.state) == (CHALLENGE, challenge.state)
        assert university.outcomes(user.name) == ["challenge challenged"]
        # Another station is another login, whoever it is.
        another = other.ask(user.name, user.password, (CALLING_STATION_ID, b"198.51.100.8"))
        assert another.state not in (b"", challenge.state)
        assert nas.ask(user.name, user.code(), STATION, state=challenge.state).code == ACCEPT
        # That login is over, and who begins again begins anew.
        assert nas.ask(user.name, user.password, STATION).state != challenge.state


def test_the_same_login_with_another_password_is_another(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        assert nas.ask(user.name, user.password, STATION).code == CHALLENGE
        assert nas.ask(user.name, user.password + "x", STATION).code == REJECT


def test_round_two_may_come_from_another_port(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas, university.nas() as other:
        state = nas.ask(user.name, user.password).state
        second = other.ask(user.name, user.wrong_code(), state=state)
        assert second.code == CHALLENGE
        assert nas.ask(user.name, user.code(), state=second.state).code == ACCEPT


def test_round_two_may_come_from_another_address_of_the_same_client(university: Site) -> None:
    user = university.staff()
    with university.nas(VPN) as nas, university.nas("::1") as other:
        state = nas.ask(user.name, user.password).state
        assert other.ask(user.name, user.code(), state=state).code == ACCEPT


def test_a_new_request_under_the_same_identifier_is_a_new_request(university: Site) -> None:
    """Another Request Authenticator: the NAS has 256 Identifiers and needs them again."""
    user = university.staff()
    with university.nas() as nas:
        challenge = nas.ask(user.name, user.password)
        for _ in range(255):
            nas.raw([])
        packet = nas.packet(user.name.encode(), user.code().encode(), state=challenge.state)
        assert packet[1] == challenge.octets[1]
        assert nas.exchange(packet).code == ACCEPT
