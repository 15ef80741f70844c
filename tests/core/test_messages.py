"""What an Access-Request says of itself, and what messages never show."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import (
    AccessRequest,
    Attribute,
    Challenge,
    Code,
    FactorKind,
    Message,
    Nas,
    Profile,
    Reply,
)
from radius_mfa.core.outcomes import Outcome
from tests.adapters import VPN, access_request

_MICROSOFT = (311).to_bytes(4, "big")


def test_the_window_is_over_when_the_last_try_has_timed_out() -> None:
    assert Nas("vpn", Profile("generic"), timeout=5.0, retries=3).window == 20.0
    assert Nas("vpn", Profile("generic"), timeout=3.0, retries=0).window == 3.0


@given(timeout=st.floats(0.1, 60), jitter=st.floats(0, 1))
def test_a_refusal_waits_a_second_or_half_of_what_the_nas_does(timeout: float, jitter: float) -> None:
    nas = Nas("vpn", Profile("generic"), timeout=timeout)
    least = min(1.0, timeout / 2)

    assert nas.refusal_delay(0.0) == least
    assert least <= nas.refusal_delay(jitter) <= least * 1.1 + 1e-9
    assert nas.refusal_delay(1.0) == pytest.approx(least * 1.1)


@pytest.mark.parametrize(("suffix", "then"), [(None, ","), (";", ";"), (6, 6)])
def test_a_client_that_cannot_be_asked_twice_takes_both_in_one_field(
    suffix: str | int | None, then: str | int
) -> None:
    nas = Nas("vpn", Profile("generic", rounds=2, suffix=suffix), timeout=7.0)

    assert nas.in_one_field() == replace(nas, profile=Profile("generic", rounds=2, suffix=then))
    assert nas.in_one_field().in_one_field() == nas.in_one_field()


def test_a_decision_is_due_before_the_nas_gives_up_or_when_whoever_is_between_says() -> None:
    nas = Nas("vpn", Profile("generic"), timeout=5.0, retries=3)
    assert (nas.window, nas.patience) == (20.0, 18.0)
    assert AccessRequest(nas, (), b"", "192.0.2.1:1645", 100.0).deadline == 118.0
    assert AccessRequest(nas, (), b"", "192.0.2.1:1645", 100.0, deadline=105.0).deadline == 105.0


@pytest.mark.parametrize(
    ("user_name", "is_probe"),
    [
        ("probe", True),
        (" PROBE ", True),
        ("ｐｒｏｂｅ", True),
        ("alice", False),
        ("", False),
        (b"\xff", False),
        (None, False),
    ],
)
def test_a_probe_has_a_name_that_its_client_only_looks_with(user_name: str | bytes | None, is_probe: bool) -> None:
    looking = replace(VPN, probe_users=frozenset({"probe", ""}))

    assert access_request(looking, user_name).is_probe is is_probe
    assert not access_request(VPN, user_name).is_probe


def test_first_and_all_keep_packet_order() -> None:
    request = access_request(extra=((33, b"a"), (33, b"b"), (31, b"other")))

    assert request.all(Attribute.PROXY_STATE) == (b"a", b"b")
    assert request.first(Attribute.PROXY_STATE) == b"a"
    assert request.first(Attribute.CALLING_STATION_ID) == b"02-00-00-00-00-01"
    assert request.first(Attribute.STATE) is None
    assert request.all(Attribute.STATE) == ()


@given(pieces=st.lists(st.binary(max_size=253), max_size=6), other=st.binary(max_size=20))
def test_an_eap_packet_is_what_its_pieces_make_up_in_order(pieces: list[bytes], other: bytes) -> None:
    """RFC 3579 §3.1; §2.1: an empty one is EAP-Start.  Who puts something between them is understood too."""
    between = [each for piece in pieces for each in ((79, piece), (33, other))]
    request = access_request(password=None, extra=between)

    assert request.eap == (b"".join(pieces) if pieces else None)


def test_vendor_attributes_are_found_among_several_in_one() -> None:
    """RFC 2865 §5.26: several sub-attributes may share one Vendor-Specific."""
    both = _MICROSOFT + bytes((1, 4)) + b"ab" + bytes((25, 3)) + b"c"
    request = access_request(extra=((26, both), (26, (9).to_bytes(4, "big") + bytes((1, 3)) + b"x")))

    assert request.vendor(311, 1) == (b"ab",)
    assert request.vendor(311, 25) == (b"c",)
    assert request.vendor(9, 1) == (b"x",)
    assert request.vendor(9, 25) == ()


def test_vendor_attributes_in_another_form_are_passed_over() -> None:
    """RFC 2865 §5.26: the inner form is only recommended."""
    request = access_request(
        extra=(
            (26, b"\x00\x00"),
            (26, _MICROSOFT),
            (26, _MICROSOFT + b"\x01"),
            (26, _MICROSOFT + bytes((1, 0)) + b"ab"),
            (26, _MICROSOFT + bytes((1, 9)) + b"ab"),
        )
    )

    assert request.vendor(311, 1) == ()


@given(st.binary(max_size=249), st.integers(0, 255))
def test_no_vendor_specific_is_too_odd(octets: bytes, number: int) -> None:
    request = access_request(extra=((26, octets), (26, _MICROSOFT + octets)))

    assert all(len(value) <= 247 for value in request.vendor(311, number))


def test_nothing_secret_is_in_a_repr() -> None:
    request = access_request(user_name="alice", password="hunter2", state=b"the-state")
    challenge = Challenge(Outcome.CHALLENGED, b"the-state", Message("challenged"))
    reply = Reply(Code.ACCESS_CHALLENGE, state=b"the-state")
    shown = f"{request!r} {challenge!r} {reply!r}"

    assert "hunter2" not in shown
    assert "the-state" not in shown
    assert VPN.name in shown


def test_the_order_of_the_factors_is_final() -> None:
    """State keeps a bit for each, by position."""
    assert [kind.value for kind in FactorKind] == ["totp", "mail", "recovery_codes"]
