"""Recovery codes: one of the list, once, and never another user's."""

from dataclasses import replace

import pytest

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import Facts, RecoveryCode, RecoveryCodeUse
from radius_mfa.factors.recovery import RecoveryFactor
from tests.adapters import NOON, new_sealer

SEALER = new_sealer()
FACTOR = RecoveryFactor(SEALER)


def kept(letters: str = "abcdefghjkmn", code_id: str = "r1", *, used: bool = False) -> RecoveryCode:
    sealed = SEALER.seal("recovery_codes", letters.encode(), "u-alice", code_id)
    return RecoveryCode(code_id, "u-alice", sealed, used)


def judged(code: str, *codes: RecoveryCode) -> RecoveryCodeUse | Outcome:
    left = sum(not each.used for each in codes)
    return FACTOR.judge(Facts("u-alice", Counters(), recovery_left=left, recovery_codes=codes), code, NOON)


def test_the_code_that_fits_is_used_up() -> None:
    other = kept("zyxwvutsrqpn", "r2")

    assert judged("abcdefghjkmn", other, kept()) == RecoveryCodeUse("r1")
    assert judged("zyxwvutsrqpn", other, kept()) == RecoveryCodeUse("r2")


def test_a_used_one_is_known_as_used_and_any_other_is_wrong() -> None:
    assert judged("abcdefghjkmn", kept(used=True)) is Outcome.CODE_USED
    assert judged("zyxwvutsrqpn", kept()) is Outcome.CODE_WRONG
    assert judged("abcdefghjkmn") is Outcome.CODE_WRONG


def test_it_can_be_used_while_one_is_left() -> None:
    assert FACTOR.kind is FactorKind.RECOVERY_CODES
    assert FACTOR.usable(Facts("u-alice", Counters(), recovery_left=1))
    assert not FACTOR.usable(Facts("u-alice", Counters()))


@pytest.mark.parametrize("guess", ["abcdefghjkmn", ""])
def test_a_code_that_was_moved_does_not_open_and_hides_no_guess_at_another(guess: str) -> None:
    for moved in (
        replace(kept(), user_id="u-bob"),
        replace(kept(), id="r2"),
        replace(kept(), code=b""),
    ):
        assert judged(guess, moved) is Outcome.SECRET_UNREADABLE
        assert judged(guess, moved, kept("zyxwvutsrqpn", "r3")) is Outcome.CODE_WRONG
