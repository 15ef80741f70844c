"""From the YAML to the rules: nothing an administrator asks for may be lost on the way."""

from __future__ import annotations

from pathlib import Path

from radius_mfa.assembly.rules import nas_of, rules_of
from radius_mfa.config.load import load
from radius_mfa.config.model import Configuration
from radius_mfa.core.usernames import KEPT, Naming
from tests.config.support import DICTIONARY, SMALL, client


def loaded(folder: Path, text: str) -> Configuration:
    path = folder / "radius-mfa.yaml"
    path.write_text(text)
    return load(path, {}, DICTIONARY).configuration


def test_the_conversation_goes_by_what_is_written(tmp_path: Path) -> None:
    more = "  - {name: b}\nchallenge_lifetime: 90s\ntimezone: Asia/Tokyo\nwhen_directory_fails: discard\n"
    rules = rules_of(loaded(tmp_path, SMALL + more + "lockout: {failures: 3, suspend_after: 7}\n"), DICTIONARY)

    assert [each.name for each in rules.policies] == ["vpn", "b"]
    assert (rules.challenge_lifetime, str(rules.zone), rules.discard_when_broken) == (90.0, "Asia/Tokyo", True)
    assert (rules.guard.failures, rules.guard.suspend_after) == (3, 7)


def test_a_client_is_known_by_what_is_written(tmp_path: Path) -> None:
    lines = (
        "groups: [edge]",
        "station: mac",
        "timeout: 2s",
        "retries: 1",
        "realms: strip",
        "realm_required: true",
    )
    plain = loaded(tmp_path, SMALL)
    said = loaded(tmp_path, client(*lines, "profile: one-field", "probe_users: [Probe]"))
    (one,), (other,) = plain.clients, said.clients
    nas = nas_of(other, said.gateway_of(other))

    assert nas_of(one, plain.gateway_of(one)).naming == KEPT
    assert (nas.name, set(nas.groups), nas.station, nas.window) == ("vpn", {"edge"}, "mac", 4.0)
    assert nas.naming == Naming({"*": ""}, required=True)
    assert (nas.profile.name, set(nas.probe_users)) == ("one-field", {"probe"})
