"""FreeRADIUS with our login inside under load, and beside our own server at the same store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.end_to_end.crowd import ACCEPTED, Campus, Crowd, People
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, Radclient
from tests.end_to_end.site import SECRET, VPN, Site, site, told
from tests.end_to_end.test_workers import accepted, all_once, audited
from tests.peers.freeradius_inside import FreeRadiusInside

_LEFT = 100  # users who are in no crowd
_AT_ONCE = 250  # logins of a NAS, which has 256 Identifiers for a port
_TRY = 1.0  # seconds of a NAS that is patient: so many at once may take a loaded machine a while


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    with site(tmp_path_factory.mktemp("inside"), users=700, enrolled=700) as it:
        yield Campus(it, People(it.crowd(_LEFT)))


@pytest.fixture
def freeradius(place: Campus) -> Iterator[FreeRadiusInside]:
    with inside(place) as freeradius:
        yield freeradius


@pytest.fixture
def patient(place: Campus) -> Iterator[FreeRadiusInside]:
    """One whose NAS waits for `_TRY` each time."""
    clients = place.site.usual()["clients"]
    clients[0]["timeout"] = f"{_TRY:.0f}s"
    with inside(place, clients=clients) as freeradius:
        yield freeradius


@contextmanager
def inside(place: Campus, **changes: Any) -> Iterator[FreeRadiusInside]:
    config = place.site.write("inside.yaml", changes)
    with FreeRadiusInside(config, {"vpn": VPN}, SECRET, debugs=False) as freeradius:
        yield freeradius
        said = freeradius.log()
    assert "internal_error" not in said, said
    assert "Unresponsive child" not in said, said


def test_500_logins_at_once_are_answered_once_each_however_often_a_packet_comes(
    place: Campus, patient: FreeRadiusInside
) -> None:
    """RFC 5080 §2.2.2: the same packet gets the same reply, octet by octet."""
    where = ("127.0.0.1", patient.port)
    crowds = [Crowd(where, place.people, _AT_ONCE, _AT_ONCE, twice=True, timeout=_TRY) for _ in range(2)]
    with crowds[0], crowds[1]:
        pass
    for crowd in crowds:
        assert (crowd.accepted, crowd.failures) == (_AT_ONCE, {})
        assert (crowd.unlike, crowd.strange) == (0, 0)
        assert accepted(place.site, crowd) == all_once(crowd)
        assert audited(place.site, crowd, "audit.jsonl", least=2 * len(crowd.logins)) == {
            (login.station, decision): 1 for login in crowd.logins for decision in ("challenge", "accept")
        }


def ports(site: Site, freeradius: FreeRadiusInside, first: str) -> tuple[int, int]:
    """Where round one goes, and where round two."""
    own, inside = site.server.port, freeradius.port
    return (own, inside) if first == "own" else (inside, own)


@pytest.mark.parametrize("first", ["own", "inside"])
def test_a_login_begins_at_one_and_ends_at_the_other_and_what_counts_counts_at_both(
    place: Campus, freeradius: FreeRadiusInside, first: str
) -> None:
    """They have one key and one store: a code works once, a State is spent, and failures add up."""
    here, there = (Radclient(port, SECRET) for port in ports(place.site, freeradius, first))
    user = place.site.staff()
    state, code = here.ask(user.name, user.password).state, user.code()
    assert there.ask(user.name, code, state).code == ACCEPT
    again = here.ask(user.name, user.wrong_code(), state)
    assert (again.code, again.message) == (REJECT, told("state_spent"))
    used = here.ask(user.name, code, there.ask(user.name, user.password).state)
    assert (used.code, used.message) == (CHALLENGE, told("code_used"))

    guesser = place.site.staff()
    codes = guesser.wrong_codes()
    for nas, failures in ((here, 2), (there, 4)):
        state = nas.ask(guesser.name, guesser.password).state
        for _ in range(2):
            state = nas.ask(guesser.name, next(codes), state).state
        assert place.site.show(guesser)["failures"] == failures
    fifth = here.ask(guesser.name, next(codes), there.ask(guesser.name, guesser.password).state)
    assert (fifth.code, fifth.message) == (REJECT, told("locked", minutes="15"))
    assert there.ask(guesser.name, guesser.password).message == fifth.message


def test_it_ends_well_while_logins_are_under_way(place: Campus, freeradius: FreeRadiusInside) -> None:
    with Crowd(("127.0.0.1", freeradius.port), place.people, 300) as crowd:
        crowd.ended(30)
        assert freeradius.terminate() == 0
        crowd.stop()
    assert accepted(place.site, crowd).keys() >= {
        login.station for login in crowd.logins if login.result == ACCEPTED
    }
    text = (place.site.folder / "audit.jsonl").read_text()
    assert text.endswith("\n")
    assert all(json.loads(line)["outcome"] for line in text.splitlines())
    assert "radius_mfa: stopped" in freeradius.log()
