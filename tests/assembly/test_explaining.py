"""What is explained is what a login comes to, and explaining it leaves no trace."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.assembly.explaining import NO_CLIENT, Explainer, Explanation, Question, Standing
from radius_mfa.assembly.explaining_changes import Difference, audited, differences, not_audited, without
from radius_mfa.assembly.explaining_ports import ENROLLED, Described, OnlyRead, People
from radius_mfa.assembly.rules import nas_of, texts_of
from radius_mfa.config.load import Loaded, load
from radius_mfa.core.errors import StoreError
from radius_mfa.core.messages import Accept, Attribute, AuditEvent, FactorKind, Nas, ReplyAttribute, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import Attempt, NewRecoveryCode, Refusal
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.audit_search import Query, Search
from radius_mfa.wire.dictionary import DictionaryError
from radius_mfa.wire.matching import sent
from tests.adapters import NOON, PASSWORD, Fuse, House, fused, house
from tests.config.support import DICTIONARY, HASH

PATIENCE = 1e6  # the clock of a house stands at any number of seconds
PHONE = "02-00-00-00-00-01"
ALL_FACTORS = {
    "totp": {},
    "mail": {"smtp": "smtp://127.0.0.1:9", "sender": "mfa@example.org"},
    "recovery_codes": {},
}
VPN = {"name": "vpn", "address": "192.0.2.1", "secret": "a secret of twenty or so"}
STAFF = {"name": "staff", "when": {"client": "vpn", "group": "staff"}, "reply": {"Class": "staff"}}


@pytest.fixture(scope="module")
def it() -> Iterator[House]:
    """A house for all: each example has a user of its own."""
    with house() as it:
        yield it


def loaded(folder: Path, *policies: dict[str, Any], client: dict[str, Any] | None = None, **more: Any) -> Loaded:
    """A configuration of one client and these policies."""
    path = folder / "radius-mfa.yaml"
    configuration = {
        "listen": [{"udp": "127.0.0.1:0"}],
        "clients": [VPN | (client or {})],
        "directory": {"static": {"users": [{"username": "alice", "password": HASH}]}},
        "factors": ALL_FACTORS,
        "policies": list(policies),
        "contact": "Ask at the counter",
        **more,
    }
    path.write_text(json.dumps(configuration))  # JSON is YAML
    return load(path, {}, DICTIONARY)


def described(*groups: str, **attributes: str) -> People:
    return People(
        Described(frozenset(groups), {name.lower(): (value,) for name, value in attributes.items()}), PATIENCE
    )


def explained(explainer: Explainer, user: str = "alice", client: str = "vpn", **more: Any) -> Explanation:
    return asyncio.run(explainer.explained(Question(user, client, NOON, **more)))


def nas_in(configuration: Loaded) -> Nas:
    (client,) = configuration.configuration.clients
    return nas_of(client, configuration.configuration.gateway_of(client))


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


def test_an_answer_that_would_be_written_down_is_refused(it: House) -> None:
    attempt = Attempt(bytes(16), 1, "u-alice", bytes(16), NOON, 1.0)
    for store in (OnlyRead(it.store), ENROLLED):
        assert it.run(store.spend(attempt, lambda counters: counters, PATIENCE)) is Refusal.SPENT
        assert it.run(store.is_spent(bytes(16), 1, PATIENCE))
    assert not it.run(it.store.is_spent(bytes(16), 1, PATIENCE))


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("State", "x"), ("CHAP-Password", "x"), ("No-Such", "x"), ("NAS-Port", "x"), ("Filter-Id", "x" * 254)],
)
def test_what_no_policy_looks_at_is_not_sent(name: str, value: str) -> None:
    with pytest.raises(DictionaryError):
        sent(DICTIONARY, name, value)


def test_a_station_stands_where_the_profile_looks_for_it(tmp_path: Path) -> None:
    policy = {"name": "near", "when": {"client": "vpn", "station": "203.0.113.0/24"}}
    configuration = loaded(tmp_path, policy, client={"profile": "globalprotect", "station": "ip"})
    verdict = explained(Explainer(configuration, described()), station="203.0.113.7").verdict

    assert (verdict.refusal, verdict.station) == ("", "ip:203.0.113.7")
    assert explained(Explainer(configuration, described()), station="x" * 300).verdict.station is None


# --- two configurations -----------------------------------------------------------------------------


def changed(
    folder: Path, before: dict[str, Any], after: dict[str, Any], **client: Any
) -> list[tuple[str, str, str]]:
    old = explained(Explainer(loaded(folder, before), described("staff"))).verdict
    new = explained(Explainer(loaded(folder, after, client=client), described("staff"))).verdict
    return [(each.what, each.before, each.after) for each in differences(old, new)]


def test_the_same_twice_is_no_difference(tmp_path: Path) -> None:
    assert changed(tmp_path, STAFF, STAFF) == []
    assert changed(tmp_path, STAFF, STAFF | {"when": {"client": "vpn"}}) == []


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ({"name": "new"}, [("policy", "staff", "new")]),
        ({"second_factor": "never"}, [("second_factor", "required", "never")]),
        (
            {"second_factor": "when_enrolled"},
            [("second_factor", "required", "when_enrolled"), ("without_second_factor", "refused", "let in")],
        ),
        ({"factors": ["totp"]}, [("factors", "mail or recovery_codes or totp", "totp")]),
        (
            {"reply": {"Class": ["a", "staff"], "Filter-Id": "x"}},
            [("reply", "", "Class = a"), ("reply", "", "Filter-Id = x")],
        ),
        ({"reply": {}}, [("reply", "Class = staff", "")]),
        ({"when": {"client": "vpn", "group": "others"}}, [("refused", "", "no policy"), ("policy", "staff", "")]),
        (
            {"reply": {"Class": "{title}"}},
            [
                ("refused", "", "reply unusable (Class: the entry has no title; {title|…} says what instead)"),
                ("policy", "staff", ""),
            ],
        ),
    ],
)
def test_each_difference_is_told(tmp_path: Path, after: dict[str, Any], found: list[tuple[str, str, str]]) -> None:
    assert changed(tmp_path, STAFF, STAFF | after) == found


def test_how_a_client_asks_is_a_difference(tmp_path: Path) -> None:
    assert changed(tmp_path, STAFF, STAFF, profile="one-field") == [
        ("asked", "challenge, 3 answers", "one field, after the last ,")
    ]
    trusting = STAFF | {"trust_device": True}
    assert changed(tmp_path, trusting, trusting, station="mac") == [("trusted_device", "not allowed", "allowed")]


def test_who_will_be_let_in_without_a_second_factor_is_told_so(tmp_path: Path) -> None:
    nobody = STAFF | {"when": {"client": "vpn", "group": "others"}}
    assert changed(tmp_path, nobody, STAFF | {"second_factor": "when_enrolled", "reply": {}}) == [
        ("refused", "no policy", ""),
        ("policy", "", "staff"),
        ("second_factor", "", "when_enrolled"),
        ("without_second_factor", "", "let in"),
    ]


def test_whoever_is_refused_under_both_sees_no_difference(tmp_path: Path) -> None:
    others = STAFF | {"when": {"client": "vpn", "group": "others"}}
    assert changed(tmp_path, others, others, realm_required=True) == []


def test_another_prompt_is_a_difference(tmp_path: Path) -> None:
    own = tmp_path / "messages"
    own.mkdir()
    (own / "en.yaml").write_text('challenged_or_mail: "Code:"\n')
    old = explained(Explainer(loaded(tmp_path, STAFF), described("staff"))).verdict
    new = explained(Explainer(loaded(tmp_path, STAFF, messages="messages"), described("staff"))).verdict
    (found,) = differences(old, new)
    assert found == Difference("prompt", old.enrolled.text if old.enrolled else "", "Code:")


# --- the audit file -----------------------------------------------------------------------------------


def event(user: str, seconds: float, **more: Any) -> AuditEvent:
    accepted = AuditEvent(NOON + seconds, Outcome.ACCEPTED, "accept", "vpn", "192.0.2.1:1645", user_name=user)
    return replace(accepted, user_id=f"u-{user}", **more)


def read(folder: Path, explainer: Explainer, *events: AuditEvent) -> list[Question]:
    file = AuditFile(folder / "audit.jsonl")
    for each in events:
        file(each)
    file.close()
    return audited(Search(folder / "audit.jsonl", Query(decisions=["accept"])).hits(0), [explainer])


def test_logins_of_the_audit_file_are_asked_about_once_as_they_were_last(tmp_path: Path) -> None:
    explainer = Explainer(loaded(tmp_path, STAFF), described())
    more = {"called_station": "ap-1", "nas_identifier": "gw", "nas_address": "192.0.2.9"}
    refused = replace(event("bob", 0), decision="reject")
    first, second = read(
        tmp_path,
        explainer,
        event("alice", 0),
        refused,
        event("alice", 60),
        event("alice", 90, station=PHONE, **more),
    )
    assert (first.user, first.client, first.now, first.station) == ("alice", "vpn", NOON + 60, "")
    request = second.asked_by(nas_in(loaded(tmp_path, STAFF)))
    assert request.first(Attribute.CALLING_STATION_ID) == PHONE.encode()
    assert request.first(Attribute.CALLED_STATION_ID) == b"ap-1"
    assert request.first(Attribute.NAS_IDENTIFIER) == b"gw"
    assert request.first(Attribute.NAS_IP_ADDRESS) == bytes([192, 0, 2, 9])


def test_where_policies_ask_what_time_it_is_each_minute_of_a_week_is_a_login_of_its_own(tmp_path: Path) -> None:
    night = STAFF | {"when": {"client": "vpn", "not": {"hours": "00:00-06:00"}}}
    explainer = Explainer(loaded(tmp_path, night), described())
    week = 7 * 86400.0
    assert len(read(tmp_path, explainer, *(event("alice", each) for each in (0, 20, 60, week, week + 60)))) == 2


def test_what_the_audit_file_does_not_say_is_named(tmp_path: Path) -> None:
    asked = {"NAS-Identifier": "gw", "any": [{"NAS-Port-Type": "Virtual"}, {"Fortinet-Group-Name": "x"}]}
    explainer = Explainer(loaded(tmp_path, STAFF | {"when": {"client": "vpn", **asked}}), described())
    assert not_audited([explainer]) == ["Fortinet-Group-Name", "NAS-Port-Type"]
