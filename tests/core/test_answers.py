"""What was typed into the password field."""

import re
import unicodedata
from operator import add

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radius_mfa.core.answers import Answer, CodeAnswer, MailAsked, Unreadable, read_answer, readable, split
from radius_mfa.core.messages import FactorKind, Nas
from tests.adapters import COMMA, SIX, house

TOTP = CodeAnswer(FactorKind.TOTP, "123456")
MAILED = CodeAnswer(FactorKind.MAIL, "12345678")
RECOVERY = CodeAnswer(FactorKind.RECOVERY_CODES, "abcdefghjkmn")
TRUSTING = CodeAnswer(FactorKind.TOTP, "123456", trust=True)

# Passwords that end as answers do, or in parts of them.
ENDINGS = (
    "",
    "1",
    "123456",
    "12345678",
    "１２",
    "⑩",
    ",",
    ",,",
    ",12",
    ", 1-2",
    ",123456",
    ",mail",
    ",123456 trust",
)
PASSWORDS = st.builds(add, st.text("ab12, -", min_size=1, max_size=8), st.sampled_from(ENDINGS))
TYPED: dict[str, Answer] = {
    "123456": TOTP,
    "123 456": TOTP,
    "12345678": MAILED,
    "1234-5678": MAILED,
    "mail": MailAsked(),
    "abcd-efgh-jkmn": RECOVERY,
    "123456 trust": TRUSTING,
}


@pytest.mark.parametrize(
    "text",
    [
        "123456",
        " 123456 ",
        "123 456",
        "123-456",
        "１２３４５６",
        "１２３　４５６",
        "12–34–56",
        "123\u00a0456",
        "1 2 3 4 5 6",
    ],
)
def test_a_code_is_read_as_it_is_meant(text: str) -> None:
    assert read_answer(text) == TOTP


@pytest.mark.parametrize("text", ["12345678", "1234 5678", "1234-5678", "１２３４５６７８"])
def test_eight_digits_are_a_mailed_code(text: str) -> None:
    assert read_answer(text) == MAILED


@pytest.mark.parametrize(
    "text",
    ["abcdefghjkmn", "abcd-efgh-jkmn", "ABCD EFGH JKMN", "ａｂｃｄ－ｅｆｇｈ－ｊｋｍｎ", " abcd–efgh–jkmn "],
)
def test_twelve_of_our_letters_are_a_recovery_code(text: str) -> None:
    assert read_answer(text) == RECOVERY


@pytest.mark.parametrize("text", ["mail", "MAIL", " mail ", "ｍａｉｌ", "Mail"])
def test_the_keyword_asks_for_mail(text: str) -> None:
    assert read_answer(text) == MailAsked()


@pytest.mark.parametrize("text", ["123456 trust", "123 456 trust", "123456 TRUST", "１２３４５６　ｔｒｕｓｔ"])
def test_trust_after_a_code_is_a_wish_of_its_own(text: str) -> None:
    assert read_answer(text) == CodeAnswer(FactorKind.TOTP, "123456", trust=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "12345",
        "1234567",
        "123456789",
        "12345a",
        "123456trust",
        "mail trust",
        "trust",
        " trust",
        "mails",
        "hunter2",
        "abcd-efgh-jkm",
        "abcd-efgh-jkmnp",
        "abcd-efgh-ijlo",  # letters that no code of ours has
        "abcd-efgh-jkm1",
        "12.3456",
        "+123456",
        "١٢٣٤٥٦",  # digits, but of a keyboard no authenticator app shows
    ],
)
def test_all_else_is_no_answer(text: str) -> None:
    assert read_answer(text) == Unreadable()


@given(st.text(max_size=140))
def test_whatever_is_typed_is_some_answer(text: str) -> None:
    answer = read_answer(text)

    assert not isinstance(answer, CodeAnswer) or answer.code.isascii()
    assert not isinstance(answer, CodeAnswer) or answer.code.isdigit() != (
        answer.kind is FactorKind.RECOVERY_CODES
    )


def test_a_code_is_not_in_a_repr() -> None:
    assert "123456" not in repr(TOTP)


@pytest.mark.parametrize(("octets", "text"), [(b"", ""), (b" p ", " p "), ("pässwörd".encode(), "pässwörd")])
def test_a_password_is_taken_to_the_octet(octets: bytes, text: str) -> None:
    assert readable(octets) == text


@pytest.mark.parametrize("octets", [b"\xff", b"a\x00b", b"\x1f", b"\xc2\x80", b"ab\xc3"])
def test_octets_nobody_types_are_no_password(octets: bytes) -> None:
    """RFC 2865 §5.2: a wrong shared secret shows only as such octets."""
    assert readable(octets) is None


@pytest.mark.parametrize(
    ("text", "password", "answer"),
    [
        ("secret,123456", "secret", TOTP),
        ("secret,123 456", "secret", TOTP),
        ("secret,mail", "secret", MailAsked()),
        ("secret,123456 trust", "secret", CodeAnswer(FactorKind.TOTP, "123456", trust=True)),
        ("se,cret,123456", "se,cret", TOTP),
        ("secret,,123456", "secret,", TOTP),
        ("secret654321,123456", "secret654321", TOTP),
        ("secret,abcd-efgh-jkmn", "secret", RECOVERY),
        ("secret", "secret", None),
        ("secret123456", "secret123456", None),
        ("se,cret", "se,cret", None),
        ("secret,", "secret,", None),
        ("secret,12345", "secret,12345", None),
        (",123456", "", TOTP),
        ("", "", None),
    ],
)
def test_a_separator_splits_at_its_last_place_if_an_answer_follows(
    text: str, password: str, answer: Answer | None
) -> None:
    assert split(text, ",") == (password, answer)


def test_a_separator_may_be_longer_than_one_character() -> None:
    assert split("a::b::123456", "::") == ("a::b", TOTP)


@pytest.mark.parametrize(
    ("text", "password", "answer"),
    [
        ("secret123456", "secret", TOTP),
        ("secret１２３４５６", "secret", TOTP),
        ("secret99123456", "secret99", TOTP),
        ("secret,123456", "secret,", TOTP),
        ("secret,mail", "secret", MailAsked()),
        ("secret,MAIL", "secret", MailAsked()),
        ("secret,abcd-efgh-jkmn", "secret", RECOVERY),
        ("secretabcdefghjkmn", "secretabcdefghjkmn", None),
        ("secret,12345678", "secret", MAILED),
        ("secret,123456 trust", "secret", CodeAnswer(FactorKind.TOTP, "123456", trust=True)),
        ("secretmail", "secretmail", None),
        ("secret12345", "secret12345", None),
        ("secret123 456", "secret123 456", None),
        ("secret", "secret", None),
        ("12345", "12345", None),
        ("123456", "", TOTP),
        ("", "", None),
        ("secret١٢٣٤٥٦", "secret١٢٣٤٥٦", None),
        ("secret12345⑩", "secret12345⑩", None),  # one character, two digits
    ],
)
def test_a_number_takes_that_many_digits_off_the_end(text: str, password: str, answer: Answer | None) -> None:
    assert split(text, 6) == (password, answer)


@given(st.text(max_size=140), st.sampled_from([",", ";", "::", " ", 6, 8]))
@example("é,123456", ",")
def test_splitting_never_fails_and_never_invents_a_password(text: str, suffix: str | int) -> None:
    password, answer = split(text, suffix)

    assert text.startswith(password)
    assert (answer is None) == (password == text)


@given(PASSWORDS, st.sampled_from(sorted(TYPED)))
def test_at_a_separator_whatever_a_password_ends_in_it_comes_apart_from_the_answer(
    password: str, typed: str
) -> None:
    assert split(f"{password},{typed}", ",") == (password, TYPED[typed])


@given(PASSWORDS, st.from_regex(r"[0-9]{6}", fullmatch=True))
@example("secret,12", "345678")
def test_six_digits_are_taken_off_unless_a_comma_and_two_more_make_them_a_mailed_code(
    password: str, code: str
) -> None:
    """A password that ends in a comma and two digits cannot be told from one and a mailed code."""
    before = re.fullmatch(r"(.*),[ -]*\d[ -]*\d[ -]*", unicodedata.normalize("NFKC", password))
    found, answer = split(password + code, 6)
    assert isinstance(answer, CodeAnswer)
    if before:
        assert (unicodedata.normalize("NFKC", found), answer.kind) == (before[1], FactorKind.MAIL)
    else:
        assert (found, answer) == (password, CodeAnswer(FactorKind.TOTP, code))


@given(PASSWORDS, st.sampled_from(sorted(TYPED)))
def test_where_six_digits_are_taken_off_all_else_that_answers_follows_a_comma(password: str, typed: str) -> None:
    expected = (f"{password},", TOTP) if typed == "123456" else (password, TYPED[typed])
    if typed != "123 456":  # which is no six digits
        assert split(f"{password},{typed}", 6) == expected


@given(PASSWORDS, st.sampled_from([",", 6]))
def test_a_text_is_a_password_or_a_password_and_all_that_answers_at_its_end(text: str, suffix: str | int) -> None:
    password, answer = split(text, suffix)

    if answer is None:
        assert password == text
    else:
        rest = text.removeprefix(password)
        assert read_answer(rest.removeprefix(",")) == answer
        assert "," not in rest[1:]


@settings(max_examples=50, deadline=None)
@given(
    PASSWORDS,
    st.sampled_from(
        ["", "{code}", ",{code}", ",,{code}", ",12{code}", ",mail", ",{code} trust", "{wrong}", ",{wrong}"]
    ),
    st.sampled_from([COMMA, SIX]),
)
def test_the_directory_is_asked_the_one_password_that_the_rule_says_and_no_other_reading_is_let_in(
    password: str, ending: str, nas: Nas
) -> None:
    """Not where the other reading would be right either."""
    with house() as it:
        it.enrol("alice")
        it.directory.password = password.encode()
        code = it.code("alice")
        text = password + ending.format(code=code, wrong=it.wrong_code("alice"))
        assert nas.profile.suffix is not None
        said, answer = split(text, nas.profile.suffix)

        outcome = it.login("alice", nas).says(text)

        asked = [each for what, each in it.directory.asked if what in ("check", "dummy")]
        assert asked == [said]
        right = said == password and isinstance(answer, CodeAnswer) and answer.code == code
        assert (outcome == "accept accepted") is right
