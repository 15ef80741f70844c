"""Files of tokens, as other servers and spreadsheets write them, and what is left of them when they are broken."""

from __future__ import annotations

import base64
import csv
import io

import pyotp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radius_mfa.cli.token_file import SEALED, ExportedRow, Line, NoTokenFileError, Problem, Row, read
from radius_mfa.factors.totp import base32, key_uri

SEED = bytes(range(20))
GOOD = base64.b32encode(SEED).decode()
URI = f"otpauth://totp/Example:alice?secret={GOOD}&issuer=Example"

seeds = st.binary(min_size=10, max_size=40)
names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
plain_names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters=":"), min_size=1, max_size=20
)


def lines_of(octets: bytes) -> list[Line]:
    return list(read(io.BytesIO(octets)))


def only(*text: str) -> Line:
    """The one row below the header, or the one address."""
    (line,) = lines_of("".join(f"{each}\n" for each in text).encode())
    return line


def reason(line: Line) -> str:
    assert isinstance(line, Problem), line
    assert GOOD not in repr(line)
    assert GOOD.lower() not in repr(line)
    return line.text


def as_csv(header: list[str], *rows: list[str]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([header, *rows])
    return written.getvalue().encode()


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("username,secret", f"alice,{GOOD}"),
        ("secret,username", f"{GOOD},alice"),
        ("Username, SECRET", f"alice,{GOOD}"),
        ("label,username,secret", f",alice,{GOOD}"),
        ("period,digits,username,algorithm,secret,label", f"30,6,alice,sha1,{GOOD},"),
        ("period,digits,username,algorithm,secret,label", f",,alice,HMAC-SHA1,{GOOD},"),
        ("username,secret", f'"alice","{GOOD.lower()}"'),
    ],
)
def test_the_header_says_what_is_in_the_columns(header: str, row: str) -> None:
    assert only(header, row) == Row(2, "alice", "", SEED)


@given(st.lists(st.tuples(names, names, seeds), max_size=5))
def test_what_a_program_writes_as_csv_is_read(rows: list[tuple[str, str, bytes]]) -> None:
    octets = as_csv(["username", "label", "secret"], *([name, label, base32(seed)] for name, label, seed in rows))

    expected = [Row(line, name, label, seed) for line, (name, label, seed) in enumerate(rows, 2)]
    assert lines_of(octets) == expected


def test_an_address_may_stand_for_the_secret() -> None:
    """Whose the token is the column says, and the label too where there is one."""
    assert only("username,secret", f"bob,{URI}") == Row(2, "bob", "Example", SEED)
    assert only("username,secret,label", f"bob,{URI},phone") == Row(2, "bob", "phone", SEED)
    assert reason(only("username,secret", f"bob,{URI}&digits=8")) == "8 digits: only codes of 6 can be used"


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("username,secret,digits", f"alice,{GOOD},8", "8 digits: only codes of 6 can be used"),
        ("username,secret,digits", f"alice,{GOOD},six", "digits: not a number"),
        ("username,secret,digits", f"alice,{GOOD},\N{FULLWIDTH DIGIT SIX}", "digits: not a number"),
        ("username,digits,secret", f"alice,{GOOD},6", "digits: not a number"),
        ("username,secret,period", f"alice,{GOOD},60", "60 s: only codes that change every 30 s can be used"),
        ("username,secret,algorithm", f"alice,{GOOD},SHA256", "SHA256: only SHA1 can be used"),
        ("username,secret,algorithm", f"alice,{GOOD},hmac-sha-512", "SHA512: only SHA1 can be used"),
        (
            "username,algorithm,secret",
            f"alice,{GOOD},sha1",
            "an algorithm that is not known: only SHA1 can be used",
        ),
        ("username,secret", "alice,not base32!", "the secret is not base32 of 80 bits or more"),
        ("username,secret", "alice,MFRGGZDF", "the secret is not base32 of 80 bits or more"),
        ("username,secret", "alice,", "the secret is not base32 of 80 bits or more"),
        ("username,secret", f",{GOOD}", "no user name, or none that can be read"),
        ("username,secret", f"al\x1bice,{GOOD}", "no user name, or none that can be read"),
        (
            "username,secret,label",
            f"alice,{GOOD},\x1b[2J",
            "a label that is not one line of 64 characters at most",
        ),
        (
            "username,secret,label",
            f"alice,{GOOD},{'x' * 65}",
            "a label that is not one line of 64 characters at most",
        ),
        ("username,secret", f"alice,{GOOD},more", "3 fields instead of 2"),
        ("username,secret", GOOD, "1 field instead of 2"),
        ("username,secret", f'alice,"{GOOD}', "a quote that is not closed in its line"),
        ("username,secret", f'"alice"x,{GOOD}', "not a row of CSV"),
        ("username,secret", f"alice\0,{GOOD}", "a NUL in it: the file is damaged, or not in UTF-8"),
        ("username,secret", f"{'x' * 70_000},{GOOD}", "a line of more than 65536 octets"),
    ],
)
def test_a_row_that_is_refused(header: str, row: str, said: str) -> None:
    assert reason(only(header, row)) == said


@pytest.mark.parametrize(
    "bad",
    [b'"alice,' + GOOD.encode(), b"alic\xe9," + GOOD.encode(), b"a\0," + GOOD.encode(), b"a," * 80_000, b"alice"],
    ids=["quote", "Latin-1", "NUL", "long", "half"],
)
def test_what_is_wrong_with_one_row_harms_no_other(bad: bytes) -> None:
    octets = b"username,secret\r\nalice,%b\r\n\r\n%b\r\nbob,%b\r\n" % (GOOD.encode(), bad, GOOD.encode())
    first, wrong, last = lines_of(octets)

    assert first == Row(2, "alice", "", SEED)
    assert isinstance(wrong, Problem)
    assert wrong.line == 4
    assert last == Row(5, "bob", "", SEED)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "the first line must be username,secret"),
        (b"\n", "the first line must be username,secret"),
        (b"alice,MFRGGZDFMZTWQ2LK\n", "the first line must be username,secret"),
        (b"username;secret\n", "the first line must be username,secret"),
        (b'"username,secret\n', "the first line must be username,secret"),
        (b"username\n", "the first line must be username,secret"),
        (b"username,sealed\n", "the first line must be username,secret"),
        (b"username,secret,secret\n", "a column that is there twice"),
        (
            b"username,secret,shoe\n",
            "a column that is not known: beside username and secret there may be algorithm, digits, label, period",
        ),
        (b"usern\xe4me,secret\n", "not in UTF-8"),
        ("username,secret\n".encode("utf-16"), "a NUL in it: the file is damaged, or not in UTF-8"),
        (b"x" * 70_000, "a line of more than 65536 octets"),
    ],
)
def test_a_file_that_is_none(octets: bytes, said: str) -> None:
    with pytest.raises(NoTokenFileError, match=said):
        lines_of(octets)


# --- cut off --------------------------------------------------------------------------------------

CUT = "the file ends within this row, it seems: complete it, or put a line end behind it"


def test_a_last_line_without_its_end_is_read_where_it_is_whole() -> None:
    octets = f"username,secret\nalice,{GOOD}\nbob,{GOOD}".encode()
    assert lines_of(octets) == [Row(2, "alice", "", SEED), Row(3, "bob", "", SEED)]


def test_half_a_secret_is_no_secret() -> None:
    """It would be base32 of enough bits, of a token that nobody has."""
    first, cut = lines_of(f"username,secret\nalice,{GOOD}\nbob,{GOOD[:24]}".encode())
    assert isinstance(first, Row)
    assert reason(cut) == CUT


def test_a_secret_of_a_usual_length_may_be_shorter_than_others() -> None:
    assert lines_of(f"username,secret\nalice,{GOOD}\nbob,{GOOD[:16]}".encode())[1] == Row(3, "bob", "", SEED[:10])


def test_half_a_name_is_nobodys() -> None:
    """u1 is somebody else than u12."""
    assert reason(lines_of(f"secret,username\n{GOOD},u1".encode())[0]) == CUT


@given(
    st.lists(st.tuples(names, st.binary(min_size=20, max_size=20)), min_size=2, max_size=4),
    st.booleans(),
    st.data(),
)
def test_of_a_file_that_was_cut_off_no_row_is_another(
    rows: list[tuple[str, bytes]], name_first: bool, data: st.DataObject
) -> None:
    pairs = [[name, base32(seed)] for name, seed in rows]
    octets = as_csv(*([each if name_first else each[::-1] for each in (["username", "secret"], *pairs)]))
    whole = lines_of(octets)
    second = octets.index(b"\n", octets.index(b"\n") + 1) + 1  # of one row alone it cannot be told
    found = lines_of(octets[: data.draw(st.integers(second, len(octets)))])

    # 80 bits are usual, and taken with a warning.
    good = [each for each in found if isinstance(each, Row) and len(each.secret) != 10]
    assert good == whole[: len(good)]
    assert len(found) - len(good) <= 1


@given(st.binary(max_size=300))
@example(b'username,secret\n"')
@example(b"otpauth://totp/a?secret=%")
def test_anything_at_all_is_rows_and_problems_or_no_file(octets: bytes) -> None:
    for start in (b"", b"username,secret\n", b"otpauth:\n", ",".join(SEALED).encode() + b"\n"):
        try:
            found = lines_of(start + octets)
        except NoTokenFileError:
            continue
        assert [each.line for each in found] == sorted({each.line for each in found})


# --- otpauth:// -----------------------------------------------------------------------------------


@given(plain_names, plain_names, seeds)
def test_the_addresses_of_our_own_qr_codes_are_read(name: str, issuer: str, seed: bytes) -> None:
    assert lines_of(key_uri(seed, name, issuer).encode()) == [Row(1, name, issuer, seed)]


@given(plain_names, plain_names, st.sampled_from(["SHA1", None]))
def test_the_addresses_that_pyotp_makes_are_read(name: str, issuer: str, hashed: str | None) -> None:
    uri = pyotp.TOTP(GOOD).provisioning_uri(name=name, issuer_name=issuer)
    uri += f"&algorithm={hashed}&digits=6&period=30" if hashed else "&image=https%3A%2F%2Fexample.org%2Flogo.png"
    assert lines_of(uri.encode()) == [Row(1, name, issuer, SEED)]


@pytest.mark.parametrize(
    ("uri", "label", "name"),
    [
        (f"otpauth://totp/alice?secret={GOOD}", "", "alice"),
        (f"otpauth://totp/Example%3Aalice?secret={GOOD}", "Example", "alice"),
        (f"otpauth://totp/Example%20Co:%20alice?secret={GOOD}", "Example Co", "alice"),
        (f"otpauth://totp/Old:alice?issuer=Example+Co&secret={GOOD}", "Example Co", "alice"),
        (f"otpauth://totp/:alice@example.org?secret={GOOD}&issuer=", "", "alice@example.org"),
        (f"OTPAUTH://TOTP/%E6%97%A5%E6%9C%AC?Secret={GOOD.lower()}", "", "日本"),
        (f"otpauth://totp/a+b?secret={GOOD}&digits=6&period=30&algorithm=SHA1", "", "a+b"),
        (f"  otpauth://totp/alice?secret={GOOD}  ", "", "alice"),
    ],
)
def test_the_user_is_the_account_and_the_label_the_issuer(uri: str, label: str, name: str) -> None:
    assert only(uri) == Row(1, name, label, SEED)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"otpauth://hotp/alice?secret={GOOD}&counter=1", "hotp: only tokens that go by the time can be used"),
        (f"otpauth://steam/alice?secret={GOOD}", "not an otpauth://totp/ address"),
        (f"otpauth-migration://offline?data={GOOD}", "otpauth-migration holds the tokens of a whole app"),
        (f"otpauth://totp?secret={GOOD}", "not an otpauth:// address"),
        (f"otpauth://totp/alice&secret={GOOD}", "not an otpauth:// address"),
        (f"otpauth://totp/a?secret={GOOD}#fragment", "not an otpauth:// address"),
        (f"otpauth://totp/a\x1b?secret={GOOD}", "not an otpauth:// address"),
        (f"otpauth://totp/a:b:c?secret={GOOD}", "more than one colon between issuer and account"),
        (f"otpauth://totp/a?secret={GOOD}&secret={GOOD}", "secret is there twice"),
        (f"otpauth://totp/a?secret={GOOD}&digits=8", "8 digits: only codes of 6 can be used"),
        (f"otpauth://totp/a?secret={GOOD}&period=60", "60 s: only codes that change every 30 s can be used"),
        (f"otpauth://totp/a?secret={GOOD}&period={GOOD}", "period: not a number"),
        (f"otpauth://totp/a?secret={GOOD}&algorithm=SHA512", "SHA512: only SHA1 can be used"),
        (f"otpauth://totp/a?secret={GOOD}&algorithm={GOOD}", "an algorithm that is not known"),
        (f"otpauth://totp/a?secret={GOOD}&encoder=steam", "its codes are written in a way of their own"),
        (f"otpauth://totp/?secret={GOOD}", "no user name, or none that can be read"),
        (f"otpauth://totp/Example:?secret={GOOD}", "no user name, or none that can be read"),
        (f"otpauth://totp/a%ff?secret={GOOD}", "its percent signs stand for nothing that can be read"),
        (f"otpauth://totp/a%?secret={GOOD}", "its percent signs stand for nothing that can be read"),
        (f"otpauth://totp/a%00?secret={GOOD}", "its percent signs stand for nothing that can be read"),
        (f"otpauth://totp/a?issuer={GOOD}", "the secret is not base32 of 80 bits or more"),
        ("otpauth://totp/a?secret=0189", "the secret is not base32 of 80 bits or more"),
    ],
)
def test_an_address_that_is_refused(uri: str, said: str) -> None:
    found = lines_of(f"{URI}\n\n{uri}\n{URI}\n".encode())
    assert [type(each) for each in found] == [Row, Problem, Row]
    assert reason(found[1]).startswith(said)
    assert found[1].line == 3


def test_a_line_that_is_no_address_among_addresses() -> None:
    _, wrong = lines_of(f"{URI}\nalice,{GOOD}\n".encode())
    assert reason(wrong) == "not an otpauth:// address"


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_of_a_secret_is_said_again(before: str, after: str) -> None:
    """Wherever it stands in what cannot be read."""
    broken = f"{before}{GOOD}{after}".replace("\n", "")
    files = (
        f"{URI}\notpauth://totp/{broken}\n",
        f"username,secret\n{broken}\n",
        f"username,digits,secret\n,{broken},\n",
    )
    for file in files:
        problems = [each for each in lines_of(file.encode(errors="replace")) if isinstance(each, Problem)]
        assert GOOD not in repr(problems)


# --- sealed ---------------------------------------------------------------------------------------

SEALED_ROW = ["id of alice", "alice", "phone", "true", "-3", "58000000", "0123456789abcdef", "AQID"]


def test_what_was_exported_sealed_is_read() -> None:
    said = tuple(SEALED_ROW[:-1])
    expected = ExportedRow(2, "id of alice", "alice", "phone", True, -3, 58000000, said, b"\1\2\3")
    assert lines_of(as_csv(list(SEALED), SEALED_ROW)) == [expected]
    assert lines_of(as_csv(list(SEALED)[::-1], SEALED_ROW[::-1])) == [expected]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("user_id", "", "no user_id or id, or none that can be read"),
        ("user_id", "x" * 65, "no user_id or id, or none that can be read"),
        ("user_id", "\x1b", "no user_id or id, or none that can be read"),
        ("id", "", "no user_id or id, or none that can be read"),
        ("username", "\x1b", "no user name, or none that can be read"),
        ("label", "\x1b", "a label that is not one line of 64 characters at most"),
        ("confirmed", "yes", "confirmed: must be true or false"),
        ("drift", "241", "drift: not a number from -240 to 240"),
        ("drift", "", "drift: not a number from -240 to 240"),
        ("last_step", "-1", "last_step: not a number from 0 to 4294967296"),
        ("last_step", "9" * 40, "last_step: not a number from 0 to 4294967296"),
        ("sealed", "AQI", "sealed: not base64"),
    ],
)
def test_a_sealed_row_that_was_changed_by_hand(column: str, value: str, said: str) -> None:
    row = [value if name == column else each for name, each in zip(SEALED, SEALED_ROW, strict=True)]
    (found,) = lines_of(as_csv(list(SEALED), row))
    assert reason(found) == said
