"""The same line again in one-field mode, at a node that did not see the first (RFC 5080 §2.2.2).

The house keeps no memory of logins outside its store, so that every line here is asked as at another node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from radius_mfa.core.messages import FactorKind, Nas
from radius_mfa.core.policy import Policy
from tests.adapters import COMMA, PASSWORD, SIX, VPN, House, heard, house

WINDOW = COMMA.window
ALL = Policy("all", factors=frozenset(FactorKind))


@pytest.fixture
def it() -> Iterator[House]:
    """A house in which alice has a token."""
    with house([ALL]) as it:
        it.enrol("alice")
        yield it


def failures(it: House) -> int:
    return it.counters("alice").failures


@pytest.mark.parametrize(("nas", "between"), [(COMMA, ","), (SIX, "")])
def test_a_wrong_code_counts_once_while_the_nas_may_ask_again(it: House, nas: Nas, between: str) -> None:
    line = f"{PASSWORD}{between}{it.wrong_code('alice')}"
    first = it.login("alice", nas)
    assert first.says(line) == "reject code_wrong"
    it.clock.advance(WINDOW - 0.1)
    again = it.login("alice", nas)
    assert again.says(line) == "reject code_wrong"
    assert again.message == first.message
    assert again.last.event.detail == "the same answer again"
    # Nothing that is made of a code is in what is written down of a login.
    assert again.last.event.login != first.last.event.login
    assert failures(it) == 1


def test_afterwards_it_is_another_login_and_no_other_guess(it: House) -> None:
    line = f"{PASSWORD},{it.wrong_code('alice')}"
    first = it.login("alice", COMMA)
    first.says(line)
    it.clock.advance(WINDOW)
    for _ in range(2):  # whose first attempt is spent, and not to be found by the line any more
        later = it.login("alice", COMMA)
        assert later.says(line) == "reject code_wrong_again"
        assert later.last.event.login != first.last.event.login
        assert failures(it) == 1


@pytest.mark.parametrize(
    "differently",
    [{"station": b"02-00-00-00-00-02"}, {"extra": [(5, b"\0\0\0\1")]}, {"user_name": "ALICE"}],
    ids=["station", "port", "name"],
)
def test_another_session_is_another_login(it: House, differently: dict[str, object]) -> None:
    line = f"{PASSWORD},{it.wrong_code('alice')}"
    it.login("alice", COMMA).says(line)
    assert it.login("alice", COMMA).says(line, **differently) == "reject code_wrong_again"
    assert failures(it) == 1


def test_another_code_is_another_guess(it: House) -> None:
    for expected, code in enumerate(it.wrong_codes("alice", 3), 1):
        it.login("alice", COMMA).says(f"{PASSWORD},{code}")
        assert failures(it) == expected


def test_a_nas_that_names_no_session_is_no_reason_to_count_twice(it: House) -> None:
    """Who sends the same wrong line again has not guessed anything new."""
    line = f"{PASSWORD},{it.wrong_code('alice')}"
    for _ in range(4):
        assert it.login("alice", COMMA).says(line, station=None) == "reject code_wrong"
    assert failures(it) == 1


def test_an_accept_is_not_given_again_by_another_node(it: House) -> None:
    """There is no State that only this login has: whoever has read the line has all that it takes."""
    line = f"{PASSWORD},{it.code('alice')}"
    assert it.login("alice", COMMA).says(line) == "accept accepted"
    assert it.login("alice", COMMA).says(line) == "reject code_used"
    assert failures(it) == 0


def test_the_password_is_asked_for_all_the_same(it: House) -> None:
    code = it.wrong_code("alice")
    it.login("alice", COMMA).says(f"{PASSWORD},{code}")
    assert it.login("alice", COMMA).says(f"wrong,{code}") == "reject wrong_password"


def test_two_nodes_at_the_same_moment_count_one_failure_and_let_one_in(it: House) -> None:
    it.interleave()
    for code, expected in ((it.wrong_code("alice"), {"reject code_wrong"}), (it.code("alice"), None)):
        line = f"{PASSWORD},{code}"

        async def at_once(line: str = line) -> list[str]:
            asked = [it.answer(it.login("alice", COMMA).request(line)) for _ in range(20)]
            return [heard(each) for each in await asyncio.gather(*asked)]

        said = it.run(at_once())
        if expected is not None:
            assert set(said) == expected
            assert failures(it) == 1
        else:
            assert sorted(set(said)) == ["accept accepted", "reject code_used"]
            assert said.count("accept accepted") == 1
            assert failures(it) == 0


def test_no_second_mail_is_sent(it: House) -> None:
    it.register("alice")
    line = f"{PASSWORD},mail"
    first, again = it.login("alice", COMMA), it.login("alice", COMMA)
    assert first.says(line) == again.says(line) == "reject mail_sent"
    assert again.message == first.message
    assert len(it.mails()) == 1


def test_a_state_from_before_a_reload_is_spent_as_any_other(it: House) -> None:
    """The client could show a challenge then; a State completes one login, whatever its profile is by now."""
    login = it.challenged("alice", VPN)
    login.nas = replace(VPN, profile=COMMA.profile)
    for station in (None, b"02-00-00-00-00-01"):
        fresh = it.challenged("alice", VPN)
        fresh.nas = login.nas
        code = it.code("alice")
        assert fresh.says(code, station=station) == "accept accepted"
        assert fresh.says(code, station=station) == "accept accepted"  # the identical answer
        it.clock.advance(60)
        assert fresh.says(it.code("alice"), station=station) == "reject state_spent"
        assert fresh.says(code, station=station) == "reject state_spent"
    assert login.says(it.wrong_code("alice")) == "reject code_wrong"
    assert login.says(it.code("alice")) == "reject state_spent"


def test_with_a_state_nothing_of_this_applies(it: House) -> None:
    """Two logins from one station have a State each, and a failure each."""
    code = it.wrong_code("alice")
    for expected in (1, 2):
        assert it.challenged("alice", VPN).says(code) == "challenge code_wrong"
        assert failures(it) == expected
