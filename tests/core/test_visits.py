"""Visits: when they end, and what a factor is good for in them."""

import pytest

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.stored import Facts, Token
from radius_mfa.core.visits import FRESH_FOR, Visit, is_enrolled, suffices

ALL = frozenset(FactorKind)
TOTP, MAIL, RECOVERY = FactorKind.TOTP, FactorKind.MAIL, FactorKind.RECOVERY_CODES
IDLE = 900.0


def visit(factor: FactorKind | None = TOTP, *, desk: bool = False) -> Visit:
    """One that began at 1000, was last seen at 2000, and ends at 9000 whatever is done."""
    return Visit("id", "u", "alice", "en", factor, desk, "192.0.2.9:1", 1000.0, 1000.0, 2000.0, 9000.0)


def facts(*, tokens: tuple[bool, ...] = (), address: str = "", left: int = 0) -> Facts:
    """`tokens`: whether each is confirmed."""
    some = tuple(Token(str(number), "u", "", b"", confirmed=each) for number, each in enumerate(tokens))
    return Facts("u", Counters(), tokens=some, mail_address=address, recovery_left=left)


@pytest.mark.parametrize(
    ("now", "is_over"),
    [
        (2000.0, False),
        (2899.9, False),
        (2900.0, True),  # nothing was done for too long
        (99.9, True),  # a clock that was set back by more than that
        (100.0, False),
    ],
)
def test_a_visit_in_which_nothing_is_done_ends(now: float, is_over: bool) -> None:
    assert visit().is_over(now, IDLE) is is_over


@pytest.mark.parametrize(("now", "is_over"), [(8999.9, False), (9000.0, True)])
def test_a_visit_ends_whatever_is_done(now: float, is_over: bool) -> None:
    assert visit().is_over(now, 1e9) is is_over


@pytest.mark.parametrize(
    ("now", "is_fresh"), [(999.9, False), (1000.0, True), (999.9 + FRESH_FOR, True), (1000.0 + FRESH_FOR, False)]
)
def test_what_was_shown_is_fresh_for_ten_minutes(now: float, is_fresh: bool) -> None:
    assert FRESH_FOR == 600
    assert visit().is_fresh(now) is is_fresh


@pytest.mark.parametrize(
    ("factor", "desk", "may"),
    [(TOTP, True, True), (RECOVERY, True, True), (MAIL, True, False), (None, True, False), (TOTP, False, False)],
)
def test_the_help_desk_helps_by_something_it_has(factor: FactorKind | None, desk: bool, may: bool) -> None:
    assert visit(factor, desk=desk).may_help is may


@pytest.mark.parametrize(
    ("factor", "held", "enough"),
    [
        (None, facts(), False),
        (TOTP, facts(tokens=(True,)), True),
        (RECOVERY, facts(tokens=(True,), left=3), True),
        (MAIL, facts(address="a@example.net"), True),
        (MAIL, facts(tokens=(False,), address="a@example.net"), True),  # nobody signs in with that one
        (MAIL, facts(tokens=(False, True), address="a@example.net"), False),
        (MAIL, facts(address="a@example.net", left=1), False),
    ],
)
def test_a_mailbox_is_not_enough_where_something_is_held(
    factor: FactorKind | None, held: Facts, enough: bool
) -> None:
    assert suffices(factor, held, ALL) is enough


def test_what_is_not_served_any_more_is_not_held() -> None:
    held = facts(tokens=(True,), address="a@example.net", left=1)

    assert suffices(MAIL, held, {MAIL})
    assert not suffices(MAIL, held, {MAIL, RECOVERY})


@pytest.mark.parametrize(
    ("held", "by"),
    [
        (facts(), set()),
        (facts(tokens=(False,)), set()),
        (facts(tokens=(False, True)), {TOTP}),
        (facts(address="a@example.net"), {MAIL}),
        (facts(left=1), {RECOVERY}),
    ],
)
def test_whoever_holds_a_factor_that_is_served_is_enrolled(held: Facts, by: set[FactorKind]) -> None:
    assert {kind for kind in ALL if is_enrolled(held, {kind})} == by
    assert is_enrolled(held, ALL) is bool(by)
    assert not is_enrolled(held, ())


def test_what_is_being_set_up_is_not_in_a_repr() -> None:
    secret = Visit("i", "u", "a", "", None, False, "", 0, 0, 0, 0, pending=b"0123456789abcdef")

    assert "0123456789" not in repr(secret)
