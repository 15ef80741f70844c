"""What users are told, in their language: the words for a `Message`."""

from __future__ import annotations

from collections.abc import Mapping

from radius_mfa.core.messages import FALLBACK, Message

# Language, then key, then text.
_Languages = Mapping[str, Mapping[str, str]]
_NONE: Mapping[str, str] = {}
_MOST_KNOWN = 4096  # texts without parameters, put together


class Texts:
    """`languages`: language, then key, then text with `{parameters}`; English has every key.

    `contact` is the administrator's line for whoever is stuck, put in wherever a text has `{contact}`.
    `password_url`: where a password is changed; a text's `{change_password}` becomes the text of that
    key with the address in it, or nothing where there is none.  `profiles`: gateway profile, then as
    `languages`, whatever is worded otherwise on such a gateway.
    """

    def __init__(
        self,
        languages: _Languages,
        contact: str,
        password_url: str | None = None,
        profiles: Mapping[str, _Languages] | None = None,
    ) -> None:
        self._languages = languages
        self._contact = contact
        self._password_url = password_url
        self._profiles = profiles or {}
        self._known: dict[tuple[str, str, str], str] = {}  # what has no parameters, by key, language, profile

    def words(self, message: Message, profile: str = "") -> str:
        """The text of `message`, on a gateway of that profile.

        A text in the user's own language comes before an English one, and in each language the profile's
        before the one for all: better understood than worded for the gateway.
        """
        if message.parameters:
            return self._worded(message, profile)
        known = self._known.get((message.key, message.language, profile))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:  # as many languages as people have made up
                self._known.clear()
            known = self._known[message.key, message.language, profile] = self._worded(message, profile)
        return known

    def _worded(self, message: Message, profile: str) -> str:
        text = self._text(message.language, message.key, profile)
        change = ""
        if self._password_url and "{change_password}" in text:
            how = self._text(message.language, "change_password", profile)
            change = how.format(contact=self._contact, password_url=self._password_url)
        parameters = dict(message.parameters)
        return text.format(contact=self._contact, change_password=change, **parameters).strip()

    def _text(self, language: str, key: str, profile: str) -> str:
        worded = self._profiles.get(profile, {})
        for each in (language, FALLBACK):
            text = worded.get(each, _NONE).get(key) or self._languages.get(each, _NONE).get(key)
            if text:
                return text
        raise KeyError(key)
