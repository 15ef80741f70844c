"""EAP in packets, coming and going (RFC 3579): its pieces, the keys beside it, and what must not be there."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius_mfa.core.messages import Code, Reply, ReplyAttribute
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.packet import LONGEST_REPLY, Packet, bare_reject, encode
from tests.wire.support import SECRET, Attributes, SmallDictionary, make_client, request
from tests.wire.test_packet import RULES, Rule, decoded, encoded, read

ALICE = (1, b"alice")
RESPONSE = b"\x02\x07\x00\x0a\x01alice"
SUCCESS = b"\x03\x07\x00\x04"
MSK = bytes(range(64))
KEY_NAME = b"\x15" + bytes(64)  # RFC 5216 §2.3: the method and two randoms
ASKS_FOR_NAME = (102, b"\x00")
CODES = st.sampled_from([Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])


def asked(*more: tuple[int, bytes]) -> Packet:
    return decoded(request([ALICE, (79, RESPONSE), *more]))


def numbers(attributes: Attributes) -> list[int]:
    return [number for number, _ in attributes]


class TestComing:
    @pytest.mark.parametrize("rule", RULES)
    def test_eap_start_is_an_empty_message(self, rule: Rule) -> None:
        """RFC 3579 §2.1."""
        assert decoded(request([ALICE, (79, b"")]), rule).request.eap == b""

    @given(eap=st.binary(min_size=1, max_size=3000), cut=st.integers(1, 253), between=st.booleans())
    def test_its_pieces_are_put_together_in_order(self, eap: bytes, cut: int, between: bool) -> None:
        """RFC 3579 §3.1: a sender MUST NOT put anything between them; who does is understood."""
        pieces = [(79, eap[at : at + cut]) for at in range(0, len(eap), cut)]
        if len(pieces) > 90:
            pieces = [(79, eap[at : at + 253]) for at in range(0, len(eap), 253)]
        more = [(6, bytes(4))] if between else []
        packet = decoded(request([ALICE, pieces[0], *more, *pieces[1:]]))
        assert packet.request.eap == eap

    def test_what_pyrad_sends_in_pieces_arrives_whole(self) -> None:
        theirs = AuthPacket(id=1, secret=SECRET, authenticator=bytes(16), message_authenticator=True)
        theirs[79] = [bytes(253), b"rest"]
        packet = read(theirs.RequestPacket(), make_client("require"))
        assert isinstance(packet, Packet)
        assert packet.request.eap == bytes(253) + b"rest"

    def test_without_a_message_there_is_none(self) -> None:
        assert decoded(request([ALICE])).request.eap is None


class TestGoing:
    @given(
        code=CODES,
        eap=st.binary(min_size=1, max_size=4000),
        state=st.none() | st.binary(min_size=16, max_size=60),
        proxy=st.lists(st.binary(max_size=253), max_size=3),
    )
    @example(Code.ACCESS_CHALLENGE, bytes(253), b"s" * 19, [])
    @example(Code.ACCESS_CHALLENGE, bytes(254), b"s" * 19, [])
    @example(Code.ACCESS_CHALLENGE, bytes(1400), b"s" * 19, [b"", b"p" * 253])
    @example(Code.ACCESS_REJECT, bytes(4000), None, [])
    def test_what_fits_comes_back_whole_and_what_does_not_is_no_packet(
        self, code: Code, eap: bytes, state: bytes | None, proxy: list[bytes]
    ) -> None:
        """RFC 3579 §3.1: in order and one behind the other.  `encoded` verifies the signature, which is first."""
        packet = asked(*((33, value) for value in proxy))
        reply = Reply(code, state, eap=eap)
        pieces = -(-len(eap) // 253)
        beside = proxy if state is None else [state, *proxy]
        if 38 + len(eap) + 2 * pieces + sum(2 + len(value) for value in beside) > 4096:
            assert encode(reply, packet, SmallDictionary()) is None
            return
        found = encoded(reply, packet)
        assert numbers(found) == [79] * pieces + [24] * (state is not None) + [33] * len(proxy)
        assert b"".join(value for _, value in found[:pieces]) == eap
        assert all(len(value) == 253 for _, value in found[: pieces - 1])
        octets = encode(reply, packet, SmallDictionary())
        assert octets is not None
        assert b"".join(AuthPacket(packet=octets, secret=SECRET)[79]) == eap

    def test_beside_it_there_is_no_reply_message_and_no_prompt(self) -> None:
        """RFC 3579 §2.6.5; RFC 2869 §5.10."""
        attributes = (ReplyAttribute("Prompt", "1"), ReplyAttribute("Class", "staff"))
        reply = Reply(Code.ACCESS_CHALLENGE, b"s", ("text",), attributes, eap=b"\x01\x08\x00\x04")
        assert encoded(reply, asked()) == [(79, b"\x01\x08\x00\x04"), (24, b"s"), (25, b"staff")]

    @given(secret=st.binary(min_size=1, max_size=80), msk=st.binary(min_size=64, max_size=64))
    def test_the_keys_are_the_msk_to_whoever_has_the_secret(self, secret: bytes, msk: bytes) -> None:
        """RFC 2548 §2.4.2, §2.4.3; uncovered by pyrad."""
        packet = read(request([ALICE, (79, RESPONSE), (33, b"p")], sign=secret), make_client(secrets=(secret,)))
        assert isinstance(packet, Packet)
        found = encoded(Reply(Code.ACCESS_ACCEPT, eap=SUCCESS, msk=msk), packet)
        assert numbers(found) == [79, 26, 26, 33]
        assert [value[:6].hex() for _, value in found[1:3]] == ["000001371134", "000001371034"]
        theirs = AuthPacket(id=packet.identifier, secret=secret, authenticator=packet.authenticator)
        assert b"".join(theirs.SaltDecrypt(value[6:]) for _, value in found[1:3]) == msk

    @pytest.mark.parametrize("code", [Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])
    def test_keys_and_their_name_are_only_in_an_accept(self, code: Code) -> None:
        """RFC 2548 §3; RFC 7268 §3."""
        reply = Reply(code, eap=b"\x04\x07\x00\x04", msk=MSK, key_name=KEY_NAME)
        assert encoded(reply, asked(ASKS_FOR_NAME)) == [(79, b"\x04\x07\x00\x04")]

    def test_the_name_of_the_keys_is_for_whoever_asks_for_it(self) -> None:
        """RFC 4072 §4.1.4, RFC 7268 §2.2."""
        reply = Reply(Code.ACCESS_ACCEPT, eap=SUCCESS, key_name=KEY_NAME)
        assert encoded(reply, asked()) == [(79, SUCCESS)]
        assert encoded(reply, asked(ASKS_FOR_NAME)) == [(79, SUCCESS), (102, KEY_NAME)]
        nameless = Reply(Code.ACCESS_ACCEPT, eap=SUCCESS)
        assert encoded(nameless, asked(ASKS_FOR_NAME)) == [(79, SUCCESS)]

    def test_a_name_that_is_too_long_or_an_msk_that_is_none_is_an_error(self) -> None:
        for reply in (
            Reply(Code.ACCESS_ACCEPT, eap=SUCCESS, key_name=bytes(254)),
            Reply(Code.ACCESS_ACCEPT, eap=SUCCESS, msk=bytes(32)),
        ):
            with pytest.raises(ValueError, match="octets"):
                encode(reply, asked(ASKS_FOR_NAME), SmallDictionary())

    def test_all_that_a_policy_may_return_fits_beside_success_keys_names_and_a_proxy(self) -> None:
        """RFC 2865 §3: 4096 octets."""
        given = [ReplyAttribute("Class", "x" * 248) for _ in range(LONGEST_REPLY // 250)]
        given += [ReplyAttribute(name, "x" * 253) for name in ("User-Name", "Chargeable-User-Identity")]
        packet = asked(ASKS_FOR_NAME, (33, bytes(160)))
        reply = Reply(Code.ACCESS_ACCEPT, attributes=tuple(given), eap=SUCCESS, msk=MSK, key_name=bytes(253))
        octets = encode(reply, packet, Dictionary.shipped())
        assert octets is not None
        assert AuthPacket(packet=octets, secret=SECRET)[79] == [SUCCESS]


class TestBareReject:
    def test_says_nothing_to_a_password(self) -> None:
        assert bare_reject(decoded(request([ALICE])).request) == Reply(Code.ACCESS_REJECT)

    @given(eap=st.binary(max_size=600))
    def test_fails_eap_by_the_identifier_of_the_response(self, eap: bytes) -> None:
        """RFC 3748 §4.2: Code 4, and four octets in all; of what is shorter than a header nothing can be said."""
        packet = decoded(request([ALICE, *((79, eap[at : at + 253]) for at in range(0, len(eap) or 1, 253))]))
        failure = [(79, bytes((4, eap[1], 0, 4)))] if len(eap) >= 4 else []
        assert encoded(bare_reject(packet.request), packet) == failure
