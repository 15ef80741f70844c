"""What must hold of the policies, and on which line they are told of it."""

from __future__ import annotations

import time

import pytest

from radius_mfa.config.check_policies import condition_texts, group_texts, whens
from radius_mfa.config.document import KeyPath, read_document
from radius_mfa.config.load import load
from tests.config.support import SECOND_CLIENT, SMALL, Folder, ldap, policy, spoilt, two_clients

UNENROLLED = "unenrolled: allow_until 2999-12-31"


def when(written: str) -> str:
    """SMALL with other conditions in its policy, from line 13 on."""
    return spoilt("{client: vpn}", written)


def in_lines(*lines: str) -> str:
    """SMALL with the conditions of its policy on lines of their own, from line 14 on."""
    return when("\n" + "\n".join(f"      {line}" for line in lines))


class TestPolicies:
    def test_have_names_of_their_own(self, folder: Folder) -> None:
        assert folder.problems(SMALL + "  - {name: vpn}\n") == [
            '14: policies[1].name: "vpn" names another policy, on line 12; change one'
        ]

    def test_answer_with_factors_that_are_configured(self, folder: Folder) -> None:
        assert folder.problems(policy("factors: [totp, mail]")) == [
            '14: policies[0].factors[1]: "mail" is not configured; add factors.mail'
        ]
        assert folder.problems(policy("factors: totp") + "factors: {recovery_codes: {}}\n") == [
            '14: policies[0].factors: "totp" is not configured; add factors.totp'
        ]

    @pytest.mark.parametrize(
        "condition",
        ["client_group: wlan", "group: staff", "days: mon", "any: {client: vpn}", "not: {client: vpn}"],
    )
    def test_with_never_name_a_client(self, folder: Folder, condition: str) -> None:
        text = two_clients(SECOND_CLIENT) + f"  - {{name: b, second_factor: never, when: {{{condition}}}}}\n"
        assert folder.problems(text) == [
            "15: policies[1].second_factor: never must name a client; add when: {client: …}"
        ]

    def test_with_never_may_name_more_than_a_client(self, folder: Folder) -> None:
        text = SMALL + "  - {name: b, second_factor: never, when: {client: vpn, group: kiosks}}\n"
        assert folder.problems(text) == []


class TestUnenrolled:
    @pytest.mark.parametrize("second_factor", ["required", None])
    def test_are_let_in_where_a_second_factor_is_asked_for(
        self, folder: Folder, second_factor: str | None
    ) -> None:
        lines = [f"second_factor: {second_factor}"] if second_factor else []
        assert folder.problems(policy(*lines, UNENROLLED)) == []
        assert folder.problems(policy(*lines, "unenrolled: reject")) == []

    @pytest.mark.parametrize("unenrolled", [UNENROLLED, "unenrolled: reject"])
    @pytest.mark.parametrize(
        ("second_factor", "problem"),
        [
            (
                "when_enrolled",
                "has no say beside second_factor: when_enrolled, which lets them in; take required, ",
            ),
            ("never", "has no say beside second_factor: never; remove it"),
        ],
    )
    def test_have_no_say_where_none_is(
        self, folder: Folder, second_factor: str, unenrolled: str, problem: str
    ) -> None:
        (found,) = folder.problems(policy(f"second_factor: {second_factor}", unenrolled))
        assert found.startswith(f"15: policies[0].unenrolled: {problem}")

    @pytest.mark.parametrize(
        ("written", "problem"),
        [
            ("allow_until 2027-02-29", '"allow_until 2027-02-29": there is no such day'),
            ("allow", 'must be reject, or allow_until and a day, as allow_until 2027-03-31, not "allow"'),
            ("true", "must be text; put quotes around true"),
        ],
    )
    def test_are_let_in_until_a_day(self, folder: Folder, written: str, problem: str) -> None:
        assert folder.problems(policy(f"unenrolled: {written}")) == [f"14: policies[0].unenrolled: {problem}"]


class TestConditions:
    @pytest.mark.parametrize(
        ("written", "problem"),
        [
            ("{clent: vpn}", "unknown key; did you mean client?"),
            ("{nas: vpn}", "unknown key; here can stand client, client_group, group, user"),
            ("{not_: {client: vpn}}", "unknown key; did you mean not?"),  # its name within the model
            ("{attributes: vpn}", "unknown key"),
        ],
    )
    def test_have_no_key_that_is_not_known(self, folder: Folder, written: str, problem: str) -> None:
        key = written[1 : written.index(":")]
        found = folder.problems(when(written))
        assert any(each.startswith(f"13: policies[0].when.{key}: {problem}") for each in found)

    def test_that_are_not_known_are_told_of_attributes_too(self, folder: Folder) -> None:
        (found,) = folder.problems(when("{nas: vpn}"))
        assert found.endswith(", or an attribute such as NAS-Port-Type")

    def test_may_be_none_but_only_of_a_whole_policy(self, folder: Folder) -> None:
        assert folder.problems(when("{}")) == []
        for key in ("all", "any", "not"):
            for empty in ("{}", "[{}]", "[{client: vpn}, {}]"):
                (found,) = folder.problems(when(f"{{{key}: {empty}}}"))
                assert found.endswith(": must not be empty; name a condition, or remove it")

    @pytest.mark.parametrize("key", ["all", "any", "not"])
    @pytest.mark.parametrize(
        ("inner", "place"),
        [
            ("{days: mondy}", "days"),
            ("[{client: vpn}, {days: mondy}]", "[1].days"),
            ("{all: [{days: mondy}]}", "all[0].days"),
        ],
    )
    def test_within_others_are_told_of_by_where_they_are_written(
        self, folder: Folder, key: str, inner: str, place: str
    ) -> None:
        (found,) = folder.problems(when(f"{{{key}: {inner}}}"))
        path = f"policies[0].when.{key}" + (place if place[0] == "[" else f".{place}")
        assert found.startswith(f"13: {path}")
        assert "must be days such as mon-fri" in found


# Line by line, from 14 on: a lone mapping, a list of one, a list, and both within one another.
NESTED = ("any:", "  - all:", "      not:", "        {}", "  - client: vpn", "not:", "  {}")


NO_REALM = "is no realm; write it without @ or \\, and whole: * stands for any"


class TestNames:
    @pytest.mark.parametrize("inside", ["", "not: "])
    @pytest.mark.parametrize(
        ("condition", "problem"),
        [
            ("user: 'admin-*'", 'user: "admin-*" is taken for a whole name, and * for itself; name each user'),
            (
                "group: 'cn=admins*'",
                'group: "cn=admins*" is taken for a whole name, and * for itself; name each group',
            ),
            ("realm: '*.example.org'", f'realm: "*.example.org" {NO_REALM}'),
            ("realm: '@example.org'", f'realm: "@example.org" {NO_REALM}'),
            ("realm: 'EXAMPLE\\'", f'realm: "EXAMPLE\\" {NO_REALM}'),
        ],
    )
    def test_that_nobody_can_have_are_refused(
        self, folder: Folder, inside: str, condition: str, problem: str
    ) -> None:
        """Under `not` they would hold of everybody."""
        when = f"{inside}{{{condition}}}" if inside else condition
        found = folder.problems(spoilt("{client: vpn}", f"{{client: vpn, {when}}}"))
        assert found == [f"13: policies[0].when.{inside.replace(': ', '.')}{problem}"]

    def test_any_realm_is_a_star(self, folder: Folder) -> None:
        assert folder.problems(spoilt("{client: vpn}", "{client: vpn, realm: ['*', example.org]}")) == []


class TestNested:
    """A problem within `all`, `any` and `not` is told with its line and its key, a list or not."""

    @pytest.mark.parametrize(
        ("wrong", "problem"),
        [
            ("clent: vpn", "clent: unknown key; did you mean client?"),
            ("days: mondy", "days: must be days such as mon-fri or sat,sun"),
            ("days: [mon, mondy]", "days[1]: must be days such as mon-fri or sat,sun"),
            ("hours: 08:00-25:00", "hours: must be hours such as"),
            ("station: anywhere", "station: must be an address, a prefix (192.0.2.0/24) or a MAC"),
            ("station: [10.0.0.0/8, 10.0.0.1/8]", 'station[1]: "10.0.0.1/8" has bits set beyond the prefix'),
            ("client: true", "client: must be text; put quotes around true"),
            ("group: []", "group: must not be empty"),
            ("NAS-PortType: 5", "NAS-PortType: unknown attribute 'NAS-PortType' (did you mean NAS-Port-Type?)"),
            ("NAS-Port-Type: Virtuel", "NAS-Port-Type: 'Virtuel' is not a number or one of its named values"),
            ("NAS-Port-Type: [5, Virtuel]", "NAS-Port-Type[1]: 'Virtuel' is not a number"),
            ("NAS-Port-Type: true", "NAS-Port-Type: must be text; put quotes around true"),
            ("NAS-Port-Type: [5, true]", "NAS-Port-Type[1]: must be text; put quotes around true"),
            (
                "NAS-IP-Address: 10.0.0.1/8",
                "NAS-IP-Address: '10.0.0.1/8' has bits set beyond the prefix; write 10",
            ),
            ("unenrolled: reject", "unenrolled: belongs beside when, not under it"),
            ("State: x", "State: State is nothing that a policy may look at"),
        ],
    )
    def test_wherever_it_stands(self, folder: Folder, wrong: str, problem: str) -> None:
        right = "group: staff"
        first = in_lines(*(line.format(wrong) if line[0] == " " else line.format(right) for line in NESTED[:5]))
        second = in_lines(*(line.format(wrong) for line in NESTED[5:]))
        alone, listed = f"not: {{{wrong}}}", f"all: [{{group: staff}}, {{{wrong}}}]"

        for text, place in (
            (first, "17: policies[0].when.any[0].all.not."),
            (second, "15: policies[0].when.not."),
            (in_lines("client: vpn", alone), "15: policies[0].when.not."),
            (in_lines("client: vpn", listed), "15: policies[0].when.all[1]."),
        ):
            (found,) = folder.problems(text)
            assert found.startswith(place + problem)

    def test_what_is_no_mapping_is_told_of_too(self, folder: Folder) -> None:
        for written, place in (("any: vpn", "any"), ("any: [{client: vpn}, vpn]", "any[1]")):
            (found,) = folder.problems(in_lines("client: vpn", written))
            assert found == f'15: policies[0].when.{place}: must be a mapping of keys and values, not "vpn"'
        (found,) = folder.problems(in_lines("any: []"))
        assert found == "14: policies[0].when.any: must not be empty"
        (found,) = folder.problems(in_lines("any: [[{client: vpn}]]"))
        assert found.startswith("14: policies[0].when.any[0]: must be a mapping of keys and values, not a list")

    def test_names_that_nobody_has_are_warned_of(self, folder: Folder) -> None:
        text = in_lines("client: vpn", "not: {client: vpm}", "any: [{client_group: lan}, {client: vpn}]")
        assert folder.warnings(text) == [
            '15: policies[0].when.not.client: there is no client "vpm", so this never holds; did you mean "vpn"?',
            '16: policies[0].when.any[0].client_group: there is no client group "lan", so this never holds',
        ]

    @pytest.mark.parametrize(("depth", "served"), [(6, True), (40, False)])
    def test_deeper_than_anybody_reads_is_refused_and_nothing_breaks(
        self, folder: Folder, depth: int, served: bool
    ) -> None:
        problems = folder.problems(when("{not: " * depth + "{client: vpn}" + "}" * depth))
        assert problems == ([] if served else ["13: nested deeper than 16 levels"])

    def test_everything_that_is_asked_for_is_found(self) -> None:
        document = read_document("f.yaml", when("{any: [{group: a}, {not: {all: {group: [b, c]}}}], group: d}"))
        paths: list[KeyPath] = [
            (),
            ("any", 0),
            ("any", 1),
            ("any", 1, "not"),
            ("any", 1, "not", "all"),
        ]
        assert list(whens(document)) == [("policies", 0, "when", *path) for path in paths]
        assert sorted(text for _, text in condition_texts(document, "group")) == ["a", "b", "c", "d"]

    def test_without_any_policy_there_is_nothing_to_find(self) -> None:
        for text in ("policies: {when: {group: a}}", "policies: [{when: a, reply: b}, c]", "a", ""):
            document = read_document("f.yaml", text)
            assert list(whens(document)) == []
            assert list(group_texts(document)) == []


class TestOne:
    """Where several are meant, each has its dash."""

    @pytest.mark.parametrize("inside", ["{}", "[{}]"])
    @pytest.mark.parametrize(
        ("key", "said"),
        [
            ("any", "is one mapping, all of whose conditions must hold; for any of them write each with a dash"),
            (
                "not",
                "is one mapping, and holds unless all of its conditions do; for none of them write each with a "
                "dash, for not all {all: …}",
            ),
        ],
    )
    def test_mapping_of_several_is_warned_of(self, folder: Folder, inside: str, key: str, said: str) -> None:
        several = inside.replace("{}", "{realm: '*', NAS-Port-Type: Virtual}")
        assert folder.warnings(in_lines("client: vpn", f"{key}: {several}")) == [
            f"15: policies[0].when.{key}: {said}"
        ]
        assert folder.warnings(in_lines("client: vpn", f"all: {{not: {{days: mon, {key}: {several}}}}}"))[1:] == [
            f"15: policies[0].when.all.not.{key}: {said}"
        ]

    @pytest.mark.parametrize(
        "written",
        [
            "any: [{realm: '*'}, {NAS-Port-Type: Virtual}]",
            "any: [{realm: '*', days: mon}, {NAS-Port-Type: Virtual}]",
            "not: {all: {realm: '*', days: mon}}",
            "not: {realm: ['*', x]}",
            "all: {realm: '*', days: mon}",
        ],
    )
    def test_mapping_of_one_or_what_is_listed_is_not(self, folder: Folder, written: str) -> None:
        assert folder.warnings(in_lines("client: vpn", written)) == []


class TestAttributes:
    def test_of_any_kind_may_be_asked_for(self, folder: Folder) -> None:
        asked = (
            "{client: vpn, NAS-Port-Type: [5, Virtual], NAS-IP-Address: 10.0.0.0/8, Called-Station-Id: '*:guest'}"
        )
        loaded = folder.load(when(asked))
        assert loaded.configuration.policies[0].when.attributes == {
            "NAS-Port-Type": ("5", "Virtual"),
            "NAS-IP-Address": ("10.0.0.0/8",),
            "Called-Station-Id": ("*:guest",),
        }

    def test_may_have_the_case_they_like(self, folder: Folder) -> None:
        assert folder.problems(when("{nas-port-type: virtual, NAS-PORT: 1}")) == []

    @pytest.mark.parametrize("name", ["h323-call-type", "3GPP-IMSI"])
    def test_of_the_administrators_own_begin_as_they_like(self, folder: Folder, name: str) -> None:
        folder.write("dictionary.own", f"ATTRIBUTE {name} 240 string\n")
        text = when(f"{{client: vpn, {name}: '26*'}}")
        assert folder.problems(text + "dictionaries: dictionary.own\n") == []
        assert len(folder.problems(text)) == 1

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            ("“guests”", 'is taken with its curly quotes; write "…", or none'),
            ("^ap-[0-9]+$", "is no regular expression, but taken as written"),
            ("ap-.*", "is no regular expression, but taken as written"),
            (".*guests", "is no regular expression, but taken as written"),
            ("10.20.*", None),
            ("vpn.example.*", None),
            ("core.*.example.org", None),
            ("*:eduroam", None),
            ("the “guests” of a^b", None),
        ],
    )
    def test_that_were_written_for_something_else_are_warned_of(
        self, folder: Folder, written: str, said: str | None
    ) -> None:
        found = folder.warnings(in_lines(f"Called-Station-Id: ['x', '{written}']"))
        assert [each.startswith(f"14: policies[0].when.Called-Station-Id[1]: {said}") for each in found] == (
            [True] if said else []
        )

    def test_without_a_dictionary_are_not_looked_up(self, folder: Folder) -> None:
        path = folder.write("f.yaml", when("{client: vpn, No-Such-Attribute: x}"))
        assert load(path, {}).configuration.policies[0].when.attributes == {"No-Such-Attribute": ("x",)}

    @pytest.mark.parametrize("name", ["Ärger", "ÿ", "名"])
    def test_of_another_script_are_not_known(self, folder: Folder, name: str) -> None:
        (found,) = folder.problems(when(f"{{client: vpn, {name}: x}}"))
        assert "unknown" in found

    def test_that_are_not_in_the_file_are_not_shown(self, folder: Folder) -> None:
        found = folder.problems(when("{NAS-Port: '${S}'}"), {"S": "hunter2"})
        assert found == ['13: policies[0].when.NAS-Port: "${S}" cannot be its value']

    @pytest.mark.parametrize("written", [r'"\x07"', r'"a\nb*"', '""', '"*\\u202e"'])
    def test_with_control_characters_or_nothing_are_one_line(self, folder: Folder, written: str) -> None:
        (found, *others) = folder.problems(when(f"{{NAS-Identifier: {written}}}"))
        assert found.isprintable()
        assert len(others) <= 1


NO_GROUP = "is taken for a group; for everybody else write else"
NO_GROUPS = ["default", "others", "*", "Otherwise", "any", "all", "else:", "ELSE"]
WITHOUT = "where the entry has no value: "
PASSWORDS = [
    "password",
    "userPassword",
    "unicodePwd",
    "sambaNTPassword",
    "msDS-ManagedPassword",
    "userPassword;x-a",
]


class TestReply:
    @pytest.mark.parametrize(
        "reply",
        [
            "{Class: [a, b], Session-Timeout: 3600}",
            "{Class: '{departmentNumber}', Filter-Id: 'x-{l|nowhere}-{{y}}'}",
            "{Session-Timeout: '{radiusTimeout|3600}'}",
            "{Class: {cn=staff: s, 'cn=all,ou=g': [a, b], else: guest}}",
            "{vlan: 100}",
            "{vlan: '{vlanId|99}', Class: a}",
            "{vlan: {staff: 10, else: 4094}}",
            "{Class: {other: o, else: x}}",  # as eduPersonAffiliation may say
            "{vlan: guests}",
            "{'Tunnel-Type:1': VLAN, 'Tunnel-Medium-Type:1': IEEE-802, 'Tunnel-Private-Group-Id:1': 100}",
            "{}",
        ],
    )
    def test_is_of_attributes_of_the_dictionary(self, folder: Folder, reply: str) -> None:
        assert folder.problems(policy(f"reply: {reply}")) == []

    @pytest.mark.parametrize(
        ("reply", "key", "problem"),
        [
            ("{Clas: staff}", "Clas", "unknown attribute 'Clas' (did you mean Class?)"),
            ("{Clas: '{mail}'}", "Clas", "unknown attribute 'Clas' (did you mean Class?)"),
            ("{Session-Timeout: soon}", "Session-Timeout", "'soon' is not a number"),
            ("{Class: [a, b], State: x}", "State", "State belongs to the server itself"),
            ("{State: '{mail}'}", "State", "State belongs to the server itself"),
            ("{Tunnel-Password: '{mail}'}", "Tunnel-Password", "Tunnel-Password is sent encrypted"),
            ("{'Class:1': '{mail}'}", "Class:1", "'Class:1': Class takes no tag"),
            ("{Class: [a, '']}", "Class[1]", "must have 1 to 1024 octets"),
            ("{Class: [a, true]}", "Class[1]", "must be text; put quotes around true"),
            ("{Class: {staff: a, else: [b, true]}}", "Class.else[1]", "must be text; put quotes around true"),
            ("{Class: {staff: a, else: [b, '{']}}", "Class.else[1]", "has a { or } that is no {attribute}"),
            ("{Class: '{mail'}", "Class", "has a { or } that is no {attribute}; a brace itself is written twice"),
            ("{Class: [a, 'b}']}", "Class[1]", "has a { or } that is no {attribute}"),
            ("{vlan: '{vlanId'}", "vlan", "has a { or } that is no {attribute}"),
            ("{Class: {}}", "Class", "must not be empty; give it a value, or values by group"),
            ("{Class: []}", "Class", "must not be empty"),
            ("{Class: {staff: []}}", "Class.staff", "must not be empty"),
            ("{Class: {staff: {a: b}}}", "Class.staff", "must be a single value, not a mapping"),
            (
                "{Class: {staff: a, other: b}}",
                "Class.other",
                "is taken for a group; for everybody else write else",
            ),
            ("{Class: {staff: a, Else: b}}", "Class.Else", "is taken for a group; for everybody else write else"),
            ("{Session-Timeout: {staff: 60, else: soon}}", "Session-Timeout.else", "'soon' is not a number"),
            ("{vlan: 5000}", "vlan", "VLAN 5000 is not in 1-4094"),
            ("{vlan: {staff: 0, else: 1}}", "vlan.staff", "VLAN 0 is not in 1-4094"),
            ("{Tunnel-Private-Group-Id: 5000}", "Tunnel-Private-Group-Id", "VLAN 5000 is not in 1-4094"),
            ("{VLAN: 100}", "VLAN", "unknown attribute 'VLAN' (did you mean vlan?)"),
            ("{VLAN-Id: {staff: 1}}", "VLAN-Id", "unknown attribute 'VLAN-Id' (did you mean vlan?)"),
            ("{vlan_id: 100}", "vlan_id", "unknown attribute 'vlan_id' (did you mean vlan?)"),
            ("{Vlan: 100}", "Vlan", "unknown attribute 'Vlan' (did you mean vlan?)"),
            *((f"{{Class: {{staff: a, '{name}': b}}}}", f"Class.{name}", NO_GROUP) for name in NO_GROUPS),
            ("{Session-Timeout: '{x|never}'}", "Session-Timeout", f"{WITHOUT}'never' is not a number"),
            ("{Session-Timeout: ['{x}', '{x|}{y|0h}']}", "Session-Timeout[1]", f"{WITHOUT}'0h' is not a number"),
            ("{Framed-IP-Address: '{x|none}'}", "Framed-IP-Address", f"{WITHOUT}'none' is not an IPv4 address"),
            ("{vlan: '{vlanId|4999}'}", "vlan", f"{WITHOUT}VLAN 4999 is not in 1-4094"),
            ("{vlan: {staff: '{v|0}', else: 1}}", "vlan.staff", f"{WITHOUT}VLAN 0 is not in 1-4094"),
            ("{vlan: '%{vlanId}'}", "vlan", "FreeRADIUS's %{…} is {…} here"),
            ("{Class: 'x-${vlanId}'}", "Class", "FreeRADIUS's ${…} is {…} here"),
            ("{Class: '%{reply:Class}'}", "Class", "FreeRADIUS's %{…} is {…} here"),
            (
                "{Class: '{username}'}",
                "Class",
                "{username} is a word of user_filter; take the attribute, as {uid}",
            ),
            ("{Class: '{DN|x}'}", "Class", "{dn} is a word of groups.filter; take an attribute that has it"),
            ("{Class: '{group}'}", "Class", "{group} is no attribute; write values by group"),
            *(
                (f"{{Class: 'x{{{name}}}'}}", "Class", f"{{{name.lower()}}} is a password, and")
                for name in PASSWORDS
            ),
            ("{vlan: [100, 200]}", "vlan", "has several, and a port has one VLAN; take one"),
            ("{vlan: {a: ['{v}', 200], else: 1}}", "vlan.a", "has several, and a port has one VLAN; take one"),
        ],
    )
    def test_is_of_nothing_that_makes_no_attribute(
        self, folder: Folder, reply: str, key: str, problem: str
    ) -> None:
        found = folder.problems(policy(f"reply: {reply}"))
        assert any(each.startswith(f"14: policies[0].reply.{key}: {problem}") for each in found)

    @pytest.mark.parametrize(
        "name", ["Tunnel-Type", "Tunnel-Medium-Type:1", "tunnel-private-group-id", "TUNNEL-PRIVATE-GROUP-ID:2"]
    )
    def test_has_a_vlan_in_one_way(self, folder: Folder, name: str) -> None:
        """RFC 3580 §3.31: the three attributes are what `vlan` writes."""
        assert folder.problems(policy(f"reply: {{vlan: 100, '{name}': 6}}")) == [
            f"14: policies[0].reply.{name}: is what vlan writes; remove one of the two"
        ]

    def test_that_fits_in_no_packet_is_refused(self, folder: Folder) -> None:
        """RFC 2865 §3: 4096 octets, and others want their part of them."""
        many = ", ".join(["x" * 250] * 12)
        assert folder.problems(policy(f"reply: {{Class: [{many}]}}")) == [
            "14: policies[0].reply: is 3024 octets in all; there is room for 3000 (RFC 2865 §3)"
        ]

    def test_by_group_is_as_long_as_the_longest_of_them(self, folder: Folder) -> None:
        six = ", ".join(["x" * 250] * 6)
        by_group = f"Class: {{a: [{six}], b: [{six}], else: y}}"
        assert folder.problems(policy(f"reply: {{{by_group}}}")) == []
        assert folder.problems(policy(f"reply: {{{by_group}, Filter-Id: [{six}]}}")) == [
            "14: policies[0].reply: is 3024 octets in all; there is room for 3000 (RFC 2865 §3)"
        ]

    def test_by_group_is_told_of_on_the_line_of_the_group(self, folder: Folder) -> None:
        lines = ["reply:", "  Session-Timeout:", "    staff: 60", "    cn=x:", "      - 60", "      - soon"]
        (found,) = folder.problems(policy(*lines))
        assert found.startswith("19: policies[0].reply.Session-Timeout.cn=x[1]: 'soon' is not a number")

    @pytest.mark.parametrize(
        "reply",
        [
            "{Session-Timeout: '{x|}'}",  # left out, where there is none
            "{Session-Timeout: '{x|}{y}'}",
            "{vlan: ['{vlanId|guests}']}",
            "{Class: '%{{x}}'}",
            "{Class: '{userPasswordHint}'}",
        ],
    )
    def test_may_have_nothing_or_a_name_where_the_entry_has_no_value(self, folder: Folder, reply: str) -> None:
        assert folder.load(policy(f"reply: {reply}")).warnings == ()

    @pytest.mark.parametrize(
        ("reply", "place"),
        [
            ("{vlan: '{vlanId|none}'}", "vlan"),
            ("{vlan: {g: 5, else: None}}", "vlan.else"),
            ("{'Tunnel-Private-Group-Id:1': never}", "Tunnel-Private-Group-Id:1"),
        ],
    )
    def test_with_no_vlan_at_all_would_be_that_of_a_name(self, folder: Folder, reply: str, place: str) -> None:
        """RFC 3580 §3.31: the VLANID is a string, of a number or, at most switches, a name."""
        (found,) = folder.warnings(
            policy(f"reply: {reply}").replace("username: alice,", "username: alice, groups: g,")
        )
        assert found.startswith(f"14: policies[0].reply.{place}: ")
        assert found.endswith("is taken for the name of a VLAN; for none leave it out, or write {…|}")

    def test_is_told_of_else_before_it_is_told_of_dns(self, folder: Folder) -> None:
        text = ldap() + "    reply: {Class: {cn=staff: a, default: b}}\n"
        assert folder.problems(text) == [f"19: policies[0].reply.Class.default: {NO_GROUP}"]

    def test_may_have_the_names_that_accounts_in_the_file_have(self, folder: Folder) -> None:
        known = "username: alice, groups: All, attributes: {Username: a, userPasswd: b},"
        reply = "reply: {Class: {all: '{username}', else: '{userPasswd}'}}"
        assert folder.load(policy(reply).replace("username: alice,", known)).warnings == ()

    @pytest.mark.parametrize(
        ("names", "warned"),
        [
            (["Tunnel-Type:1", "Tunnel-Medium-Type:1", "Tunnel-Private-Group-Id:1"], []),
            (["Tunnel-Type:0", "Tunnel-Medium-Type", "Tunnel-Private-Group-Id:00"], []),
            (["Tunnel-Type:1", "tunnel-type:2"], []),
            (["Tunnel-Private-Group-Id"], []),
            (
                ["Tunnel-Type:1", "Tunnel-Medium-Type:1", "tunnel-private-group-id:2"],
                [
                    ("Tunnel-Type:1", "Tunnel-Private-Group-Id:1"),
                    ("tunnel-private-group-id:2", "Tunnel-Type:2 and Tunnel-Medium-Type:2"),
                ],
            ),
            (
                ["Tunnel-Type", "Tunnel-Private-Group-Id:1"],
                [
                    ("Tunnel-Type", "Tunnel-Private-Group-Id"),
                    ("Tunnel-Private-Group-Id:1", "Tunnel-Type:1"),
                ],
            ),
        ],
    )
    def test_has_one_tag_for_one_tunnel(
        self, folder: Folder, names: list[str], warned: list[tuple[str, str]]
    ) -> None:
        """RFC 2868 §3"""
        assert folder.warnings(policy("reply: {" + ", ".join(f"'{name}': 6" for name in names) + "}")) == [
            f"14: policies[0].reply.{name}: has no {lacks} beside it, and one tunnel has one tag (RFC 2868 §3)"
            for name, lacks in warned
        ]

    def test_shows_no_value_that_is_not_in_the_file(self, folder: Folder) -> None:
        for name in ("Session-Timeout", "vlan"):
            found = folder.problems(policy(f"reply: {{{name}: '${{S}}'}}"), {"S": "{hunter2"})
            assert found == [f'14: policies[0].reply.{name}: "${{S}}" cannot be its value']

    def test_asks_for_groups(self) -> None:
        reply = "reply: {Class: {staff: a, else: b}, vlan: {cn=x: 1}, Filter-Id: c}"
        document = read_document("f.yaml", policy(reply).replace("{client: vpn}", "{group: y}"))
        assert sorted(group for _, group in group_texts(document)) == ["cn=x", "staff", "y"]


def test_policies_that_are_no_policies_break_nothing(folder: Folder) -> None:
    for text in (
        "policies: x",
        "policies: [x]",
        "policies: [{reply: x}]",
        "policies: [{reply: [x]}]",
        "policies: {}",
    ):
        assert folder.problems(SMALL[: SMALL.index("policies:")] + text + "\n")


def test_long_lists_take_no_time(folder: Folder) -> None:
    many = ", ".join(f"cn=g{each}" for each in range(20_000))
    begun = time.process_time()

    folder.load(when(f"{{client: vpn, any: [{{group: [{many}]}}, {{Filter-Id: [{many}]}}]}}"))

    assert (
        time.process_time() - begun < 5.0
    )  # tenths of a second; with every value compared with every other, hours
