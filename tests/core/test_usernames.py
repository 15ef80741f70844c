"""What was typed as the user's name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.usernames import fold, read


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"alice", "alice"),
        (b"  alice ", "alice"),
        ("山田".encode(), "山田"),
        ("　alice　".encode(), "alice"),
        (b"*)(uid=*", "*)(uid=*"),
        (b"DOM\\alice", "DOM\\alice"),
        (b"a" * 253, "a" * 253),
    ],
)
def test_a_name_is_taken_as_typed_but_for_outer_space(octets: bytes, name: str) -> None:
    assert read(octets) == name


@pytest.mark.parametrize(
    "octets",
    [None, b"", b"   ", "　".encode(), b"al\x00ice", b"al\nice", b"alice\n", b"\x1balice", b"\xff\xfe", b"\xc3"],
)
def test_no_account_is_called_that(octets: bytes | None) -> None:
    """RFC 2865 §5.1: a User-Name is UTF-8 text."""
    assert read(octets) is None


@given(st.binary(max_size=253))
def test_reading_never_fails_and_never_lets_a_control_character_through(octets: bytes) -> None:
    name = read(octets)

    assert name is None or (name == name.strip() != "")
    assert not any(unicodedata.category(each) == "Cc" for each in name or "")


@pytest.mark.parametrize("name", ["Alice", "ALICE", "ａｌｉｃｅ", " alice "])
def test_spellings_of_one_name_fold_together(name: str) -> None:
    assert fold(name) == "alice"


@given(st.text())
def test_folding_twice_is_folding_once_for_ascii(name: str) -> None:
    plain = "".join(each for each in name if each.isascii())

    assert fold(fold(plain)) == fold(plain)
