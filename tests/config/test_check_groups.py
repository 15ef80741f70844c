"""Groups by their DNs, and what is none."""

from __future__ import annotations

import time

import pytest

from radius_mfa.config.check_groups import is_dn
from tests.config.support import Folder, ldap

NO_DN = "is no DN, as memberOf has them; write cn=staff,…"
DN = "cn=staff,ou=groups,dc=example,dc=org"


def asking(group: str, *lines: str) -> str:
    """A policy for the group, on the last line; `lines`: more of LDAP, from line 13 on."""
    return ldap(*lines).replace("groups: [x]", "").replace("{client: vpn}", f"{{client: vpn, group: {group}}}")


def line_of(text: str) -> int:
    return text.splitlines().index(next(each for each in text.splitlines() if "when:" in each)) + 1


class TestDistinguishedNames:
    @pytest.mark.parametrize(
        "text",
        [
            DN,
            "CN=Staff, OU = Groups ,DC=example",
            "cn=a+sn=b,dc=example",
            r"cn=Smith\, James,dc=example",
            r"cn=\C3\BCber,dc=example",
            "cn=#04024869",
            "1.3.6.1.4.1.1466.0=x",
            "cn=a=b",
        ],
    )
    def test_are_read(self, text: str) -> None:
        """RFC 4514 §4 has most of these."""
        assert is_dn(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "staff",
            "cn",
            "cn=",
            "=staff",
            "cn=a,",
            "cn=a,,dc=b",
            "cn=a;dc=b",
            "cn=a\0",
            r"cn=\zz",
            'cn="a"',
            "cn=a>b",
        ],
    )
    def test_have_no_other_form(self, text: str) -> None:
        """RFC 4514 §3"""
        assert not is_dn(text)

    def test_are_told_in_time_whatever_they_are(self) -> None:
        began = time.process_time()
        for text in ("cn=a" + " " * 1000 + "\\", "cn= " * 250, "cn=a," * 200 + ";", "cn=" + "#" * 1000):
            is_dn(text)
        assert time.process_time() - began < 1


class TestGroups:
    def test_that_are_no_dn_are_told(self, folder: Folder) -> None:
        text = asking("staff")
        assert folder.problems(text) == [f'{line_of(text)}: policies[0].when.group: "staff" {NO_DN}']
        text = asking(f'["{DN}", staff]')
        assert folder.problems(text) == [f'{line_of(text)}: policies[0].when.group[1]: "staff" {NO_DN}']

    def test_that_are_a_dn_are_not(self, folder: Folder) -> None:
        assert folder.problems(asking(f'"{DN}"')) == []

    def test_within_other_conditions_and_in_what_is_returned_are_told(self, folder: Folder) -> None:
        text = asking("x").replace("group: x", "not: {any: [{group: staff}, {user: a}]}")
        text += "    reply: {Class: {students: s, else: x}}\n"
        line = line_of(text)
        assert folder.problems(text) == [
            f'{line}: policies[0].when.not.any[0].group: "staff" {NO_DN}',
            f'{line + 1}: policies[0].reply.Class.students: "students" {NO_DN.replace("staff", "students")}',
        ]

    def test_of_accounts_in_the_file_have_any_name(self, folder: Folder) -> None:
        text = asking("Staff").replace("username: alice,", "username: alice, groups: [staff],")
        assert folder.problems(text) == []

    def test_without_ldap_have_any_name(self, folder: Folder) -> None:
        text = asking("staff")
        start, end = text.index("  ldap:"), text.index("  static:")
        assert folder.problems(text[:start] + text[end:]) == []

    @pytest.mark.parametrize(
        ("line", "named_by"),
        [
            ("attributes: {groups: eduPersonAffiliation}", None),
            ("attributes: {groups: isMemberOf}", "isMemberOf"),
            ("groups: {by: search}", "the directory"),
            ("groups: {by: in_chain}", "the directory"),
            ("groups: {nested: true}", "memberOf"),
        ],
    )
    def test_have_any_name_where_the_attribute_may_have_any(
        self, folder: Folder, line: str, named_by: str | None
    ) -> None:
        found = folder.problems(asking("staff", line))
        assert [each.partition("is no DN, ")[2] for each in found] == (
            [f"as {named_by} has them; write cn=staff,…"] if named_by else []
        )

    @pytest.mark.parametrize(
        ("group", "how"),
        [
            ("'Smith, staff'", r"write cn=Smith\, staff,…"),
            (
                "cn=staff;dc=example",
                r'between its parts stand commas; in a name, each of , + " \ < > ; has a \ before it (RFC 4514)',
            ),
        ],
    )
    def test_are_told_how_to_be_written(self, folder: Folder, group: str, how: str) -> None:
        (problem,) = folder.problems(asking(group))
        assert problem.endswith(f"; {how}")

    def test_from_the_environment_are_not_shown(self, folder: Folder) -> None:
        (problem,) = folder.problems(asking('"${GROUP}"'), {"GROUP": "hunter2"})
        assert '"${GROUP}" is no DN' in problem
        assert "hunter2" not in problem
