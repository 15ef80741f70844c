"""`radius-mfa explain`."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.explaining import WHEN, enrol, explain, rows
from tests.cli.support import changed_row, rewritten
from tests.end_to_end.site import Site
from tests.peers.ports import free_port
from tests.peers.slapd import STAFF

# --- one login --------------------------------------------------------------------------------------


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


def test_in_no_group_is_offline_as_well(site: Path) -> None:
    ran = explain(site, "alice", "--client", "here", "--at", WHEN, "--groups", "")
    assert "refused: no policy matches" in ran.worked().out
    assert ("policy", '"staff" does not match: group is none, not cn=staff,dc=example or staff') in rows(ran)


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


# --- what cannot be answered ------------------------------------------------------------------------


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
