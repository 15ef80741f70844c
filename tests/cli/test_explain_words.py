"""What `radius-mfa explain` says of a login, in words and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.explaining import WHEN, enrol, explain, rows
from tests.cli.support import rewritten, run_cli


def test_what_would_happen_and_why_in_words(site: Path) -> None:
    ran = explain(site, "alice", "--client", "here", "--at", WHEN)
    assert (
        ran.worked().out.splitlines()[0] == "alice at here (Wed 2026-10-14 12:00 UTC): asked for a second factor"
    )
    assert rows(ran) == [
        ("user", "Alice"),
        ("policy", '"admins" does not match: group is staff, not cn=admins,dc=example'),
        ("policy", '"night" does not match: hours is 12:00, not 22:00-24:00'),
        ("policy", '"staff" decides: client is here; group is staff'),
        ("second factor", "required"),
        ("factors", "totp"),
        ("asked by", "challenge, 3 answers"),
        ("user reads", "Enter the 6-digit code from your authenticator app"),
        ("without one", "let in until 2027-03-31; who was reset is refused"),
        ("trusted device", "yes, by its MAC address, for 7 days"),
        ("returns", "Class = staff"),
        ("returns", "Filter-Id = dep-0"),
        ("this user", f"unknown: {site.with_name('state.db')} is not there yet; the server makes it"),
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nobody", "unknown user"),
        ("gone", "not activated"),
        ("line\nline", "name unreadable"),
        ("@x", "name unreadable"),
    ],
)
def test_a_refusal_is_an_answer(site: Path, name: str, why: str) -> None:
    first, second = explain(site, name, "--client", "here").worked().out.splitlines()
    assert first.endswith(f"): refused: {why}")
    assert second.startswith("user reads      Login refused.")


def test_a_name_to_probe_with_is_told_as_such(site: Path) -> None:
    rewritten(site, "    station: mac\n", "    probe_users: probe\n")
    (line,) = explain(site, "probe", "--client", "here").worked().out.splitlines()
    assert line.endswith("refused: a name in probe_users; it is refused at once, and nobody is asked")


def test_what_cannot_be_returned_says_why(site: Path) -> None:
    rewritten(site, "{departmentNumber|0}", "{departmentNumber}")
    ran = explain(site, "alice", "--client", "here", "--at", WHEN)
    why = "Filter-Id: the entry has no departmentnumber; {departmentnumber|…} says what instead"
    assert ran.worked().out.splitlines()[0].endswith(f": refused: reply unusable: {why}")
    assert ("policy", '"staff" decides: client is here; group is staff') in rows(ran)
    assert dict(rows(ran))["user reads"] == "Your account is not set up for this login. Ask at the counter"


def test_a_policy_that_asks_for_no_second_factor(site: Path) -> None:
    rewritten(site, "    second_factor: required\n", "    second_factor: never\n")
    rewritten(site, "    reply: {Class: night}\n", "")
    ran = explain(site, "bob", "--client", "here", "--at", "2026-10-14T22:00", "--groups", "")
    assert ran.worked().out.splitlines()[0].endswith(": let in by the password alone")
    assert rows(ran)[-2:] == [("second factor", "never asked for"), ("returns", "nothing")]


def test_who_has_none_is_told_apart_from_who_was_reset(site: Path) -> None:
    enrol(site, "bob")  # so that there is a store
    ask = ("alice", "--client", "here", "--at", WHEN)
    ran = explain(site, *ask)
    assert ran.worked().out.splitlines()[0].endswith(": let in by the password alone until 2027-03-31")
    assert dict(rows(ran))["this user"].startswith("has no second factor: let in")
    enrol(site, "alice")
    run_cli("--config", site, "user", "reset", "alice").worked()
    assert dict(rows(explain(site, *ask)))["this user"] == "has no second factor any more: refused: unenrolled"


def test_the_station_says_what_it_is_worth(site: Path) -> None:
    ask = ("alice", "--client", "here", "--at", WHEN, "--station")
    trusted = {
        "02-00-00-00-00-01": "yes, mac:020000000001, for 7 days",
        "198.51.100.7": "no: 198.51.100.7 is not the MAC address of one device",
        "ff-ff-ff-ff-ff-ff": "no: ff-ff-ff-ff-ff-ff is not the MAC address of one device",
    }
    for station, told in trusted.items():
        assert dict(rows(explain(site, *ask, station)))["trusted device"] == told
    rewritten(site, "    station: mac\n", "")
    assert dict(rows(explain(site, *ask, "02-00-00-00-00-01")))["trusted device"] == (
        "no: a station is worth nothing here (station: none)"
    )
    rewritten(site, "    trust_device: true\n", "")
    assert dict(rows(explain(site, *ask, "02-00-00-00-00-01")))["trusted device"] == "no: not by this policy"


def test_a_client_that_asks_in_one_field(site: Path) -> None:
    rewritten(site, "    station: mac\n", "    profile: one-field\n")
    ran = explain(site, "alice", "--client", "here", "--at", WHEN)
    assert ran.worked().out.splitlines()[0].endswith(": asked for a second factor, in one field with the password")
    assert dict(rows(ran))["asked by"] == "one field, after the last ,"
    assert dict(rows(ran))["user reads"].startswith("Type your password, a comma, and the 6-digit code")


def test_the_same_as_json(site: Path) -> None:
    enrol(site, "alice")
    said = explain(site, "alice", "--client", "here", "--at", WHEN, "--json").json
    assert said == {
        "user": "alice",
        "client": "here",
        "time": "2026-10-14T12:00:00+00:00",
        "decision": "challenge",
        "outcome": "challenged",
        "text": "Enter the 6-digit code from your authenticator app",
        "detail": "",
        "username": "Alice",
        "user_id": "static:Alice",
        "groups": ["staff"],
        "policy": "staff",
        "policies": [
            {"policy": "admins", "matches": False, "why": "group is staff, not cn=admins,dc=example"},
            {"policy": "night", "matches": False, "why": "hours is 12:00, not 22:00-24:00"},
            {"policy": "staff", "matches": True, "why": "client is here; group is staff"},
        ],
        "second_factor": "required",
        "factors": ["totp"],
        "asked_by": "challenge, 3 answers",
        "prompt": "Enter the 6-digit code from your authenticator app",
        "without_second_factor": {"decision": "accept", "outcome": "accepted_unenrolled", "text": ""},
        "let_in_until": "2027-03-31",
        "after_reset": {
            "decision": "reject",
            "outcome": "unenrolled",
            "text": "Your password is right, but no second factor is set up for your account. Ask at the counter",
        },
        "trusted_device": True,
        "station": None,
        "reply": [{"name": "Class", "value": "staff"}, {"name": "Filter-Id", "value": "dep-0"}],
        "this_user": {"factors": ["totp"], "required": True, "locked_until": None, "suspended": False},
        "unknown": None,
    }
    refused = explain(site, "nobody", "--client", "here", "--json").json
    assert (refused["decision"], refused["outcome"], refused["policy"]) == ("reject", "unknown_user", None)
    assert (refused["reply"], refused["second_factor"], refused["this_user"]) == ([], None, None)


def test_a_name_that_is_no_text_is_refused_and_shown_as_it_can_be(site: Path) -> None:
    assert "\\udcff at here" in explain(site, "\udcff", "--client", "here").worked().out
    assert explain(site, "\udcff", "--client", "here", "--json").json["outcome"] == "name_unreadable"
