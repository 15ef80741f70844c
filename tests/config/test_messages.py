"""What users are told: the shipped texts, and an administrator's own on top."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.messages import load_messages
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import Message
from radius_mfa.data import CONFIG
from radius_mfa.service.texts import Texts

SHIPPED = CONFIG / "messages"
PARAMETERS = {
    "minutes": "5",
    "reference": "K7",
    "password_url": "https://example.org",
    "code": "1234 5678",
    "username": "alice",
    "client": "vpn",
    "until": "2026-10-15 12:00 UTC",
}


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as wrong:
        load_messages(SHIPPED, folder)
    return [each.replace(f"{folder}/", "") for each in wrong.value.problems]


def test_the_shipped_languages_have_the_same_texts_with_the_same_fields() -> None:
    languages = load_messages(SHIPPED)

    assert {language: set(texts) for language, texts in languages.items()} == {
        "en": set(languages["en"]),
        "ja": set(languages["en"]),
    }


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_shipped_text_can_be_said_and_every_reply_fits_one_reply_message(language: str) -> None:
    """RFC 2865 §5.18: 253 octets, beside what the administrator puts in."""
    languages = load_messages(SHIPPED)
    texts = Texts(languages, contact="")

    for key in languages[language]:
        words = texts.words(Message(key, language, tuple(PARAMETERS.items())))
        assert words
        assert "{" not in words
        assert key.endswith("_body") or len(words.encode()) <= 253, key


def test_an_administrators_text_takes_the_place_of_the_shipped_one_and_of_no_other(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text('challenged: "Digits, please. {contact}"\n')
    (tmp_path / "de.yaml").write_text("mail_sent: 'Code aus der Mail {reference}, bitte'\n")
    shipped, languages = load_messages(SHIPPED), load_messages(SHIPPED, tmp_path)

    assert languages["en"] == {**shipped["en"], "challenged": "Digits, please. {contact}"}
    assert languages["ja"] == shipped["ja"]
    texts = Texts(languages, contact="Desk")
    assert texts.words(Message("challenged")) == "Digits, please. Desk"
    assert texts.words(Message("mail_sent", "de", (("reference", "K7"),))) == "Code aus der Mail K7, bitte"
    assert texts.words(Message("state_spent", "de")) == shipped["en"]["state_spent"]


def test_every_slip_is_one_line_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text(
        "challenged: 'Enter {code}'\n"
        "chalenged: x\n"
        "locked: 'so {minutes!r} {contact:5} {contact.__class__}'\n"
        "refused: '{'\n"
        "mail_sent: {a: b}\n"
        "suspended: ' '\n"
    )
    (tmp_path / "ja.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "de.yaml").write_text("- a list\n")
    (tmp_path / "fr.yml").write_text("refused: non\n")
    (tmp_path / "pt-BR.yaml").write_text("refused: nao\n")
    (tmp_path / "README").write_text("not read")
    found = problems(tmp_path)

    assert found[0] == "fr.yml: must be called by its language, as ja.yaml"
    assert found[1] == "pt-BR.yaml: must be called by its language, as ja.yaml"
    assert found[2] == "de.yaml:1: must be keys and their texts"
    assert found[3] == 'en.yaml:1: challenged: "{code}" cannot stand here; there are {contact}'
    assert found[4].startswith("en.yaml:2: chalenged: there is no such text; there are challenged, ")
    assert [each.partition(": ")[0] for each in found[5:8]] == ["en.yaml:3"] * 3
    assert found[7].endswith('"{contact.__class__}" cannot stand here; there are {contact}, {minutes}')
    assert found[8:] == [
        "en.yaml:4: refused: has a brace without its other; a brace itself is written twice, {{ or }}",
        "en.yaml:5: mail_sent: must be a text",
        "en.yaml:6: suspended: must be a text",
        "ja.yaml: is not UTF-8",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mail_body: 'no code, ref {reference}'", "mail_body: must have {code} in it"),
        ("mail_body: 'your {{code}}, ref {reference}'", "mail_body: must have {code} in it"),
        ("refused: 'No. {contact} {contact}'", "refused: has something put in twice"),
        ("mail_sent: 'Code, please'", "mail_sent: must have {reference} in it"),
        ("refused: '{contact}'", "refused: must say something besides what is put in"),
        ('refused: "bell \\a"', "refused: has control characters in it"),
        ("refused: " + "x" * 1001, "refused: is longer than 1000 octets; a gateway shows about 253"),
    ],
)
def test_a_text_that_cannot_do_what_it_is_for_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "en.yaml").write_text(text)

    assert problems(tmp_path) == [f"en.yaml:1: {why}"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path}/nowhere: cannot be read: No such file or directory"]


def test_a_file_that_is_far_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_bytes(b"#" * (1 << 19))

    assert problems(tmp_path) == [f"en.yaml: is longer than {1 << 18} octets"]


@given(st.text(st.sampled_from("{}ab!:.[]0 \n\"'")))
def test_a_text_is_refused_or_can_be_said(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("messages")
    (folder / "en.yaml").write_text("state_spent: |-\n" + "".join(f"  {line}\n" for line in text.split("\n")))
    try:
        languages = load_messages(SHIPPED, folder)
    except ConfigurationError:
        return
    Texts(languages, contact="Desk").words(Message("state_spent"))
