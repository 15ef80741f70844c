"""Which States are worth the last of the room: under overload a login half-way is finished first."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.adapters import PASSWORD, WIFI, Fuse, House, Visitor, house


@pytest.fixture
def it() -> Iterator[House]:
    with house() as it:
        it.enrol("alice")
        it.enrol("bob")
        yield it


def vouched(it: House, login: Visitor, **differently: Any) -> bool:
    """Whether the login's State is vouched for, with nobody asked but the clock and the seal."""
    fuse = Fuse(
        0, RuntimeError, "find", "check_password", "facts", "spend", "settle", "is_spent", "judge", "usable"
    )
    it.wire(fuse)
    found = it.conversation.states.vouch_for(login.request("any code", **differently))
    assert fuse.blown == ""
    it.wire(None)
    return found


def test_a_state_that_its_client_and_user_may_answer_is_vouched_for(it: House) -> None:
    login = it.challenged("alice")
    assert vouched(it, login)
    assert vouched(it, login, source="192.0.2.1:40000")


def test_the_state_of_a_later_round_is_vouched_for_as_well(it: House) -> None:
    login = it.challenged("alice")
    login.says(it.wrong_code("alice"))
    assert vouched(it, login)


def test_without_a_state_nothing_is(it: House) -> None:
    assert not vouched(it, it.login("alice"))


def test_a_forged_state_is_not(it: House) -> None:
    login = it.challenged("alice")
    state = login.state or b""
    for at in range(len(state)):
        assert not vouched(it, login, state=state[:at] + bytes((state[at] ^ 1,)) + state[at + 1 :])
    for made_up in (b"", bytes(100), state[:-1], state + b"\x00"):
        assert not vouched(it, login, state=made_up)


def test_what_we_sealed_for_something_else_is_no_state(it: House) -> None:
    login = it.challenged("alice")
    assert not vouched(it, login, state=it.sealer.seal("decision", bytes(100)))
    assert not vouched(it, login, state=it.sealer.seal("state", b"no login"))


def test_the_state_of_another_client_is_not(it: House) -> None:
    login = it.challenged("alice")
    assert not vouched(it, login, nas=WIFI)


@pytest.mark.parametrize("name", ["bob", "Alice", None])
def test_the_state_of_another_user_is_not(it: House, name: str | None) -> None:
    login = it.challenged("alice")
    assert not vouched(it, login, user_name=name)


def test_a_state_that_has_expired_is_not(it: House) -> None:
    login = it.challenged("alice")
    it.clock.advance(299.9)
    assert vouched(it, login)
    it.clock.advance(0.1)
    assert not vouched(it, login)


def test_nobody_is_let_in_by_being_vouched_for(it: House) -> None:
    login = it.challenged("alice")
    assert vouched(it, login)
    assert login.says(PASSWORD) == "challenge answer_unreadable"
    assert login.says(it.code("alice")) == "accept accepted"
