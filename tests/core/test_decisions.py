"""A decision as octets, for whoever sends the identical answer again."""

import pytest

from radius_mfa.core.decisions import given_before, pack, unpack
from radius_mfa.core.messages import Accept, Challenge, Message, Reject, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import Attempt
from tests.adapters import NOON, new_sealer

DECISIONS: list[Accept | Reject | Challenge] = [
    Accept(Outcome.ACCEPTED),
    Accept(Outcome.ACCEPTED, (ReplyAttribute("Class", "staff"), ReplyAttribute("Class", "部署"))),
    Reject(Outcome.CODE_WRONG, Message("code_wrong")),
    Reject(Outcome.CODE_WRONG, Message("locked", "ja", (("minutes", "15"),))),
    Challenge(Outcome.CODE_WRONG, bytes(range(256))[:253], Message("code_wrong", "en")),
]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda each: str(type(each).__name__))
def test_a_decision_comes_back_as_it_was(decision: Accept | Reject | Challenge) -> None:
    assert unpack(pack(decision, 1_790_000_000.5)) == (decision, 1_790_000_000.5)


def test_octets_of_nobody_we_know_are_an_error_and_no_accept() -> None:
    unheard_of = b"\x01" + bytes(8) + b"\x00\x0aunheard_of"
    for octets in (b"", b"{}", b'{"at":0,"outcome":"accepted"}', unheard_of, b"\x01" + bytes(7)):
        with pytest.raises(ValueError, match=r"decision|Outcome"):
            unpack(octets)


def test_a_decision_of_another_release_is_none() -> None:
    """It is being replaced, and the NAS asks again meanwhile: a State that is spent, then."""
    attempt, sealer = Attempt(bytes(16), 1, "u-alice", bytes(16), NOON + 300, window=20.0), new_sealer()
    theirs = sealer.seal("decision", b'{"at":0,"outcome":"accepted","attributes":[]}', *attempt.name)

    assert given_before(theirs, attempt, sealer, NOON) is None
