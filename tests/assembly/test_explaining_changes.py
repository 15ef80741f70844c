"""What is told of two configurations is what changes between them, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.assembly.explaining import Explainer, Question
from radius_mfa.assembly.explaining_changes import (
    Difference,
    audited,
    differences,
    in_no_directory,
    not_audited,
)
from radius_mfa.assembly.explaining_ports import People
from radius_mfa.core.messages import Attribute, AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile
from radius_mfa.observe.audit_search import Query, Search
from tests.adapters import NOON, house
from tests.assembly.support import PATIENCE, PHONE, STAFF, described, explained, loaded, nas_in

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


@pytest.mark.parametrize(
    "when", [{"days": "mon-fri"}, {"any": [{"not": {"hours": "00:00-06:00"}}, {"user": "x"}]}]
)
def test_wherever_a_policy_asks_what_time_it_is_two_times_are_two_logins(
    tmp_path: Path, when: dict[str, Any]
) -> None:
    explainer = Explainer(loaded(tmp_path, STAFF | {"when": {"client": "vpn", **when}}), described())
    assert len(read(tmp_path, explainer, event("alice", 0), event("alice", 60))) == 2


# --- names ------------------------------------------------------------------------------------------


def test_a_name_is_nobodys_where_no_client_of_either_configuration_leads_to_somebody(tmp_path: Path) -> None:
    with house() as it:
        people = People(it.directory, PATIENCE)
        before = Explainer(loaded(tmp_path, STAFF), people)
        realms = {"realms": {"example.org": ""}, "probe_users": "probe"}
        after = Explainer(loaded(tmp_path, STAFF, client=realms), people)
        names = ["alice", "alice@example.org", "alice@elsewhere", "nobody", "nobody", "no\tname", "carol", ""]
        questions = [Question(name, client, NOON) for name in names for client in ("vpn", "wifi")]
        assert it.run(in_no_directory(questions, [before, after], people)) == ["nobody", "no\tname", ""]
        assert it.run(in_no_directory(questions, [before], people)) == [
            "alice@example.org",
            "alice@elsewhere",
            "nobody",
            "no\tname",
            "",
        ]
