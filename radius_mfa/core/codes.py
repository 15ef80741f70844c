"""The codes that we make for people to type, and the references by which they tell one mail from another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from radius_mfa.core.ports import Entropy

# Recovery codes and vouchers: letters that are not taken for another letter or a digit, 54 bits of them.
LETTERS = "abcdefghjkmnpqrstuvwxyz"
LETTER_COUNT = 12
_GROUP = 4

# Of what looks or sounds like something else, one of the two or neither.
_REFERENCE_LETTERS = "ACDEFHJKLMNPRTVWXY"
_NUMERALS = "23456789"
_REFERENCES = tuple(letter + numeral for letter in _REFERENCE_LETTERS for numeral in _NUMERALS)

# What a Japanese keyboard has where the hyphen is: the long vowel mark, as wide as it may be, and the minus.
_NEARLY_HYPHENS = re.compile("(?<=[a-z0-9])[\u30fc\u2212]+(?=[a-z0-9])")
_DASHES_AND_SPACES = frozenset({"Pd", "Zs"})


def below(entropy: Entropy, limit: int) -> int:
    """A number from 0 on, each as likely: what would make the first ones likelier is drawn again."""
    fair = 2**32 - 2**32 % limit
    while (number := int.from_bytes(entropy.octets(4), "big")) >= fair:
        pass
    return number % limit


def new_digits(entropy: Entropy, count: int) -> str:
    """A code of so many digits, at most 9."""
    return f"{below(entropy, 10**count):0{count}}"


def new_letters(entropy: Entropy) -> str:
    """A code of letters, without the hyphens it is shown with."""
    return "".join(LETTERS[below(entropy, len(LETTERS))] for _ in range(LETTER_COUNT))


def new_reference(entropy: Entropy, taken: Collection[str]) -> str:
    """One that none of the user's other mails has, as long as there is one left."""
    free = [each for each in _REFERENCES if each not in taken] or _REFERENCES
    return free[below(entropy, len(free))]


def spelled(letters: str) -> str:
    """A code of letters as people are shown it: `abcd-efgh-jkmn`."""
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def compact(text: str) -> str:
    """What was typed, as it is meant: full-width characters, case, spaces and hyphens are nothing."""
    plain = _NEARLY_HYPHENS.sub("-", unicodedata.normalize("NFKC", text).strip().casefold())
    return "".join(each for each in plain if unicodedata.category(each) not in _DASHES_AND_SPACES)


def is_letters(text: str) -> bool:
    """Whether it could be a code of letters, compact as it is."""
    return len(text) == LETTER_COUNT and set(text) <= set(LETTERS)
