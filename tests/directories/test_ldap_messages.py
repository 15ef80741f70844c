"""What is sent, held against ldap3's and pyasn1's own reading; what is received, and everything that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ldap3 import DEREF_NEVER, SUBTREE
from ldap3.operation import search
from ldap3.protocol.rfc4511 import (
    AuthenticationChoice,
    BindRequest,
    Controls,
    LDAPMessage,
    MessageID,
    ProtocolOp,
    Simple,
    Version,
)
from ldap3.utils.asn1 import customTagMap, customTypeMap
from pyasn1.codec.ber import decoder
from pyasn1.codec.ber.encoder import Encoder
from pyasn1.type.tag import Tag, tagClassContext, tagFormatConstructed

from radius_mfa.directories.ldap_ber import MalformedError
from radius_mfa.directories.ldap_messages import (
    HOLE,
    LARGEST,
    LAST_ID,
    POLICY_WANTED,
    Entry,
    Result,
    Search,
    bind_message,
    message,
    number_of_first,
    read,
    size_of_first,
    unbind,
)
from tests.directories import support
from tests.directories.support import (
    BIND_RESPONSE,
    DONE,
    ENTRY,
    EXTENDED,
    REFERENCE,
    entry,
    has_successful_bind,
    result,
    tlv,
)

decode: Callable[..., tuple[Any, bytes]] = decoder.decode
encode: Callable[[object], bytes] = Encoder(customTagMap, customTypeMap)
search_operation: Callable[..., object] = search.search_operation
as_search: Callable[[Any], dict[str, Any]] = search.search_request_to_dict

OF_CONTROLS = Tag(tagClassContext, tagFormatConstructed, 0)  # RFC 4511 §4.1.1

UNHURRIED = settings(deadline=None)  # a machine may be busy with other things
NUMBERS = st.integers(1, LAST_ID)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def foreign_reading(octets: bytes, operation: str) -> tuple[int, Any]:
    """A message as pyasn1 reads it, by ldap3's description of LDAP."""
    decoded, rest = decode(octets, asn1Spec=LDAPMessage())
    assert not rest
    assert decoded["protocolOp"].getName() == operation
    return int(decoded["messageID"]), decoded["protocolOp"][operation]


# --- what is sent ---------------------------------------------------------------------------------


@UNHURRIED
@given(NAMES)
@example(HOLE)
@example("n" * 300)
@example("*)(uid=*")
def test_a_search_is_what_ldap3_makes_of_the_escaped_name(name: str) -> None:
    """RFC 4511 §4.5.1, RFC 4515 §3: a name in a hole needs no escaping."""
    written = f"(&(|(uid={HOLE})(mail=a{HOLE}*b)(cn~={HOLE}))(!(uid:dn:2.5.13.2:={HOLE}))(ou=x))"
    escaped = "".join(f"\\{octet:02x}" for octet in name.encode())
    asked = ("dc=example", written.replace(HOLE, escaped), SUBTREE, DEREF_NEVER, ["cn", "memberOf"], 2, 0)

    filled = Search("dc=example", written, ["cn", "memberOf"]).request(name.encode())

    assert filled == encode(search_operation(*asked, False, False, False))


COMPARED = [
    "(uid={})",
    "(cn~={})",
    "(age>={})",
    "(age<={})",
    "(mail=a{}*b)",
    "(mail=*{}*)",
    "(uid:dn:2.5.13.2:={})",
]
COMPARISONS = st.sampled_from([each.format(what) for each in COMPARED for what in (HOLE, "x" * 130, "ü")])
FILTERS = st.recursive(
    COMPARISONS | st.just("(objectClass=*)"),
    lambda inner: st.one_of(
        inner.map("(!{})".format),
        st.lists(inner, min_size=1, max_size=4).map(lambda each: f"(&{''.join(each)})"),
        st.lists(inner, min_size=1, max_size=4).map(lambda each: f"(|{''.join(each)})"),
    ),
    max_leaves=8,
)
ATTRIBUTES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,40}", fullmatch=True), max_size=8)


@settings(UNHURRIED, max_examples=60)  # ldap3 takes its time
@given(
    FILTERS,
    st.lists(NAMES.filter(bool), min_size=1, max_size=4),
    ATTRIBUTES,
    st.sampled_from(["", "dc=example", "ou=ü," * 50]),
)
def test_any_search_for_any_name_is_octet_by_octet_what_ldap3_makes(
    written: str, names: list[str], attributes: list[str], base: str
) -> None:
    """RFC 4511 §4.5.1: also for a second name of the same length, and for names of which nothing is kept."""
    search_ = Search(base, written, attributes, 7)

    for name in names + [each[::-1] for each in names]:
        escaped = "".join(f"\\{octet:02x}" for octet in name.encode())
        asked = (base, written.replace(HOLE, escaped), SUBTREE, DEREF_NEVER, attributes, 7, 0)
        assert search_.request(name.encode()) == encode(search_operation(*asked, False, False, False))


def test_a_search_asks_for_no_more_than_it_needs() -> None:
    by_name = Search("ou=people,dc=example", f"(uid={HOLE})", ["cn", "memberOf"])

    _, request = foreign_reading(message(1, by_name.request(b"u1")), "searchRequest")

    assert as_search(request) == {
        "base": "ou=people,dc=example",
        "scope": 2,
        "dereferenceAlias": 0,
        "sizeLimit": 2,
        "timeLimit": 0,
        "typesOnly": False,
        "filter": "(uid=u1)",
        "attributes": ["cn", "memberOf"],
    }


def test_true_is_all_ones() -> None:
    """RFC 4511 §5.1."""
    assert b"\x84\x01\xff" in Search("", f"(uid:dn:={HOLE})", []).request(b"u1")


@pytest.mark.parametrize("written", ["", "uid=x", "(uid=x", "(&(uid=x)(x))", "(uid=x)(uid=y)"])
def test_what_is_no_filter_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Search("dc=example", written, [])


@UNHURRIED
@given(NUMBERS, NAMES.filter(bool), st.binary(min_size=1, max_size=300))
def test_a_bind_has_name_and_password_to_the_octet(number: int, dn: str, password: bytes) -> None:
    """RFC 4511 §4.2."""
    found_number, request = foreign_reading(bind_message(number, dn, password), "bindRequest")

    assert found_number == number
    assert bytes(request["authentication"]["simple"]) == password
    assert bytes(request["name"]) == dn.encode()
    assert int(request["version"]) == 3


def foreign_message(number: int, kind: str, request: object, controls: bytes) -> bytes:
    """A message as pyasn1 writes it, by ldap3's description of LDAP."""
    whole = LDAPMessage()
    whole["messageID"] = MessageID(number)
    whole["protocolOp"] = ProtocolOp().setComponentByName(kind, request)
    if controls:
        described: Any = Controls()
        whole["controls"] = decode(controls, asn1Spec=described.subtype(implicitTag=OF_CONTROLS))[0]
    return encode(whole)


@UNHURRIED
@given(NUMBERS, NAMES.filter(bool), st.binary(min_size=1, max_size=300), st.sampled_from([b"", POLICY_WANTED]))
@example(127, "n" * 60, b"p" * 55, b"")
@example(128, "n" * 60, b"p" * 55, b"")
@example(127, "n" * 60, b"p" * 56, b"")
@example(127, "n" * 40, b"p" * 38, POLICY_WANTED)
@example(127, "n" * 40, b"p" * 39, POLICY_WANTED)
@example(127, "n" * 60, b"p" * 60, b"")
@example(127, "n" * 60, b"p" * 61, b"")
@example(127, "n" * 127, b"p" * 128, b"")
@example(128, "n" * 128, b"p" * 127, POLICY_WANTED)
@example(32768, "n" * 65536, b"p" * 256, POLICY_WANTED)
def test_a_bind_is_octet_by_octet_what_ldap3_makes(number: int, dn: str, password: bytes, controls: bytes) -> None:
    """RFC 4511 §4.1.1, §4.2."""
    bind = BindRequest()
    bind["version"] = Version(3)
    bind["name"] = dn.encode()
    bind["authentication"] = AuthenticationChoice().setComponentByName("simple", Simple(password))

    written = bind_message(number, dn, password, controls)

    assert written == foreign_message(number, "bindRequest", bind, controls)


@UNHURRIED
@given(NUMBERS, NAMES)
def test_a_search_under_its_number_is_octet_by_octet_what_ldap3_makes(number: int, name: str) -> None:
    """RFC 4511 §4.1.1."""
    escaped = "".join(f"\\{octet:02x}" for octet in name.encode())
    asked = ("dc=example", f"(uid={escaped})", SUBTREE, DEREF_NEVER, ["cn"], 2, 0, False, False, False)

    written = message(number, Search("dc=example", f"(uid={HOLE})", ["cn"]).request(name.encode()))

    assert written == foreign_message(number, "searchRequest", search_operation(*asked), b"")


@pytest.mark.parametrize(("dn", "password"), [("", b"secret"), ("uid=alice", b""), ("", b"")])
def test_nobody_is_ever_bound_as(dn: str, password: bytes) -> None:
    """RFC 4513 §5.1.1, §5.1.2."""
    with pytest.raises(ValueError, match="a bind wants a name and a password"):
        bind_message(1, dn, password)


def test_unbind() -> None:
    """RFC 4511 §4.3."""
    assert foreign_reading(unbind(300), "unbindRequest")[0] == 300


# --- what is received -----------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [BIND_RESPONSE, DONE, EXTENDED])
def test_a_result(operation: int) -> None:
    got = read(result(70000, operation, 49, b"no\r\n such \x1b[2J \xff"))

    assert (got.id, got.operation, got.content) == (70000, operation, Result(49, "no such ?[2J \ufffd"))
    assert str(got.content) == "invalidCredentials (49): no such ?[2J \ufffd"
    assert str(Result(4242)) == "result code (4242)"


def test_what_a_server_says_is_kept_short() -> None:
    got = read(result(1, BIND_RESPONSE, 1, b"x" * 5000))

    assert isinstance(got.content, Result)
    assert len(got.content.text) < 200


def test_trailing_parts_of_a_result_are_passed_over() -> None:
    """Referrals, SASL credentials, controls, and what later versions may add (RFC 4511 §4)."""
    inner = tlv(0x0A, b"\x0a"), tlv(0x04), tlv(0x04), tlv(0xA3, tlv(0x04, b"ldap://x")), tlv(0x87, b"x"), tlv(0x99)
    octets = tlv(0x30, tlv(0x02, b"\x01"), tlv(BIND_RESPONSE, *inner), tlv(0xA0, tlv(0x30, tlv(0x04, b"1.2"))))

    assert read(octets).content == Result(10)


def test_an_entry() -> None:
    got = read(entry(5, "uid=ü,dc=example", entryUUID=b"1-2", CN=b"\xff"))

    assert got.content == Entry("uid=ü,dc=example", {"entryuuid": (b"1-2",), "cn": (b"\xff",)})


def test_a_reference_is_nothing_to_us() -> None:
    got = read(support.message(5, REFERENCE, tlv(0x04, b"ldap://elsewhere/")))

    assert (got.operation, got.content) == (REFERENCE, None)


RESULT, DN, TEXT = tlv(0x0A, b"\0"), tlv(0x04), tlv(0x04)
NUMBER = tlv(0x02, b"\x01")
BIND = tlv(BIND_RESPONSE, RESULT, DN, TEXT)


def of_bind(*content: bytes) -> bytes:
    return tlv(0x30, NUMBER, tlv(BIND_RESPONSE, *content))


def of_attribute(*content: bytes) -> bytes:
    return tlv(0x30, NUMBER, tlv(ENTRY, DN, tlv(0x30, *content)))


MALFORMED = {
    "nothing": b"",
    "empty": tlv(0x30),
    "no operation": tlv(0x30, NUMBER),
    "a set": tlv(0x31, NUMBER, BIND),
    "number of no octets": tlv(0x30, tlv(0x02), BIND),
    "number of five octets": tlv(0x30, tlv(0x02, bytes(5)), BIND),
    "an ENUMERATED for a number": tlv(0x30, tlv(0x0A, b"\x01"), BIND),
    "operation not constructed": tlv(0x30, NUMBER, tlv(0x41, RESULT, DN, TEXT)),
    "result of no octets": of_bind(tlv(0x0A), DN, TEXT),
    "result of five octets": of_bind(tlv(0x0A, bytes(5)), DN, TEXT),
    "an INTEGER for a result": of_bind(tlv(0x02, b"\0"), DN, TEXT),
    "result only": of_bind(RESULT),
    "no result": of_bind(DN, TEXT),
    "constructed octets": of_bind(RESULT, tlv(0x24), TEXT),
    "overrun": of_bind(b"\x0a\x7f\0", DN, TEXT),
    "something after it": of_bind(RESULT, DN, TEXT) + b"\0",
    "cut off": of_bind(RESULT, DN, TEXT)[:-1],
    "indefinite length": b"\x30\x80" + NUMBER + BIND + b"\0\0",
    "length of five octets": b"\x30\x85\0\0\0\0\x0c" + NUMBER + BIND,
    "entry without attributes": tlv(0x30, NUMBER, tlv(ENTRY, DN)),
    "DN that is no UTF-8": tlv(0x30, NUMBER, tlv(ENTRY, tlv(0x04, b"\xff"), tlv(0x30))),
    "attribute that is no pair": of_attribute(tlv(0x04)),
    "description that is no UTF-8": of_attribute(tlv(0x30, tlv(0x04, b"\xff"), tlv(0x31))),
    "value that is no octets": of_attribute(tlv(0x30, tlv(0x04), tlv(0x31, tlv(0x02)))),
}


def test_values_as_text() -> None:
    found = Entry("uid=alice", {"cn": (b"Alice", b"Al"), "objectguid": (b"\xff\0",), "sn": ()})

    assert [found.texts(name) for name in ("cn", "objectguid", "sn", "mail")] == [
        ("Alice", "Al"),
        ("ff00",),
        (),
        (),
    ]


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_message_is_malformed(octets: bytes) -> None:
    with pytest.raises(MalformedError):
        read(octets)


def test_no_depth_exhausts_the_stack() -> None:
    octets = b""
    for _ in range(3000):
        octets = tlv(0x30, octets)

    with pytest.raises(MalformedError, match="nested too deeply"):
        read(octets)


def test_the_size_is_told_as_soon_as_it_can_be() -> None:
    octets = tlv(0x30, bytes(300))

    assert [size_of_first(octets[:count]) for count in range(8)] == [None] * 6 + [306] * 2
    assert size_of_first(tlv(0x30, bytes(100))) == 102


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"H", id="HTTP"),
        pytest.param(b"\x15\x03\x01", id="TLS"),
        pytest.param(b"\x30\x80", id="indefinite"),
        pytest.param(b"\x30\x85", id="length of a length"),
        pytest.param(b"\x30\x84\xff\xff\xff\xff", id="4 GiB"),
        pytest.param(b"\x30\x84" + (LARGEST - 5).to_bytes(4, "big"), id="one octet too many"),
    ],
)
def test_what_is_too_long_or_no_ldap_is_malformed_before_it_is_waited_for(start: bytes) -> None:
    with pytest.raises(MalformedError):
        size_of_first(start)


def test_the_largest_message_has_a_size() -> None:
    assert size_of_first(b"\x30\x84" + (LARGEST - 6).to_bytes(4, "big")) == LARGEST


def test_the_number_is_told_as_soon_as_it_can_be() -> None:
    octets = result(300, DONE)

    assert [number_of_first(octets[:count]) for count in range(8)] == [None] * 6 + [300] * 2


@pytest.mark.parametrize(
    "octets", [tlv(0x30, tlv(0x04, b"a")), b"\x30\x20\x02\x05", b"\x30\x20\x02\x84\xff\xff\xff\xff"]
)
def test_what_has_no_number_is_malformed_before_it_is_waited_for(octets: bytes) -> None:
    with pytest.raises(MalformedError):
        number_of_first(octets)


ANSWERS = [
    result(7, BIND_RESPONSE, 49, b"no"),
    result(7, DONE, 32),
    entry(7, "uid=alice", entryUUID=b"1", memberOf=b"cn=staff"),
    support.message(7, EXTENDED, RESULT, DN, TEXT, tlv(0x8A, b"1.3.6.1.4.1.1466.20036")),
]


@UNHURRIED
@given(st.sampled_from(ANSWERS), st.data())
def test_a_mutated_answer_is_a_message_or_malformed_and_never_by_mistake_a_success(
    answer: bytes, data: st.DataObject
) -> None:
    octets = bytearray(answer)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        match data.draw(st.sampled_from(["change", "remove", "insert", "cut"])):
            case "change":
                octets[at] = data.draw(st.integers(0, 255))
            case "remove" if len(octets) > 1:
                del octets[at]
            case "insert":
                octets.insert(at, data.draw(st.integers(0, 255)))
            case "cut" if at:
                del octets[at:]
    try:
        size_of_first(octets)
        got = read(bytes(octets))
    except MalformedError:
        return
    if (got.id, got.operation, got.content) == (7, BIND_RESPONSE, Result(0)):
        assert has_successful_bind(octets, 7)


@UNHURRIED
@given(st.binary(max_size=200))
def test_rubbish_is_malformed(octets: bytes) -> None:
    with pytest.raises(MalformedError):
        read(b"\x30" + octets + b"\0")
