"""TLS sessions by name, and how long they are worth something."""

from __future__ import annotations

import pytest

from radius_mfa.core.sessions import Session
from radius_mfa.eap.sessions import Sessions

MOST = 20_000
LIFETIME = 3600.0


def session(since: float = 1000.0) -> Session:
    return Session("u-alice", "alice", "staff", since)


@pytest.mark.parametrize(
    ("now", "known"), [(999.0, False), (1000.0, True), (4599.9, True), (4600.0, False), (1e9, False)]
)
def test_a_session_is_worth_something_for_its_lifetime_since_the_login(now: float, known: bool) -> None:
    """And nothing where the clock was set back to before it: how old it is, nobody knows then."""
    kept = Sessions()
    kept.keep(b"name", session())

    assert kept.find(b"name", now, LIFETIME) == (session() if known else None)


def test_another_name_is_none() -> None:
    kept = Sessions()
    kept.keep(b"name", session())

    assert kept.find(b"nome", 1000.0, LIFETIME) is None


def test_without_a_lifetime_none_is_worth_anything() -> None:
    kept = Sessions()
    kept.keep(b"name", session())

    assert kept.find(b"name", 1000.0, 0) is None


def test_beyond_the_most_the_oldest_goes_and_one_kept_again_is_new() -> None:
    kept = Sessions()
    for number in range(MOST):
        kept.keep(b"%d" % number, session())
    kept.keep(b"0", session(2000.0))
    kept.keep(b"one more", session())

    found = [kept.find(name, 2000.0, LIFETIME) for name in (b"0", b"1", b"2", b"one more")]
    assert found == [session(2000.0), None, session(), session()]


def test_a_session_that_is_forgotten_is_worth_nothing_by_any_name() -> None:
    """Only the very one: another login of the same user goes on."""
    kept, gone, same = Sessions(), session(), session()
    for name, each in ((b"one", gone), (b"two", gone), (b"three", same)):
        kept.keep(name, each)

    kept.forget(gone)

    assert [kept.find(name, 1000.0, LIFETIME) for name in (b"one", b"two", b"three")] == [None, None, same]
