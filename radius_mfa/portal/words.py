"""What the pages say, in the language of whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape
from starlette.requests import Request

LANGUAGES = {"en": "English", "ja": "日本語"}
FALLBACK = "en"

Flat = Mapping[str, str]


def read_words(folder: Path) -> dict[str, Flat]:
    """The texts of each language by key, `page.text`."""
    return {
        language: _flat(yaml.safe_load((folder / f"{language}.yaml").read_text("utf-8"))) for language in LANGUAGES
    }


def _flat(sections: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in sections.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value).strip()
    return found


class Words:
    """The texts in one language.  `t("page.text", name=…)`: what is put in is escaped unless it is Markup."""

    def __init__(self, language: str, texts: Mapping[str, Flat], zone: tzinfo) -> None:
        self.language = language
        self._texts = texts
        self._zone = zone

    def __call__(self, key: str, **parameters: object) -> Markup:
        text: Markup = escape(self._texts[self.language][key])
        return text.format(**parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._texts[self.language]

    def moment(self, seconds: float) -> str:
        """A time as it is shown: `2026-11-28 14:03`, in the administrator's zone."""
        return f"{datetime.fromtimestamp(seconds, self._zone):%Y-%m-%d %H:%M}"


def language_of(request: Request, chosen: str, own: str = "") -> str:
    """`chosen`: what the browser was told to keep; else the user's own, else what the browser asks for."""
    asked = [each.partition(";")[0].strip() for each in request.headers.get("accept-language", "").split(",")]
    for each in (chosen, own, *asked[:10]):
        if (primary := each.lower().partition("-")[0]) in LANGUAGES:
            return primary
    return FALLBACK
