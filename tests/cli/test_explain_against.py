"""`radius-mfa explain --against`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import AuditFile
from tests.adapters import NOON
from tests.cli.explaining import WHEN, explain, other_of
from tests.cli.support import rewritten
from tests.end_to_end.site import Site

# --- another configuration --------------------------------------------------------------------------


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
        "1 login looked at, 1 change",
    ]
    assert explain(site, *ask).err == "1 name is in no directory, and left out: nobody\n"
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
    assert last == "2 logins looked at, 2 changes"


def test_users_of_a_file(site: Path) -> None:
    file = site.with_name("users")
    file.write_text("# the staff\nalice\n\n  bob  \n")
    ran = explain(site, "--users", file, "--against", other_of(site, REPLY), "--at", WHEN).worked()
    assert [line.split(":")[0] for line in ran.out.splitlines()] == [
        "alice at here",
        "2 logins looked at, 1 change",
    ]
    assert ran.err == ""
    assert "No such file" in explain(site, "--users", "/nowhere", "--against", site).line(2)
    assert "give a USER" in explain(site, "--against", site).line(2)


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbfalice\nbob\n",
        b"alice\r\nbob\r\n",
        b"alice\rbob",
        b"\talice # student\nbob\t#student\n#carol\n  # dave\n",
    ],
    ids=["a byte order mark", "CRLF", "CR", "comments"],
)
def test_names_are_read_as_editors_and_spreadsheets_leave_them(site: Path, written: bytes) -> None:
    file = site.with_name("users")
    file.write_bytes(written)
    ran = explain(site, "--users", file, "--against", other_of(site, REPLY), "--at", WHEN).worked()
    assert ran.out.splitlines()[-1] == "2 logins looked at, 1 change"
    assert ran.err == ""


def test_a_name_may_have_a_number_sign_in_it(site: Path) -> None:
    file = site.with_name("users")
    file.write_text("alice\nbob#2\n")
    ran = explain(site, "--users", file, "--against", site).worked()
    assert ran.err == "1 name is in no directory, and left out: bob#2\n"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("alice\n".encode("utf-16"), "is not text in UTF-8"),
        ("alice\n".encode("utf-16-be"), "is not text in UTF-8"),
        ("Jürgen\n".encode("latin-1"), "is not text in UTF-8"),
        (b"", "there is no name in it"),
        (b"\xef\xbb\xbf\r\n# nobody\n", "there is no name in it"),
    ],
)
def test_a_file_without_names_is_refused_in_one_line(site: Path, written: bytes, problem: str) -> None:
    file = site.with_name("users")
    file.write_bytes(written)
    for more in ((), ("bob",)):
        ran = explain(site, *more, "--users", file, "--against", site)
        assert (ran.line(1), ran.out) == (f"{file}: {problem}", "")


def test_a_program_is_no_file_of_names_and_none_of_events(site: Path) -> None:
    ran = explain(site, "--users", sys.executable, "--against", site)
    assert (ran.line(1), ran.out) == (f"{sys.executable}: is not text in UTF-8", "")
    ran = explain(site, f"--audit={sys.executable}", "--against", site)
    assert (ran.line(1), ran.out) == (f"{sys.executable}: no line of it is an event of the audit file", "")


def test_names_that_nobody_has_are_counted(site: Path) -> None:
    file = site.with_name("users")
    file.write_text("".join(f"nobody{number}\n" for number in range(7)) + "alice\n")
    ran = explain(site, "--users", file, "--against", other_of(site, REPLY), "--at", WHEN).worked()
    assert ran.out.splitlines()[-1] == "1 login looked at, 1 change"
    assert ran.err == (
        "7 names are in no directory, and left out: nobody0, nobody1, nobody2, nobody3, nobody4, …\n"
    )
    ran = explain(site, "nobody", "no\nbody", "--against", site)
    assert (ran.line(1), ran.out) == ("2 names are in no directory: nobody, no\\nbody", "")


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
        "3 logins looked at, 3 changes",
    ]
    assert ran.err == "1 user is not in the directory any more, and left out\n"
    assert len(explain(site, "--audit", "--against", other, "--json").json) == 3
    since = explain(site, "--against", other, "--audit", "--since", "2026-10-14T13:00").worked().out
    assert since.splitlines()[-1] == "1 login looked at, 1 change"
    only = explain(site, "ALICE", "--against", other, f"--audit={site.with_name('audit.jsonl')}").worked().out
    assert only.splitlines()[-1] == "2 logins looked at, 2 changes"


@pytest.mark.parametrize("written", ["", "alice\n", '{"time": "yesterday"}\n'])
def test_a_file_without_an_event_is_not_taken_for_one_in_which_nothing_happened(site: Path, written: str) -> None:
    audited(site)
    file = site.with_name("audit.jsonl")
    file.write_text(written)
    for option in ("--audit", f"--audit={file}"):
        ran = explain(site, option, "--since", "1d", "--against", site)
        assert (ran.line(1), ran.out) == (f"{file}: no line of it is an event of the audit file", "")


def test_where_nothing_happened_of_late_there_is_no_change(site: Path) -> None:
    audited(site, ("alice", 0, ""))
    ran = explain(site, "--audit", "--since", "2999-01-01", "--against", site).worked()
    assert (ran.out, ran.err) == ("no change: 0 logins looked at\n", "")


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


def test_a_configuration_that_is_wrong_is_told_as_everywhere(site: Path) -> None:
    other = other_of(site)
    rewritten(other, "second_factor: required", "second_factor: sometimes")
    assert explain(site, "alice", "--against", other).line(2).startswith(f"{other}:")
    missing = explain(site, "alice", "--against", site.with_name("none.yaml")).line(2)
    assert missing.endswith("none.yaml: cannot be read: No such file or directory")


# --- a real directory -------------------------------------------------------------------------------


def test_what_the_other_configuration_returns_is_asked_of_the_directory_too(university: Site) -> None:
    account = university.staff()
    policies = university.usual()["policies"]
    policies[0]["reply"] = {"Filter-Id": "{mail}"}
    other = university.write("explained.yaml", {"policies": policies})
    ran = explain(university.config, account.name, "--client", "vpn", "--against", other).worked()
    assert f"+ Filter-Id = {account.name}@example.org; - Class = staff" in ran.out
    assert json.loads(explain(university.config, account.name, "--against", other, "--json").worked().out)
