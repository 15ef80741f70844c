"""What is read quickly is what the general reader reads, and pyasn1 too; what it will not read it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap3.protocol.rfc4511 import LDAPMessage
from pyasn1.codec.ber import decoder

from radius_mfa.directories.ldap_ber import MalformedError
from radius_mfa.directories.ldap_messages import LAST_ID, LONGEST, Entry, Result, read
from radius_mfa.directories.ldap_quick import (
    _BEGINNINGS,
    _MOST_BEGINNINGS,
    BIND_SUCCESSES,
    read_found,
    read_usual,
)
from tests.directories import support
from tests.directories.support import BIND_RESPONSE, DONE, ENTRY, EXTENDED, REFERENCE, result, tlv
from tests.directories.test_ldap_messages import MALFORMED

decode: Callable[..., tuple[Any, bytes]] = decoder.decode

UNHURRIED = settings(deadline=None)  # a machine may be busy with other things
NUMBERS = st.integers(0, LAST_ID)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
DESCRIPTIONS = st.from_regex(r"[A-Za-z][A-Za-z0-9;-]{0,30}", fullmatch=True)
VALUES = st.lists(st.binary(max_size=200), max_size=4)
ATTRIBUTES = st.dictionaries(DESCRIPTIONS, VALUES, max_size=5)


def minimal(tag: int, *values: bytes) -> bytes:
    """As OpenLDAP has it: no more octets of length than are needed."""
    value = b"".join(values)
    octets = len(value).to_bytes((len(value).bit_length() + 7) // 8, "big")
    return (
        bytes((tag, len(value))) + value
        if len(value) < 0x80
        else bytes((tag, 0x80 | len(octets))) + octets + value
    )


def four(tag: int, *values: bytes) -> bytes:
    """As Active Directory has it: four octets of length, wherever something is constructed."""
    value = b"".join(values)
    return bytes((tag, 0x84)) + len(value).to_bytes(4, "big") + value if tag & 0x20 else minimal(tag, value)


WRITERS = st.sampled_from([minimal, four, tlv])


def an_entry(write: Callable[..., bytes], number: int, dn: bytes, attributes: dict[str, list[bytes]]) -> bytes:
    listed = (
        write(0x30, write(0x04, name.encode()), write(0x31, *(write(0x04, value) for value in values)))
        for name, values in attributes.items()
    )
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return write(0x30, write(0x02, octets), write(ENTRY, write(0x04, dn), write(0x30, *listed)))


def quick(octets: bytes, at: int = 0) -> tuple[int, int, object] | None:
    """What is read of the message that goes from `at` to the end."""
    usual = read_usual(octets, at)
    if usual is None:
        return None
    assert usual[3] == len(octets)
    return usual[:3]


@UNHURRIED
@given(WRITERS, NUMBERS, NAMES, ATTRIBUTES, st.binary(max_size=20))
def test_an_entry_is_read_as_by_others(
    write: Callable[..., bytes], number: int, dn: str, attributes: dict[str, list[bytes]], before: bytes
) -> None:
    """RFC 4511 §4.5.2; attribute descriptions are the same in any case (RFC 4512 §2.5)."""
    octets = an_entry(write, number, dn.encode(), attributes)
    foreign, rest = decode(octets, asn1Spec=LDAPMessage())
    assert not rest
    theirs = foreign["protocolOp"]["searchResEntry"]

    got = quick(before + octets, len(before))

    assert got == tuple(read(octets))
    assert quick(octets) == got, "once it is known how its attributes begin"
    assert got is not None
    assert got[0] == int(foreign["messageID"])
    assert got[2] == Entry(
        bytes(theirs["object"]).decode(),
        {
            bytes(each["type"]).decode().lower(): tuple(bytes(value) for value in each["vals"])
            for each in theirs["attributes"]
        },
    )


@UNHURRIED
@given(NUMBERS, st.sampled_from([BIND_RESPONSE, DONE]), st.integers(0, 127), st.binary(max_size=40))
def test_a_result_without_words_is_read_as_by_others(
    number: int, operation: int, code: int, behind: bytes
) -> None:
    """RFC 4511 §4.1.9; what comes behind it is another message."""
    octets = result(number, operation, code)

    usual = read_usual(octets + behind, 0)

    assert usual == (*read(octets), len(octets)) == (number, operation, Result(code), len(octets))


@UNHURRIED
@given(NUMBERS, st.sampled_from([BIND_RESPONSE, DONE]), st.integers(0, 127), st.binary(max_size=20))
def test_nor_does_it_matter_how_many_octets_its_length_has(
    number: int, operation: int, code: int, behind: bytes
) -> None:
    """X.690 §8.1.3.5; Active Directory writes four."""
    octets = result(number, operation, code)
    for longer in (b"\x81", b"\x82\0", b"\x84\0\0\0"):
        written = b"\x30" + longer + octets[1:]

        assert read_usual(written + behind, 0) == (*read(written), len(written))


def test_any_number_of_kinds_of_attributes_is_read_and_few_are_learned() -> None:
    kinds = {f"{prefix}{size}": [b"v" * size] for size in range(100) for prefix in "abcdefghijklmn"}
    octets = [an_entry(minimal, 7, b"uid=alice", {name: values}) for name, values in kinds.items()]
    learned = dict(_BEGINNINGS)
    _BEGINNINGS.clear()
    try:
        for _ in range(2):
            assert [quick(each) for each in octets] == [tuple(read(each)) for each in octets]
        assert len(_BEGINNINGS) == _MOST_BEGINNINGS < len(kinds)
        assert not any(b"vv" in beginning for beginning in _BEGINNINGS), "nothing of a value"
    finally:
        _BEGINNINGS.clear()
        _BEGINNINGS.update(learned)


@pytest.mark.parametrize("write", [minimal, four])
@pytest.mark.parametrize("sizes", [[0], [127], [128], [], [1, 0], [0, 1], [3, 3]])
def test_what_was_learned_of_one_attribute_is_not_taken_for_another(
    write: Callable[..., bytes], sizes: list[int]
) -> None:
    """The same description with other values, before and after it was learned how one value is written."""
    several = an_entry(write, 7, b"uid=alice", {"cn": [b"v" * size for size in sizes], "sn": [b"x"]})
    for _ in range(2):
        for size in range(130):
            one = an_entry(minimal, 7, b"uid=alice", {"cn": [b"w" * size], "sn": []})
            assert quick(one) == tuple(read(one))
        assert quick(several) == tuple(read(several))


@pytest.mark.parametrize("missing", range(1, 12))
def test_an_attribute_that_is_cut_off_where_all_else_ends_is_not_read(missing: int) -> None:
    attribute = minimal(0x30, minimal(0x04, b"mail"), minimal(0x31, minimal(0x04, b"alice")))
    whole, cut = (
        minimal(0x30, minimal(0x02, b"\x07"), minimal(ENTRY, minimal(0x04, b"uid=alice"), minimal(0x30, listed)))
        for listed in (attribute, attribute[:-missing])
    )

    before = quick(cut)

    assert quick(whole) == tuple(read(whole))
    assert quick(cut) is before is None
    with pytest.raises(MalformedError):
        read(cut)


def with_policy(number: int, code: int, *said: bytes) -> bytes:
    """The response to a bind with a password policy control (draft-behera-ldap-password-policy-10 §6.2)."""
    control = tlv(0x30, tlv(0x04, b"1.3.6.1.4.1.42.2.27.8.5.1"), tlv(0x04, tlv(0x30, *said)))
    bound = tlv(BIND_RESPONSE, tlv(0x0A, bytes((code,))), tlv(0x04), tlv(0x04))
    return tlv(0x30, tlv(0x02, bytes((number,))), bound, tlv(0xA0, control))


@pytest.mark.parametrize("code", [0, 49, 127])
def test_a_bind_of_which_the_password_policy_says_nothing_is_read_as_one(code: int) -> None:
    octets = with_policy(7, code)

    assert quick(octets) == tuple(read(octets)) == (7, BIND_RESPONSE, Result(code))


@pytest.mark.parametrize(
    "octets",
    [
        with_policy(1, 0, tlv(0x81, b"\x02")),
        with_policy(1, 0, tlv(0xA0, tlv(0x80, b"\x09"))),
        result(1, BIND_RESPONSE, 49, b"no"),
        result(1, DONE, 0x80),
        result(1, EXTENDED),
        support.message(1, REFERENCE, tlv(0x04, b"ldap://elsewhere/")),
        tlv(0x30, tlv(0x02, b"\x01"), tlv(BIND_RESPONSE, tlv(0x0A, b"\0"), tlv(4), tlv(4)), tlv(0xA0)),
        tlv(0x30, tlv(0x02, b"\x01"), tlv(ENTRY, tlv(4), tlv(0x30)), tlv(0xA0)),
        tlv(0x30, tlv(0x02, b"\x01"), tlv(ENTRY, tlv(4), tlv(0x30)), tlv(0x30, tlv(4, b"cn"), tlv(0x31))),
        an_entry(minimal, 1, b"uid=alice", {"d" * 128: [b"v"]}),
        an_entry(minimal, 1, b"uid=alice", {"cn": [b"v" * LONGEST]}),
    ],
    ids=[
        "error",
        "warning",
        "words",
        "code",
        "extended",
        "reference",
        "control",
        "an entry's",
        "more",
        "description",
        "too long",
    ],
)
def test_what_is_not_usual_is_left_to_the_general_reader(octets: bytes) -> None:
    read(octets)

    assert read_usual(octets, 0) is None


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_left_to_it_too(octets: bytes) -> None:
    got = read_usual(octets, 0)

    assert got is None or got[3] < len(octets)  # then it is what comes behind that is malformed


def test_a_description_whose_length_has_no_known_form_is_not_read() -> None:
    """X.690 §8.1.3.6: 0x80 is the indefinite form, and no 128 octets."""
    attribute = minimal(0x30, b"\x04\x80" + b"d" * 128, minimal(0x31))
    octets = minimal(0x30, minimal(0x02, b"\x01"), minimal(ENTRY, minimal(0x04), minimal(0x30, attribute)))

    assert read_usual(octets, 0) is None
    with pytest.raises(MalformedError):
        read(octets)


@pytest.mark.parametrize("write", [minimal, four])
def test_what_is_not_there_to_its_end_is_not_read(write: Callable[..., bytes]) -> None:
    octets = an_entry(write, 7, b"uid=alice", {"uid": [], "cn": [b"a", b"b" * 9]})

    assert [read_usual(octets[:count], 0) for count in range(len(octets))] == [None] * len(octets)


ANSWERS = [
    result(7, BIND_RESPONSE, 49),
    result(70000, DONE),
    with_policy(7, 0),
    *(
        an_entry(write, 7, b"uid=alice", {"entryUUID": [b"1"], "memberOf": [b"cn=a", b"", b"g" * 90], "cn": []})
        for write in (minimal, four)
    ),
]


def agrees_with_the_general_reader(octets: bytes) -> bool:
    """Whether what is read, if anything, is what the general reader says."""
    usual = read_usual(octets, 0)
    try:
        return usual is None or usual[:3] == tuple(read(octets[: usual[3]]))
    except MalformedError:
        return False


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_octet_can_be_changed_so_that_something_else_is_read(answer: bytes) -> None:
    octets = bytearray(answer)
    for at, before in enumerate(answer):
        for octet in range(256):
            octets[at] = octet
            assert agrees_with_the_general_reader(bytes(octets)), (at, octet)
        octets[at] = before


def mutated(answer: bytes, data: st.DataObject) -> bytes:
    octets = bytearray(answer)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(octets) - 1))
        match data.draw(st.sampled_from(["change", "nudge", "remove", "insert"])):
            case "change":
                octets[at] = data.draw(st.integers(0, 255))
            case "nudge":
                octets[at] = (octets[at] + data.draw(st.sampled_from([-2, -1, 1, 2, 0x80]))) % 256
            case "remove" if len(octets) > 1:
                del octets[at]
            case "insert":
                octets.insert(at, data.draw(st.integers(0, 255)))
    return bytes(octets)


@settings(UNHURRIED, max_examples=500)
@given(st.sampled_from(ANSWERS), st.data())
def test_of_a_mutated_answer_nothing_is_read_that_the_general_reader_does_not_read(
    answer: bytes, data: st.DataObject
) -> None:
    assert agrees_with_the_general_reader(mutated(answer, data))


@UNHURRIED
@given(st.binary(max_size=60))
def test_no_octets_are_read_as_what_they_are_not(content: bytes) -> None:
    octets = tlv(0x30, tlv(0x02, b"\x01"), tlv(ENTRY, content))
    got = quick(octets)
    try:
        general = tuple(read(octets))
    except MalformedError:
        general = None
    assert got in (None, general)


# --- an entry and its end --------------------------------------------------------------------------


def general(octets: bytes, at: int = 0) -> tuple[int, object, int] | None:
    """What two messages from `at` on are, if that is one entry and that there is no other, for the same search."""
    usual = read_usual(octets, at)
    ended = usual and read_usual(octets, usual[3])
    if not usual or not ended or usual[1] != ENTRY or ended[:3] != (usual[0], DONE, Result(0)):
        return None
    return usual[0], usual[2], ended[3]


SIZES = st.sampled_from([0, 1, 9, 60, 100, 127, 128, 200, 255, 256, 1000, 65400, 65536])


@UNHURRIED
@given(NUMBERS, NAMES, ATTRIBUTES, SIZES, st.binary(max_size=20), st.binary(max_size=20))
def test_an_entry_with_its_end_is_what_the_two_are_one_by_one(
    number: int, dn: str, attributes: dict[str, list[bytes]], size: int, before: bytes, behind: bytes
) -> None:
    entry = an_entry(minimal, number, dn.encode(), {**attributes, "filled": [b"v" * size]})
    octets = entry + result(number, DONE)

    got = read_found(before + octets + behind, len(before))

    assert got in (None, general(before + octets + behind, len(before)))
    assert (got is not None) == (0x80 <= int(entry[1]) <= 0x82 and len(dn.encode()) < 0x80)


@pytest.mark.parametrize(
    "octets",
    [
        result(7, DONE),
        result(7, DONE, 4),
        result(8, DONE),
        result(7, BIND_RESPONSE),
        an_entry(minimal, 7, b"uid=bob", {}) + result(7, DONE),
        b"",
    ],
)
def test_an_entry_without_its_end_behind_it_is_read_alone(octets: bytes) -> None:
    entry = an_entry(minimal, 7, b"uid=alice", {"cn": [b"v" * 120]})

    got = read_found(entry + octets, 0)

    assert got == general(entry + octets)
    assert (got is not None) == (octets == result(7, DONE))


FOUND = [
    an_entry(minimal, number, b"uid=alice", {"cn": [b"v" * size], "memberOf": [b"cn=a", b"", b"g" * 90]})
    + result(number, DONE)
    for number, size in ((7, 9), (70000, 90), (300, 300))
]


@pytest.mark.parametrize("answer", FOUND)
def test_no_octet_of_an_entry_with_its_end_can_be_changed_so_that_something_else_is_read(answer: bytes) -> None:
    octets = bytearray(answer)
    for at, before in enumerate(answer):
        for octet in range(256):
            octets[at] = octet
            assert read_found(bytes(octets), 0) in (None, general(bytes(octets))), (at, octet)
        octets[at] = before
    assert read_found(answer, 0) is not None


@pytest.mark.parametrize("answer", FOUND)
def test_an_entry_with_its_end_is_not_read_while_some_of_it_is_missing(answer: bytes) -> None:
    assert [read_found(answer[:count], 0) for count in range(len(answer))] == [None] * len(answer)


@settings(UNHURRIED, max_examples=500)
@given(st.sampled_from(FOUND), st.data())
def test_of_a_mutated_entry_with_its_end_nothing_is_read_that_the_two_are_not(
    answer: bytes, data: st.DataObject
) -> None:
    octets = mutated(answer, data)

    assert read_found(octets, 0) in (None, general(octets))


def test_the_success_of_a_bind_is_known_by_its_number() -> None:
    """RFC 4511 §4.2.2; a number is of a request, and 0 of none (§4.1.1.1)."""
    assert BIND_SUCCESSES[0] == b""
    assert BIND_SUCCESSES[1:] == tuple(result(number, BIND_RESPONSE) for number in range(1, 128))
