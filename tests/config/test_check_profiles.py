"""Profiles that there are not, and clients with one that will never see it work."""

from __future__ import annotations

import pytest

from radius_mfa.config.profiles import GATEWAYS
from tests.config.support import SMALL, Folder, client

OWN = "profiles: {campus-openvpn: {like: openvpn, suffix: 6}}\n"
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
        assert folder.warnings(text.replace("pfsense", "ivanti")) == []
        assert folder.warnings(text.replace("none", "6")) == []

    def test_a_portal_that_shows_challenges_all_the_same_can_be_asked_with_one(self, folder: Folder) -> None:
        """As `docs/gateways/captive-portal.md` says."""
        own = "profiles: {ours: {like: captive-portal, suffix: none}}\n"

        (warning,) = folder.warnings(own + client("profile: ours"))
        assert warning.startswith(
            "1: profiles.ours.suffix: captive-portal takes an Access-Challenge for a refusal"
        )

    def test_where_users_are_told_of_another_separator(self, folder: Folder) -> None:
        text = 'profiles: {mine: {like: pfsense, suffix: "#"}}\n' + SMALL

        (warning,) = folder.warnings(text)
        assert warning.startswith("1: profiles.mine.suffix: users are told to type a comma; ")
        assert folder.warnings(text + "messages: words\n") == []
        assert folder.warnings(text.replace("#", ",")) == []
