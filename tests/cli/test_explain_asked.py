"""Of whom, where and when `radius-mfa explain` is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from radius_mfa.cli.explain_asked import groups_in
from tests.cli.explaining import explain, rows
from tests.cli.support import rewritten


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


def test_a_client_that_is_not_there_ends_it(site: Path) -> None:
    assert explain(site, "alice", "--client", "her").line(1) == "her: no such client; did you mean here?"
    assert explain(site, "alice", "--client", "x").line(1) == "x: no such client; there are here"
