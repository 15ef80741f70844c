"""What is a sign that something works, what only a doubt, and when it is time to look."""

from __future__ import annotations

import pytest

from radius_mfa.observe.health import DIRECTORY, MAIL, PARTS, STORE, Health
from tests.adapters import FixedClock


def looked(clock: FixedClock, *, works: bool = True) -> Health:
    """A health whose directory and store were just looked at."""
    health = Health(clock)
    for part in (DIRECTORY, STORE):
        health.look_begins(part)
        health.said(part, works=works)
    return health


def test_before_anybody_has_looked_nobody_is_told_that_logins_work() -> None:
    health = Health(FixedClock())
    assert not health.can_authenticate
    assert all(health.is_due(part) for part in (DIRECTORY, STORE))
    assert [health.works(part) for part in PARTS] == [False, False, True]


@pytest.mark.parametrize("broken", [DIRECTORY, STORE])
def test_a_login_takes_both(broken: str) -> None:
    health = looked(FixedClock())
    assert health.can_authenticate
    health.said(broken, works=False)
    assert not health.can_authenticate


def test_without_mail_others_log_in() -> None:
    health = looked(FixedClock())
    health.said(MAIL, works=False)
    assert (health.works(MAIL), health.can_authenticate) == (False, True)
    health.said(MAIL, works=True)
    assert health.works(MAIL)


def test_a_login_that_fails_is_a_doubt_and_no_verdict() -> None:
    clock = FixedClock()
    health = looked(clock)
    clock.advance(1.0)
    assert not health.is_due(DIRECTORY)
    health.failed(DIRECTORY)
    assert health.works(DIRECTORY)
    assert health.is_due(DIRECTORY)
    assert not health.is_due(STORE)


def test_while_others_are_answered_a_failure_is_theirs_whose_it_is() -> None:
    clock = FixedClock()
    health = looked(clock)
    clock.advance(1.0)
    health.failed(DIRECTORY)
    health.answered(DIRECTORY)
    assert not health.is_due(DIRECTORY)


def test_what_fails_all_the_time_is_looked_at_once_a_second() -> None:
    clock = FixedClock()
    health = looked(clock, works=False)
    for _ in range(100):
        health.failed(DIRECTORY)
    assert not health.is_due(DIRECTORY)
    clock.advance(1.0)
    assert health.is_due(DIRECTORY)


def test_at_rest_somebody_looks_every_ten_seconds() -> None:
    clock = FixedClock()
    health = looked(clock)
    clock.advance(9.9)
    health.answered(STORE)
    clock.advance(0.1)
    assert health.is_due(DIRECTORY)
    assert not health.is_due(STORE)  # a login has just found out


def test_an_answer_ends_what_a_look_has_said() -> None:
    health = looked(FixedClock(), works=False)
    health.answered(DIRECTORY)
    health.answered(STORE)
    assert health.can_authenticate


def test_a_look_that_was_overtaken_by_an_answer_can_be_told() -> None:
    clock = FixedClock()
    health = looked(clock)
    began = health.look_begins(DIRECTORY)
    assert not health.answered_since(DIRECTORY, began)
    clock.advance(1.0)
    health.answered(DIRECTORY)
    assert health.answered_since(DIRECTORY, began)
