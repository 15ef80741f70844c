"""How often somebody may try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.portal.limits import Limit, neighbourhood
from tests.adapters import FixedClock


@given(burst=st.integers(1, 20), every=st.sampled_from([1.0, 10.0, 720.0]))
def test_so_many_tries_at_once_and_then_one_in_a_while(burst: int, every: float) -> None:
    clock = FixedClock()
    limit = Limit(clock, burst, every)
    for _ in range(burst):
        assert limit.wait("alice") == 0
        limit.count("alice")

    assert limit.wait("alice") == pytest.approx(every)
    assert limit.wait("bob") == 0
    clock.advance(every)
    assert limit.wait("alice") == pytest.approx(0)
    limit.count("alice")
    assert limit.wait("alice") == pytest.approx(every)


@given(st.lists(st.sampled_from(["try", "right", "later"]), max_size=80))
def test_nobody_gets_more_than_burst_and_time_allow(steps: list[str]) -> None:
    clock = FixedClock()
    limit, wrong, begun = Limit(clock, 3, 10.0), 0, clock.monotonic()
    for step in steps:
        if step == "later":
            clock.advance(7.0)
        elif limit.wait("k") == 0:
            limit.count("k")
            wrong += 1
            if step == "right":
                limit.give_back("k")
                wrong -= 1
        assert wrong <= 3 + (clock.monotonic() - begun) / 10.0


def test_what_was_never_counted_is_not_given_back() -> None:
    limit = Limit(FixedClock(), 1, 10.0)
    limit.give_back("alice")
    limit.count("alice")

    assert limit.wait("alice") > 0


def test_the_table_is_bounded_and_forgets_who_was_counted_longest_ago() -> None:
    limit = Limit(FixedClock(), 1, 10.0)
    limit.count("first")
    limit.count("second")
    limit.count("first")
    for number in range(19_999):
        limit.count(f"{number}")

    assert limit.wait("second") == 0
    assert limit.wait("first") > 0


def test_what_is_endless_is_counted_by_how_it_begins() -> None:
    """Else twenty thousand names of 16 kB each were 300 MB."""
    limit = Limit(FixedClock(), 1, 10.0)
    limit.count("x" * 16_000)

    assert limit.wait("x" * 15_000) > 0


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_a_neighbourhood_is_what_somebody_has_to_themselves(host: str, counts_as: str) -> None:
    assert neighbourhood(host) == counts_as
