"""A thousand different answers to one State, sent at once from many sockets."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import islice

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, RawNas, RawReply
from tests.end_to_end.site import SLOW, VPN, Site

_SOCKETS, _ANSWERS = 50, 1000


def all_at_once(
    university: Site, name: str, state: bytes, answers: list[str], source: str = VPN
) -> list[RawReply]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(university.nas(source)) for _ in range(_SOCKETS)]
        packets: list[tuple[RawNas, list[bytes]]] = [
            (nas, [nas.packet(name.encode(), answer.encode(), state=state) for answer in answers[n::_SOCKETS]])
            for n, nas in enumerate(sockets)
        ]
        for nas, some in packets:
            for packet in some:
                nas.socket.send(packet)
        # Sending each again is what a NAS does, too; it is the same packet, and the server knows it.
        return [reply for nas, some in packets for reply in nas.exchange_all(some)]


def test_one_of_a_thousand_answers_is_looked_at(university: Site) -> None:
    user = university.staff()
    with university.nas(SLOW) as nas:
        state = nas.ask(user.name, user.password).state
        replies = all_at_once(university, user.name, state, list(islice(user.wrong_codes(), _ANSWERS)), SLOW)
        assert Counter(reply.code for reply in replies) == {CHALLENGE: 1, REJECT: _ANSWERS - 1}
        assert university.show(user)["failures"] == 1
        (following,) = [reply.state for reply in replies if reply.code == CHALLENGE]
        # Two rounds are left of three.
        codes = user.wrong_codes()
        third = nas.ask(user.name, next(codes), state=following)
        assert third.code == CHALLENGE
        assert nas.ask(user.name, next(codes), state=third.state).code == REJECT
        assert university.show(user)["failures"] == 3


@pytest.mark.parametrize("at", [0, 500, 999])
def test_the_right_code_among_them_is_let_in_once_at_most(university: Site, at: int) -> None:
    user = university.staff()
    answers = list(islice(user.wrong_codes(), _ANSWERS))
    answers[at] = user.code()
    with university.nas(SLOW) as nas:
        state = nas.ask(user.name, user.password).state
    codes = Counter(reply.code for reply in all_at_once(university, user.name, state, answers, SLOW))
    assert codes[REJECT] == _ANSWERS - 1
    assert codes[ACCEPT] + codes[CHALLENGE] == 1
    assert university.show(user)["failures"] == codes[CHALLENGE]


def test_the_right_code_a_thousand_times_over_is_let_in_once(university: Site) -> None:
    """The identical answer gets the identical decision, for as long as its NAS may ask again."""
    user = university.staff()
    with university.nas(SLOW) as nas:
        state = nas.ask(user.name, user.password).state
    replies = all_at_once(university, user.name, state, [user.code()] * _ANSWERS, SLOW)
    codes = Counter(reply.code for reply in replies)
    assert codes == {ACCEPT: _ANSWERS}
    accepted = [event for event in university.audit(user.name) if event["decision"] == "accept"]
    assert sum("detail" not in event for event in accepted) == 1
