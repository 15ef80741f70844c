"""The keys, their types and their defaults."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pydantic import ValidationError

from radius_mfa.config.keys import keys_at
from radius_mfa.config.model import Configuration, When
from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.config.times import Hours
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import SecondFactor
from tests.config.support import SMALL, Folder, ldap, policy, radsec, spoilt


class TestDefaults:
    def test_of_the_whole(self, folder: Folder) -> None:
        found = folder.load(SMALL).configuration
        assert found.workers == 1
        assert found.factors.kinds == {FactorKind.TOTP}
        assert found.challenge_lifetime == 300.0
        assert found.lockout.durations == (900.0, 3600.0, 14400.0, 86400.0)
        assert (found.lockout.failures, found.lockout.suspend_after) == (10, 50)
        assert found.storage.path == Path("/var/lib/radius-mfa/state.db")
        assert found.key_file == Path("/var/lib/radius-mfa/key")
        assert (found.log.format, found.log.level) == ("json", "info")
        assert (found.audit.file, found.audit.retention) == (None, 90 * 86400.0)
        assert found.timezone.key == "UTC"
        assert found.when_directory_fails == "reject"
        assert (found.eap, found.portal, found.metrics, found.user, found.contact) == (None, None, None, None, "")

    def test_of_a_client(self, folder: Folder) -> None:
        configuration = folder.load(SMALL).configuration
        found = configuration.clients[0]
        assert (found.profile, found.timeout, found.retries) == ("generic", None, None)
        assert (found.message_authenticator, found.station, found.groups) == ("require", "none", ())
        assert configuration.gateway_of(found) == GATEWAYS["generic"]

    def test_of_radsec(self, folder: Folder) -> None:
        found = folder.load(SMALL).configuration
        assert (found.listen[0].idle_timeout, found.clients[0].certificate, found.clients[0].psk) == (
            600.0,
            None,
            None,
        )

    def test_of_802_1x(self, folder: Folder) -> None:
        for name in ("eap.pem", "eap.key"):
            folder.write(name)
        found = folder.load(SMALL + "eap: {certificate: eap.pem, key: eap.key}\n").configuration.eap
        assert found is not None
        assert (found.certificate, found.key) == (folder.path / "eap.pem", folder.path / "eap.key")
        assert (found.methods, found.tls) == (("ttls", "peap"), ("1.2",))
        assert (found.session_lifetime, found.identity) == (7 * 86400.0, "none")

    def test_of_a_policy(self, folder: Folder) -> None:
        configuration = folder.load(SMALL).configuration
        found = configuration.policies[0]
        assert found.second_factor is SecondFactor.REQUIRED
        assert configuration.factors_of(found) == {FactorKind.TOTP}
        assert (found.unenrolled, found.trust_device, found.reply) == (None, False, {})

    def test_of_conditions(self) -> None:
        found = When.model_validate({})
        assert (found.model_fields_set, found.attributes) == (set(), {})

    def test_of_ldap(self, folder: Folder) -> None:
        found = folder.load(ldap()).configuration.directory.ldap
        assert found is not None
        assert (found.user_filter, found.active_filter) == ("(uid={username})", None)
        assert (found.attributes.id, found.attributes.groups) == ("entryUUID", "memberOf")


class TestShapes:
    def test_a_condition_takes_a_scalar_or_a_list(self, folder: Folder) -> None:
        one = folder.load(spoilt("{client: vpn}", "{group: a, user: b, days: mon, hours: '08:00-09:00'}"))
        two = folder.load(spoilt("{client: vpn}", "{group: [a], user: [b], days: [mon], hours: ['08:00-09:00']}"))
        assert one.configuration.policies[0].when == two.configuration.policies[0].when

    @pytest.mark.parametrize("key", ["all", "any", "not"])
    def test_conditions_of_conditions_are_a_mapping_or_a_list(self, folder: Folder, key: str) -> None:
        inner = "{group: a, not: {user: b, NAS-Port: 1}}"
        one = folder.load(spoilt("{client: vpn}", f"{{{key}: {inner}}}")).configuration.policies[0].when
        two = folder.load(spoilt("{client: vpn}", f"{{{key}: [{inner}]}}")).configuration.policies[0].when
        assert one == two
        (found,) = getattr(one, "not_" if key == "not" else key)
        (within,) = found.not_
        assert (found.group, within.user, within.attributes) == (("a",), ("b",), {"NAS-Port": ("1",)})

    def test_days_hours_and_stations_are_read(self, folder: Folder) -> None:
        conditions = "{days: [mon-tue, sun], hours: '08:00-24:00', station: [10.0.0.0/8, 00-11-22-*]}"
        found = folder.load(spoilt("{client: vpn}", conditions)).configuration.policies[0].when
        assert found.days == (frozenset({0, 1}), frozenset({6}))
        assert found.hours == (Hours(480, 1440),)
        assert found.station == (IPv4Network("10.0.0.0/8"), "001122")

    def test_a_reply_may_have_an_attribute_twice(self, folder: Folder) -> None:
        found = folder.load(policy("reply: {Class: [a, b], Session-Timeout: 0060}")).configuration.policies[0]
        assert found.reply == {"Class": {"": ("a", "b")}, "Session-Timeout": {"": ("0060",)}}

    def test_a_reply_may_have_values_by_group(self, folder: Folder) -> None:
        reply = "reply: {Class: {cn=b: [a, b], 'cn=a,ou=g': c, else: d}, vlan: {x: 1}}"
        found = folder.load(policy(reply)).configuration.policies[0].reply
        assert list(found["Class"].items()) == [("cn=b", ("a", "b")), ("cn=a,ou=g", ("c",)), ("else", ("d",))]
        assert found["vlan"] == {"x": ("1",)}

    def test_who_is_not_enrolled_is_let_in_until_a_day(self, folder: Folder) -> None:
        until = folder.load(policy("unenrolled: allow_until 2027-03-31")).configuration.policies[0]
        never = folder.load(policy("unenrolled: reject")).configuration.policies[0]
        assert (until.unenrolled, never.unenrolled) == (date(2027, 3, 31), None)

    def test_the_factors_of_a_policy_are_all_unless_it_names_some(self, folder: Folder) -> None:
        factors = "factors: {totp: {}, recovery_codes: {}}\n"
        every = folder.load(SMALL + factors).configuration
        some = folder.load(policy("factors: recovery_codes") + factors).configuration
        assert every.factors_of(every.policies[0]) == {FactorKind.TOTP, FactorKind.RECOVERY_CODES}
        assert some.factors_of(some.policies[0]) == {FactorKind.RECOVERY_CODES}

    def test_relative_paths_start_at_the_folder_of_the_yaml(self, folder: Folder) -> None:
        found = folder.load(SMALL + "key_file: key\nstorage: sqlite:///s.db\naudit: {file: a/b}\n").configuration
        assert (found.key_file, found.storage.path) == (folder.path / "key", folder.path / "s.db")
        assert found.audit.file == folder.path / "a/b"

    def test_radsec(self, folder: Folder) -> None:
        for name in ("server.pem", "ca.pem"):
            folder.write(name)
        text = radsec().replace("gw.example.org}", f"GW.example.org, psk: {{identity: gw, key: {'0f' * 16}}}}}")
        found = folder.load(text.replace("'ca.pem'", "ca.pem, idle_timeout: 24h")).configuration
        listener, gateway = found.listen[0], found.clients[1]
        assert (str(listener.radsec), listener.idle_timeout) == ("127.0.0.1:2083", 86400.0)
        assert (listener.certificate, listener.client_ca) == (folder.path / "server.pem", folder.path / "ca.pem")
        assert (gateway.certificate, gateway.address, gateway.secret) == ("gw.example.org", (), ())
        assert gateway.psk is not None
        assert (gateway.psk.identity, gateway.psk.key.reveal()) == ("gw", "0f" * 16)

    def test_nothing_can_be_changed(self, folder: Folder) -> None:
        found = folder.load(SMALL).configuration
        with pytest.raises(ValidationError, match="frozen"):
            found.workers = 2

    def test_pydantic_itself_shows_no_input(self) -> None:
        with pytest.raises(ValidationError) as wrong:
            Configuration.model_validate({"clients": [{"name": "vpn", "secret": {"hunter2": "hunter2"}}]})
        assert "input_value" not in str(wrong.value)


@pytest.mark.parametrize(
    ("lockout", "why"),
    [
        ("{failures: 10, suspend_after: 10}", "suspend_after must be more than failures"),
        ("{durations: [1h, 15m]}", "durations must not get shorter"),
    ],
)
def test_a_lockout_grows(folder: Folder, lockout: str, why: str) -> None:
    (problem,) = folder.problems(SMALL + f"lockout: {lockout}\n")
    assert problem.startswith(f"14: lockout: {why}")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ((), "listen"),
        (("clients", 0), "station"),
        (("clients", 0, "psk"), "identity"),
        (("directory", "ldap", "attributes"), "language"),
        (("directory", "static", "users", 3), "username"),
        (("policies", 0, "when"), "client_group"),
    ],
)
def test_the_keys_of_every_mapping_are_known(path: tuple[str | int, ...], key: str) -> None:
    assert key in keys_at(path)


@pytest.mark.parametrize(
    "path",
    [("policies", 0, "reply"), ("profiles",), ("contact",), ("nowhere", "at", "all"), ("profiles", "a", "like")],
)
def test_what_has_no_fixed_keys_has_none(path: tuple[str | int, ...]) -> None:
    assert keys_at(path) == ()
