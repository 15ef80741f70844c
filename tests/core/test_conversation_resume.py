"""A TLS session of 802.1X taken up again: authorised as things are now, without password or code (rule 12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from radius_mfa.core.conditions import ClientIs, GroupIs
from radius_mfa.core.errors import BackendError, DirectoryError, StoreError
from radius_mfa.core.guard import Counters
from radius_mfa.core.login import Conclusion
from radius_mfa.core.messages import Accept, Discard, FactorKind, Message, Nas, Profile, Reject, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.returns import Returned, Returns, Template
from radius_mfa.core.sessions import Session
from radius_mfa.core.usernames import Naming
from tests.adapters import NOON, PASSWORD, Fuse, House, access_request, always, heard, house

AP = Nas("ap", Profile("generic"), groups=frozenset({"wifi"}), station="mac")
POLICY = Policy("campus", factors=frozenset({FactorKind.TOTP}), trust_device=True)
SESSION = Session("u-alice", "alice", "campus", NOON, "totp")
TRUSTED = replace(SESSION, factor="")
DAY = 86400.0
GOOD = "accept accepted_by_session"
OVER = "reject session_over"


@pytest.fixture
def it() -> Iterator[House]:
    with house([POLICY]) as it:
        it.enrol("alice")
        yield it


def resumes(
    it: House, session: Session = SESSION, user_name: str | bytes | None = "alice", **differently: Any
) -> str:
    return heard(resumed(it, session, user_name, **differently))


def resumed(
    it: House, session: Session = SESSION, user_name: str | bytes | None = "alice", **differently: Any
) -> Conclusion:
    said = {"nas": AP, "user_name": user_name, "password": None, "outer_name": b"anonymous"}
    request = access_request(**{**said, **differently})
    return it.run(it.conversation.resume(request, session, it.clock.monotonic() + 5))


def trusts(it: House) -> None:
    """A login at the access point whose code asks to trust the device."""
    login = it.challenged("alice", AP)
    assert login.says(f"{it.code('alice')} trust") == "accept accepted"


def test_neither_password_nor_code_is_asked_for(it: House) -> None:
    it.clock.advance(DAY)
    conclusion = resumed(it)

    assert heard(conclusion) == GOOD
    assert ("check", PASSWORD) not in it.directory.asked
    event = conclusion.event
    assert (event.user_name, event.user_id, event.username) == ("alice", "u-alice", "alice")
    assert (event.client, event.policy, event.factor, event.time) == ("ap", "campus", "", NOON + DAY)
    assert event.detail == "outer name anonymous"


def test_each_time_it_is_a_login_of_its_own(it: House) -> None:
    first, second = resumed(it).event.login, resumed(it).event.login
    assert len({first, second, "", "0" * 32}) == 4


def test_what_the_policy_returns_is_made_anew(it: House) -> None:
    it.reload(policies=[replace(POLICY, reply=always(ReplyAttribute("Class", "before")))])
    assert resumed(it).decision == Accept(Outcome.ACCEPTED_BY_SESSION, (ReplyAttribute("Class", "before"),))
    it.reload(policies=[replace(POLICY, reply=always(ReplyAttribute("Class", "after")))])
    assert resumed(it).decision == Accept(Outcome.ACCEPTED_BY_SESSION, (ReplyAttribute("Class", "after"),))


def test_what_cannot_be_returned_is_a_refusal_as_in_round_one(it: House) -> None:
    reply = Returns((Returned("Class", otherwise=(Template.read("{title}"),)),), lambda _: "Class: no title")
    it.reload(policies=[replace(POLICY, reply=reply)])
    assert it.login("alice", AP).says(PASSWORD) == "reject reply_unusable"
    assert resumes(it) == "reject reply_unusable"


def test_the_user_has_to_be_the_same_and_activated(it: House) -> None:
    assert resumes(it, user_name="bob") == OVER
    assert resumes(it, replace(SESSION, user_id="u-carol"), "carol") == OVER
    it.directory.users["alice"] = replace(it.user("alice"), id="u-another-alice")
    assert resumes(it) == OVER
    it.directory.users["alice"] = Outcome.AMBIGUOUS_USER
    assert resumes(it) == OVER
    del it.directory.users["alice"]
    conclusion = resumed(it)
    assert (heard(conclusion), conclusion.event.detail) == (OVER, "unknown_user; outer name a…(9)")


@pytest.mark.parametrize(
    ("user_name", "naming", "outcome"),
    [
        ("alice", Naming(required=True), "realm_missing"),
        ("alice@elsewhere.example", Naming({"example.org": ""}), "realm_not_served"),
        (b"\xff", Naming(), "name_unreadable"),
        (None, Naming(), "name_unreadable"),
    ],
)
def test_the_name_is_read_as_in_round_one(
    it: House, user_name: str | bytes | None, naming: Naming, outcome: str
) -> None:
    assert resumes(it, user_name=user_name, nas=replace(AP, naming=naming)) == f"reject {outcome}"


def test_the_policy_has_to_be_the_one_of_then(it: House) -> None:
    other = replace(POLICY, name="other")
    it.reload(policies=[other])
    assert resumes(it) == OVER
    it.reload(policies=[replace(other, conditions=(GroupIs(frozenset({"staff"})),)), POLICY])
    assert resumes(it) == OVER
    it.directory.users["alice"] = replace(it.user("alice"), groups=frozenset())
    assert resumes(it) == GOOD
    it.reload(policies=[replace(POLICY, conditions=(ClientIs(frozenset({"vpn"})),))])
    assert resumes(it) == OVER


def test_where_the_password_is_all_there_is_it_is_asked_for(it: House) -> None:
    it.reload(policies=[replace(POLICY, second_factor=SecondFactor.NEVER)])
    assert resumes(it) == OVER


def test_without_a_factor_that_the_policy_takes_there_is_no_session(it: House) -> None:
    it.reload(policies=[replace(POLICY, factors=frozenset({FactorKind.MAIL}))])
    assert resumes(it) == OVER
    it.register("alice")
    assert resumes(it, replace(SESSION, factor="mail")) == GOOD


def test_a_code_of_a_factor_that_the_policy_takes_no_more_counts_no_more(it: House) -> None:
    """As for a trusted device; the user has another that it takes."""
    it.register("alice")
    it.reload(policies=[replace(POLICY, factors=frozenset({FactorKind.MAIL}))])
    assert resumes(it, replace(SESSION, factor="totp")) == OVER


@pytest.mark.parametrize("second_factor", [SecondFactor.REQUIRED, SecondFactor.WHEN_ENROLLED])
def test_who_is_not_enrolled_has_no_session_whatever_the_password_would_do(
    it: House, second_factor: SecondFactor
) -> None:
    it.reload(policies=[replace(POLICY, second_factor=second_factor)])
    assert resumes(it, replace(SESSION, user_id="u-bob"), "bob") == OVER


def test_a_reset_a_token_that_goes_and_a_revocation_end_every_session(it: House) -> None:
    it.clock.advance(60)
    it.enrol("alice")
    now = replace(SESSION, since=it.clock.wall())
    for end in ("token", "device", "reset", "forget"):
        assert resumes(it, now) == GOOD
        it.clock.advance(60)
        if end == "token":
            it.run(it.store.remove_token("u-alice", it.facts("alice").tokens[-1].id))
        elif end == "device":
            trusts(it)
            it.clock.advance(60)
            it.run(it.store.revoke_devices("u-alice", None))
        else:
            it.run(it.store.reset("u-alice") if end == "reset" else it.store.forget("u-alice"))
            it.seeds.clear()
            it.enrol("alice")
        assert resumes(it, now) == OVER
        now = replace(SESSION, since=it.clock.wall())


def test_a_lock_does_not_matter_as_at_a_trusted_device(it: House) -> None:
    for code in it.wrong_codes("alice", 10):
        it.challenged("alice", replace(AP, profile=Profile("one", rounds=1))).says(code)
    assert it.login("alice", AP).says(PASSWORD) == "reject locked"
    assert resumes(it) == GOOD
    assert it.counters("alice") != Counters()


def test_where_the_device_was_trusted_then_it_has_to_be_now(it: House) -> None:
    assert resumes(it, TRUSTED) == OVER
    trusts(it)
    session = replace(TRUSTED, since=it.clock.wall())
    assert resumes(it, session) == GOOD
    assert resumes(it, session, station=b"02-00-00-00-00-02") == OVER
    it.reload(policies=[replace(POLICY, trust_device=False)])
    assert resumes(it, session) == OVER
    assert resumes(it) == GOOD  # that one has seen a code
    it.reload(policies=[POLICY])
    it.clock.advance(7 * DAY)
    assert resumes(it, session) == OVER


def test_the_name_outside_is_looked_at(it: House) -> None:
    assert resumes(it, outer_name=b"bob") == "reject outer_name_of_another"
    assert resumes(it, outer_name=b"ALICE") == GOOD
    assert resumes(it, outer_name=b"alice") == GOOD


def test_the_user_is_told_nothing_but_that_it_is_refused(it: House) -> None:
    decision = resumed(it, user_name="bob").decision
    assert isinstance(decision, Reject)
    assert decision.message == Message("refused")


@pytest.mark.parametrize("discard", [False, True], ids=["reject", "discard"])
@pytest.mark.parametrize(
    ("error", "calls", "outcome"),
    [
        (DirectoryError, ("find", "with_groups", "find"), "directory_failed"),
        (StoreError, ("facts", "is_trusted", "others_at"), "store_failed"),
    ],
)
def test_a_broken_backend_is_never_an_accept(
    error: type[BackendError], calls: tuple[str, ...], outcome: str, discard: bool
) -> None:
    """Each call in turn; the second `find` is of the name outside."""
    with house([POLICY], discard_when_broken=discard) as it:
        it.enrol("alice")
        trusts(it)
        session = replace(TRUSTED, since=it.clock.wall())
        for at, call in enumerate(calls):
            fuse = Fuse(at, error, *calls)
            it.wire(fuse)
            conclusion = resumed(it, session, outer_name=b"ALICE")
            assert fuse.blown == call
            assert heard(conclusion) == f"{'discard' if discard else 'reject'} {outcome}"
            assert isinstance(conclusion.decision, Discard if discard else Reject)
        it.wire(Fuse(len(calls), error, *calls))
        assert resumes(it, session, outer_name=b"ALICE") == GOOD
