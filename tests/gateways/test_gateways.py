"""Whole logins as each gateway sends them, packet by packet, and a page for each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from radius_mfa.config.profiles import GATEWAYS, Gateway
from radius_mfa.core.stations import read as device_in
from tests.end_to_end.nas import MESSAGE_AUTHENTICATOR, REPLY_MESSAGE, STATE, USER_PASSWORD, walked
from tests.end_to_end.pages import blocks
from tests.gateways.replay import DICTIONARY, Fixture, Sent, hidden_in, replaying

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
FIXTURES = [Fixture.read(path) for path in sorted(FOLDER.glob("*.yaml"))]
PAGES = sorted((ROOT / "docs" / "gateways").glob("*.md"))
README = ROOT / "docs" / "gateways" / "README.md"

# `-authTimeout 10`, `radius_timeout  10`, `timeout=3s`, but not the remoteauthtimeout of a whole login.
_TOLD = {
    "timeout": r"(?<![a-z])(?:auth|radius_)?timeout[ =]+([0-9]+)",
    "retries": r"(?<![a-z])(?:radius_)?retries\s+([0-9]+)",
}

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


# ocserv, openvpn and pam_radius can send nothing but PAP.
@pytest.mark.parametrize(
    ("fixture", "packet"),
    [(fixture, packet) for fixture in FIXTURES for packet in fixture.packets if "method" in packet.answer],
    ids=lambda each: each.profile if isinstance(each, Fixture) else each.answer["method"],
)
def test_a_method_that_is_not_pap_is_refused_with_what_to_change_on_that_gateway(
    fixture: Fixture, packet: Sent, tmp_path: Path
) -> None:
    """RFC 3579 §2.6.3: of EAP too, the code of the packet is what tells."""
    with replaying(fixture, tmp_path) as gateway:
        gateway.exchange(packet.octets(b""))

        change = GATEWAYS[fixture.profile].profile.towards_pap
        wanted = f"{packet.answer['method']} came, which is not served: {change}"
        assert (gateway.events[-1].outcome, gateway.events[-1].detail) == ("method_not_offered", wanted)


@fixtures
def test_the_audit_file_has_the_users_device(fixture: Fixture, tmp_path: Path) -> None:
    with replaying(fixture, tmp_path) as gateway:
        gateway.exchange(fixture.packets[0].octets(b""))

        said = gateway.events[0].station
        if fixture.device is None:  # it names none, or itself
            assert said in ("", dict(fixture.packets[0].shows).get("Called-Station-Id"))
        else:
            kind, _, device = fixture.device.partition(":")
            assert (kind, device) == (gateway.nas.station, str(device_in(said.encode())))


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


def the_table() -> dict[str, tuple[str, str, str]]:
    """By profile: how the code is asked for, Message-Authenticator, and how long it waits."""
    rows = re.findall(
        r"^\| `([a-z0-9_-]+)` \|[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$", README.read_text(), re.MULTILINE
    )
    return {name: (asked.strip(), signs.strip(), waits.strip()) for name, asked, signs, waits in rows}


def test_the_table_has_every_profile_with_its_own_patience() -> None:
    shown = {}
    for name, gateway in GATEWAYS.items():
        wait = f"{gateway.timeout:g} s" if gateway.timeout >= 1 else f"{gateway.timeout * 1000:g} ms"
        shown[name] = f"{wait} × {gateway.retries + 1}"
    assert {name: waits for name, (_, _, waits) in the_table().items()} == shown


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS)
def test_the_table_says_how_it_asks_and_whether_it_signs_as_its_profile_does(gateway: Gateway) -> None:
    asked, signs, _ = the_table()[gateway.profile.name]
    asks_by = {None: "with a challenge", ",": "`password,123456`", 6: "`password123456`"}[gateway.profile.suffix]
    assert asked.partition(", once told to")[0] == asks_by
    assert {"yes": True, "no": False}.get(signs) is gateway.signs


def test_a_page_tells_the_gateway_what_it_has_us_believe() -> None:
    """Where its line for the gateway has a number of seconds, or of retries, in a form that can be told."""
    found: Counter[str] = Counter()
    for page in PAGES:
        words, written = page.read_text().partition("```yaml")[0], blocks(str(page.relative_to(ROOT)), "yaml")
        for key, form in _TOLD.items():
            for told in re.findall(form, words, re.IGNORECASE):
                (client,) = yaml.safe_load(written[0].text)["clients"]
                gateway = GATEWAYS[client["profile"]]
                shipped = {"timeout": f"{gateway.timeout:g}s", "retries": gateway.retries}[key]
                assert (page.stem, key, told) == (page.stem, key, str(client.get(key, shipped)).removesuffix("s"))
                found[key] += 1
    assert found == {"timeout": 9, "retries": 3}
