"""Trusted devices: seen, and trusted no longer."""

from radius_mfa.core.messages import Nas, Profile
from tests.adapters import PASSWORD
from tests.portal.browsing import Browser, Portal, portal

VPN = Nas("vpn", Profile("generic"), station="mac")
STATIONS = (b"02-00-00-00-00-01", b"02-00-00-00-00-02")


def trusting(it: Portal) -> Browser:
    """alice, who trusts two devices."""
    it.house.enrol("alice")
    for station in STATIONS:
        login = it.house.login("alice", VPN)
        login.says(PASSWORD, station=station)
        assert login.says(f"{it.next_code('alice')} trust", station=station) == "accept accepted"
    browser = it.browser()
    browser.sign_in("alice", it.next_code("alice"))
    return browser


def asked(it: Portal, station: bytes) -> str:
    """What becomes of the password alone, from there."""
    return it.house.login("alice", VPN).says(PASSWORD, station=station)


def test_one_device_is_trusted_no_longer_and_the_other_still_is() -> None:
    with portal() as it:
        browser = trusting(it)
        assert "Trusted devices: 2" in browser.page.text
        browser.open("/devices")
        assert "02:00:00:00:00:01 since 2026-10-14 12:00, by a login at vpn" in browser.page.text
        browser.press("Trust it no longer")  # the latest is the first
        assert browser.page.path == "/devices"
        assert asked(it, STATIONS[0]) == "accept accepted_by_device"
        assert asked(it, STATIONS[1]) == "challenge challenged"


def test_all_are_trusted_no_longer() -> None:
    with portal() as it:
        browser = trusting(it)
        browser.open("/devices")
        browser.press("Trust none of them any longer")
        assert "You trust no device" in browser.page.text
        assert [asked(it, station) for station in STATIONS] == ["challenge challenged"] * 2


def test_a_device_of_somebody_else_is_not_theirs_to_revoke() -> None:
    with portal() as it:
        trusting(it)
        (device, _) = it.house.run(it.house.store.devices(it.house.user("alice").id, it.house.clock.wall()))
        it.house.enrol("bob")
        browser = it.browser()
        browser.sign_in("bob", it.house.code("bob"))
        browser.open("/devices?language=en")
        page = browser.post("/devices/revoke", {"csrf": browser.csrf(), "device": device.id})
        assert "not trusted any more" in page.text
        assert len(it.house.run(it.house.store.devices(it.house.user("alice").id, it.house.clock.wall()))) == 2
