"""The pictures of the users' guide are of the present portal; else make them anew: `make docs ARGS=pictures`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.site.shown import shown
from radius_mfa.core.stored import MailKind
from radius_mfa.data import CONFIG
from tests.portal.browsing import Portal, portal

PICTURES = Path(__file__).parents[2] / "docs" / "users" / "pictures"
READERS = {"en": "alice", "ja": "bob"}  # as the directory says of them

Pages = Iterator[tuple[tuple[str, ...], str]]


def pages(it: Portal, language: str) -> Pages:
    """The pictures of a page, and the page as it is now, on the way that the guide goes."""
    texts: Any = yaml.safe_load((CONFIG / "portal" / f"{language}.yaml").read_text("utf-8"))
    user, browser = READERS[language], it.browser(language=language)
    yield ("sign-in",), browser.open("/sign-in").html
    yield ("voucher",), browser.sign_in(user).html
    yield ("clock",), browser.submit(code=it.voucher_for(user)).html
    yield ("app", "app-code"), browser.press(texts["set_up"]["clock_go"]).html
    it.knows(user, browser.page.codes[0])
    yield ("address",), browser.submit("/set-up/app", code=it.house.code(user)).html
    browser.submit("/set-up/address", address=f"{user}@home.example")
    (code,) = [each.carried for each in it.mails() if each.mail.kind is MailKind.ADDRESS]
    browser.submit("/set-up/address/code", code=code)
    yield ("recovery-codes",), browser.press(texts["codes"]["make"]).html
    yield ("done",), browser.follow(texts["codes"]["kept"]).html
    yield ("overview",), browser.follow(texts["set_up"]["to_overview"]).html
    again = it.browser(language=language)
    yield ("code",), again.sign_in(user).html
    yield ("lost",), again.open("/lost").html


@pytest.mark.parametrize("language", READERS)
def test_what_is_to_be_read_on_a_picture_stands_on_the_page_in_that_order(language: str) -> None:
    described: dict[str, list[str]] = yaml.safe_load((PICTURES / language / "shown.yaml").read_text("utf-8"))
    left = set(described)
    with portal() as it:
        for pictures, html in pages(it, language):
            now = shown(html)
            for name in pictures:
                text = described[name]
                assert text
                begin = now.index(text[0]) if text[0] in now else 0
                assert now[begin : begin + len(text)] == text, f"{language}/{name}: make docs ARGS=pictures"
                left.remove(name)
    assert not left, "nobody has looked whether these are still true"
