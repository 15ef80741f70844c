"""Whole logins as each gateway sends them, packet by packet, and a page for each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.core.stations import read as device_in
from tests.end_to_end.nas import MESSAGE_AUTHENTICATOR, REPLY_MESSAGE, STATE, USER_PASSWORD, walked
from tests.gateways.replay import DICTIONARY, Fixture, Sent, hidden_in, replaying

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
FIXTURES = [Fixture.read(path) for path in sorted(FOLDER.glob("*.yaml"))]
PAGES = sorted((ROOT / "docs" / "gateways").glob("*.md"))
README = ROOT / "docs" / "gateways" / "README.md"

fixtures = pytest.mark.parametrize("fixture", FIXTURES, ids=[fixture.profile for fixture in FIXTURES])


@fixtures
def test_its_packets_are_answered_as_its_users_need_it(fixture: Fixture, tmp_path: Path) -> None:
    state = b""
    with replaying(fixture, tmp_path) as gateway:
        for packet in fixture.packets:
            octets = packet.octets(state)
            reply = gateway.exchange(octets)

            state = reply.state
            answer = packet.answer
            others = [
                each for each in reply.attributes if each[0] not in (MESSAGE_AUTHENTICATOR, REPLY_MESSAGE, STATE)
            ]
            assert (reply.code, reply.message) == (answer["code"], answer.get("says", ""))
            assert dict(DICTIONARY.show(*each) for each in others) == answer.get("attributes", {})
            assert bool(state) == (answer["code"] == "Access-Challenge")
            # RFC 5080 §2.2.2: every gateway repeats itself, and that must cost nothing.
            assert gateway.again(octets) == reply

        assert len(gateway.events) == len(fixture.packets)
        assert set(gateway.devices) == {fixture.device}


@fixtures
def test_a_method_that_is_not_pap_is_refused_with_what_to_change_on_that_gateway(
    fixture: Fixture, tmp_path: Path
) -> None:
    """RFC 3579 §2.6.3: of EAP too, the code of the packet is what tells."""
    with replaying(fixture, tmp_path) as gateway:
        for packet in fixture.packets:
            if method := packet.answer.get("method"):
                gateway.exchange(packet.octets(b""))
                wanted = f"{method} came, and only PAP is served: {GATEWAYS[fixture.profile].profile.towards_pap}"
                assert (gateway.events[-1].outcome, gateway.events[-1].detail) == ("method_not_offered", wanted)


@fixtures
def test_the_audit_file_has_the_users_device(fixture: Fixture, tmp_path: Path) -> None:
    with replaying(fixture, tmp_path) as gateway:
        gateway.exchange(fixture.packets[0].octets(b""))

        said = gateway.events[0].station
        kind, _, device = (fixture.device or "::").partition(":")
        assert kind in ("", gateway.nas.station)
        assert (said == "") == (fixture.device is None)
        assert fixture.device is None or str(device_in(said.encode())) == device


@pytest.mark.parametrize(
    ("fixture", "packet"),
    [(fixture, packet) for fixture in FIXTURES for packet in fixture.packets],
    ids=[f"{fixture.profile}: {packet.what}" for fixture in FIXTURES for packet in fixture.packets],
)
def test_a_packet_is_what_it_is_said_to_be(fixture: Fixture, packet: Sent) -> None:
    octets = packet.octets(b"state")
    attributes = list(walked(octets[20:]))

    assert int.from_bytes(octets[2:4], "big") == len(octets)
    assert len(attributes) == len(packet.shows)
    for (name, value), attribute in zip(packet.shows, attributes, strict=True):
        shown = DICTIONARY.show(*attribute)
        assert (name, shown[1] if value == "…" else value) == shown
    password = dict(attributes).get(USER_PASSWORD)
    assert packet.password == (None if password is None else hidden_in(password, octets[4:20]))


@fixtures
def test_it_signs_as_its_profile_says(fixture: Fixture) -> None:
    gateway = GATEWAYS[fixture.profile]
    signed = {any(name == "Message-Authenticator" for name, _ in packet.shows) for packet in fixture.packets}
    assert gateway.signs is None or signed == {gateway.signs}
    assert fixture.client.get("message_authenticator", "require") == ("require" if signed == {True} else "auto")


def test_every_profile_has_its_packets_and_a_page() -> None:
    assert {fixture.profile for fixture in FIXTURES} == set(GATEWAYS)
    written = {name for page in PAGES for name in re.findall(r"profile: ([a-z0-9_-]+)", page.read_text())}
    assert set(GATEWAYS) <= written


@fixtures
def test_it_is_said_where_its_packets_come_from(fixture: Fixture) -> None:
    assert fixture.facts.startswith(("Measured: ", "Composed after "))


# --- the pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_in_the_table(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert len(lines) <= 60
    if page != README:
        assert f"]({page.name})" in README.read_text()


def test_every_link_of_the_table_leads_to_a_page() -> None:
    assert set(re.findall(r"\]\(([^)]+)\)", README.read_text())) == {page.name for page in PAGES} - {README.name}


def test_the_table_has_every_profile_with_its_own_patience() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z0-9_-]+)` \|.*\| ([0-9.]+ m?s × [0-9]+) \|", README.read_text(), re.MULTILINE)
    )
    shown = {}
    for name, gateway in GATEWAYS.items():
        wait = f"{gateway.timeout:g} s" if gateway.timeout >= 1 else f"{gateway.timeout * 1000:g} ms"
        shown[name] = f"{wait} × {gateway.retries + 1}"
    assert rows == shown
