"""`radius-mfa explain`."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from radius_mfa.cli.explain_asked import groups_in
from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile
from tests.adapters import NOON
from tests.cli.support import Ran, changed_row, rewritten, run_cli
from tests.end_to_end.site import Site, now, totp
from tests.peers.slapd import STAFF, free_port

SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()
WHEN = "2026-10-14T12:00"
POLICIES = """\
policies:
  - name: admins
    when: {client: here, group: "cn=admins,dc=example"}
  - name: night
    when: {client: here, hours: ["22:00-24:00"]}
    second_factor: required
    reply: {Class: night}
  - name: staff
    when: {client: here, group: [staff, "cn=staff,dc=example"]}
    unenrolled: allow_until 2027-03-31
    trust_device: true
    reply: {Class: staff, Filter-Id: "dep-{departmentNumber|0}"}
"""
OLD_POLICIES = """\
policies:
  - name: here
    when: {client: here}
    second_factor: required
"""


@pytest.fixture
def site(config: Path) -> Path:
    """A configuration with several policies; Alice is of the staff, bob is in no group."""
    rewritten(config, 'username: Alice, password: "', 'username: Alice, groups: [staff], password: "')
    rewritten(config, "    secret: a secret", "    station: mac\n    secret: a secret")
    return rewritten(config, OLD_POLICIES, f"contact: Ask at the counter\n{POLICIES}")


def explain(config: Path, *arguments: str | Path) -> Ran:
    return run_cli("--config", config, "explain", *arguments)


def rows(ran: Ran) -> list[tuple[str, str]]:
    """What is said below the headline, by its labels."""
    _, *lines = ran.worked().out.splitlines()
    return [(line[:14].strip(), line[16:]) for line in lines]


def enrol(config: Path, *names: str) -> None:
    for name in names:
        code = totp(SEED, now())
        run_cli("--config", config, "user", "enrol", name, "--secret", BASE32, "--confirm", code).worked()


# --- one login --------------------------------------------------------------------------------------


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


def test_offline_nobody_and_nothing_is_asked(site: Path) -> None:
    site.with_name("key").unlink()
    static = re.search("  static:\n.*?(?=factors:)", site.read_text(), re.DOTALL)
    assert static
    ldap = f"servers: ldap://127.0.0.1:{free_port()}, bind_dn: cn=x, bind_password: x, base_dn: dc=example"
    rewritten(site, static[0], f"  ldap: {{{ldap}}}\n")
    rewritten(site, '[staff, "cn=staff,dc=example"]', '"cn=staff,dc=example"')
    asked = ("carol", "--client", "here", "--at", WHEN, "--groups", "CN=Staff, DC=Example")
    ran = explain(site, *asked, "--value", "departmentNumber=7")
    assert ("returns", "Filter-Id = dep-7") in rows(ran)
    assert "this user" not in dict(rows(ran))
    assert not site.with_name("state.db").exists()
    assert explain(site, "carol", "--against", site).line(1).startswith("directory: ldap://127.0.0.1:")
    line = explain(site, "carol", "--client", "here").line(1)
    assert line.startswith("directory: ldap://127.0.0.1:")
    assert line.endswith("with --groups it is not asked")


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        ("cn=staff,ou=groups,dc=example", ["cn=staff,ou=groups,dc=example"]),
        (r"cn=Smith\, John,dc=example", [r"cn=Smith\, John,dc=example"]),
        ("cn=a,dc=x; cn=b,dc=x", ["cn=a,dc=x", "cn=b,dc=x"]),
        (r"cn=a\;b,dc=x", [r"cn=a\;b,dc=x"]),
        ("staff, students", ["staff", "students"]),
        ("staff;cn=b,dc=x", ["staff", "cn=b,dc=x"]),
        ("staff", ["staff"]),
        ("", []),
    ],
)
def test_groups_may_have_commas_of_their_own(written: str, groups: list[str]) -> None:
    """RFC 4514 §2: a DN's parts all have a =."""
    assert list(groups_in(written)) == groups


def test_in_no_group_is_offline_as_well(site: Path) -> None:
    ran = explain(site, "alice", "--client", "here", "--at", WHEN, "--groups", "")
    assert "refused: no policy matches" in ran.worked().out
    assert ("policy", '"staff" does not match: group is none, not cn=staff,dc=example or staff') in rows(ran)


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


def test_what_is_stored_of_the_user_decides(site: Path) -> None:
    enrol(site, "alice")
    ask = ("alice", "--client", "here", "--at", WHEN)
    assert dict(rows(explain(site, *ask)))["this user"] == "has totp: asked for a second factor"
    changed_row(site, "UPDATE user_counters SET locked_until = 4000000000")
    ran = explain(site, *ask)
    assert ran.worked().out.splitlines()[0].endswith(": refused: locked")
    assert dict(rows(ran))["this user"].startswith("has totp, locked until 2096-10-02")
    changed_row(site, "UPDATE user_counters SET locked_until = 0, suspended = 1")
    assert dict(rows(explain(site, *ask)))["this user"] == "has totp, totp is suspended: refused: suspended"


def test_who_has_none_is_told_apart_from_who_was_reset(site: Path) -> None:
    enrol(site, "bob")  # so that there is a store
    ask = ("alice", "--client", "here", "--at", WHEN)
    ran = explain(site, *ask)
    assert ran.worked().out.splitlines()[0].endswith(": let in by the password alone until 2027-03-31")
    assert dict(rows(ran))["this user"].startswith("has no second factor: let in")
    enrol(site, "alice")
    run_cli("--config", site, "user", "reset", "alice").worked()
    assert dict(rows(explain(site, *ask)))["this user"] == "has no second factor any more: refused: unenrolled"


def test_nothing_is_written(site: Path) -> None:
    enrol(site, "alice")

    def stored() -> list[str]:
        with closing(sqlite3.connect(site.with_name("state.db"))) as db:
            return list(db.iterdump())

    before = stored()
    explain(site, "alice", "--client", "here", "--at", WHEN).worked()
    explain(site, "alice", "--against", site).worked()
    assert stored() == before


def test_a_store_or_a_key_that_cannot_be_had_is_said_in_a_line(site: Path) -> None:
    enrol(site, "alice")
    site.with_name("key").rename(site.with_name("elsewhere"))
    ran = explain(site, "alice", "--client", "here", "--at", WHEN)
    assert dict(rows(ran))["this user"].startswith(f"unknown: {site.with_name('key')}")
    assert ran.err == ""


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


def test_a_time_is_of_the_configured_zone(site: Path) -> None:
    rewritten(site, "contact:", "timezone: Asia/Tokyo\ncontact:")
    ran = explain(site, "bob", "--client", "here", "--at", "2026-11-27 22:30")
    assert ran.worked().out.startswith(
        "bob at here (Fri 2026-11-27 22:30 Asia/Tokyo): asked for a second factor\n"
    )
    assert ("policy", '"night" decides: client is here; hours is 22:30') in rows(ran)


def test_attributes_of_the_request(site: Path) -> None:
    rewritten(site, 'hours: ["22:00-24:00"]', "NAS-Port-Type: Virtual")
    ask = ("bob", "--client", "here", "--attribute", "nas-port-type=virtual")
    assert dict(rows(explain(site, *ask)))["returns"] == "Class = night"


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


# --- what cannot be answered ------------------------------------------------------------------------


def test_a_client_that_is_not_there_ends_it(site: Path) -> None:
    assert explain(site, "alice", "--client", "her").line(1) == "her: no such client; did you mean here?"
    assert explain(site, "alice", "--client", "x").line(1) == "x: no such client; there are here"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give one USER and one --client"),
        (("alice",), "give one USER and one --client"),
        (("alice", "bob", "--client", "here"), "give one USER and one --client"),
        (("alice", "--client", "here", "--audit"), "--users and --audit go with --against"),
        (("alice", "--client", "here", "--since", "1d"), "--since goes with --audit"),
        (("alice", "--client", "here", "--value", "a=b"), "--value goes with --groups"),
        (("alice", "--client", "here", "--groups", "cn=a,b"), "neither a DN nor names"),
        (("alice", "--client", "here", "--at", "noon"), "--at takes a time"),
        (("alice", "--client", "here", "--attribute", "Class"), "write NAME=VALUE"),
        (("alice", "--client", "here", "--attribute", "State=x"), "State is nothing that a policy may look at"),
        (("alice", "--client", "here", "--attribute", "NAS-Prot=1"), "did you mean NAS-Port"),
    ],
)
def test_what_does_not_go_together_is_one_line(site: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in explain(site, *arguments).line(2)


def test_a_configuration_that_is_wrong_is_told_as_everywhere(site: Path) -> None:
    other = other_of(site)
    rewritten(other, "second_factor: required", "second_factor: sometimes")
    assert explain(site, "alice", "--against", other).line(2).startswith(f"{other}:")
    missing = explain(site, "alice", "--against", site.with_name("none.yaml")).line(2)
    assert missing.endswith("none.yaml: cannot be read: No such file or directory")


# --- another configuration --------------------------------------------------------------------------


def other_of(config: Path, *changes: tuple[str, str]) -> Path:
    """A copy with changes."""
    other = config.with_name("other.yaml")
    other.touch(0o600)
    other.write_text(config.read_text())
    for old, new in changes:
        rewritten(other, old, new)
    return other


RENAMED = ("  - name: staff\n", "  - name: staff-new\n    second_factor: never\n")
UNCHANGED = ("    unenrolled: allow_until 2027-03-31\n    trust_device: true\n", "")
REPLY = ('Class: staff, Filter-Id: "dep-{departmentNumber|0}"', "Class: [staff, x]")


def test_only_what_changes_is_told(site: Path) -> None:
    other = other_of(site, RENAMED, UNCHANGED, REPLY)
    ask = ("alice", "nobody", "--against", other, "--at", WHEN)
    changes = (
        'policy "staff" → "staff-new"; second factor required → never; trusted device allowed → not allowed; '
    )
    changes += "+ Class = x; - Filter-Id = dep-0"
    assert explain(site, *ask).worked().out.splitlines() == [
        f"alice at here: {changes}",
        "2 logins looked at, 1 changes",
    ]
    (change,) = explain(site, *ask, "--json").json
    assert (change["user"], change["client"], change["station"]) == ("alice", "here", None)
    assert change["changes"][:2] == [
        {"what": "policy", "before": "staff", "after": "staff-new"},
        {"what": "second_factor", "before": "required", "after": "never"},
    ]


def test_the_same_is_no_change(site: Path) -> None:
    assert explain(site, "alice", "bob", "--against", site).worked().out == "no change: 2 logins looked at\n"
    assert explain(site, "alice", "--against", site, "--json").json == []


def test_offline_against_another(site: Path) -> None:
    other = other_of(site, REPLY)
    groups = ("--groups", "staff", "--value", "departmentNumber=7")
    ran = explain(site, "carol", *groups, "--client", "here", "--against", other, "--at", WHEN)
    assert ran.worked().out.splitlines()[0] == "carol at here: + Class = x; - Filter-Id = dep-7"


def test_a_client_that_is_missing_there_is_a_refusal(site: Path) -> None:
    other = other_of(site, ("  - name: here\n    address", "  - name: there\n    address"))
    other.write_text(other.read_text().replace("client: here", "client: there"))
    ran = explain(site, "alice", "--against", other, "--at", WHEN).worked()
    first, second, last = ran.out.splitlines()
    assert first == 'alice at here: policy "staff" → refused: no such client'
    assert second.startswith(
        'alice at there: refused: no such client → policy "staff"; second factor required; '
        "without a second factor let in until 2027-03-31; + Class = staff"
    )
    assert last == "2 logins looked at, 2 change"


def test_users_of_a_file(site: Path) -> None:
    file = site.with_name("users")
    file.write_text("# the staff\nalice\n\n  bob  \n")
    ran = explain(site, "--users", file, "--against", other_of(site, REPLY), "--at", WHEN).worked()
    assert [line.split(":")[0] for line in ran.out.splitlines()] == [
        "alice at here",
        "2 logins looked at, 1 changes",
    ]
    assert "No such file" in explain(site, "--users", "/nowhere", "--against", site).line(2)
    assert "give a USER" in explain(site, "--against", site).line(2)


# --- the audit file ---------------------------------------------------------------------------------


def audited(config: Path, *logins: tuple[str, float, str]) -> None:
    """Logins that ended well, at the client `here`: user, seconds after NOON, and station."""
    rewritten(config, "key_file: key", "key_file: key\naudit: {file: audit.jsonl}")
    file = AuditFile(config.with_name("audit.jsonl"))
    for user, seconds, station in logins:
        event = AuditEvent(
            NOON + seconds,
            Outcome.ACCEPTED,
            "accept",
            "here",
            "127.0.0.1:1",
            user_name=user,
            user_id="x",
            station=station,
        )
        file(event)
    file.close()


def test_real_logins_are_looked_at_under_both(site: Path) -> None:
    """At the hour they happened: bob is let in at night only."""
    audited(site, ("alice", 0, ""), ("alice", 0, "a"), ("left", 0, ""), ("left", 9, "b"), ("bob", 37_800, ""))
    other = other_of(site, REPLY, ("Class: night", "Class: dark"))
    ran = explain(site, "--audit", "--against", other)
    assert ran.worked().out.splitlines() == [
        "alice at here: + Class = x; - Filter-Id = dep-0",
        "bob at here: + Class = dark; - Class = night",
        "3 logins looked at, 3 change",
    ]
    assert ran.err == "1 user is not in the directory any more, and left out\n"
    assert len(explain(site, "--audit", "--against", other, "--json").json) == 3
    since = explain(site, "--against", other, "--audit", "--since", "2026-10-14T13:00").worked().out
    assert since.splitlines()[-1] == "1 login looked at, 1 changes"
    only = explain(site, "ALICE", "--against", other, f"--audit={site.with_name('audit.jsonl')}").worked().out
    assert only.splitlines()[-1] == "2 logins looked at, 2 change"


def test_what_the_audit_file_does_not_have_is_said(site: Path) -> None:
    audited(site, ("alice", 0, ""))
    other = other_of(site, ('hours: ["22:00-24:00"]', "NAS-Port-Type: Virtual"))
    ran = explain(site, "--audit", "--against", other).worked()
    assert ran.out == "no change: 1 login looked at\n"
    assert ran.err == "not in the audit file, and so taken for not sent: NAS-Port-Type, which policies look at\n"


def test_an_audit_file_that_cannot_be_read_is_said(site: Path) -> None:
    assert "no file is configured" in explain(site, "--audit", "--against", site).line(1)
    ran = explain(site, "--audit=/nowhere/audit.jsonl", "--against", site)
    assert (ran.status, ran.out) == (1, "no change: 0 logins looked at\n")
    assert ran.err.startswith("/nowhere/audit.jsonl: is not there")
    assert "--audit has users" in explain(site, "--audit", "--against", site, "--groups", "x").line(2)


# --- a real directory -------------------------------------------------------------------------------


def test_a_directory_is_asked_and_the_factors_are_looked_up(university: Site) -> None:
    account = university.staff()
    before = university.outcomes(account.name)
    said = explain(university.config, account.name, "--client", "vpn", "--json").json
    assert (said["policy"], said["outcome"], said["groups"]) == ("staff", "challenged", [STAFF.lower()])
    assert said["this_user"]["factors"] == ["totp"]
    assert {"name": "Fortinet-Group-Name", "value": "vpn-staff"} in said["reply"]
    student = explain(university.config, university.student().name, "--client", "vpn", "--json").json
    assert student["policy"] == "everybody"
    assert "認証" in student["prompt"]
    unenrolled = explain(university.config, university.unenrolled().name, "--client", "vpn", "--json").json
    assert (unenrolled["decision"], unenrolled["outcome"]) == ("reject", "unenrolled")
    assert university.outcomes(account.name) == before


def test_what_the_other_configuration_returns_is_asked_of_the_directory_too(university: Site) -> None:
    account = university.staff()
    policies = university.usual()["policies"]
    policies[0]["reply"] = {"Filter-Id": "{mail}"}
    other = university.write("explained.yaml", {"policies": policies})
    ran = explain(university.config, account.name, "--client", "vpn", "--against", other).worked()
    assert f"+ Filter-Id = {account.name}@example.org; - Class = staff" in ran.out
    assert json.loads(explain(university.config, account.name, "--against", other, "--json").worked().out)
