"""Gateways by their makers, groups by their numbers."""

from __future__ import annotations

import pytest

from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.config.typed import numbered, profile


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("generic", "generic"),
        ("FortiGate", "fortigate"),
        (" cisco ", "anyconnect"),
        ("palo", "globalprotect"),
        ("citrix", "netscaler"),
        ("one-field", "one-field"),  # another one begins with it
        *((name, name) for name in GATEWAYS),
    ],
)
def test_a_gateway_is_found_by_its_maker(typed: str, found: str) -> None:
    assert profile(typed) == found


def test_a_maker_that_may_be_several_is_told_which() -> None:
    with pytest.raises(ValueError, match=r"^may be opnsense \(OPNsense\), pfsense \(pfSense\); type more of it$"):
        profile("sense")
    with pytest.raises(ValueError, match=r"^there is none like \{it\}; take generic, or one of generic, "):
        profile("acme")


@pytest.mark.parametrize(
    ("typed", "taken"),
    [("2", "cn=b,dc=x"), ("", ""), (" cn=c, dc=x ", "cn=c, dc=x"), ("0", None), ("3", None), ("b", None)],
)
def test_a_group_is_one_that_was_shown_or_a_dn(typed: str, taken: str | None) -> None:
    parse = numbered(["cn=a,dc=x", "cn=b,dc=x"])
    if taken is None:
        with pytest.raises(ValueError, match=r"number of no group|is no DN"):
            parse(typed)
    else:
        assert parse(typed) == taken
