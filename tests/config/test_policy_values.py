"""What values under `policies` may be."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.policy_values import by_group, conditions, station, unenrolled


class TestStation:
    @pytest.mark.parametrize(
        ("written", "digits"),
        [
            ("00-11-22-33-44-55", "001122334455"),
            ("00:11:22:AA:BB:CC", "001122aabbcc"),
            ("0011.22aa.BBCC", "001122aabbcc"),
            ("001122AABBCC", "001122aabbcc"),
            (" 00-11-22-33-44-55 ", "001122334455"),
            ("00-*", "00"),
            ("00-11-22-*", "001122"),
            ("00:11:22:33:44:*", "0011223344"),
            ("0011.*", "0011"),
            ("0011.22aa.*", "001122aa"),
            ("001122*", "001122"),
            ("0011223344a*", "0011223344a"),
        ],
    )
    def test_is_the_digits_of_a_mac(self, written: str, digits: str) -> None:
        assert station(written) == digits

    @pytest.mark.parametrize(
        ("written", "network"),
        [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),  # as the addresses of stations are read (RFC 4291 §2.5.5.2)
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8/128"),
        ],
    )
    def test_is_a_prefix(self, written: str, network: str) -> None:
        assert station(written) == ip_network(network)

    @pytest.mark.parametrize(
        "written",
        [
            "",
            "*",
            "00",
            "00-11-22",  # and what follows?
            "00-11-22*",
            "00-11:22-33-44-55",
            "00-11-22-33-44-55-66",
            "00-11-22-33-44-55-*",
            "00-11-22-33-44-5*",
            "0011.22aa",
            "0011.22aa.bbcc.*",
            "00112*",
            "00112233445566*",
            "001122334455*",
            "00-11-22-33-44-5g",
            "００-11-22-33-44-55",
            "fe80::1%eth0",
            "fe80::%1/64",
            "192.0.2.*",
            "the library",
            "00-11-22-33-44-55\n00-11-22-33-44-56",
        ],
    )
    def test_is_nothing_else(self, written: str) -> None:
        with pytest.raises(ValueError, match=r"must be an address, a prefix \(192.0.2.0/24\) or a MAC"):
            station(written)

    def test_says_of_a_prefix_what_was_meant(self) -> None:
        with pytest.raises(ValueError, match=r"has bits set beyond the prefix; write 192\.0\.2\.0/24"):
            station("192.0.2.1/24")

    @given(st.text(st.sampled_from("0123456789abcdefABCDEF:-.*/% ") | st.characters(), max_size=24))
    def test_of_any_text_is_one_or_a_value_error(self, written: str) -> None:
        try:
            found = station(written)
        except ValueError:
            return
        if isinstance(found, str):
            assert 2 <= len(found) <= 12
            assert set(found) <= set("0123456789abcdef")
            assert len(found) == 12 or "*" in written  # a part of a MAC is never taken for a whole one


class TestUnenrolled:
    @pytest.mark.parametrize(
        ("written", "until"),
        [
            ("reject", None),
            ("allow_until 2027-03-31", date(2027, 3, 31)),
            ("allow_until   2028-02-29", date(2028, 2, 29)),
            ("allow_until 9999-12-31", date(9999, 12, 31)),
        ],
    )
    def test_is_a_day_or_nobody(self, written: str, until: date | None) -> None:
        assert unenrolled(written) == until

    @pytest.mark.parametrize("day", ["2027-02-29", "2027-13-01", "0000-01-01", "2027-00-10"])
    def test_is_no_day_that_is_none(self, day: str) -> None:
        with pytest.raises(ValueError, match="there is no such day"):
            unenrolled(f"allow_until {day}")

    @pytest.mark.parametrize(
        "written",
        [
            *("", "allow", "allow_until", "Reject", "reject ", "2027-03-31", "allow_until2027-03-31"),
            *(
                "allow_until 31.3.2027",
                "allow_until 2027-3-31",
                "allow_until 20270331",
                "allow_until 2027-03-31T12:00",
            ),
            *("allow_until 2027-03-31\n", "allow_until ２０２７-03-31", "allow_until\t2027-03-31"),
        ],
    )
    def test_is_nothing_else(self, written: str) -> None:
        with pytest.raises(ValueError, match="must be reject, or allow_until and a day"):
            unenrolled(written)


class TestByGroup:
    @pytest.mark.parametrize("value", ["a", ["a", "b"], True, [], ""])
    def test_what_is_no_mapping_is_everybodys(self, value: object) -> None:
        assert by_group(value) == {"": value}

    def test_a_mapping_is_by_group(self) -> None:
        assert by_group({"staff": "a", "else": "b"}) == {"staff": "a", "else": "b"}

    def test_an_empty_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must not be empty"):
            by_group({})


def test_conditions_of_conditions_are_not_empty() -> None:
    """None of them would hold of everybody, and be refuted by nobody."""
    with pytest.raises(ValueError, match="must not be empty"):
        conditions({})
    others: list[object] = [{"client": "vpn"}, "vpn", [], True]
    for other in others:
        assert conditions(other) == other
