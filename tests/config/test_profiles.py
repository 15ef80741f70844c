"""The gateways that are known, and those that an administrator makes out of them."""

from __future__ import annotations

import pytest

from radius_mfa.assembly.rules import clients_of
from radius_mfa.config.profiles import GATEWAYS, Gateway, how_to_split
from radius_mfa.core.messages import Nas
from tests.config.support import LDAP, SMALL, Folder, client


def nas(folder: Folder, text: str) -> Nas:
    """The client as the core knows it."""
    found = clients_of(folder.load(text).configuration).find("192.0.2.1")
    assert found is not None
    return found.nas


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS)
class TestWhatIsShipped:
    def test_a_client_gets_all_that_is_known_of_its_gateway(self, folder: Folder, gateway: Gateway) -> None:
        found = nas(folder, client(f"profile: {gateway.profile.name}"))

        assert found.profile == gateway.profile
        assert (found.timeout, found.retries, found.window) == (gateway.timeout, gateway.retries, gateway.window)

    def test_a_gateway_that_shows_no_challenge_is_in_one_field_mode(self, gateway: Gateway) -> None:
        if gateway.shows_challenge is not None:
            assert gateway.shows_challenge == (gateway.profile.suffix is None)

    def test_it_can_be_written_in_the_yaml_as_it_stands(self, gateway: Gateway) -> None:
        suffix = gateway.profile.suffix
        assert how_to_split("none" if suffix is None else str(suffix)) == suffix
        assert 0.1 <= gateway.timeout <= 60.0
        assert 0 <= gateway.retries <= 20
        assert 1 <= gateway.profile.rounds <= 10

    def test_what_to_change_where_it_sends_no_pap_is_a_part_of_a_sentence(self, gateway: Gateway) -> None:
        assert gateway.profile.towards_pap.isprintable()
        assert not gateway.profile.towards_pap.endswith(".")


class TestPatience:
    def test_what_is_said_of_the_client_itself_is_what_counts(self, folder: Folder) -> None:
        """As an administrator has it who has set the gateway to something else."""
        assert nas(folder, client("profile: fortigate", "timeout: 60s")).window == 60.0
        assert nas(folder, client("profile: fortigate", "retries: 2")).window == 15.0
        assert nas(folder, client("profile: globalprotect", "timeout: 2s", "retries: 0")).window == 2.0

    @pytest.mark.parametrize("profile", ["short", "mikrotik"])
    def test_the_servers_of_a_directory_share_what_the_profile_leaves(self, folder: Folder, profile: str) -> None:
        own = "profiles: {short: {like: mikrotik, timeout: 100ms, retries: 0}}\n"
        servers = ", ".join(f"ldap://192.0.2.{number}" for number in range(10, 20))
        ldap = LDAP.replace("ldap://127.0.0.1", f"[{servers}]")
        text = own + client(f"profile: {profile}").replace("directory:\n", f"directory:\n{ldap}")

        (problem,) = folder.problems(text)
        share = {"short": 9, "mikrotik": 81}[profile]
        assert f"less a tenth, leaves {share} ms for each of 10 LDAP servers" in problem
        assert folder.problems(text.replace("    profile:", "    timeout: 5s\n    profile:")) == []

    def test_a_mail_may_be_asked_for_again_while_the_gateway_tries(self, folder: Folder) -> None:
        mail = "factors:\n  mail: {smtp: smtps://mail.example.org, sender: mfa@example.org, cooldown: 25s}\n"

        assert folder.warnings(client("profile: netscaler") + mail) == []
        assert "(30 s)" in folder.warnings(client("profile: opnsense") + mail)[0]


OWN = (
    "profiles: {campus-openvpn: "
    "{like: openvpn, suffix: 6, rounds: 5, shows_answer: true, timeout: 9s, retries: 2}}\n"
)


class TestOnesOwn:
    def test_a_profile_is_that_of_another_with_something_in_its_place(self, folder: Folder) -> None:
        found = nas(folder, OWN + client("profile: campus-openvpn"))

        profile = found.profile
        assert (profile.name, profile.suffix, profile.rounds, profile.shows_answer) == (
            "campus-openvpn",
            6,
            5,
            True,
        )
        assert (found.timeout, found.retries) == (9.0, 2)
        assert profile.towards_pap == GATEWAYS["openvpn"].profile.towards_pap

    def test_what_it_does_not_say_is_as_in_the_other(self, folder: Folder) -> None:
        found = nas(folder, "profiles: {pa: {like: globalprotect}}\n" + client("profile: pa"))

        assert found.profile.name == "pa"
        assert found.profile.station == (25461, 7)
        assert found.window == GATEWAYS["globalprotect"].window

    def test_none_is_challenge_mode(self, folder: Folder) -> None:
        own = "profiles: {new: {like: one-field, suffix: none}}\n"

        assert nas(folder, own + client("profile: new")).profile.suffix is None

    @pytest.mark.parametrize("separator", [",", "#", "|", "+", "、"])
    def test_a_separator_is_one_character(self, folder: Folder, separator: str) -> None:
        own = f'profiles: {{new: {{like: openvpn, suffix: "{separator}"}}}}\n'

        assert nas(folder, own + client("profile: new")).profile.suffix == separator


SHIPPED = ", ".join(GATEWAYS)


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                client("profile: fortigat"),
                '7: clients[0].profile: there is no profile "fortigat"; did you mean fortigate? '
                f"there are {SHIPPED}",
            ),
            (
                client("profile: xyz"),
                f'7: clients[0].profile: there is no profile "xyz"; there are {SHIPPED}',
            ),
            (
                OWN + client("profile: campus-opnvpn"),
                '8: clients[0].profile: there is no profile "campus-opnvpn"; did you mean campus-openvpn? '
                f"there are {SHIPPED}, campus-openvpn",
            ),
            (
                "profiles: {mine: {like: opensvpn}}\n" + SMALL,
                '1: profiles.mine.like: there is no profile "opensvpn"; did you mean openvpn? '
                f"there are {SHIPPED}",
            ),
            (
                "profiles: {mine: {like: openvpn}, yours: {like: mine}}\n" + SMALL,
                f'1: profiles.yours.like: there is no profile "mine"; there are {SHIPPED}',
            ),
            (
                "profiles: {mine: {suffix: 6}}\n" + SMALL,
                "1: profiles.mine.like: is missing",
            ),
            (
                "profiles: {openvpn: {like: openvpn, suffix: 6}}\n" + SMALL,
                "1: profiles.openvpn: is a profile that is shipped, and stays as it is; take another name, "
                "and like: openvpn",
            ),
            (
                "profiles: {mine: {like: openvpn, sufix: 6}}\n" + SMALL,
                "1: profiles.mine.sufix: unknown key; did you mean suffix?",
            ),
            (
                "profiles: {mine: {like: openvpn, rounds: 0}}\n" + SMALL,
                '1: profiles.mine.rounds: must be a whole number from 1 to 10, not "0"',
            ),
            (
                "profiles: {mine: {like: openvpn, timeout: 5}}\n" + SMALL,
                '1: profiles.mine.timeout: must be a duration such as 500ms, 5s, 10m, 24h or 7d, not "5"',
            ),
            (
                "profiles: [openvpn]\n" + SMALL,
                "1: profiles: must be a mapping of keys and values, not a list; write its keys without - or [ ]",
            ),
            (
                "profiles: {mine: openvpn}\n" + SMALL,
                '1: profiles.mine: must be a mapping of keys and values, not "openvpn"',
            ),
        ],
    )
    def test_are_told_with_their_line_and_what_is_meant(self, folder: Folder, text: str, problem: str) -> None:
        assert folder.problems(text) == [problem]

    @pytest.mark.parametrize("suffix", ["5", "66", "'||'", "a", '" "', "ж", "-", "true", "[6]", '""', '"\\x07"'])
    def test_a_suffix_that_a_code_could_have_in_it_is_none(self, folder: Folder, suffix: str) -> None:
        (problem,) = folder.problems(f"profiles: {{mine: {{like: openvpn, suffix: {suffix}}}}}\n" + SMALL)

        assert problem.startswith("1: profiles.mine.suffix: ")

    def test_a_profile_that_comes_from_elsewhere_is_not_shown(self, folder: Folder) -> None:
        (problem,) = folder.problems(client("profile: ${NAME}"), {"NAME": "opensvpn"})

        assert problem.startswith('7: clients[0].profile: there is no profile "${NAME}"; there are ')


class TestWarnings:
    @pytest.mark.parametrize("profile", ["ocserv", "mine"])
    def test_where_every_request_would_be_dropped(self, folder: Folder, profile: str) -> None:
        own = "profiles: {mine: {like: ocserv, rounds: 2}}\n"
        text = own + client(f"profile: {profile}", "message_authenticator: require")

        assert folder.warnings(text) == [
            f"9: clients[0].message_authenticator: {profile} sends no Message-Authenticator, and every request "
            "without one is dropped; take auto"
        ]
        assert folder.warnings(text.replace("require", "auto")) == []

    def test_by_default_it_is_required(self, folder: Folder) -> None:
        (warning,) = folder.warnings(client("profile: ocserv"))

        assert warning.endswith("take auto")

    @pytest.mark.parametrize("profile", [name for name, each in GATEWAYS.items() if each.signs is not False])
    def test_of_a_gateway_that_signs_or_may_there_is_none(self, folder: Folder, profile: str) -> None:
        assert folder.warnings(client(f"profile: {profile}", "timeout: 3s")) == []

    def test_where_a_challenge_is_taken_for_a_refusal(self, folder: Folder) -> None:
        text = "profiles: {mine: {like: pfsense, suffix: none}}\n" + SMALL

        assert folder.warnings(text) == [
            "1: profiles.mine.suffix: pfsense takes an Access-Challenge for a refusal, so nobody can log in; "
            "leave suffix out"
        ]
        assert folder.warnings(text.replace("pfsense", "captive-portal")) == []
        assert folder.warnings(text.replace("none", "6")) == []

    def test_where_users_are_told_of_another_separator(self, folder: Folder) -> None:
        text = 'profiles: {mine: {like: pfsense, suffix: "#"}}\n' + SMALL

        (warning,) = folder.warnings(text)
        assert warning.startswith("1: profiles.mine.suffix: users are told to type a comma; ")
        assert folder.warnings(text + "messages: words\n") == []
        assert folder.warnings(text.replace("#", ",")) == []
