"""Decode and encode: each rule by its RFC, the whole held to pyrad."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius_mfa.core.messages import AccessRequest, Code, Reply, ReplyAttribute
from radius_mfa.wire.clients import Client
from radius_mfa.wire.packet import Packet, decode, encode, split_text
from radius_mfa.wire.walker import DiscardReason, Frame, walk
from tests.wire.support import (
    RADSEC,
    SALT,
    SECRET,
    Attributes,
    SmallDictionary,
    assemble,
    hide,
    login,
    login_over_tls,
    make_client,
    request,
    tlv,
)

Rule = Literal["require", "auto", "off", "optional"]
RULES: tuple[Rule, ...] = ("require", "auto", "off", "optional")

ALICE = (1, b"alice")
PASSWORD = (2, hide(b"sesame"))
CHAP = (3, bytes(17))
EAP = (79, b"\x02\x01\x00\x0a\x01alice")
PROXY = (33, b"proxy")
NEW_SECRET = b"the secret that comes next"


def read(octets: bytes, client: Client, *, known_to_sign: bool = False) -> Packet | DiscardReason:
    """What becomes of a datagram from 192.0.2.1:1024."""
    signers = {(client.nas.name, "192.0.2.1")} if known_to_sign else set()
    return decode(octets, client, ("192.0.2.1", 1024), 7.5, Packet, lambda name, host: (name, host) in signers)


def decoded(octets: bytes, rule: Rule = "auto", *, known_to_sign: bool = False) -> Packet:
    packet = read(octets, make_client(rule), known_to_sign=known_to_sign)
    assert isinstance(packet, Packet), packet
    return packet


def encoded(reply: Reply, packet: Packet) -> Attributes:
    """The attributes of a reply, checked by pyrad against a request of the same secret and authenticator."""
    octets = encode(reply, packet, SmallDictionary())
    assert octets is not None
    assert len(octets) <= 4096
    asked = AuthPacket(id=packet.identifier, secret=packet.secret, authenticator=packet.authenticator)
    asked[33] = list(packet.request.all(33))
    assert asked.VerifyReply(AuthPacket(packet=octets, secret=packet.secret), enforce_ma=True)
    frame = walk(octets)
    assert isinstance(frame, Frame)
    assert frame.code == reply.code
    assert frame.attributes[0][0] == 80
    return list(frame.attributes[1:])


class TestDiscarded:
    """Met with silence, each for its reason."""

    @pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 11, 13, 40, 43, 255])
    def test_a_code_we_do_not_serve(self, code: int) -> None:
        """RFC 2865 §3: an unknown Code is silently discarded; accounting and CoA are not offered."""
        octets = request([ALICE, PASSWORD], code=code)
        assert read(octets, make_client()) is DiscardReason.CODE_NOT_SERVED

    def test_what_is_not_exactly_a_packet(self) -> None:
        """RFC 2865 §3; tests/wire/test_walker.py has them all."""
        assert read(login()[:-1], make_client()) is DiscardReason.SHORTER_THAN_LENGTH

    @pytest.mark.parametrize("rule", RULES)
    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            pytest.param(
                login(sign=b"another secret"), DiscardReason.MESSAGE_AUTHENTICATOR_WRONG, id="another secret"
            ),
            pytest.param(
                request([ALICE, PASSWORD, (80, bytes(16))], sign=None),
                DiscardReason.MESSAGE_AUTHENTICATOR_WRONG,
                id="all zeros",
            ),
            pytest.param(
                request([ALICE, PASSWORD, (80, bytes(16))]),
                DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED,
                id="two, the first right",
            ),
            pytest.param(
                request([ALICE, PASSWORD, (80, b"")]),
                DiscardReason.MESSAGE_AUTHENTICATOR_DUPLICATED,
                id="two, one empty",
            ),
            pytest.param(
                request([ALICE, PASSWORD, (80, bytes(15))], sign=None),
                DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED,
                id="17 octets",
            ),
            pytest.param(
                request([ALICE, PASSWORD, (80, bytes(17))], sign=None),
                DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED,
                id="19 octets",
            ),
            pytest.param(
                request([ALICE, PASSWORD, (80, b"")], sign=None),
                DiscardReason.MESSAGE_AUTHENTICATOR_MALFORMED,
                id="2 octets",
            ),
            pytest.param(
                request([ALICE, PASSWORD, EAP]), DiscardReason.EAP_WITH_PASSWORD, id="EAP and User-Password"
            ),
            pytest.param(request([ALICE, CHAP, EAP]), DiscardReason.EAP_WITH_PASSWORD, id="EAP and CHAP-Password"),
        ],
    )
    def test_whatever_the_clients_rule(self, octets: bytes, reason: DiscardReason, rule: Rule) -> None:
        """RFC 3579 §3.2, §3.3: a Message-Authenticator that is there is verified."""
        assert read(octets, make_client(rule)) is reason

    @pytest.mark.parametrize("rule", ["auto", "off"])
    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            pytest.param(request([ALICE, EAP], sign=None), DiscardReason.EAP_UNSIGNED, id="EAP: RFC 3579 §3.2"),
            pytest.param(
                request([], code=12, sign=None),
                DiscardReason.STATUS_SERVER_UNSIGNED,
                id="Status-Server: RFC 5997 §3",
            ),
            pytest.param(
                request([ALICE, PASSWORD, PROXY], sign=None),
                DiscardReason.PROXY_STATE_UNSIGNED,
                id="Proxy-State: CVE-2024-3596",
            ),
            pytest.param(
                request([ALICE], sign=None), DiscardReason.NO_CREDENTIAL, id="no credential: RFC 2865 §4.1"
            ),
            pytest.param(
                request([ALICE, (24, b"state")], sign=None), DiscardReason.NO_CREDENTIAL, id="a State only"
            ),
            pytest.param(
                request([ALICE, (26, b"\x00\x00\x00\x09\x01\x03a")], sign=None),
                DiscardReason.NO_CREDENTIAL,
                id="another vendor's attribute",
            ),
        ],
    )
    def test_without_a_message_authenticator(self, octets: bytes, reason: DiscardReason, rule: Rule) -> None:
        assert read(octets, make_client(rule)) is reason


class TestBlastRadius:
    """CVE-2024-3596: who must send a Message-Authenticator."""

    @pytest.mark.parametrize("known_to_sign", [False, True])
    @pytest.mark.parametrize("octets", [login(sign=None), request([ALICE, EAP, PROXY], sign=None)])
    def test_require_is_tested_before_anything_else(self, octets: bytes, known_to_sign: bool) -> None:
        found = read(octets, make_client("require"), known_to_sign=known_to_sign)
        assert found is DiscardReason.MESSAGE_AUTHENTICATOR_REQUIRED

    @pytest.mark.parametrize("rule", RULES)
    def test_with_one_every_rule_is_content(self, rule: Rule) -> None:
        assert decoded(login(b"sesame", PROXY), rule).request.password == b"sesame"

    def test_auto_takes_who_never_sent_one(self) -> None:
        assert decoded(login(sign=None), "auto").request.password == b"sesame"

    def test_auto_refuses_who_once_did(self) -> None:
        found = read(login(sign=None), make_client("auto"), known_to_sign=True)
        assert found is DiscardReason.MESSAGE_AUTHENTICATOR_DOWNGRADED

    def test_off_never_asks(self) -> None:
        assert decoded(login(sign=None), "off", known_to_sign=True).request.password == b"sesame"

    @pytest.mark.parametrize(
        ("octets", "signs"),
        [
            (login(), True),
            (request([ALICE, CHAP]), True),
            (login(sign=None), False),
            (request([ALICE, EAP]), None),
            (request([], code=12), None),
            (request([ALICE]), None),
        ],
        ids=["PAP", "CHAP", "none", "EAP", "Status-Server", "no credential"],
    )
    def test_only_one_that_no_rfc_demands_proves_anything(self, octets: bytes, signs: bool | None) -> None:
        """RFC 3579 §3.2, RFC 5997 §3: the others must have it, whoever sends them."""
        assert decoded(octets, "off").signs is signs


class TestOverTls:
    """RFC 6614 §2.3: every octet is verified by TLS, whose secrets take the place of `radsec`."""

    def over_tls(self, octets: bytes) -> Packet | DiscardReason:
        client = make_client("optional", secrets=(RADSEC,))
        return decode(octets, client, ("192.0.2.1", 1024), 7.5, Packet)

    @pytest.mark.parametrize("sign", [RADSEC, None])
    @pytest.mark.parametrize("extra", [(), (PROXY,)])
    def test_a_message_authenticator_is_not_asked_for(
        self, sign: bytes | None, extra: tuple[tuple[int, bytes], ...]
    ) -> None:
        packet = self.over_tls(login_over_tls(b"sesame", *extra, sign=sign))
        assert isinstance(packet, Packet)
        assert (packet.request.password, packet.secret) == (b"sesame", RADSEC)
        assert packet.signs is (sign is not None)
        encoded(Reply(Code.ACCESS_ACCEPT), packet)

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            pytest.param(request([ALICE, EAP], sign=None), DiscardReason.EAP_UNSIGNED, id="EAP: RFC 3579 §3.2"),
            pytest.param(
                request([], code=12, sign=None),
                DiscardReason.STATUS_SERVER_UNSIGNED,
                id="Status-Server: RFC 5997 §3",
            ),
            pytest.param(
                request([ALICE, PROXY], sign=None), DiscardReason.NO_CREDENTIAL, id="no credential: RFC 2865 §4.1"
            ),
            pytest.param(
                login(sign=SECRET), DiscardReason.MESSAGE_AUTHENTICATOR_WRONG, id="the secret of its datagrams"
            ),
        ],
    )
    def test_what_is_refused_all_the_same(self, octets: bytes, reason: DiscardReason) -> None:
        assert self.over_tls(octets) is reason


class TestNotDiscarded:
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_message_authenticator_may_be_anywhere_in_a_request(self, place: int) -> None:
        """RFC 3579 §3.2."""
        assert decoded(request([ALICE, PASSWORD], sign_at=place), "require").request.attributes == (ALICE,)

    def test_unknown_and_ill_typed_attributes_are_passed_on(self) -> None:
        """RFC 6929 §2.8: they are ignored one by one, by whoever reads them."""
        odd = ((250, b"?"), (4, b"not four"), (26, b"\x00"), (1, b""))
        assert decoded(login(b"x", *odd)).request.attributes == (ALICE, *odd)

    @pytest.mark.parametrize(
        "credential",
        [
            CHAP,
            (70, bytes(16)),
            (103, b"digest"),
            (26, b"\x00\x00\x01\x37\x01\x34" + bytes(50)),
            (26, b"\x00\x00\x01\x37\x19\x34" + bytes(50)),
        ],
        ids=["CHAP", "ARAP", "Digest", "MS-CHAP", "MS-CHAP2"],
    )
    def test_a_method_not_offered_is_refused_further_in(self, credential: tuple[int, bytes]) -> None:
        """RFC 2865 §2: Access-Reject, and so not silence."""
        assert decoded(request([ALICE, credential], sign=None)).request.attributes == (ALICE, credential)

    def test_padding_is_not_signed(self) -> None:
        """RFC 2865 §3."""
        assert decoded(login() + b"padding", "require").request.password == b"sesame"


class TestPassword:
    """RFC 2865 §5.2."""

    @given(st.binary(max_size=128))
    @example(b"nul\x00inside")
    @example(b"\xff\xfe not UTF-8")
    @example("pässword€".encode())
    @example(b"trailing space ")
    @example(b"x" * 128)
    def test_is_recovered_as_octets(self, password: bytes) -> None:
        assert decoded(login(password)).request.password == password.rstrip(b"\x00")

    @pytest.mark.parametrize("length", [0, 1, 15, 17, 120, 144, 240])
    def test_of_an_impossible_length_is_none(self, length: int) -> None:
        """... and the request is refused, not discarded."""
        assert decoded(request([ALICE, (2, bytes(length))])).request.password is None

    def test_twice_is_none(self) -> None:
        """RFC 2865 §5.44: at most one."""
        assert decoded(request([ALICE, PASSWORD, PASSWORD])).request.password is None

    def test_absent_is_none(self) -> None:
        assert decoded(request([ALICE, CHAP])).request.password is None


class TestSecrets:
    """Two while one is being replaced."""

    @pytest.mark.parametrize("secret", [SECRET, NEW_SECRET])
    def test_the_one_that_verifies_is_used_for_password_and_reply(self, secret: bytes) -> None:
        octets = request([ALICE, (2, hide(b"sesame", secret))], sign=secret)
        packet = read(octets, make_client(secrets=(SECRET, NEW_SECRET)))
        assert isinstance(packet, Packet)
        assert (packet.secret, packet.request.password) == (secret, b"sesame")
        encoded(Reply(Code.ACCESS_ACCEPT), packet)

    def test_without_a_message_authenticator_it_is_the_first(self) -> None:
        packet = read(login(sign=None), make_client(secrets=(SECRET, NEW_SECRET)))
        assert isinstance(packet, Packet)
        assert packet.secret == SECRET

    def test_no_secret_and_no_password_is_in_the_representation(self) -> None:
        text = repr(decoded(login(b"sesame", (24, b"a sealed state"))))
        assert not any(word in text for word in ("sesame", SECRET.decode(), "sealed", "alice"))


class TestEncode:
    plain = decoded(login())

    @pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])
    def test_message_authenticator_first_and_proxy_state_last(self, code: Code) -> None:
        """CVE-2024-3596; RFC 2865 §5.33: unmodified and in order.  `encoded` looks at the first."""
        proxied = [(33, b"one"), (33, b""), (33, b"two" * 70)]
        packet = decoded(login(b"sesame", *proxied[:2], (25, b"x"), proxied[2]))
        reply = Reply(code, b"state", ("text",), (ReplyAttribute("Class", "staff"),))
        assert encoded(reply, packet) == [(18, b"text"), (24, b"state"), (25, b"staff"), *proxied]

    def test_status_server_is_answered_likewise(self) -> None:
        """RFC 5997 §3."""
        packet = decoded(request([(33, b"p")], code=12))
        assert packet.code == Code.STATUS_SERVER
        assert encoded(Reply(Code.ACCESS_ACCEPT), packet) == [(33, b"p")]

    def test_reply_messages_keep_their_order_and_empty_ones_are_left_out(self) -> None:
        """RFC 2865 §5.18, §5: text is 1 to 253 octets."""
        reply = Reply(Code.ACCESS_REJECT, messages=("a", "", "b" * 254, "c"))
        assert encoded(reply, self.plain) == [(18, b"a"), (18, b"b" * 253), (18, b"b"), (18, b"c")]

    @pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT])
    def test_prompt_is_only_in_a_challenge(self, code: Code) -> None:
        """RFC 2869 §5.10."""
        prompt = (ReplyAttribute("Prompt", "1"),)
        assert encoded(Reply(code, attributes=prompt), self.plain) == []
        challenge = Reply(Code.ACCESS_CHALLENGE, attributes=prompt)
        assert encoded(challenge, self.plain) == [(76, b"\x00\x00\x00\x01")]

    def test_reply_messages_that_do_not_fit_are_left_out(self) -> None:
        """RFC 2865 §3: 4096 octets."""
        many = tuple(ReplyAttribute("Class", "x" * 253) for _ in range(15))
        reply = Reply(Code.ACCESS_ACCEPT, messages=("m" * 231, "n"), attributes=many)
        assert encoded(reply, self.plain)[:2] == [(18, b"m" * 231), (25, b"x" * 253)]
        reply = Reply(Code.ACCESS_ACCEPT, messages=("m" * 232, "n"), attributes=many)
        assert len(encoded(reply, self.plain)) == 15

    def test_more_attributes_than_a_packet_holds_are_no_packet(self) -> None:
        many = tuple(ReplyAttribute("Class", "x" * 253) for _ in range(16))
        assert encode(Reply(Code.ACCESS_ACCEPT, attributes=many), self.plain, SmallDictionary()) is None

    def test_a_bare_reply_fits_beside_all_the_proxy_state_a_request_can_bring(self) -> None:
        octets = request([(33, bytes(253))] * 15 + [(33, bytes(231))], code=12)
        assert len(octets) == 4096
        assert len(encoded(Reply(Code.ACCESS_ACCEPT), decoded(octets))) == 16

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Class", "x" * 254),
            ("State", "s"),
            ("Proxy-State", "p"),
            ("EAP-Message", "e"),
            ("EAP-Key-Name", "k"),
        ],
        ids=str,
    )
    def test_an_attribute_that_cannot_go_is_an_error(self, name: str, value: str) -> None:
        with pytest.raises(ValueError, match="attribute"):
            encode(
                Reply(Code.ACCESS_ACCEPT, attributes=(ReplyAttribute(name, value),)),
                self.plain,
                SmallDictionary(),
            )


@given(st.text(max_size=700))
@example("ü" * 300)
@example("a" + "€" * 300)
@example("日本語" * 100)
@example("😀" * 200)
def test_text_is_split_between_code_points(text: str) -> None:
    """RFC 2865 §5, RFC 3629 §3: each piece is text itself, and none is shorter than it must be."""
    pieces = list(split_text(text))
    assert "".join(piece.decode() for piece in pieces) == text
    assert all(1 <= len(piece) <= 253 for piece in pieces)
    assert all(len(piece) > 249 for piece in pieces[:-1])


def test_what_is_no_text_does_not_break_the_reply() -> None:
    assert list(split_text("a\ud800b")) == [b"a?b"]


# --- held to pyrad, and to an oracle of its own -------------------------------------------------

_values = st.binary(max_size=60)
_numbers = st.integers(1, 255).filter(lambda number: number not in {2, 3, 79, 80})
_attributes = st.lists(st.tuples(_numbers, _values), max_size=12)
_salts = st.binary(min_size=16, max_size=16)


@given(_attributes, _salts, st.integers(0, 255), st.text(max_size=30), st.binary(min_size=1, max_size=80))
def test_decodes_what_pyrad_encodes(
    attributes: Attributes, salt: bytes, identifier: int, password: str, secret: bytes
) -> None:
    theirs = AuthPacket(id=identifier, secret=secret, authenticator=salt, message_authenticator=True)
    theirs[2] = [theirs.PwCrypt(password)]
    for number, value in attributes:
        theirs.setdefault(number, []).append(value)
    packet = read(theirs.RequestPacket(), make_client("require", secrets=(secret,)))
    assert isinstance(packet, Packet)
    assert (packet.identifier, packet.authenticator) == (identifier, salt)
    assert packet.request.password == password.encode().rstrip(b"\x00")
    # pyrad groups them by number
    numbers = list(dict.fromkeys(number for number, _ in attributes))
    assert packet.request.attributes == tuple(sorted(attributes, key=lambda each: numbers.index(each[0])))
    for number in range(256):
        values = tuple(value for each, value in attributes if each == number)
        assert packet.request.all(number) == values
        assert packet.request.first(number) == (values[0] if values else None)


@given(
    st.sampled_from([Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE]),
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), max_size=4),
    st.none() | st.binary(max_size=253),
    st.lists(st.text("abcdef", max_size=60), max_size=3),
    st.lists(st.binary(max_size=253), max_size=4),
    _salts,
    st.binary(min_size=1, max_size=80),
)
def test_encodes_octet_for_octet_what_pyrad_does(
    code: Code,
    messages: list[str],
    state: bytes | None,
    classes: list[str],
    proxy: list[bytes],
    salt: bytes,
    secret: bytes,
) -> None:
    octets = login(b"sesame", *((33, value) for value in proxy), salt=salt, sign=secret, secret=secret)
    packet = read(octets, make_client(secrets=(secret,)))
    assert isinstance(packet, Packet)
    theirs = AuthPacket(packet=octets, secret=secret).CreateReply()
    theirs.code = int(code)
    theirs.pop(33, None)
    values: list[tuple[int, list[bytes]]] = [
        (18, [text.encode() for text in messages]),
        (24, [] if state is None else [state]),
        (25, [text.encode() for text in classes]),
        (33, proxy),
    ]
    for number, octets_of in values:
        theirs[number] = octets_of
    reply = Reply(code, state, tuple(messages), tuple(ReplyAttribute("Class", text) for text in classes))
    assert encode(reply, packet, SmallDictionary()) == theirs.ReplyPacket()


def must_be_silent(octets: bytes, rule: Rule, known: bool, secret: bytes = SECRET) -> bool:
    """The rules once more, in one breath and another manner."""
    if len(octets) < 20 or octets[0] not in (1, 12):
        return True
    length = octets[2] * 256 + octets[3]
    if length < 20 or length > 4096 or length > len(octets):
        return True
    rest, found = octets[20:length], []
    while rest:
        if len(rest) < 2 or rest[0] == 0 or rest[1] < 2 or rest[1] > len(rest):
            return True
        found.append((rest[0], length - len(rest) + 2, rest[2 : rest[1]]))
        rest = rest[rest[1] :]
    kinds = [kind for kind, _, _ in found]
    if len(found) > 200 or (79 in kinds and (2 in kinds or 3 in kinds)):
        return True
    if kinds.count(80) == 1:
        ((at, made),) = [(at, made) for kind, at, made in found if kind == 80]
        blank = octets[:at] + bytes(16) + octets[at + 16 : length]
        return len(made) != 16 or hmac.new(secret, blank, hashlib.md5).digest() != made
    ms_chap = any(kind == 26 and value[:5].hex() in ("0000013701", "0000013719") for kind, _, value in found)
    return (
        80 in kinds
        or rule == "require"
        or (rule == "auto" and known)
        or octets[0] == 12
        or (33 in kinds and rule != "optional")
        or 79 in kinds
        or not (ms_chap or {2, 3, 70, 103} & set(kinds))
    )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid packet, or one with a few octets or attributes changed, put in or taken out."""
    kinds = st.sampled_from([1, 2, 3, 24, 26, 33, 55, 70, 79, 80, 103])
    attributes = draw(st.lists(st.tuples(kinds, st.binary(max_size=34)), max_size=6))
    sign = draw(st.sampled_from([SECRET, SECRET, None, RADSEC]))
    code = draw(st.sampled_from([1, 1, 1, 12, 4]))
    octets = bytearray(request(attributes, code=code, sign=sign))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.sampled_from(["set", "cut", "insert", "pad"])):
            case "set" if at < len(octets):
                octets[at] = draw(st.integers(0, 255))
            case "cut":
                del octets[at : at + draw(st.integers(1, 20))]
            case "insert":
                octets[at:at] = draw(st.binary(min_size=1, max_size=20))
            case _:
                octets += draw(st.binary(max_size=20))
    if draw(st.booleans()):
        octets[2:4] = len(octets).to_bytes(2, "big")
    return bytes(octets)


@given(mutated())
def test_what_is_said_of_a_login_is_what_its_attributes_say(octets: bytes) -> None:
    """So that a request which another worker hands over, as attributes, is the same login as the packet."""
    packet = read(octets, make_client("off"))
    if isinstance(packet, Packet):
        client = make_client().nas
        given = AccessRequest(client, packet.request.attributes, packet.request.password, "192.0.2.1:1024", 0.0)
        assert packet.request.said == given.said


@given(mutated() | st.binary(max_size=120), st.sampled_from(RULES), st.booleans())
def test_what_must_be_discarded_is_and_nothing_else(octets: bytes, rule: Rule, known: bool) -> None:
    found = read(octets, make_client(rule), known_to_sign=known)
    assert isinstance(found, DiscardReason) == must_be_silent(octets, rule, known)


def test_the_mutations_are_not_all_silence() -> None:
    """The oracle above has both things to say."""
    assert not must_be_silent(login(), "require", True)
    assert must_be_silent(assemble(tlv(1, b"alice"), salt=SALT), "off", False)
