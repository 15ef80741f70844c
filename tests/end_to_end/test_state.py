"""A State: for one client, one user, one answer, for a time."""

from __future__ import annotations

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, ForeignNas
from tests.end_to_end.site import SECOND, Site, now, told
from tests.peers.clock import other_clock


def test_a_state_completes_one_login(university: Site, foreign: ForeignNas) -> None:
    user = university.staff()
    state = foreign.ask(user.name, user.password).state
    assert foreign.ask(user.name, user.code(), state).code == ACCEPT
    assert foreign.ask(user.name, user.wrong_code(), state).code == REJECT
    assert foreign.ask(user.name, "mail", state).code == REJECT
    assert university.outcomes(user.name)[2:] == ["reject state_spent"] * 2


def test_a_state_that_was_answered_wrongly_takes_no_other_answer(university: Site, foreign: ForeignNas) -> None:
    user = university.staff()
    state = foreign.ask(user.name, user.password).state
    assert foreign.ask(user.name, user.wrong_code(), state).code == CHALLENGE
    reply = foreign.ask(user.name, user.code(), state)
    assert (reply.code, reply.message) == (REJECT, told("state_spent"))


def test_the_identical_answer_gets_the_identical_decision(university: Site, foreign: ForeignNas) -> None:
    """From another port, under another Identifier: a NAS that asks again (RFC 5080 §2.2.2)."""
    user = university.staff()
    state, wrong = foreign.ask(user.name, user.password).state, user.wrong_code()
    second = foreign.ask(user.name, wrong, state)
    again = foreign.ask(user.name, wrong, state)
    assert (again.code, again.state, again.message) == (CHALLENGE, second.state, second.message)
    code = user.code()
    accept = foreign.ask(user.name, code, second.state)
    repeated = foreign.ask(user.name, code, second.state)
    assert accept.code == repeated.code == ACCEPT
    assert accept.values[1:] == repeated.values[1:]
    # It was one failure and one success all the same.
    assert university.show(user)["failures"] == 0


def test_a_state_is_nobody_elses(university: Site, foreign: ForeignNas) -> None:
    user, other = university.staff(), university.staff()
    state = foreign.ask(user.name, user.password).state
    for code in (user.code(), other.code()):
        reply = foreign.ask(other.name, code, state)
        assert (reply.code, reply.message) == (REJECT, told("refused"))
    # What a stranger tried with it is not held against it.
    assert foreign.ask(user.name, user.code(), state).code == ACCEPT
    assert university.audit(user.name)[-1]["user_id"] == university.show(user)["id"]


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
def test_a_state_from_another_client_never_works(university: Site, kind: str) -> None:
    user = university.staff()
    state = university.foreign(kind).ask(user.name, user.password).state
    reply = university.foreign(kind, SECOND).ask(user.name, user.code(), state)
    assert (reply.code, reply.message) == (REJECT, told("refused"))
    assert university.foreign(kind).ask(user.name, user.code(), state).code == ACCEPT


def test_a_state_that_was_tampered_with_never_works(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        state = nas.ask(user.name, user.password).state
        forged = [state[:at] + bytes((state[at] ^ 1,)) + state[at + 1 :] for at in range(len(state))]
        forged += [state[:-1], state + b"\0", state[1:], b"\0", b"x" * 253, bytes(len(state))]
        packets = [nas.packet(user.name.encode(), user.code().encode(), state=each) for each in forged]
        # All at once: each refusal takes its time.
        replies = nas.exchange_all(packets)
        assert [reply.code for reply in replies] == [REJECT] * len(forged)
        assert nas.ask(user.name, user.code(), state=state).code == ACCEPT


def test_an_empty_state_and_two_states_are_refused(university: Site) -> None:
    """At most one (RFC 2865 §5.44), with something in it (§5.24)."""
    user = university.staff()
    with university.nas() as nas:
        state = nas.ask(user.name, user.password).state
        name, code = user.name.encode(), user.code().encode()
        twice = nas.packet(name, code, (24, state), (24, state))
        empty = nas.packet(name, code, (24, b""))
        assert [each.code for each in nas.exchange_all([twice, empty])] == [REJECT, REJECT]


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
def test_a_state_is_good_for_a_time(university: Site, kind: str) -> None:
    in_time, late = university.staff(), university.staff()
    nas = university.foreign(kind)
    states = {user: nas.ask(user.name, user.password).state for user in (in_time, late)}
    with university.another(environment=other_clock("+4m")) as server:
        later = university.foreign(kind, server=server)
        # Its app has the later time as well.
        assert later.ask(in_time.name, in_time.code(now() + 8), states[in_time]).code == ACCEPT
    with university.another(environment=other_clock("+6m")) as server:
        later = university.foreign(kind, server=server)
        reply = later.ask(late.name, late.code(now() + 12), states[late])
        assert (reply.code, reply.message) == (REJECT, told("state_expired"))
    assert university.outcomes(late.name)[-1] == "reject state_expired"
