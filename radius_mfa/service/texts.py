"""What users are told, in their language: the words for a `Message`."""

from __future__ import annotations

from collections.abc import Mapping

from radius_mfa.core.messages import Message

FALLBACK = "en"


class Texts:
    """`languages`: language, then key, then text with `{parameters}`; English has every key.

    `contact` is the administrator's line for whoever is stuck, put in wherever a text has `{contact}`.
    """

    def __init__(self, languages: Mapping[str, Mapping[str, str]], contact: str) -> None:
        self._languages = languages
        self._contact = contact

    def words(self, message: Message) -> str:
        """The text of `message`; English where the language, or the key in it, is missing."""
        fallback = self._languages[FALLBACK]
        text = self._languages.get(message.language, fallback).get(message.key) or fallback[message.key]
        return text.format(contact=self._contact, **dict(message.parameters)).strip()
