"""A clock that is an hour wrong, at the server or in the user's pocket."""

from __future__ import annotations

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE
from tests.end_to_end.site import Site, now, told
from tests.peers.clock import other_clock


@pytest.mark.parametrize("hour", ["+1h", "-1h"])
def test_a_server_whose_clock_is_an_hour_wrong_takes_no_code_of_now_and_loses_nothing(
    university: Site, hour: str
) -> None:
    user = university.staff()
    with university.another(environment=other_clock(hour)) as wrong, university.nas(server=wrong) as nas:
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == CHALLENGE
        # What its clock says is what counts there.
        steps = 120 if hour.startswith("+") else -120
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, user.code(now() + steps), state=state).code == ACCEPT
    with university.nas() as nas:
        state = nas.ask(user.name, user.password).state
        reply = nas.ask(user.name, user.code(), state=state)
    # A code of the future was used there, and no older one is good any more; one of the past is in nobody's way.
    assert (reply.code, university.audit(user.name)[-1]["outcome"]) == (
        (CHALLENGE, "code_used") if hour.startswith("+") else (ACCEPT, "accepted")
    )


def test_a_device_whose_clock_is_two_minutes_wrong_is_told_so(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        state = nas.ask(user.name, user.password).state
        reply = nas.ask(user.name, user.code(now() + 4), state=state)

    assert reply.code == CHALLENGE
    assert reply.message in {told("clock_wrong", minutes="2"), told("clock_wrong", minutes="1")}
    assert university.outcomes(user.name)[-1] == "challenge clock_wrong"
