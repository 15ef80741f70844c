"""What a State holds, and when it may be honoured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.challenge import (
    LONGEST,
    Content,
    client_digest,
    name_digest,
    pack,
    primary_language,
    refusal,
    unpack,
)
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome

CONTENT = Content(
    login=bytes(range(16)),
    expires=1_700_000_000.123,
    round=1,
    factors=frozenset({FactorKind.TOTP}),
    client=client_digest("vpn"),
    name=name_digest(b"alice"),
    user_id="u-alice",
    policy="vpn",
    language="ja",
)


def text(octets: int) -> st.SearchStrategy[str]:
    """Text of at most so many octets of UTF-8."""
    return st.text(max_size=octets).filter(lambda each: len(each.encode()) <= octets)


contents = st.builds(
    Content,
    login=st.binary(min_size=16, max_size=16),
    expires=st.integers(0, 2**48 - 1).map(lambda milliseconds: milliseconds / 1000),
    round=st.integers(0, 255),
    factors=st.frozensets(st.sampled_from(FactorKind)),
    client=st.binary(min_size=12, max_size=12),
    name=st.binary(min_size=12, max_size=12),
    user_id=text(64),
    policy=text(64),
    language=st.from_regex(r"([a-z]{2,8})?", fullmatch=True),
    values=st.lists(st.tuples(text(20), st.text(max_size=300)), max_size=4).map(tuple),
    mails=st.integers(0, 3),
)


@given(contents)
def test_a_content_comes_back_as_it_was_and_fits_a_state(content: Content) -> None:
    """RFC 2865 §5.24: a State has at most 253 octets."""
    packed = pack(content)
    again = unpack(packed)

    assert len(packed) <= LONGEST
    assert again in (content, replace(content, values=()))


def test_values_that_fit_travel_with_the_state() -> None:
    content = replace(CONTENT, values=(("department", "physics"), ("vlan", "12")))

    assert unpack(pack(content)) == content


@pytest.mark.parametrize(
    "value", ["x" * 256, "x" * 200], ids=["longer than a length octet", "longer than the room left"]
)
def test_values_that_do_not_fit_are_left_out_and_looked_up_again(value: str) -> None:
    content = replace(CONTENT, values=(("department", value),))

    assert unpack(pack(content)) == replace(content, values=())


@given(st.binary(max_size=LONGEST))
def test_no_octets_are_too_odd_to_be_refused(octets: bytes) -> None:
    content = unpack(octets)

    assert content is None or octets[0] == 1


@given(contents, st.data())
def test_a_cut_state_is_nothing_or_what_is_left_of_its_values(content: Content, data: st.DataObject) -> None:
    packed = pack(content)
    cut = unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])

    assert cut is None or (cut.user_id, cut.policy, cut.language) == (
        content.user_id,
        content.policy,
        content.language,
    )


@given(contents, st.binary(min_size=1, max_size=20))
def test_octets_after_the_content_never_raise(content: Content, more: bytes) -> None:
    unpack(pack(content) + more)


def test_texts_that_are_no_utf_8_are_no_content() -> None:
    packed = pack(replace(CONTENT, user_id="ab"))

    assert unpack(packed.replace(b"\x02ab", b"\x02\xff\xff")) is None


def test_a_text_that_is_not_all_there_is_no_content() -> None:
    assert unpack(pack(CONTENT)[:-1]) is None


def test_another_kind_of_content_is_not_a_logins() -> None:
    assert unpack(b"\x02" + pack(CONTENT)[1:]) is None


def test_a_state_is_good_for_its_client_its_name_and_its_time() -> None:
    """RFC 2865 §5.24: the NAS sends it back unmodified, to the one who issued it."""
    now = CONTENT.expires - 1

    assert refusal(CONTENT, "vpn", b"alice", now) is None
    assert refusal(CONTENT, "vpn", b"alice", now + 0.9) is None
    assert refusal(CONTENT, "vpn", b"alice", now + 1) is Outcome.STATE_EXPIRED
    assert refusal(CONTENT, "wifi", b"alice", now) is Outcome.STATE_OF_ANOTHER_CLIENT
    assert refusal(CONTENT, "vpn", b"bob", now) is Outcome.STATE_OF_ANOTHER_USER


@pytest.mark.parametrize("name", [b"Alice", b"alice ", b"", b"ALICE", "ａｌｉｃｅ".encode()])
def test_a_name_that_only_looks_alike_is_another(name: bytes) -> None:
    assert refusal(CONTENT, "vpn", name, CONTENT.expires - 1) is Outcome.STATE_OF_ANOTHER_USER


def test_a_clients_name_is_not_a_users() -> None:
    assert client_digest("alice") != name_digest(b"alice")


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("ja", "ja"),
        ("ja-JP", "ja"),
        ("JA_jp", "ja"),
        ("ja-JP;q=1, en;q=0.5", "ja"),
        (" en-GB", "en"),
        ("", ""),
        ("*", ""),
        ("j", ""),
        ("123", ""),
        ("abcdefghijkl", ""),
    ],
)
def test_a_language_loses_region_and_quality(tag: str, language: str) -> None:
    """RFC 2798 §2.7: preferredLanguage is an Accept-Language value."""
    assert primary_language(tag) == language
