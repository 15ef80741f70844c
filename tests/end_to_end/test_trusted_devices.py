"""A device that a user trusts, through the server as it is run."""

from __future__ import annotations

import json

from tests.cli.support import run_cli
from tests.end_to_end.nas import ACCEPT, CALLING_STATION_ID, CHALLENGE, CLASS, REJECT, RawReply
from tests.end_to_end.site import CAMPUS, LIBRARY, VPN, Account, Site
from tests.peers.clock import other_clock

PHONE, LAPTOP = b"02-00-5E-00-53-01", b"02-00-5E-00-53-02"


def password(university: Site, user: Account, station: bytes = PHONE, source: str = CAMPUS) -> RawReply:
    with university.nas(source) as nas:
        return nas.ask(user.name, user.password, (CALLING_STATION_ID, station))


def trust(university: Site, user: Account, station: bytes = PHONE) -> None:
    """A whole login that ends with `CODE trust`."""
    with university.nas(CAMPUS) as nas:
        state = nas.ask(user.name, user.password, (CALLING_STATION_ID, station)).state
        reply = nas.ask(user.name, f"{user.code()} trust", (CALLING_STATION_ID, station), state=state)
        assert reply.code == ACCEPT


def device(university: Site, *arguments: str) -> str:
    return run_cli("--config", university.config, "device", *arguments).worked().out


def test_a_trusted_device_is_let_in_by_the_password_at_every_client_of_the_group(university: Site) -> None:
    user = university.staff()
    assert password(university, user).code == CHALLENGE
    trust(university, user)

    for source in (CAMPUS, LIBRARY):
        reply = password(university, user, source=source)
        assert (reply.code, reply.first(CLASS)) == (ACCEPT, b"wifi")
    assert university.audit(user.name)[-1]["outcome"] == "accepted_by_device"
    assert password(university, user, LAPTOP).code == CHALLENGE
    assert password(university, user, source=VPN).code == CHALLENGE
    with university.nas(CAMPUS) as nas:
        assert nas.ask(user.name, "wrong", (CALLING_STATION_ID, PHONE)).code == REJECT


def test_a_device_is_listed_and_revoked_while_the_server_runs(university: Site) -> None:
    user = university.staff()
    trust(university, user)
    (listed,) = json.loads(device(university, "list", user.name, "--json"))
    assert listed["station"] == "mac:02005e005301"

    device(university, "revoke", user.name, listed["id"])
    assert password(university, user).code == CHALLENGE


def test_a_reset_revokes_it(university: Site) -> None:
    user = university.staff()
    trust(university, user)
    run_cli("--config", university.config, "user", "reset", user.name).worked()

    assert password(university, user).code == REJECT
    assert university.outcomes(user.name)[-1] == "reject unenrolled"


def test_trust_ends_after_seven_days(university: Site) -> None:
    """The week passes on the clock of another server at the same store."""
    user = university.staff()
    trust(university, user)

    with university.another(environment=other_clock("+167h")) as server, university.nas(CAMPUS, server) as nas:
        assert nas.ask(user.name, user.password, (CALLING_STATION_ID, PHONE)).code == ACCEPT
    with university.another(environment=other_clock("+169h")) as server, university.nas(CAMPUS, server) as nas:
        assert nas.ask(user.name, user.password, (CALLING_STATION_ID, PHONE)).code == CHALLENGE


def test_a_station_that_stands_for_everybody_is_not_trusted(university: Site) -> None:
    everybody = b"02-00-5E-00-53-FF"
    for _ in range(4):
        trust(university, university.staff(), everybody)
    user = university.staff()
    trust(university, user, everybody)

    detail = university.audit(user.name)[-1]["detail"]
    assert detail == "not trusted: others have logged in from this station"
    assert password(university, user, everybody).code == CHALLENGE
