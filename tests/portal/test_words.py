"""What the pages say: the same keys and parameters in both languages, and every one that is asked for."""

import re
from pathlib import Path
from string import Formatter

import pytest

import radius_mfa.portal
from radius_mfa.core.self_service import Result
from radius_mfa.data import CONFIG
from radius_mfa.portal.words import LANGUAGES, read_words

PORTAL = Path(radius_mfa.portal.__file__).parent
TEXTS = read_words(CONFIG / "portal")
KEY = r"[a-z_]+(?:\.[a-z_]+)+"
IN_TEMPLATE = re.compile(rf'\bt\("({KEY})"(?! ~)')
EITHER = re.compile(rf'\bt\("({KEY})" if [^)]*? else "({KEY})"')
IN_CODE = re.compile(rf'"({KEY})"')


def parameters(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_keys() -> None:
    assert TEXTS["en"].keys() == TEXTS["ja"].keys()


@pytest.mark.parametrize("key", sorted(TEXTS["en"]))
def test_both_languages_put_in_the_same(key: str) -> None:
    assert parameters(TEXTS["en"][key]) == parameters(TEXTS["ja"][key])
    assert all(TEXTS[language][key] for language in LANGUAGES)


def test_every_text_that_a_page_asks_for_is_there() -> None:
    asked = set()
    for path in PORTAL.rglob("*.html"):
        source = path.read_text()
        asked |= set(IN_TEMPLATE.findall(source)) | {key for both in EITHER.findall(source) for key in both}
    sections = {key.partition(".")[0] for key in TEXTS["en"]}
    for path in PORTAL.rglob("*.py"):
        found = IN_CODE.findall(path.read_text())
        asked |= {
            key for key in found if key.partition(".")[0] in sections and not key.endswith((".html", ".css"))
        }
    assert len(asked) > 100
    assert asked <= TEXTS["en"].keys(), asked - TEXTS["en"].keys()


# What went well leads on, and what only the help desk meets is in its own words.
ELSEWHERE = {
    Result.DONE, Result.WAITING, Result.SENT, Result.QUEUED, Result.OWN_ACCOUNT, Result.NOT_ACTIVATED
}  # fmt: skip


@pytest.mark.parametrize("result", [each for each in Result if each not in ELSEWHERE])
def test_every_result_that_keeps_somebody_from_something_has_words(result: Result) -> None:
    assert f"result.{result.value}" in TEXTS["en"]
