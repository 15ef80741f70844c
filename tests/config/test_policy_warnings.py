"""What works of the policies and yet cannot be meant."""

from __future__ import annotations

import pytest

from tests.config.support import SECOND_CLIENT, SMALL, Folder, client, ldap, policy, spoilt, two_clients

GROUPS = ("username: alice,", "username: alice, groups: [g, X],")
MORE = "  - {name: b, when: {client: vpn, group: g}}\n  - {name: c, when: {client: vpn, user: u}}\n"


class TestHidden:
    def test_policies_are_told_by_what_comes_first(self, folder: Folder) -> None:
        assert folder.warnings((SMALL + MORE).replace(*GROUPS)) == [
            f'{line}: policies[{at}]: never decides: "vpn", from line 12 on, comes first and takes all '
            "that it would; move it up"
            for line, at in ((14, 1), (15, 2))
        ]

    def test_policies_are_told_by_all_that_come_first(self, folder: Folder) -> None:
        text = two_clients(SECOND_CLIENT) + "  - {name: b, when: {client: wifi}}\n"
        both = "  - {name: c, when: {client: [vpn, wifi], days: mon}}\n"
        assert folder.warnings(text) == []
        (warning,) = folder.warnings(text + both)
        assert warning.startswith('16: policies[2]: never decides: "vpn", "b", from line 13 on, comes first')

    def test_no_others_are_told(self, folder: Folder) -> None:
        text = spoilt("{client: vpn}", "{client: vpn, group: x}")
        assert folder.warnings((text + MORE).replace(*GROUPS)) == []


class TestNever:
    @pytest.mark.parametrize(
        ("when", "why"),
        [
            ("{client: vpn, client_group: wlan}", "no client that it asks for is in such a client_group"),
            ("{client: vpn, not: {client: vpn}}", "its not leaves nothing of what else it asks for"),
            ("{days: mon, all: {days: [tue, fri]}}", "no day is in all that it asks for"),
        ],
    )
    def test_holds_what_cannot_be_so(self, folder: Folder, when: str, why: str) -> None:
        """And that alone is said of the policy: what comes before it is not to blame."""
        later = f"  - {{name: b, when: {when}}}\n"
        text = two_clients(SECOND_CLIENT).replace("{client: vpn}", "{}") + later
        assert folder.warnings(text) == [f"15: policies[1].when: never holds: {why}"]


class TestGroups:
    @pytest.mark.parametrize("when", ["{group: [g, x, staff]}", "{not: {any: [{group: [x, x, staff]}]}}"])
    def test_that_no_account_is_in_are_told_where_all_accounts_are_known(self, folder: Folder, when: str) -> None:
        text = spoilt("{client: vpn}", when).replace(*GROUPS)
        (found,) = folder.warnings(text)
        assert found.startswith("13: policies[0].when.")
        assert found.endswith(
            'group[2]: "staff": no account is in it, and there is no directory but directory.static'
        )

    def test_that_no_account_is_in_are_told_in_what_is_returned(self, folder: Folder) -> None:
        (found,) = folder.warnings(policy("reply: {Class: {g: a, staff: b, else: c}}").replace(*GROUPS))
        assert found.startswith("14: policies[0].reply.Class.staff: no account is in it")

    def test_of_a_directory_are_not_known(self, folder: Folder) -> None:
        text = ldap().replace("{client: vpn}", "{client: vpn, group: cn=staff}")
        assert folder.warnings(text) == []


class TestUnenrolled:
    def test_whose_last_day_is_over(self, folder: Folder) -> None:
        assert folder.warnings(policy("unenrolled: allow_until 2020-02-29")) == [
            "14: policies[0].unenrolled: is over: nobody is let in by it any more; take reject, or another day"
        ]

    @pytest.mark.parametrize("written", ["allow_until 2999-12-31", "allow_until 9999-12-31", "reject"])
    def test_not_before_it_is(self, folder: Folder, written: str) -> None:
        assert folder.warnings(policy(f"unenrolled: {written}")) == []


class TestStation:
    @pytest.mark.parametrize("spares", ["second_factor: when_enrolled", "second_factor: never", None])
    @pytest.mark.parametrize(
        ("when", "kind"),
        [
            ("client: vpn, station: 10.0.0.0/8", "ip"),
            ("client: vpn, any: [{days: mon}, {not: {station: 00-11-22-*}}]", "mac"),
        ],
    )
    def test_that_spares_a_second_factor_must_be_worth_something(
        self, folder: Folder, spares: str | None, when: str, kind: str
    ) -> None:
        text = policy(spares or "unenrolled: allow_until 2999-12-31").replace("{client: vpn}", f"{{{when}}}")
        assert folder.warnings(text) == [
            "13: policies[0].when: rests on the station, which is worth nothing at vpn; say what it is worth "
            "there (station: mac or ip)"
        ]
        worth = text.replace("    secret", f"    station: {kind}\n    secret")
        assert folder.warnings(worth) == []

    def test_that_spares_nobody_anything_may_be_worth_nothing(self, folder: Folder) -> None:
        assert folder.warnings(spoilt("{client: vpn}", "{client: vpn, station: 10.0.0.0/8}")) == []

    def test_is_asked_about_at_those_clients_that_the_policy_may_match(self, folder: Folder) -> None:
        elsewhere = client("station: ip").replace("directory:\n", SECOND_CLIENT + "directory:\n")
        text = elsewhere + "    second_factor: when_enrolled\n"
        assert folder.warnings(text.replace("{client: vpn}", "{client: vpn, station: 10.0.0.0/8}")) == []
        (warning,) = folder.warnings(text.replace("{client: vpn}", "{client_group: wlan, station: 10.0.0.0/8}"))
        assert "is worth nothing at wifi;" in warning


class TestNoSuchStation:
    @pytest.mark.parametrize(
        ("station", "when", "place", "what"),
        [
            ("ip", "station: 00-1A-2B-*", "station", "a MAC"),
            ("ip", "not: {station: 00-1A-2B-*}", "not.station", "a MAC"),
            ("mac", "station: [10.0.0.0/8, '::1']", "station", "an address"),
            ("mac", "any: [{all: {station: 10.0.0.0/8}}, {days: mon}]", "any[0].all.station", "an address"),
        ],
    )
    def test_is_at_a_client_whose_stations_are_of_the_other_kind(
        self, folder: Folder, station: str, when: str, place: str, what: str
    ) -> None:
        text = client(f"station: {station}").replace("{client: vpn}", f"{{client: vpn, {when}}}")
        assert folder.warnings(text) == [
            f"14: policies[0].when.{place}: never holds at vpn, where no station is {what} (station: {station})"
        ]

    @pytest.mark.parametrize(
        ("when", "warned"),
        [
            ("station: 10.0.0.0/8", []),
            ("station: [10.0.0.0/8, 00-11-*]", []),
            ("any: [{client: vpn, station: 10.0.0.0/8}, {client: wifi, station: 00-11-*}]", []),
            ("any: [{client: vpn, station: 00-11-*}, {client: wifi, station: 10.0.0.0/8}]", ["vpn", "wifi"]),
            ("not: {station: [10.0.0.0/8, 00-11-*]}", []),
            ("not: {station: 10.0.0.0/8}", ["wifi"]),  # all stations there would be outside
            ("not: {station: 00-11-*}", ["vpn"]),
            ("client_group: wlan, station: 10.0.0.0/8", ["wifi"]),
        ],
    )
    def test_may_be_at_one_of_several_but_not_where_it_is_excluded(
        self, folder: Folder, when: str, warned: list[str]
    ) -> None:
        text = client("station: ip").replace(
            "directory:\n", SECOND_CLIENT.replace("]}", "], station: mac}") + "directory:\n"
        )
        found = folder.warnings(text.replace("{client: vpn}", f"{{{when}}}"))
        assert [each.partition("never holds at ")[2].partition(",")[0] for each in found] == warned

    def test_is_not_told_of_what_a_station_is_said_to_be_worth_nothing(self, folder: Folder) -> None:
        for station in ("10.0.0.0/8", "00-11-*"):
            assert folder.warnings(spoilt("{client: vpn}", f"{{client: vpn, not: {{station: {station}}}}}")) == []


class TestRealm:
    def test_that_is_dropped_unseen_can_never_decide(self, folder: Folder) -> None:
        text = client("realms: strip").replace("{client: vpn}", "{client: vpn, realm: example.org}")
        (warning,) = folder.warnings(text)
        assert "asks for a realm, and at vpn each is dropped unseen (realms: strip)" in warning

    def test_that_is_dropped_at_one_of_its_clients_alone_is_no_matter(self, folder: Folder) -> None:
        text = two_clients(SECOND_CLIENT.replace("}", ", realms: strip}")).replace(
            "{client: vpn}", "{realm: example.org}"
        )
        assert not any("dropped" in each for each in folder.warnings(text))

    @pytest.mark.parametrize("spares", ["second_factor: never", "unenrolled: allow_until 2999-12-31"])
    @pytest.mark.parametrize(
        ("realms", "warned"),
        [
            ("{EXAMPLE: ''}", True),
            ("{EXAMPLE: example.org, students.example: example.org}", True),
            ("{EXAMPLE: example.org, '*': example.org}", True),
            ("{EXAMPLE: example.org}", False),
            ("{EXAMPLE: example.org, other: '', another: ''}", False),
            ("keep", False),
        ],
    )
    def test_that_users_may_choose_spares_nothing(
        self, folder: Folder, spares: str, realms: str, warned: bool
    ) -> None:
        text = client(f"realms: {realms}") + f"    {spares}\n"
        found = folder.warnings(text.replace("{client: vpn}", "{client: vpn, not: {any: {realm: example}}}"))
        assert ["a realm that users choose at vpn" in each for each in found] == [True] * warned

    def test_any_of_those_that_are_served_is_as_good_as_the_worst(self, folder: Folder) -> None:
        text = client("realms: {EXAMPLE: example.org, other: ''}") + "    second_factor: never\n"
        (warning,) = folder.warnings(text.replace("{client: vpn}", "{client: vpn, realm: '*'}"))
        assert "a realm that users choose at vpn" in warning


class TestClients:
    def test_that_are_not_there(self, folder: Folder) -> None:
        """The contract's own block names a client that it does not have."""
        text = two_clients(SECOND_CLIENT).replace("client: vpn", "client: [vpn, wfi], client_group: lan")
        assert folder.warnings(text) == [
            '14: policies[0].when.client[1]: there is no client "wfi", so this never holds; did you mean "wifi"?',
            '14: policies[0].when.client_group: there is no client group "lan", so this never holds; '
            'did you mean "wlan"?',
        ]


class TestTrust:
    @pytest.mark.parametrize(
        ("when", "station", "warned"),
        [
            ("{client: vpn}", "none", True),
            ("{client: vpn}", "ip", True),  # it is another client's
            ("{client: wifi}", "none", True),
            ("{client: wifi}", "ip", False),
            ("{client: wifi}", "mac", False),
            ("{client: [vpn, wifi]}", "mac", False),
            ("{client_group: wlan}", "mac", False),
            ("{client_group: wlan}", "none", True),
            ("{user: alice}", "mac", False),
            ("{user: alice}", "none", True),
        ],
    )
    def test_where_no_client_says_what_a_station_is_worth(
        self, folder: Folder, when: str, station: str, warned: bool
    ) -> None:
        text = two_clients(SECOND_CLIENT.replace("]}", f"], station: {station}}}")).replace("{client: vpn}", when)
        assert folder.warnings(text + "    trust_device: true\n") == [
            "15: policies[0].trust_device: no client that it could match says what a station is worth "
            "(station: mac or ip): none is trusted"
        ] * warned  # fmt: skip
        assert folder.warnings(text + "    trust_device: false\n") == []

    def test_that_spares_nothing(self, folder: Folder) -> None:
        (warning,) = folder.warnings(policy("second_factor: never", "trust_device: true"))
        assert warning.startswith("15: policies[0].trust_device: is of no use beside second_factor: never")
