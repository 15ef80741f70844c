"""Codes and their steps (RFC 6238 §5.2), with a server whose wall clock stands still in the middle of one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, RawNas
from tests.end_to_end.site import PERIOD, Account, Site, now
from tests.peers.clock import other_clock
from tests.peers.server import Server


@pytest.fixture(scope="module")
def step() -> int:
    """The step in which the clock stands still."""
    return now()


@pytest.fixture(scope="module")
def still(university: Site, step: int) -> Iterator[Server]:
    middle = datetime.fromtimestamp(step * PERIOD + PERIOD // 2, UTC)
    clock = other_clock(f"{middle:%Y-%m-%d %H:%M:%S}")
    with university.another("still.yaml", environment=clock) as server:
        yield server


@pytest.fixture
def nas(university: Site, still: Server) -> Iterator[RawNas]:
    with university.nas(server=still) as nas:
        yield nas


def log_in(nas: RawNas, user: Account, *steps: int) -> str:
    """A login answered with the codes of those steps; what the last one got."""
    reply = nas.ask(user.name, user.password)
    for step in steps:
        assert reply.code == CHALLENGE
        reply = nas.ask(user.name, user.code(step), state=reply.state)
    return reply.code


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_the_code_of_the_previous_and_of_the_next_step_are_right(
    university: Site, nas: RawNas, step: int, off: int
) -> None:
    assert log_in(nas, university.staff(), step + off) == ACCEPT


@pytest.mark.parametrize("off", [-20, -3, -2, 2, 3, 20])
def test_a_code_out_of_the_window_is_wrong_and_counted(university: Site, nas: RawNas, step: int, off: int) -> None:
    user = university.staff()
    assert log_in(nas, user, step + off) == CHALLENGE
    just_outside = abs(off) < 20
    told = "clock_wrong" if just_outside else "code_wrong"
    assert university.outcomes(user.name)[-1] == f"challenge {told}"
    assert university.show(user)["failures"] == 1


def test_a_code_never_works_in_two_logins_and_a_used_one_is_not_counted(
    university: Site, nas: RawNas, step: int
) -> None:
    user = university.staff()
    assert log_in(nas, user, step) == ACCEPT
    assert log_in(nas, user, step) == CHALLENGE
    assert university.outcomes(user.name)[-1] == "challenge code_used"
    assert university.show(user)["failures"] == 0


def test_once_a_later_step_was_used_an_earlier_one_is_too_late(university: Site, nas: RawNas, step: int) -> None:
    user = university.staff()
    assert log_in(nas, user, step) == ACCEPT
    assert log_in(nas, user, step - 1) == CHALLENGE
    assert log_in(nas, user, step, step - 1, step + 1) == ACCEPT
    assert log_in(nas, user, step - 1, step, step + 1) == REJECT
    assert university.show(user)["failures"] == 0


def test_the_steps_go_forward_one_login_each(university: Site, nas: RawNas, step: int) -> None:
    user = university.staff()
    assert [log_in(nas, user, step + off) for off in (-1, 0, 1)] == [ACCEPT] * 3


def test_the_code_of_somebody_else_is_wrong(university: Site, nas: RawNas, step: int) -> None:
    user, other = university.staff(), university.staff()
    state = nas.ask(user.name, user.password).state
    assert nas.ask(user.name, other.code(step), state=state).code == CHALLENGE
    assert log_in(nas, other, step) == ACCEPT
