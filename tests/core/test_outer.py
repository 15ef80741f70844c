"""The name outside of a tunnel: nobody's, or that of the user inside (RFC 5281 §7.3, rule 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import Message
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.usernames import ANY, Naming
from tests.adapters import PASSWORD, WIFI, Fuse, House, Visitor, house

SERVED = replace(WIFI, naming=Naming({"example.org": "", "students.example.org": "students.example.org"}))


@pytest.fixture
def it() -> Iterator[House]:
    with house() as it:
        it.enrol("alice")
        yield it


def asked(it: House) -> list[str]:
    """Whom the directory was asked for so far."""
    return [name for call, name in it.directory.asked if call == "find"]


def logs_in(it: House, outer: bytes | None, user_name: str = "alice") -> Visitor:
    login = it.login(user_name, SERVED)
    login.says(PASSWORD, outer_name=outer)
    return login


@pytest.mark.parametrize(
    "outer",
    [
        b"alice",
        b"alice@example.org",
        b"EXAMPLE.ORG\\alice",
        b"anonymous",
        b"anonymous@example.org",
        b"Anon@Example.Org",
        b"@example.org",
        b"",
        b"bob@elsewhere.example",  # which is somebody there, perhaps
    ],
)
def test_nobody_is_asked_of_a_name_that_is_the_same_or_nobodys(it: House, outer: bytes) -> None:
    assert logs_in(it, outer).last.event.outcome is Outcome.CHALLENGED
    assert asked(it) == ["alice"]


@pytest.mark.parametrize(
    "outer", [b"\xff\xfe", b"a\0b", b"bob\0", b"bob\x01", b"bob\r\nx", "bob\u200b".encode(), b"bob@", b"  "]
)
def test_a_name_of_which_a_nas_may_make_somebodys_is_refused(it: House, outer: bytes) -> None:
    """It may cut it, trim it, or take it to its end in C."""
    assert logs_in(it, outer).last.event.outcome is Outcome.OUTER_NAME_OF_ANOTHER
    assert asked(it) == ["alice"]


def test_a_user_who_is_called_like_nobody_is_somebody(it: House) -> None:
    it.directory.users["anonymousse"] = replace(it.user("bob"), username="anonymousse")
    assert logs_in(it, b"anonymousse").last.event.outcome is Outcome.OUTER_NAME_OF_ANOTHER


def test_the_user_may_be_called_otherwise_outside(it: House) -> None:
    assert logs_in(it, b"ALICE@example.org").last.event.outcome is Outcome.CHALLENGED
    assert asked(it) == ["alice", "ALICE"]


def test_a_name_that_nobody_has_is_nobodys(it: House) -> None:
    assert logs_in(it, b"eduroam@example.org").last.event.outcome is Outcome.CHALLENGED


@pytest.mark.parametrize("outer", [b"bob", b"bob@example.org", b"carol", b"double", b"unusable"])
def test_the_name_of_another_is_refused_once_the_password_was_right(it: House, outer: bytes) -> None:
    """Whether or not that one is activated: what the NAS accounts would be theirs."""
    it.directory.users |= {"double": Outcome.AMBIGUOUS_USER, "unusable": Outcome.USER_ID_UNUSABLE}
    login = logs_in(it, outer)
    assert login.last.event.outcome is Outcome.OUTER_NAME_OF_ANOTHER
    assert login.message == Message("refused")  # whether there is such a user is told to nobody

    login = it.login("alice", SERVED)
    assert login.says("wrong", outer_name=outer) == "reject wrong_password"
    assert asked(it)[-1] == "alice"


def test_without_a_tunnel_there_is_no_other_name(it: House) -> None:
    login = logs_in(it, None)
    assert login.last.event.outcome is Outcome.CHALLENGED
    assert login.last.event.detail == ""


def test_a_directory_that_fails_then_is_no_answer(it: House) -> None:
    it.wire(Fuse(1, DirectoryError, "find"))
    assert logs_in(it, b"bob").last.event.outcome is Outcome.DIRECTORY_FAILED


def test_a_kept_realm_tells_two_users_apart(it: House) -> None:
    bob = it.user("bob")
    it.directory.users["alice@students.example.org"] = bob
    assert logs_in(it, b"alice@students.example.org").last.event.outcome is Outcome.OUTER_NAME_OF_ANOTHER


@pytest.mark.parametrize(
    ("outer", "detail"),
    [
        (b"anonymous@example.org", "outer name anonymous@example.org"),
        (b"\xffx\n", "outer name \ufffdx\ufffd"),
        (b"x" * 253, f"outer name {'x' * 128}"),
        (b"alice", ""),
        (b" alice ", ""),
        (b"alice@example.org", "outer name alice@example.org"),
    ],
)
def test_staff_read_the_name_outside_where_it_is_another(it: House, outer: bytes, detail: str) -> None:
    login = logs_in(it, outer)
    assert login.last.event.detail == detail
    assert login.last.event.user_name == "alice"
    login.says(it.code("alice"), outer_name=outer)
    assert login.last.event.detail == detail


def test_beside_it_stands_what_else_there_is_to_say(it: House) -> None:
    login = logs_in(it, b"anonymous")
    login.says(it.wrong_code("alice"), outer_name=b"anonymous")
    login.says(it.code("alice"), outer_name=b"anonymous")
    assert login.last.event.detail == "wrong codes before: 1; outer name anonymous"


def test_of_nobody_we_know_it_is_masked_as_the_name_inside_is(it: House) -> None:
    """People type passwords there."""
    assert logs_in(it, b"my secret", "eve").last.event.detail == "outer name m…(9)"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=253) | st.text(max_size=60).map(str.encode))
def test_whatever_stands_outside_ends_in_a_decision(it: House, outer: bytes) -> None:
    nas = replace(WIFI, naming=Naming({ANY: ""}))
    login = it.login("alice", nas)
    assert login.says(PASSWORD, outer_name=outer) in {"challenge challenged", "reject outer_name_of_another"}
    assert login.last.event.detail.isprintable()
