"""FreeRADIUS's lists into a request, and a reply into what it is to put into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import Code, Reply, ReplyAttribute
from radius_mfa.transports.freeradius_lists import OURS, Said, because, is_signed, reply_of, request_of
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.pairs import Pairs
from tests.adapters import VPN

PAIRS = Pairs(Dictionary.shipped())


def said(*texts: str) -> Said:
    return Said.of({"config": (*((OURS, text) for text in texts), ("Auth-Type", "client=other"))})


class TestSaid:
    def test_what_the_policy_says_is_read(self) -> None:
        it = said("client=vpn", "source=192.0.2.1:1645", "arrived=1700000000.000250", "accepted=7")
        assert it == Said("vpn", "192.0.2.1:1645", 1_700_000_000.00025, accepted="7")
        assert said("asks=status").asks == "status"
        assert not it.is_inner

    @pytest.mark.parametrize("config", [None, ()])
    def test_nothing_is_said_where_the_policy_has_not_run(
        self, config: tuple[tuple[str, str], ...] | None
    ) -> None:
        assert Said.of({"config": config}) == Said()

    def test_what_has_no_name_is_passed_over_and_a_value_may_hold_anything(self) -> None:
        assert said("client", "=", "client=a=b").client == "a=b"

    def test_a_tunnel_is_there_even_where_nobody_is_named_outside(self) -> None:
        """RFC 4282 §2.4: an outer name may be the realm alone, or nothing."""
        assert (said("outer=").outer, said("outer=").is_inner) == (b"", True)
        assert said("outer=@z\u00fcrich").outer == "@z\u00fcrich".encode()

    @pytest.mark.parametrize(
        ("arrived", "age"),
        [
            ("90.500000", 9.5),
            ("90.000250", 9.99975),
            ("200.000000", 0.0),  # its clock was set since
            ("90", 0.0),
            ("soon.0", 0.0),
            ("-1.0", 0.0),
            ("", 0.0),
        ],
    )
    def test_its_age_is_known_where_it_is_said_when_it_came(self, arrived: str, age: float) -> None:
        assert said(f"arrived={arrived}").age(100.0) == pytest.approx(age)

    @given(st.lists(st.text(max_size=40), max_size=5))
    def test_no_value_is_too_odd(self, texts: list[str]) -> None:
        assert said(*(text.encode("utf-8", "replace").decode() for text in texts)).age(1e9) >= 0.0


class TestRequest:
    PAIRS = (
        ("User-Name", "alice"),
        ("User-Password", "z\u00fcrich"),
        ("State", "0x0102"),
        ("EAP-Message", "0x0201"),
        ("Message-Authenticator", "0x" + "00" * 16),
        ("Stripped-User-Name", "alice"),
        ("NAS-Port", "7"),
    )

    def test_attributes_are_octets_and_the_password_stands_apart(self) -> None:
        outside = Said("vpn", "192.0.2.1:1645", 0.0)
        request = request_of(VPN, {"request": self.PAIRS}, outside, 12.5, 17.5, PAIRS)
        assert request.attributes == ((1, b"alice"), (24, b"\1\2"), (5, b"\0\0\0\7"))
        assert request.password == "z\u00fcrich".encode()
        assert (request.nas, request.source) == (VPN, "192.0.2.1:1645")
        assert (request.arrived, request.deadline) == (12.5, 17.5)
        assert request.outer_name is None

    def test_within_a_tunnel_state_is_freeradius_own(self) -> None:
        request = request_of(VPN, {"request": self.PAIRS}, Said(outer=b"anonymous"), 0.0, 0.0, PAIRS)
        assert request.attributes == ((1, b"alice"), (5, b"\0\0\0\7"))
        assert request.outer_name == b"anonymous"

    def test_two_passwords_are_none(self) -> None:
        """RFC 2865 §5.44: there is one at most."""
        twice = {"request": (("User-Password", "one"), ("User-Password", "two"))}
        assert request_of(VPN, twice, Said(), 0.0, 0.0, PAIRS).password is None

    def test_an_empty_list_is_a_request_of_nothing(self) -> None:
        request = request_of(VPN, {"request": None}, Said(), 0.0, 0.0, PAIRS)
        assert (request.attributes, request.password) == ((), None)

    def test_a_packet_is_signed_by_its_message_authenticator(self) -> None:
        assert is_signed({"request": self.PAIRS})
        assert not is_signed({"request": self.PAIRS[:2]})
        assert not is_signed({"request": None})


class TestReply:
    def test_what_signs_it_comes_first_then_the_state_and_what_the_user_is_told(self) -> None:
        """CVE-2024-3596: nothing that a stranger has chosen stands before the Message-Authenticator."""
        reply = Reply(Code.ACCESS_CHALLENGE, b"\1\xff", ("one", "x" * 254))
        assert reply_of(reply, [], PAIRS, signed=True) == (
            ("Message-Authenticator", ":=", "0x00"),
            ("State", ":=", "0x01ff"),
            ("Reply-Message", "+=", "one"),
            ("Reply-Message", "+=", "x" * 253),
            ("Reply-Message", "+=", "x"),
        )

    def test_nothing_signs_what_goes_into_a_tunnel(self) -> None:
        assert reply_of(Reply(Code.ACCESS_ACCEPT), [], PAIRS, signed=False) == ()

    def test_a_policys_attributes_take_the_place_of_others_and_stand_beside_each_other(self) -> None:
        values = [("Class", "a"), ("Class", "b"), ("Tunnel-Type:1", "VLAN"), ("Tunnel-Type:2", "VLAN")]
        given = [PAIRS.given(ReplyAttribute(*each)) for each in values]
        assert reply_of(Reply(Code.ACCESS_ACCEPT), given, PAIRS, signed=False) == (
            ("Class", ":=", "0x61"),
            ("Class", "+=", "0x62"),
            ("Tunnel-Type:1", "+=", "13"),
            ("Tunnel-Type:2", "+=", "13"),
        )

    def test_why_somebody_is_refused_is_for_freeradius_log(self) -> None:
        assert because("wrong_password") == ("Module-Failure-Message", "+=", "radius_mfa: wrong_password")
