"""People in the portal, by what its pages say in their language; each page is looked at on the way.

A page must be good for everybody: nothing that axe finds, nothing to be scrolled sideways, no complaint of the
browser.  Each is looked at once a width and language, in which its picture is kept too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

from radius_mfa.data import CONFIG
from tests.end_to_end.portal_site import with_app
from tests.end_to_end.site import Account
from tests.peers.chromium import Person

_looked_at: set[tuple[str, int, str]] = set()


@lru_cache
def _texts(language: str) -> dict[str, Any]:
    texts: dict[str, Any] = yaml.safe_load((CONFIG / "portal" / f"{language}.yaml").read_text("utf-8"))
    return texts


class Visitor:
    """Somebody before the portal: `says` and the rest take keys of the texts, not words."""

    def __init__(self, person: Person, language: str = "en", width: int = 1280) -> None:
        self.person = person
        self._language = language
        self._width = width

    def says(self, key: str, **parameters: str) -> str:
        """The text of that key, with what is put in."""
        text: Any = _texts(self._language)
        for part in key.split("."):
            text = text[part]
        return str(text).strip().format(**parameters)

    def types(self, key: str, text: str) -> None:
        self.person.types(self.says(key), text)

    def presses(self, key: str, **parameters: str) -> None:
        self.person.presses(self.says(key, **parameters))

    def follows(self, key: str, **parameters: str) -> None:
        self.person.follows(self.says(key, **parameters))

    def reads(self, key: str, **parameters: str) -> None:
        """That text is to be read on the page."""
        text = self.says(key, **parameters)
        assert self.person.sees(text), f"{text!r} is not to be read in:\n{self.person.reads()}"

    def looks(self, name: str) -> None:
        """The page is good for everybody."""
        if (name, self._width, self._language) in _looked_at:
            return
        _looked_at.add((name, self._width, self._language))
        self.person.screenshot(f"portal-{name}")
        assert not self.person.is_wide(), f"{name} has to be scrolled sideways"
        assert self.person.accessibility() == []
        assert self.person.complaints == []

    # --- what is done again and again ---------------------------------------------------------------

    def gives_password(self, account: Account) -> None:
        """Name and password, on the page to sign in."""
        self.person.goes_to("/sign-in")
        self.types("sign_in.username", account.name)
        self.types("sign_in.password", account.password)
        self.presses("sign_in.go")

    def signs_in(self, account: Account) -> None:
        """With the next code of their app."""
        self.gives_password(account)
        self.types("code.totp", account.code())
        self.presses("code.go")

    def scans(self, account: Account) -> Account:
        """The same, with the app that the page shows the key of."""
        key = self.person.does(lambda page: page.locator(".secret").inner_text())
        return with_app(account, key)

    def makes_codes(self) -> list[str]:
        """The recovery codes that the page shows."""
        return self.person.does(lambda page: page.locator(".codes li").all_inner_texts())
