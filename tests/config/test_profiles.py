"""The gateways that are known, and those that an administrator makes out of them."""

from __future__ import annotations

import pytest

from radius_mfa.assembly.rules import clients_of
from radius_mfa.config.profiles import GATEWAYS, Gateway, how_to_split
from radius_mfa.core.messages import Nas
from tests.config.support import LDAP, Folder, client


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
