"""Names and passwords of every kind, through the whole stack to slapd and back."""

from __future__ import annotations

import pytest

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, USER_NAME, USER_PASSWORD, RawReply
from tests.end_to_end.site import Site, masked, odd, told


def ask(university: Site, name: bytes, password: bytes) -> RawReply:
    with university.nas() as nas:
        return nas.exchange(nas.packet(name, password))


@pytest.mark.parametrize(
    "name",
    [
        "日本 太郎",
        "müller",
        "*)(uid=*",
        "*",
        "back\\slash \\2a",
        "a, b + c = #d",
        "x",
        "n" * 253,
        "longpassword",
        "spacedpassword",
        "first",
    ],
)
def test_whoever_it_is_the_right_password_and_code_are_let_in(university: Site, name: str) -> None:
    user = odd(name)
    with university.nas() as nas:
        challenge = nas.ask(user.name, user.password)
        assert challenge.code == CHALLENGE
        assert nas.ask(user.name, user.code(), state=challenge.state).code == ACCEPT
    events = university.audit(name[:128]) or university.audit(name)
    assert {event["user_id"] for event in events} == {university.show(user)["id"]}


@pytest.mark.parametrize("name", ["  müller ", "MÜLLER", "müller\u3000", "mu\u0308ller", "Ｍüller"])
def test_a_name_is_one_user_however_it_is_typed(university: Site, name: str) -> None:
    """Whatever slapd takes for the same name has the same tokens, locks and used codes."""
    user = odd("müller")
    assert ask(university, name.encode(), user.password.encode()).code == CHALLENGE
    assert {event["user_id"] for event in university.audit(name.strip())} == {university.show(user)["id"]}


def test_white_space_around_a_name_is_nothing_yet_a_state_is_for_what_was_sent(university: Site) -> None:
    user = university.staff()
    spaced = user.name + " "
    with university.nas() as nas:
        state = nas.ask(spaced, user.password).state
        assert nas.ask(user.name, user.code(), state=state).code == REJECT
        assert nas.ask(spaced, user.code(), state=state).code == ACCEPT


@pytest.mark.parametrize(
    "name",
    [b"", b" ", b"\0", b"u1\0", b"u\n1", b"u1\x1b[2J", b"\xff\xfe", b"m\xfcller", "\N{NEXT LINE}u1".encode() * 2],
)
def test_a_name_that_nobody_can_have_is_refused(university: Site, name: bytes) -> None:
    reply = ask(university, name, b"pw1")
    assert (reply.code, reply.message) == (REJECT, told("refused"))


@pytest.mark.parametrize(
    "name",
    [
        "(uid=u1)",
        "u1)(cn=*",
        "*)(userPassword=*",
        "u?",
        "u\\31",
        "uid=u1,ou=people,dc=example,dc=org",
        "n" * 252,
        "\N{ZERO WIDTH SPACE}",
        "{username}",
        "{0.__class__}",
        "%s%n",
    ],
)
def test_a_name_is_never_more_than_a_name_to_look_for(university: Site, name: str) -> None:
    reply = ask(university, name.encode(), b"pw1")
    assert (reply.code, reply.message) == (REJECT, told("refused"))
    assert "reject unknown_user" in university.outcomes(masked(name))


@pytest.mark.parametrize(
    ("name", "password"),
    [
        # A star for a password, a filter for one, none at all.
        ("u1", b"*"),
        ("u1", b""),
        ("u1", b"*)(uid=*"),
        ("u1", b"{SSHA}"),
        # What is right with the wrong spaces, and cut.
        ("spacedpassword", b"a b"),
        ("spacedpassword", b" a b"),
        ("longpassword", b"p" * 127),
        ("longerpassword", b"p" * 128),
        ("日本 太郎", "パスワート".encode()),
        ("日本 太郎", "パスワード".encode("shift_jis")),
        # Composed otherwise: another password.
        ("müller", "pa\u0308sswo\u0308rd".encode()),
        ("x", b"Y"),
        # Up to the NUL it would be right, or is all that is right.
        ("nul", b"before"),
        ("u1", b"pw1\0x"),
        # Right, and never put to the directory: it comes out of a wrong shared secret as a rule.
        ("nul", b"before\0after"),
        ("octets", b"\xff\xfe no UTF-8 \x80"),
        ("u1", b"\xff\xfe\xfd"),
        ("u1", b"pw1\n"),
    ],
)
def test_a_password_that_is_not_right_to_the_octet_is_refused(
    university: Site, name: str, password: bytes
) -> None:
    reply = ask(university, name.encode(), password)
    assert (reply.code, reply.message) == (REJECT, told("refused"))


def test_the_nuls_that_fill_a_block_are_not_of_the_password(university: Site) -> None:
    """RFC 2865 §5.2 has no length of the password: who pads more means the same."""
    user = university.staff()
    password = user.password.encode()
    assert ask(university, user.name.encode(), password + bytes(32 - len(password))).code == CHALLENGE


@pytest.mark.parametrize("length", [0, 1, 15, 17, 129, 144, 253])
def test_a_user_password_of_an_impossible_length_is_refused(university: Site, length: int) -> None:
    """RFC 2865 §5.2: 16 to 128 octets, whole blocks; 129 octets of a password would be 144."""
    with university.nas() as nas:
        packet = nas.raw([(USER_NAME, b"longerpassword"), (USER_PASSWORD, bytes(length))])
        assert nas.exchange(packet).code == REJECT


def test_a_password_of_129_octets_is_refused_though_it_is_right(university: Site) -> None:
    assert ask(university, b"longerpassword", b"p" * 129).code == REJECT


@pytest.mark.parametrize(
    "attributes",
    [
        [(USER_PASSWORD, bytes(16))],
        [(USER_NAME, b"u1")],
        [(USER_NAME, b"u1"), (USER_PASSWORD, bytes(16)), (USER_PASSWORD, bytes(16))],
        [(USER_NAME, b"u1"), (3, bytes(17))],
        [(USER_NAME, b"u1"), (79, b"\x02\x01\x00\x07\x01u1")],
        [(USER_NAME, b"u1"), (26, b"\x00\x00\x01\x37\x01\x34" + bytes(50))],
    ],
    ids=["no name", "no password", "two passwords", "CHAP", "EAP", "MS-CHAP"],
)
def test_what_is_no_name_and_password_is_refused(university: Site, attributes: list[tuple[int, bytes]]) -> None:
    with university.nas() as nas:
        assert nas.exchange(nas.raw(attributes)).code == REJECT


def test_answers_of_every_kind_get_an_answer_and_never_let_anybody_in(university: Site) -> None:
    user = university.staff()
    code = user.code().encode()
    answers = [
        b"",
        b"\0",
        code + b"\0" + code,
        b"\0" + code,
        b"\xff\xfe",
        code[:5],
        code + code[:1],
        code + b"9" * 122,
        b"9" * 128,
        "١٢٣٤٥٦".encode(),
        b"*",
        b"'; DROP TABLE totp_token; --",
    ]
    for answer in answers:
        with university.nas() as nas:
            state = nas.ask(user.name, user.password).state
            reply = nas.exchange(nas.packet(user.name.encode(), answer, state=state))
            assert reply.code in (CHALLENGE, REJECT), answer
    assert university.show(user)["failures"] <= 1  # Arabic digits are digits, and so a guess
