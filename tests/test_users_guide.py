"""The users' guide says the same in both languages, in the words that users read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radius_mfa.config.messages import load_messages
from radius_mfa.data import CONFIG

USERS = Path(__file__).parent.parent / "docs" / "users"
LANGUAGES = ("en", "ja")
TEXTS = load_messages(CONFIG / "messages")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
_QUOTED = re.compile(r"^\| [“「](.*?)[”」] \|", re.MULTILINE)


def guide(language: str) -> str:
    return (USERS / f"{language}.md").read_text("utf-8")


def parts(language: str) -> list[str]:
    """Its headings, pictures, list items and lines of tables, in their order and without their words."""
    lines = (re.match(r"#+|\||!\[.*/|\d+\.|-", line) for line in guide(language).splitlines())
    marks = [found[0] for found in lines if found]
    names = iter(PICTURE.findall(guide(language)))
    return [Path(next(names)[1]).name if mark.startswith("!") else mark for mark in marks]


def test_both_languages_have_the_same_parts() -> None:
    english, japanese = map(parts, LANGUAGES)
    assert len(english) > 60
    assert english == japanese


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_is_there_once_is_small_and_has_words_for_who_cannot_see_it(language: str) -> None:
    there = {path.name: path.stat().st_size for path in (USERS / "pictures" / language).glob("*.png")}
    found = PICTURE.findall(guide(language))

    assert sorted(target for _, target in found) == sorted(f"pictures/{language}/{name}" for name in there)
    assert all(len(words) > 20 for words, _ in found)
    assert max(there.values()) < 40_000


def keys(quoted: str, language: str) -> set[str]:
    """Which texts say that; `…` is what is put in."""
    wanted = re.compile(".*?".join(map(re.escape, quoted.split("…"))))
    return {key for key, text in TEXTS[language].items() if wanted.match(text)}


def test_what_is_quoted_is_what_users_read_and_the_same_in_both() -> None:
    quoted = [_QUOTED.findall(guide(language)) for language in LANGUAGES]
    assert len(quoted[0]) >= 20
    for english, japanese in zip(*quoted, strict=True):
        both = keys(english, "en") & keys(japanese, "ja")
        assert both, f"{english!r} and {japanese!r} are not texts of one key in config/messages"
