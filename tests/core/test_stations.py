"""Which device a request says the user sits at."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import AccessRequest, Attribute, Nas, Profile
from radius_mfa.core.stations import device_of, mac_before_name, said_of
from tests.adapters import VPN, access_request

PALO_ALTO = Nas("pa", Profile("globalprotect", station=(25461, 7)))
CALLED = Nas("odd", Profile("odd", station=(0, Attribute.CALLED_STATION_ID)))


def asked(station: bytes | None, *extra: tuple[int, bytes], nas: Nas = VPN) -> AccessRequest:
    return access_request(nas, station=station, extra=extra)


def vendor(number: int, value: bytes, vendor: int = 25461) -> tuple[int, bytes]:
    """RFC 2865 §5.26."""
    return Attribute.VENDOR_SPECIFIC, vendor.to_bytes(4, "big") + bytes((number, len(value) + 2)) + value


@pytest.mark.parametrize(
    ("said", "device"),
    [
        (b"198.51.100.7", "198.51.100.7"),
        (b"198.51.100.7[4500]", "198.51.100.7"),  # strongSwan
        (b"2001:db8::7[500]", "2001:db8::7"),
        (b" 2001:DB8:0::7 ", "2001:db8::7"),
        (b"::ffff:198.51.100.7", "198.51.100.7"),
        (b"127.0.0.1", "127.0.0.1"),  # said, whatever it is worth
        (b"0.0.0.0", "0.0.0.0"),
        (b"fe80::1", "fe80::1"),
    ],
)
def test_an_ip_address_is_one_however_the_nas_writes_it(said: bytes, device: str) -> None:
    assert device_of(asked(said)) == ip_address(device)


@pytest.mark.parametrize(
    "said",
    [
        b"02-AB-00-00-00-01",  # RFC 3580 §3.21
        b"02-ab-00-00-00-01",
        b"02:ab:00:00:00:01",
        b"02ab.0000.0001",
        b"02.ab.00.00.00.01",
        b"02AB00000001",
        b" 02 ab 00 00 00 01 ",
    ],
)
def test_a_mac_address_is_twelve_digits_however_the_nas_writes_it(said: bytes) -> None:
    """RFC 2865 §5.31 leaves the form to the NAS."""
    assert device_of(asked(said)) == "02ab00000001"


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"02-AB:00-00-00-01",
        b"02-AB-00-00-00-01:eduroam",
        b"02-AB-00-00-00",
        b"198.51.100.7[port]",
        b"198.51.100.7:4500",
        b"198.51.100.0/24",
        b"fe80::1%eth0",
        b"vpn-client",
        "02-ab-00-00-00-0１".encode(),
        b"\xff\xfe",
    ],
)
def test_what_is_neither_is_no_device(said: bytes | None) -> None:
    assert device_of(asked(said)) is None


def test_the_profile_names_the_attribute_that_says_it() -> None:
    request = asked(b"192.0.2.99", vendor(8, b"Windows"), vendor(7, b"198.51.100.7"), nas=PALO_ALTO)

    assert said_of(request) == b"198.51.100.7"
    assert device_of(request) == ip_address("198.51.100.7")
    assert device_of(asked(b"192.0.2.99", vendor(7, b"198.51.100.7"))) == ip_address("192.0.2.99")


def test_where_that_is_absent_the_usual_one_does() -> None:
    another = vendor(7, b"198.51.100.7", vendor=9)

    assert device_of(asked(b"198.51.100.8", another, nas=PALO_ALTO)) == ip_address("198.51.100.8")
    assert device_of(asked(None, another, nas=PALO_ALTO)) is None


def test_where_that_cannot_be_read_nothing_else_is_taken_for_it() -> None:
    assert device_of(asked(b"198.51.100.8", vendor(7, b"unknown"), nas=PALO_ALTO)) is None


def test_a_standard_attribute_may_be_the_one() -> None:
    called = (int(Attribute.CALLED_STATION_ID), b"02ab.0000.0001")

    assert device_of(asked(b"198.51.100.8", called, nas=CALLED)) == "02ab00000001"


@pytest.mark.parametrize(
    ("called", "mac"),
    [
        (b"02-AB-00-00-00-01:eduroam", "02ab00000001"),  # RFC 3580 §3.20
        (b"02-AB-00-00-00-01", "02ab00000001"),
        (b"02ab.0000.0001:campus", "02ab00000001"),
        (b"vpn.example.org", None),
        (None, None),
    ],
)
def test_an_access_points_address_stands_before_its_networks_name(called: bytes | None, mac: str | None) -> None:
    assert mac_before_name(called) == mac


@given(st.binary(max_size=60))
def test_whatever_is_said_is_a_device_of_one_spelling_or_none(said: bytes) -> None:
    found = device_of(asked(said))

    assert found is None or device_of(asked(str(found).encode())) == found


@given(st.ip_addresses())
def test_every_address_without_a_zone_is_itself(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None

    assert device_of(asked(str(address).encode())) == (mapped or address)
