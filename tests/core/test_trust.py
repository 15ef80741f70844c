"""Which station is one device, and where trust in it holds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import AccessRequest, Attribute, Nas, Profile
from radius_mfa.core.trust import scopes_of, station_of
from tests.adapters import access_request

MAC = Nas("ap", Profile("generic"), station="mac")
IP = Nas("vpn", Profile("generic"), station="ip")
NONE = Nas("other", Profile("generic"))


def asked(
    nas: Nas, station: bytes | None, *extra: tuple[int, bytes], source: str = "192.0.2.1:1645"
) -> AccessRequest:
    return access_request(nas, station=station, extra=extra, source=source)


@pytest.mark.parametrize(
    "station",
    [b"02-AB-00-00-00-01", b"02:ab:00:00:00:01", b"02ab.0000.0001", b"02AB00000001", b" 02 ab 00 00 00 01 "],
)
def test_a_mac_address_is_one_device_however_the_nas_spells_it(station: bytes) -> None:
    """RFC 2865 §5.31 leaves the form to the NAS; RFC 3580 §3.21 wants hyphens."""
    assert station_of(asked(MAC, station)) == "mac:02ab00000001"


@pytest.mark.parametrize(
    ("station", "address"),
    [
        (b"198.51.100.7", "ip:198.51.100.7"),
        (b"198.51.100.7[4500]", "ip:198.51.100.7"),  # strongSwan
        (b" 2001:DB8::7 ", "ip:2001:db8::7"),
        (b"::ffff:198.51.100.7", "ip:198.51.100.7"),
    ],
)
def test_an_ip_address_is_one_device_however_the_nas_spells_it(station: bytes, address: str) -> None:
    assert station_of(asked(IP, station)) == address


@pytest.mark.parametrize("station", [b"02-AB-00-00-00-01", b"198.51.100.7", None])
def test_where_a_station_is_worth_nothing_there_is_none(station: bytes | None) -> None:
    assert station_of(asked(NONE, station)) is None


@pytest.mark.parametrize(
    "station",
    [
        None,
        b"",
        b"198.51.100.7",
        b"00-00-00-00-00-00",
        b"FF-FF-FF-FF-FF-FF",
        b"01-00-5E-00-00-01",  # to a group of devices
        b"02-AB-00-00-00-01:eduroam",
        b"02-AB:00-00-00-01",
        b"02-AB-00-00-00-0g",
        b"02-AB-00-00-00-01-02",
        "02-ab-00-00-00-0１".encode(),
        b"\xff\xfe",
    ],
)
def test_what_is_no_devices_mac_address_is_never_trusted(station: bytes | None) -> None:
    assert station_of(asked(MAC, station)) is None


@pytest.mark.parametrize(
    "station",
    [
        None,
        b"",
        b"02-AB-00-00-00-01",
        b"0.0.0.0",
        b"::",
        b"127.0.0.1",
        b"::1",
        b"224.0.0.1",
        b"ff02::1",
        b"169.254.1.1",
        b"fe80::1",
        b"2001:db8::1%eth0",
        b"2001:db8::1%a\0b",
        b"255.255.255.255",
        b"198.51.100.7/24",
        b"198.51.100.007",
        b"localhost",
    ],
)
def test_what_is_no_devices_ip_address_is_never_trusted(station: bytes | None) -> None:
    assert station_of(asked(IP, station)) is None


@pytest.mark.parametrize(
    ("nas", "station", "own"),
    [
        (MAC, b"02-AB-00-00-00-01", (Attribute.CALLED_STATION_ID, b"02:ab:00:00:00:01:eduroam")),
        (MAC, b"02-AB-00-00-00-01", (Attribute.CALLED_STATION_ID, b"02ab.0000.0001")),
        (IP, b"198.51.100.7", (Attribute.NAS_IP_ADDRESS, bytes([198, 51, 100, 7]))),
        (IP, b"2001:db8::7", (Attribute.NAS_IPV6_ADDRESS, bytes.fromhex("20010db8" + "0" * 22 + "07"))),
        (IP, b"198.51.100.7", (Attribute.CALLED_STATION_ID, b"198.51.100.7[500]")),
    ],
)
def test_the_nas_itself_is_nobodys_device(nas: Nas, station: bytes, own: tuple[int, bytes]) -> None:
    assert station_of(asked(nas, station)) is not None
    assert station_of(asked(nas, station, own)) is None


def test_where_the_packet_came_from_is_the_nas() -> None:
    assert station_of(asked(IP, b"198.51.100.7", source="198.51.100.7:1645")) is None
    assert station_of(asked(IP, b"2001:db8::7", source="[2001:db8::7]:1645")) is None


@pytest.mark.parametrize("value", [b"", b"\x01", bytes(5)])
def test_a_badly_formed_address_of_the_nas_is_passed_over(value: bytes) -> None:
    """RFC 6929 §2.8."""
    assert station_of(asked(IP, b"198.51.100.7", (Attribute.NAS_IP_ADDRESS, value))) == "ip:198.51.100.7"


def test_the_device_is_where_the_profile_says() -> None:
    nas = Nas("pa", Profile("globalprotect", station=(25461, 7)), station="ip")
    said = (26, (25461).to_bytes(4, "big") + bytes((7, 14)) + b"198.51.100.7")

    assert station_of(asked(nas, b"198.51.100.8", said)) == "ip:198.51.100.7"
    assert station_of(asked(nas, b"198.51.100.8")) == "ip:198.51.100.8"
    assert station_of(asked(replace(nas, station="mac"), b"02-AB-00-00-00-01", said)) is None


@given(st.binary(max_size=40), st.sampled_from([MAC, IP]))
def test_whatever_is_sent_is_a_station_of_one_spelling_or_none(station: bytes, nas: Nas) -> None:
    found = station_of(asked(nas, station))

    assert found is None or found.startswith(f"{nas.station}:")
    assert found is None or station_of(asked(nas, found.partition(":")[2].encode())) == found


def test_trust_holds_in_every_group_of_the_client_or_at_itself_only() -> None:
    assert scopes_of(replace(MAC, groups=frozenset({"wifi", "campus"}))) == ("group:campus", "group:wifi")
    assert scopes_of(MAC) == ("client:ap",)
