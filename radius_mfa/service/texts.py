"""What users are told, in their language: the words for a `Message`."""

from __future__ import annotations

from collections.abc import Mapping

from radius_mfa.core.messages import FALLBACK, Message


class Texts:
    """`languages`: language, then key, then text with `{parameters}`; English has every key.

    `contact` is the administrator's line for whoever is stuck, put in wherever a text has `{contact}`.
    `password_url`: where a password is changed; a text's `{change_password}` becomes the text of that
    key with the address in it, or nothing where there is none.
    """

    def __init__(
        self, languages: Mapping[str, Mapping[str, str]], contact: str, password_url: str | None = None
    ) -> None:
        self._languages = languages
        self._contact = contact
        self._password_url = password_url

    def words(self, message: Message) -> str:
        """The text of `message`; English where the language, or the key in it, is missing."""
        text = self._text(message.language, message.key)
        change = ""
        if self._password_url and "{change_password}" in text:
            how = self._text(message.language, "change_password")
            change = how.format(contact=self._contact, password_url=self._password_url)
        parameters = dict(message.parameters)
        return text.format(contact=self._contact, change_password=change, **parameters).strip()

    def _text(self, language: str, key: str) -> str:
        fallback = self._languages[FALLBACK]
        return self._languages.get(language, fallback).get(key) or fallback[key]
