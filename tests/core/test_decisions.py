"""A decision as octets, for whoever sends the identical answer again."""

import pytest

from radius_mfa.core.decisions import pack, unpack
from radius_mfa.core.messages import Accept, Challenge, Message, Reject, ReplyAttribute
from radius_mfa.core.outcomes import Outcome

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
