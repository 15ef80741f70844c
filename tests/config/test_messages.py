"""What users are told: the shipped texts, and an administrator's own on top."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.messages import PROMPTS, Messages, load_messages, read_messages
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import FactorKind, Message
from radius_mfa.core.policy import Policy
from radius_mfa.data import CONFIG
from radius_mfa.service.texts import Texts
from tests.adapters import PASSWORD, House, house
from tests.config.support import SMALL, Folder

SHIPPED = CONFIG / "messages"
PROFILES = ("generic", "anyconnect", "fortigate")
CONTACT = "ü" * 100  # as long as it may be: 200 octets
PARAMETERS = {
    "minutes": "5",
    "reference": "K7",
    "password_url": "https://example.org",
    "code": "1234 5678",
    "username": "alice",
    "client": "vpn",
    "until": "2026-10-15 12:00 UTC",
    "portal": "https://mfa.example.org",
    "link": "https://mfa.example.org/link/AbCd-_",
}


def read(folder: Path, contact: str = "") -> Messages:
    return read_messages(SHIPPED, folder, PROFILES, contact)


def problems(folder: Path, contact: str = "") -> list[str]:
    with pytest.raises(ConfigurationError) as wrong:
        read(folder, contact)
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


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_shipped_text_fits_with_the_longest_contact_there_may_be(language: str, tmp_path: Path) -> None:
    """RFC 2865 §5.18.  And whoever makes a copy of them to begin with has made no mistake yet."""
    shipped = SHIPPED / f"{language}.yaml"
    (tmp_path / shipped.name).write_text(shipped.read_text())

    texts = Texts(read(tmp_path, CONTACT).languages, CONTACT)
    longest = {**PARAMETERS, "minutes": "999"}
    for key in PROMPTS:
        assert len(texts.words(Message(key, language, tuple(longest.items()))).encode()) <= 253, key


def asked(it: House, *answers: str) -> Iterator[str]:
    """The keys of what alice is asked, the answers after her password."""
    login = it.login("alice")
    for text in (PASSWORD, *answers):
        if login.says(text).startswith("challenge "):
            yield login.message.key


def asked_of(it: House, kinds: set[FactorKind]) -> Iterator[str]:
    """The keys of what alice is asked who has factors of those kinds, as much of it as there is."""
    right = []
    if FactorKind.TOTP in kinds:
        it.enrol("alice")
        right += [it.code("alice"), it.code("alice", steps=4)]
    if FactorKind.RECOVERY_CODES in kinds:
        right.append(it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))[0])
    if FactorKind.MAIL in kinds:
        it.register("alice")
        yield from asked(it, "mail", "mail")
        right.append(it.mailed())
    for answer in (*right, *right, "words", "000000", "00000000", "abcd-efgh-jkmn"):
        yield from asked(it, answer)
    for _ in range(6):  # one more than are mailed in a day
        it.clock.advance(61)
        yield from asked(it, "mail", *[mail[1] for mail in it.mails()])
    if FactorKind.TOTP in kinds:
        it.spoil_seeds()
        yield from asked(it, it.code("alice"))


def test_the_prompts_are_the_texts_that_go_with_an_access_challenge() -> None:
    """Whatever is answered, by whoever has whichever factors."""
    heard: set[str] = set()
    for count in range(1, len(FactorKind) + 1):
        for kinds in combinations(FactorKind, count):
            with house([Policy("any", factors=frozenset(FactorKind))]) as it:
                heard.update(asked_of(it, set(kinds)))

    assert heard == PROMPTS


def test_an_administrators_text_takes_the_place_of_the_shipped_one_and_of_no_other(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text('challenged: "Digits, please. {contact}"\n')
    (tmp_path / "de.yaml").write_text("mail_sent: 'Code aus der Mail {reference}, bitte'\n")
    shipped, languages = load_messages(SHIPPED), read(tmp_path).languages

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

    assert found[0] == "fr.yml must be called by its language, as ja.yaml"
    assert found[1] == "pt-BR.yaml must be called by its language, as ja.yaml"
    assert found[2] == "de.yaml:1: must be keys and their texts"
    assert found[3] == 'en.yaml:1: challenged: "{code}" cannot stand here; there are {contact}'
    assert found[4] == "en.yaml:2: chalenged: there is no such text; did you mean challenged?"
    assert [each.partition(": ")[0] for each in found[5:8]] == ["en.yaml:3"] * 3
    assert found[7].endswith('"{contact.__class__}" cannot stand here; there are {contact}, {minutes}')
    assert found[8:] == [
        "en.yaml:4: refused: has a brace without its other; a brace itself is written twice, {{ or }}",
        "en.yaml:5: mail_sent: must be a text",
        "en.yaml:6: suspended: must be a text",
        "ja.yaml:1: is not UTF-8 here",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mail_body: 'no code, ref {reference}'", "mail_body: must have {code} in it"),
        ("mail_body: 'your {{code}}, ref {reference}'", "mail_body: must have {code} in it"),
        ("mail_portal_body: 'ref {reference}'", "mail_portal_body: must have {code} in it"),
        ("mail_portal_subject: 'Your code'", "mail_portal_subject: must have {reference} in it"),
        ("mail_link_body: 'Start anew'", "mail_link_body: must have {link} in it"),
        ('mail_link_body: "Go on:\\n{link}."', "mail_link_body: must have {link} on a line of its own"),
        ("mail_link_body: 'Go to {link}'", "mail_link_body: must have {link} on a line of its own"),
        (
            "mail_link_subject: 'Go to {link}'",
            'mail_link_subject: "{link}" cannot stand here; there are {contact}',
        ),
        ("mail_token_waiting_body: 'Stop it: {portal}'", "mail_token_waiting_body: must have {until} in it"),
        ("mail_address_waiting_body: 'Not before {until}'", "mail_address_waiting_body: must have {portal} in it"),
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


def test_what_is_mailed_may_have_something_in_it_twice(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text("mail_body: 'ref {reference}: {code}, which is {code} of {reference}'")

    assert read(tmp_path).languages["en"]["mail_body"].startswith("ref ")


def test_a_mailed_link_may_stand_anywhere_as_long_as_it_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text(
        "mail_link_body: |\n  Start anew, {username}, until {until}:\n\n    {link}\n"
    )

    assert read(tmp_path).languages["en"]["mail_link_body"].endswith("  {link}\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("refused: a\nlocked: b\nrefused: c\n", "en.yaml:3: refused: is given twice, first on line 1; remove one"),
        (
            "profiles:\n  anyconnect: {refused: a}\n  anyconnect: {refused: b}\n",
            "en.yaml:3: profiles.anyconnect: is given twice, first on line 2; remove one",
        ),
        ("refused: *a\n", "en.yaml:1: refused: anchors (&) and aliases (*) are not read; write the value out"),
        ("refused: a\nlocked: 'b\n", "en.yaml:2: not valid YAML: a quote is opened here and never closed"),
        ("refused: a\nlocked: b\x07\n", "en.yaml:2: not valid YAML: "),
    ],
)
def test_yaml_that_cannot_be_read_is_one_line(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "en.yaml").write_text(text)
    (problem,) = problems(tmp_path)

    assert problem.startswith(found)


# --- what has to fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["challenged", "code_wrong_mail", "store_failed"])
def test_a_prompt_that_fits_no_reply_message_is_refused(tmp_path: Path, key: str) -> None:
    """RFC 2865 §5.18: many a gateway shows the first Reply-Message and no other."""
    text = "refused: no\n" + key + ": "
    (tmp_path / "en.yaml").write_text(text + "ü" * 126 + "x\n")
    assert read(tmp_path).warnings == ()

    (tmp_path / "en.yaml").write_text(text + "ü" * 150 + "\n")
    limit = "a Reply-Message holds 253 (RFC 2865 §5.18); shorten it"
    assert problems(tmp_path) == [f"en.yaml:2: {key}: is 300 octets long, {limit}"]


def test_a_prompt_has_to_fit_with_what_is_put_in(tmp_path: Path) -> None:
    """RFC 2865 §5.18."""
    (tmp_path / "en.yaml").write_text(
        "mail_sent: " + "x" * 251 + "{reference}\nclock_wrong: " + "x" * 251 + "{minutes}"
    )
    assert [each.partition(", ")[0] for each in problems(tmp_path)] == [
        "en.yaml:2: clock_wrong: is 254 octets long",
    ]


def test_a_contact_may_be_what_is_too_long(tmp_path: Path) -> None:
    """RFC 2865 §5.18: 54 octets and 200 of the contact."""
    (tmp_path / "en.yaml").write_text("challenged: '" + "x" * 54 + "{contact}'")
    read(tmp_path, CONTACT[1:])

    limit = "a Reply-Message holds 253 (RFC 2865 §5.18); shorten it"
    found = f"en.yaml:1: challenged: is 254 octets long with the contact in it, {limit}"
    assert problems(tmp_path, CONTACT) == [found]


def test_a_refusal_may_take_several_reply_messages(tmp_path: Path) -> None:
    """RFC 2865 §5.18."""
    (tmp_path / "en.yaml").write_text(
        "rounds_over: " + "x" * 1000 + "\nmail_sent_log_in_again: '{reference}" + "x" * 900 + "'"
    )

    assert read(tmp_path, CONTACT).warnings == ()


# --- gateway profiles -------------------------------------------------------------------------------


def test_a_text_may_be_worded_for_the_users_of_one_profile(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text("profiles:\n  anyconnect:\n    challenged: 'Code, please. {contact}'\n")
    (tmp_path / "ja.yaml").write_text("profiles: {anyconnect: {refused: いいえ}, generic: {refused: だめ}}\n")
    messages = read(tmp_path)

    assert messages.languages == load_messages(SHIPPED)
    assert messages.profiles == {
        "anyconnect": {"en": {"challenged": "Code, please. {contact}"}, "ja": {"refused": "いいえ"}},
        "generic": {"ja": {"refused": "だめ"}},
    }


def test_an_administrators_wording_comes_on_top_of_the_shipped_one_of_the_profile(tmp_path: Path) -> None:
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    texts = (SHIPPED / "en.yaml").read_text()
    (shipped / "en.yaml").write_text(texts + "profiles: {anyconnect: {refused: no, state_spent: over}}\n")
    (own / "en.yaml").write_text("profiles: {anyconnect: {refused: nay}}\n")

    messages = read_messages(shipped, own, PROFILES)
    assert messages.profiles == {"anyconnect": {"en": {"refused": "nay", "state_spent": "over"}}}


def test_a_profile_has_the_wording_of_the_one_that_it_is_like(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text(
        "profiles:\n  anyconnect: {challenged: Code?, refused: No.}\n  fortigate: {refused: Never.}\n"
    )
    messages = read(tmp_path)

    assert messages.worded_for("fortigate", "anyconnect") == {"en": {"challenged": "Code?", "refused": "Never."}}
    assert messages.worded_for("own", "anyconnect") == messages.profiles["anyconnect"]
    assert messages.worded_for("own", "generic") == {}


def test_whatever_holds_for_a_text_holds_for_that_of_a_profile(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text(
        "profiles:\n"
        "  anyconect: {challenged: Code}\n"
        "  swan: {refused: no}\n"
        "  anyconnect:\n"
        "    chalenged: Code\n"
        "    mail_sent: Code\n"
        "    refused: '{code}'\n"
        "    code_wrong: {a: b}\n"
        f"    code_used: {'x' * 254}\n"
        "    mail_subject: 'Code {reference}'\n"
        "  generic: Code\n"
    )

    assert problems(tmp_path) == [
        "en.yaml:2: profiles.anyconect: there is no such profile; did you mean anyconnect?",
        "en.yaml:3: profiles.swan: there is no such profile; there are generic, anyconnect, fortigate",
        "en.yaml:5: profiles.anyconnect.chalenged: there is no such text; did you mean challenged?",
        "en.yaml:6: profiles.anyconnect.mail_sent: must have {reference} in it",
        'en.yaml:7: profiles.anyconnect.refused: "{code}" cannot stand here; there are {contact}',
        "en.yaml:7: profiles.anyconnect.refused: must say something besides what is put in",
        "en.yaml:8: profiles.anyconnect.code_wrong: must be a text",
        "en.yaml:9: profiles.anyconnect.code_used: is 254 octets long, "
        "a Reply-Message holds 253 (RFC 2865 §5.18); shorten it",
        "en.yaml:10: profiles.anyconnect.mail_subject: "
        "a mail reads the same whatever the gateway; write it outside of profiles",
        "en.yaml:11: profiles.generic: must be keys and their texts",
    ]


@pytest.mark.parametrize("value", ["no", "[anyconnect]"])
def test_profiles_are_a_mapping(tmp_path: Path, value: str) -> None:
    (tmp_path / "en.yaml").write_text(f"profiles: {value}\n")

    assert problems(tmp_path) == ["en.yaml:1: profiles: must be profiles, and below each keys and their texts"]


# --- a language of the administrator's --------------------------------------------------------------


def test_a_new_language_that_lacks_texts_is_one_warning(tmp_path: Path) -> None:
    keys = list(load_messages(SHIPPED)["en"])
    (tmp_path / "de.yaml").write_text("refused: Nein.\nprofiles: {anyconnect: {challenged: Kode}}\n")

    (warning,) = read(tmp_path).warnings
    named = ", ".join(keys[:8])
    more = len(keys) - 1 - 8
    assert (
        warning
        == f"{tmp_path}/de.yaml: has no text for {named} and {more} more: users of it read those in English"
    )


def test_a_language_that_lacks_little_is_told_all_of_it(tmp_path: Path) -> None:
    texts = (SHIPPED / "en.yaml").read_text().splitlines(keepends=True)
    left = [line for line in texts if not line.startswith(("challenged:", "state_spent:"))]
    (tmp_path / "de.yaml").write_text("".join(left))

    (warning,) = read(tmp_path).warnings
    assert (
        warning
        == f"{tmp_path}/de.yaml: has no text for challenged, state_spent: users of it read those in English"
    )


def test_whoever_changes_a_shipped_language_or_has_all_texts_is_warned_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "ja.yaml").write_text("refused: だめ\n")
    (tmp_path / "en.yaml").write_text("profiles: {anyconnect: {challenged: Code}}\n")
    (tmp_path / "de.yaml").write_text((SHIPPED / "en.yaml").read_text())

    assert read(tmp_path).warnings == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [("jp", "ja is Japanese"), ("cn", "zh is Chinese"), ("kr", "ko is Korean"), ("gr", "el is Greek")],
)
def test_a_country_for_a_language_is_warned_of(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / f"{name}.yaml").write_text("refused: no\n")

    assert read(tmp_path).warnings == (f"{tmp_path}/{name}.yaml: {said} ({name} is no language)",)


# --- the folder -------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path}/nowhere cannot be read: No such file or directory"]


def test_a_file_that_is_far_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_bytes(b"#" * (1 << 19))

    assert problems(tmp_path) == [f"en.yaml: is longer than {1 << 18} octets"]


def test_what_cannot_be_read_is_told_by_the_line_that_names_it(folder: Folder) -> None:
    text = SMALL + "messages: texts\n"
    assert folder.problems(text, usable=True) == [
        '14: messages: "texts" cannot be read: No such file or directory'
    ]
    (folder.path / "texts").mkdir()
    assert folder.problems(text, usable=True) == []
    (folder.path / "texts" / "en.yaml").mkdir()
    folder.write("texts/fr.yml")
    folder.write("texts/de.yaml", b"#" * (1 << 19))
    folder.write("texts/ja.yaml", "refusd: no\n")  # its own affair, and its own line
    assert folder.problems(text, usable=True) == [
        f"14: messages: {folder.path}/texts/fr.yml must be called by its language, as ja.yaml",
        f"14: messages: {folder.path}/texts/de.yaml is longer than {1 << 18} octets",
        f"14: messages: {folder.path}/texts/en.yaml cannot be read: Is a directory",
    ]


@given(st.sampled_from(["state_spent", "code_used"]), st.text(st.sampled_from("{}ab!:.[]0 \n\"'")))
def test_a_text_is_refused_or_can_be_said(tmp_path_factory: pytest.TempPathFactory, key: str, text: str) -> None:
    folder = tmp_path_factory.mktemp("messages")
    lines = "".join(f"      {line}\n" for line in text.split("\n"))
    (folder / "en.yaml").write_text(f"{key}: |-\n{lines}profiles:\n  generic:\n    {key}: |-\n{lines}")
    try:
        messages = read(folder)
    except ConfigurationError:
        return
    Texts(messages.languages, "Desk", None, messages.profiles).words(Message(key), "generic")
