"""The codes that we make for people to type."""

from collections import Counter
from math import log2

from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core import codes
from tests.adapters import SeededEntropy


class Drawn:
    """Randomness that is given."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def octets(self, count: int) -> bytes:
        return self._numbers.pop(0).to_bytes(count, "big")


def test_a_code_of_letters_has_more_than_50_bits_and_no_letter_that_is_taken_for_another() -> None:
    assert codes.LETTER_COUNT * log2(len(codes.LETTERS)) > 50
    assert not set("ilo") & set(codes.LETTERS)


def test_every_letter_is_as_likely() -> None:
    """What would make the first ones likelier is drawn again."""
    entropy = SeededEntropy()
    drawn = Counter("".join(codes.new_letters(entropy) for _ in range(2000)))

    assert set(drawn) == set(codes.LETTERS)
    expected = 2000 * codes.LETTER_COUNT / len(codes.LETTERS)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in drawn.values())
    last = 2**32 - 1
    assert codes.below(Drawn(last, 24), 23) == 1  # 2**32 is no multiple of 23


@given(st.integers(1, 9))
def test_a_code_of_digits_has_as_many_as_asked_for_the_first_ones_may_be_0(count: int) -> None:
    assert codes.new_digits(Drawn(0), count) == "0" * count
    assert codes.new_digits(SeededEntropy(), count).isdigit()
    assert len(codes.new_digits(SeededEntropy(), count)) == count


def test_a_reference_is_one_that_is_not_taken_until_all_are() -> None:
    entropy = SeededEntropy()
    taken: set[str] = set()
    for _ in range(144):
        reference = codes.new_reference(entropy, taken)
        assert reference not in taken
        taken.add(reference)

    assert codes.new_reference(entropy, taken) in taken


def test_it_is_shown_in_groups_and_read_however_it_was_copied() -> None:
    assert codes.spelled("abcdefghjkmn") == "abcd-efgh-jkmn"
    for typed in (
        "abcd-efgh-jkmn",
        " ABCD EFGH JKMN ",
        "ａｂｃｄ―efgh–jkmn",
        "abcdefghjkmn\u3000",
        "abcd\u30fcefgh\uff70jkmn",
        "ABCD\u2212EFGH\u2212JKMN",
    ):
        assert codes.compact(typed) == "abcdefghjkmn"
        assert codes.is_letters(codes.compact(typed))


@given(st.text(max_size=30))
def test_only_twelve_of_its_letters_are_a_code_of_letters(text: str) -> None:
    read = codes.is_letters(codes.compact(text))

    assert read == (len(codes.compact(text)) == 12 and all(each in codes.LETTERS for each in codes.compact(text)))
