"""What users are told, in their language."""

import pytest

from radius_mfa.core.messages import Message
from radius_mfa.service.texts import Texts

TEXTS = Texts(
    {
        "en": {
            "refused": "Login refused",
            "locked": "Try again in {minutes} minutes. {contact}",
            "spent": "Over.",
        },
        "ja": {"refused": "ログインできません", "locked": "{minutes}分後に。{contact}", "spent": ""},
    },
    contact="Desk 1234",
)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Message("refused"), "Login refused"),
        (Message("refused", "ja"), "ログインできません"),
        (Message("refused", "fr"), "Login refused"),
        (Message("locked", "en", (("minutes", "5"),)), "Try again in 5 minutes. Desk 1234"),
        (Message("locked", "ja", (("minutes", "5"),)), "5分後に。Desk 1234"),
        (Message("spent", "ja"), "Over."),
    ],
)
def test_words_are_in_the_users_language_or_in_english(message: Message, words: str) -> None:
    assert TEXTS.words(message) == words


def test_no_contact_leaves_no_space_behind() -> None:
    texts = Texts({"en": {"unenrolled": "No second factor. {contact}"}}, contact="")

    assert texts.words(Message("unenrolled")) == "No second factor."


def test_braces_in_the_contact_are_only_text() -> None:
    texts = Texts({"en": {"unenrolled": "{contact}"}}, contact="{minutes} {0}")

    assert texts.words(Message("unenrolled")) == "{minutes} {0}"


EXPIRED = {
    "en": {"password_expired": "Expired. {change_password} {contact}", "change_password": "See {password_url}."},
    "ja": {"password_expired": "期限切れ。{change_password}", "change_password": "{password_url} へ"},
}


def test_where_a_password_is_changed_is_said_where_it_is_known() -> None:
    texts = Texts(EXPIRED, "Desk", "https://account.example.org")

    assert texts.words(Message("password_expired")) == "Expired. See https://account.example.org. Desk"
    assert texts.words(Message("password_expired", "ja")) == "期限切れ。https://account.example.org へ"


def test_whoever_is_stuck_may_be_named_where_a_password_is_changed() -> None:
    """`{contact}` may stand in every text, and a text that cannot be put together would be no answer at all."""
    own = {"en": {"password_expired": "{change_password}", "change_password": "{password_url}, or {contact}"}}
    texts = Texts(own, "Desk", "https://account.example.org")

    assert texts.words(Message("password_expired")) == "https://account.example.org, or Desk"


def test_where_it_is_not_known_nothing_is_said_of_it() -> None:
    assert Texts(EXPIRED, "").words(Message("password_expired", "ja")) == "期限切れ。"


# --- the wording of a gateway -------------------------------------------------------------------------

WORDED = Texts(
    {"en": {"challenged": "Code", "spent": "Over"}, "ja": {"challenged": "コード"}},
    contact="Desk",
    profiles={
        "anyconnect": {
            "en": {"challenged": "Answer: {contact}", "spent": "Ended"},
            "de": {"challenged": "Antwort"},
        },
        "fortigate": {"ja": {"challenged": "トークン"}},
    },
)


@pytest.mark.parametrize(
    ("key", "language", "profile", "words"),
    [
        ("challenged", "en", "anyconnect", "Answer: Desk"),
        ("challenged", "", "anyconnect", "Answer: Desk"),
        ("challenged", "de", "anyconnect", "Antwort"),
        ("challenged", "ja", "fortigate", "トークン"),
        # Their own language comes before the gateway's wording.
        ("challenged", "ja", "anyconnect", "コード"),
        # English, where there is nothing else: then as the gateway has it.
        ("spent", "ja", "anyconnect", "Ended"),
        ("spent", "de", "anyconnect", "Ended"),
        ("spent", "ja", "fortigate", "Over"),
        ("challenged", "en", "fortigate", "Code"),
        # No profile, and one of which nothing is said.
        ("challenged", "en", "", "Code"),
        ("challenged", "de", "generic", "Code"),
    ],
)
def test_a_gateways_wording_is_used_unless_the_user_would_not_understand_it(
    key: str, language: str, profile: str, words: str
) -> None:
    assert WORDED.words(Message(key, language), profile) == words


def test_where_a_password_is_changed_may_be_worded_for_a_gateway() -> None:
    worded = {"one-field": {"en": {"change_password": "Go to {password_url}"}}}
    texts = Texts(EXPIRED, "Desk", "https://account.example.org", worded)

    assert (
        texts.words(Message("password_expired"), "one-field") == "Expired. Go to https://account.example.org Desk"
    )
    assert (
        texts.words(Message("password_expired", "ja"), "one-field") == "期限切れ。https://account.example.org へ"
    )
