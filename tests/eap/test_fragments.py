"""TLS messages in pieces (RFC 5216 §2.1.5, §3.1; RFC 5281 §9.2)."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.eap.fragments import (
    ACKNOWLEDGEMENT,
    LONGEST_MESSAGE,
    START,
    Fragment,
    FragmentsError,
    Message,
    pieces,
    read_fragment,
)

L, M = 0x80, 0x40


def fragment(data: bytes, *, more: bool = False, total: int | None = None) -> Fragment:
    return Fragment(0, total, more, data)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"\0", Fragment(0, None, False, b"")),
        (b"\0abc", Fragment(0, None, False, b"abc")),
        (bytes((M,)) + b"abc", Fragment(0, None, True, b"abc")),
        (bytes((L | M,)) + b"\0\0\1\0abc", Fragment(0, 256, True, b"abc")),
        (bytes((L,)) + b"\xff\xff\xff\xff", Fragment(0, 2**32 - 1, False, b"")),
        (b"\x02abc", Fragment(2, None, False, b"abc")),
        (b"\x18abc", Fragment(0, None, False, b"abc")),  # reserved bits: to be ignored
    ],
)
def test_a_piece_is_read(data: bytes, wanted: Fragment) -> None:
    """RFC 5281 §9.1, RFC 5216 §3.1."""
    assert read_fragment(data) == wanted


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no flags"),
        (bytes((L,)), "a length that is cut"),
        (bytes((L,)) + b"\0\0\0", "a length that is cut"),
        (bytes((START,)), "a supplicant does not start"),
    ],
)
def test_what_is_no_piece_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(FragmentsError, match=words):
        read_fragment(data)


@given(st.binary(max_size=40))
def test_any_octets_are_a_piece_or_refused(data: bytes) -> None:
    with suppress(FragmentsError):
        piece = read_fragment(data)
        assert data.endswith(piece.data)
        assert piece.version == data[0] & 7


def added(*fragments: Fragment) -> list[bytes | None]:
    message = Message()
    return [message.add(each) for each in fragments]


def test_pieces_make_a_message_and_then_another() -> None:
    whole = added(
        fragment(b"ab", more=True, total=5),
        fragment(b"cd", more=True, total=5),  # said again, and the same
        fragment(b"e"),
        fragment(b"f"),
        fragment(b""),
        fragment(b"gh", total=2),
        fragment(b"i", more=True),  # without a length, which RFC 5216 §2.1.5 asks for: it is not needed
        fragment(b"j"),
    )

    assert whole == [None, None, b"abcde", b"f", b"", b"gh", None, b"ij"]


@pytest.mark.parametrize(
    ("fragments", "words"),
    [
        ([fragment(b"a", more=True, total=5), fragment(b"b", total=6)], "two lengths"),
        ([fragment(b"a", more=True), fragment(b"b", total=2)], "a length in the middle"),
        ([fragment(b"", more=True)], "a piece of nothing"),
        ([fragment(b"", more=True, total=5)], "a piece of nothing"),
        ([fragment(b"a", more=True, total=3), fragment(b"", more=True)], "a piece of nothing"),
        ([fragment(b"abc", total=2)], "more octets than were announced"),
        ([fragment(b"ab", more=True, total=3), fragment(b"cd", more=True)], "more octets than were announced"),
        ([fragment(b"abc", total=0)], "more octets than were announced"),
        ([fragment(b"ab", total=3)], "fewer octets than were announced"),
        ([fragment(b"ab", more=True, total=3), fragment(b"")], "fewer octets than were announced"),
        ([fragment(b"a", more=True, total=2**32 - 1)], "a message of more than"),
        ([fragment(b"a", more=True, total=LONGEST_MESSAGE + 1)], "a message of more than"),
        ([fragment(bytes(LONGEST_MESSAGE), more=True), fragment(b"a")], "a message of more than"),
    ],
)
def test_pieces_that_make_no_message_are_refused(fragments: list[Fragment], words: str) -> None:
    with pytest.raises(FragmentsError, match=words):
        added(*fragments)


def test_the_longest_message_is_taken() -> None:
    """A TLS record (RFC 8446 §5.1) with what is around it."""
    piece = bytes(LONGEST_MESSAGE - 1)

    whole = added(fragment(piece, more=True, total=LONGEST_MESSAGE), fragment(b"a"))
    assert whole == [None, piece + b"a"]


_totals = st.none() | st.integers(0, 40) | st.sampled_from([LONGEST_MESSAGE, 2**32 - 1])
_fragments = st.builds(Fragment, st.just(0), _totals, st.booleans(), st.binary(max_size=20))


@given(st.lists(_fragments, max_size=12))
def test_any_pieces_make_what_they_carry_or_are_refused(fragments: list[Fragment]) -> None:
    message, carried = Message(), b""
    with suppress(FragmentsError):
        for each in fragments:
            carried += each.data
            whole = message.add(each)
            assert (whole is None) is each.more
            assert message.has_begun is bool(carried and each.more)
            if whole is not None:
                assert whole == carried
                carried = b""


def test_a_supplicant_that_never_ends_a_message_takes_no_more_memory_than_the_longest_has() -> None:
    message, piece = Message(), fragment(bytes(4000), more=True)
    tracemalloc.start()
    try:
        with suppress(FragmentsError):
            for _ in range(1000):
                message.add(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * LONGEST_MESSAGE


@given(st.binary(max_size=3000), st.integers(6, 1400))
def test_what_is_cut_is_put_together_again(message: bytes, room: int) -> None:
    together, sent = Message(), [*pieces(message, room)]

    *others, last = (together.add(read_fragment(each)) for each in sent)
    assert set(others) <= {None}
    assert last == message
    assert max(map(len, sent)) <= room


@given(st.integers(6, 60), st.integers(0, 200))
def test_only_the_first_of_several_pieces_says_how_long_the_message_is(room: int, length: int) -> None:
    """RFC 5216 §2.1.5: the first of several has L and M; all but the last have M."""
    flags = [each[0] for each in pieces(bytes(length), room)]

    if len(flags) == 1:
        assert flags == [0]
    else:
        assert flags == [L | M, *(M for _ in flags[2:]), 0]


def test_an_acknowledgement_is_a_piece_of_nothing() -> None:
    """RFC 5216 §2.1.5."""
    assert [*pieces(b"", 100)] == [ACKNOWLEDGEMENT]
    assert added(read_fragment(ACKNOWLEDGEMENT)) == [b""]
