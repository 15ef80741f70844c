"""What is explained is what a login comes to, and explaining it leaves no trace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.assembly.explaining import NO_CLIENT, Explainer, Explanation, Question, Standing
from radius_mfa.assembly.explaining_changes import without
from radius_mfa.assembly.explaining_ports import People
from radius_mfa.assembly.rules import texts_of
from radius_mfa.core.errors import StoreError
from radius_mfa.core.kept import NewRecoveryCode
from radius_mfa.core.messages import Accept, FactorKind, ReplyAttribute, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.wire.matching import sent
from tests.adapters import NOON, PASSWORD, Fuse, House, fused, house
from tests.assembly.support import PATIENCE, PHONE, STAFF, described, explained, loaded, nas_in


@pytest.fixture(scope="module")
def it() -> Iterator[House]:
    """A house for all: each example has a user of its own."""
    with house() as it:
        yield it


# --- the same as a login --------------------------------------------------------------------------

HELD = st.frozensets(st.sampled_from(list(FactorKind)))
_numbers = count()


def newcomer(it: House, held: frozenset[FactorKind], *, reset: bool, barred: str) -> User:
    """Somebody of the staff whom no other example has, with these factors."""
    name = f"user{next(_numbers)}"
    user = User(f"id-{name}", name, f"uid={name}", groups=frozenset({"staff"}), language="ja")
    it.directory.users[name] = user
    if FactorKind.TOTP in held:
        it.enrol(name, user_id=user.id)
    if FactorKind.MAIL in held:
        it.run(it.store.set_mail_address(user.id, name, f"{name}@example.net"))
    if FactorKind.RECOVERY_CODES in held:
        code = NewRecoveryCode(f"code-{name}", b"sealed")
        it.run(it.store.set_recovery_codes(user.id, name, [code]))
    if reset:
        it.run(it.store.reset(user.id))
    change = {"locked": "locked_until = 9e12", "suspended": "suspended = 1"}.get(barred)
    if change:
        it.store._hot.execute(f"UPDATE user_counters SET {change} WHERE user_id = ?", (user.id,))
    return user


def with_any_reference(text: str) -> str:
    return re.sub(r"\b[A-Z][2-9]\b", "K7", text)


def explained_in(it: House, explainer: Explainer, user: User) -> tuple[Explanation, Standing | None]:
    async def both() -> tuple[Explanation, Standing | None]:
        explanation = await explainer.explained(Question(user.username, "vpn", it.clock.wall(), PHONE))
        return explanation, await explainer.standing(explanation, it.store)

    return it.run(both())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    second_factor=st.sampled_from(["required", "when_enrolled", "never"]),
    factors=st.frozensets(st.sampled_from(list(FactorKind)), min_size=1),
    held=HELD,
    reset=st.booleans(),
    barred=st.sampled_from(["", "locked", "suspended"]),
    until=st.sampled_from([None, "allow_until 2026-10-13", "allow_until 2026-10-14"]),
    profile=st.sampled_from(["generic", "one-field", "one-field-6", "fortigate"]),
    group=st.sampled_from(["staff", "staff", "nobody"]),
    reply=st.sampled_from([{"Class": "staff"}, {"Filter-Id": "{title}"}, {"vlan": {"staff": "20", "else": "30"}}]),
)
def test_what_is_explained_is_what_a_login_comes_to(
    it: House,
    tmp_path_factory: pytest.TempPathFactory,
    second_factor: str,
    factors: frozenset[FactorKind],
    held: frozenset[FactorKind],
    reset: bool,
    barred: str,
    until: str | None,
    profile: str,
    group: str,
    reply: dict[str, Any],
) -> None:
    policy: dict[str, Any] = {
        "name": "tried",
        "when": {"client": "vpn", "group": group},
        "second_factor": second_factor,
        "factors": sorted(factors),
        "reply": reply,
    }
    if until and second_factor == "required":
        policy["unenrolled"] = until
    configuration = loaded(tmp_path_factory.getbasetemp(), policy, client={"profile": profile})
    user = newcomer(it, held, reset=reset, barred=barred)
    explainer = Explainer(configuration, People(it.directory, PATIENCE))
    it.rules = explainer.rules
    it.reload()
    before = list(it.store._hot.iterdump())
    it.directory.asked.clear()

    explanation, standing = explained_in(it, explainer, user)

    assert list(it.store._hot.iterdump()) == before
    assert it.directory.asked == [("find", user.username), ("groups", user.username)]
    nas = nas_in(configuration)
    login = it.login(user.username, nas)
    heard = login.says(PASSWORD, station=PHONE.encode())
    verdict = explanation.verdict
    if verdict.refusal:
        assert heard == f"reject {verdict.refusal}"
        return
    assert standing is not None
    assert heard == f"{standing.answer.decision} {standing.answer.outcome}"
    assert [each.policy for each in explanation.looked if each.matches] == [login.last.event.policy] == ["tried"]
    if isinstance(login.last.decision, Accept):
        assert login.last.decision.attributes == verdict.returned
    else:
        words = texts_of(configuration.configuration).words(login.message, nas.profile.name)
        assert with_any_reference(words) == with_any_reference(standing.answer.text)
    unbarred = barred == "" and not (held and reset)
    if unbarred and held >= factors:
        assert verdict.enrolled is not None
        assert heard == f"{verdict.enrolled.decision} {verdict.enrolled.outcome}"
    if not held:  # and so nothing was there to be reset, or barred
        assert verdict.never_enrolled is not None
        assert heard == f"{verdict.never_enrolled.decision} {verdict.never_enrolled.outcome}"
    if held and reset and not barred:
        assert verdict.reset is not None
        assert heard == f"{verdict.reset.decision} {verdict.reset.outcome}"


def test_a_trusted_device_is_known_by_what_is_stored(it: House, tmp_path: Path) -> None:
    configuration = loaded(tmp_path, STAFF | {"trust_device": True}, client={"station": "mac"})
    user = newcomer(it, frozenset({FactorKind.TOTP}), reset=False, barred="")
    explainer = Explainer(configuration, People(it.directory, PATIENCE))
    it.rules = explainer.rules
    it.reload()
    login = it.login(user.username, nas_in(configuration))
    login.says(PASSWORD, station=PHONE.encode())
    assert login.says(f"{it.code(user.username)} trust", station=PHONE.encode()) == "accept accepted"

    explanation, standing = explained_in(it, explainer, user)

    assert explanation.verdict.station == "mac:020000000001"
    assert standing is not None
    assert standing.answer.outcome is Outcome.ACCEPTED_BY_DEVICE


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("nobody", "unknown_user"),
        ("carol", "not_activated"),
        ("twins", "ambiguous_user"),
        ("a@b", "realm_not_served"),
    ],
)
def test_who_cannot_be_found_is_refused_as_at_a_login(it: House, tmp_path: Path, name: str, outcome: str) -> None:
    it.directory.users["twins"] = Outcome.AMBIGUOUS_USER
    configuration = loaded(tmp_path, STAFF, client={"realms": {"example.org": ""}})
    explanation = explained(Explainer(configuration, People(it.directory, PATIENCE)), name)

    assert explanation.verdict.refusal == outcome
    assert explanation.looked == ()
    assert it.login(name, nas_in(configuration)).says(PASSWORD) == f"reject {outcome}"


def test_a_name_to_probe_with_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, STAFF, client={"probe_users": "probe"})
    assert explained(Explainer(configuration, described("staff")), "Probe").verdict.refusal == "probe_user"


def test_a_store_that_breaks_is_no_answer(it: House, tmp_path: Path) -> None:
    """At a login it would be a refusal; here it is why nothing is known of the user."""
    configuration = loaded(tmp_path, STAFF | {"trust_device": True}, client={"station": "mac"})
    user = newcomer(it, frozenset({FactorKind.TOTP}), reset=False, barred="")
    explainer = Explainer(configuration, People(it.directory, PATIENCE))
    explanation = it.run(explainer.explained(Question(user.username, "vpn", NOON, PHONE)))
    broken = fused(it.store, Fuse(0, StoreError, "is_trusted"))
    with pytest.raises(StoreError, match="is_trusted failed"):
        it.run(explainer.standing(explanation, broken))


def test_a_client_that_is_not_there_is_a_refusal(tmp_path: Path) -> None:
    assert explained(Explainer(loaded(tmp_path, STAFF), described()), client="wifi").verdict.refusal == NO_CLIENT


# --- why ------------------------------------------------------------------------------------------


def test_every_policy_looked_at_says_why_it_does_not_match(tmp_path: Path) -> None:
    first = {"name": "admins", "when": {"client": "vpn", "group": "admins"}}
    night = {"name": "night", "when": {"client": "vpn", "hours": ["22:00-24:00"]}}
    later = {"name": "later", "when": {"client": "vpn"}}
    explanation = explained(Explainer(loaded(tmp_path, first, night, STAFF, later), described("staff")))

    assert [(each.policy, each.matches, each.why) for each in explanation.looked] == [
        ("admins", False, "group is staff, not admins"),
        ("night", False, "hours is 12:00, not 22:00-24:00"),
        ("staff", True, "client is vpn; group is staff"),
    ]


def test_what_cannot_be_returned_says_why(tmp_path: Path) -> None:
    policy = STAFF | {"reply": {"Filter-Id": "dep-{departmentNumber}"}}
    explainer = Explainer(loaded(tmp_path, policy), described("staff"))
    verdict = explained(explainer).verdict
    assert verdict.refusal == "reply_unusable"
    assert verdict.why.startswith("Filter-Id: the entry has no departmentnumber")

    explainer = Explainer(loaded(tmp_path, policy), described("staff", departmentNumber="7"))
    assert explained(explainer).verdict.returned == (ReplyAttribute("Filter-Id", "dep-7"),)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "refused"),
        ({"unenrolled": "allow_until 2026-10-14"}, "let in until 2026-10-14"),
        ({"unenrolled": "allow_until 2026-10-13"}, "refused"),
        ({"second_factor": "when_enrolled"}, "let in"),
    ],
)
def test_who_has_no_second_factor_is_told_of(tmp_path: Path, more: dict[str, str], told: str) -> None:
    """NOON is of 2026-10-14, and the day is let in to its end."""
    assert without(explained(Explainer(loaded(tmp_path, STAFF | more), described("staff"))).verdict) == told


@pytest.mark.parametrize("day", ["2026-10-14", "9999-12-30", "9999-12-31"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_the_last_day_is_told_as_it_is_written(tmp_path: Path, day: str, zone: str) -> None:
    until = STAFF | {"unenrolled": f"allow_until {day}"}
    verdict = explained(Explainer(loaded(tmp_path, until, timezone=zone), described("staff"))).verdict
    assert verdict.until == date.fromisoformat(day)
    assert without(verdict) == f"let in until {day}"


# --- what the request has ---------------------------------------------------------------------------


def test_attributes_of_the_request_are_looked_at_as_they_come(tmp_path: Path) -> None:
    """A vendor's (RFC 2865 §5.26), a tagged one (RFC 2868 §3.1), and a named value."""
    asked = {
        "Fortinet-Group-Name": "vpn-*",
        "Tunnel-Medium-Type": "IEEE-802",
        "NAS-Port-Type": "Virtual",
    }
    configuration = loaded(tmp_path, {"name": "asks", "when": {"client": "vpn", **asked}})
    explainer = Explainer(configuration, described())
    given = asked | {"Fortinet-Group-Name": "vpn-users"}
    attributes = tuple(sent(explainer.dictionary, name, value) for name, value in given.items())

    assert explained(explainer, attributes=attributes).verdict.refusal == ""
    for left_out in range(3):
        rest = attributes[:left_out] + attributes[left_out + 1 :]
        assert explained(explainer, attributes=rest).verdict.refusal == "no_policy"


def test_a_station_stands_where_the_profile_looks_for_it(tmp_path: Path) -> None:
    policy = {"name": "near", "when": {"client": "vpn", "station": "203.0.113.0/24"}}
    configuration = loaded(tmp_path, policy, client={"profile": "globalprotect", "station": "ip"})
    verdict = explained(Explainer(configuration, described()), station="203.0.113.7").verdict

    assert (verdict.refusal, verdict.station) == ("", "ip:203.0.113.7")
    assert explained(Explainer(configuration, described()), station="x" * 300).verdict.station is None
