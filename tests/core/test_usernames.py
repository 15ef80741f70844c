"""What was typed as the user's name."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.usernames import ANY, KEPT, Naming, fold, looked_up, normal, read, realm_of


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"alice", "alice"),
        (b"  alice ", "alice"),
        ("山田".encode(), "山田"),
        ("　alice　".encode(), "alice"),
        (b"*)(uid=*", "*)(uid=*"),
        (b"DOM\\alice", "DOM\\alice"),
        (b"a" * 253, "a" * 253),
    ],
)
def test_a_name_is_taken_as_typed_but_for_outer_space(octets: bytes, name: str) -> None:
    assert read(octets) == name


@pytest.mark.parametrize(
    "octets",
    [None, b"", b"   ", "　".encode(), b"al\x00ice", b"al\nice", b"alice\n", b"\x1balice", b"\xff\xfe", b"\xc3"],
)
def test_no_account_is_called_that(octets: bytes | None) -> None:
    """RFC 2865 §5.1: a User-Name is UTF-8 text."""
    assert read(octets) is None


@given(st.binary(max_size=253))
def test_reading_never_fails_and_never_lets_a_control_character_through(octets: bytes) -> None:
    name = read(octets)

    assert name is None or (name == name.strip() != "")
    assert not any(unicodedata.category(each) == "Cc" for each in name or "")


@pytest.mark.parametrize("name", ["Alice", "ALICE", "ａｌｉｃｅ", " alice "])
def test_spellings_of_one_name_fold_together(name: str) -> None:
    assert fold(name) == "alice"


@given(st.text())
def test_folding_twice_is_folding_once_for_ascii(name: str) -> None:
    plain = "".join(each for each in name if each.isascii())

    assert fold(fold(plain)) == fold(plain)


# --- realms -------------------------------------------------------------------------------------

STRIPPED = Naming({ANY: ""})
MAPPED = Naming({"example": "example.org", "example.org": "example.org", "students.example.org": ""})
REQUIRED = Naming({"example.org": ""}, required=True)


@pytest.mark.parametrize(
    ("typed", "naming", "name"),
    [
        # Kept, which is the default: a backslash has no place in a name, an @ may have.
        ("alice", KEPT, "alice"),
        ("alice@example.org", KEPT, "alice@example.org"),
        ("alice @ example.org", KEPT, "alice@example.org"),
        ("EXAMPLE\\alice", KEPT, "alice"),
        ("EXAMPLE\\alice@example.org", KEPT, "alice@example.org"),
        ("ａｌｉｃｅ＠example.org", KEPT, "alice@example.org"),
        ("EXAMPLE＼alice", KEPT, "alice"),
        (" alice　", KEPT, "alice"),
        ("e\u0301ve", KEPT, "\u00e9ve"),
        ("EXAMPLE\\ alice", KEPT, "alice"),
        ("back\\slash \\2a", KEPT, "back\\slash \\2a"),
        # Stripped.
        ("alice @ anywhere.example", STRIPPED, "alice"),
        ("alice", STRIPPED, "alice"),
        ("alice@anywhere.example", STRIPPED, "alice"),
        ("ANY\\alice", STRIPPED, "alice"),
        ("odd@name@example.org", STRIPPED, "odd@name"),
        # Mapped, in whatever spelling.
        ("alice", MAPPED, "alice"),
        ("EXAMPLE\\alice", MAPPED, "alice@example.org"),
        ("Example\\alice@EXAMPLE.org", MAPPED, "alice@example.org"),
        ("alice@Students.Example.Org", MAPPED, "alice"),
        # Required.
        ("alice@example.org", REQUIRED, "alice"),
    ],
)
def test_what_is_looked_up(typed: str, naming: Naming, name: str) -> None:
    """RFC 7542 §2.2: the realm is what follows the last @."""
    assert looked_up(typed, naming) == name


@pytest.mark.parametrize(
    ("typed", "naming", "outcome"),
    [
        ("alice@elsewhere.org", MAPPED, Outcome.REALM_NOT_SERVED),
        ("OTHER\\alice", MAPPED, Outcome.REALM_NOT_SERVED),
        ("alice@elsewhere.org@example.org", MAPPED, Outcome.REALM_NOT_SERVED),
        ("OTHER\\alice@example.org", MAPPED, Outcome.REALM_NOT_SERVED),
        ("EXAMPLE\\alice@students.example.org", MAPPED, Outcome.REALM_NOT_SERVED),
        ("alice", REQUIRED, Outcome.REALM_MISSING),
        ("@example.org", STRIPPED, Outcome.NAME_UNREADABLE),
        ("EXAMPLE\\", STRIPPED, Outcome.NAME_UNREADABLE),
        ("\\alice", KEPT, Outcome.NAME_UNREADABLE),
        ("alice@", KEPT, Outcome.NAME_UNREADABLE),
    ],
)
def test_who_is_not_looked_up(typed: str, naming: Naming, outcome: Outcome) -> None:
    assert looked_up(typed, naming) is outcome


@given(st.text(min_size=1), st.sampled_from([KEPT, STRIPPED, MAPPED, REQUIRED]))
def test_what_is_looked_up_is_never_empty_and_says_no_realm_that_is_not_served(typed: str, naming: Naming) -> None:
    name = looked_up(typed, naming)

    if not isinstance(name, Outcome):
        assert name
        if naming in (MAPPED, REQUIRED) and "@" in normal(typed) and "\\" not in normal(typed):
            assert fold(normal(typed).rpartition("@")[2]) in (naming.realms or {})


SERVED = Naming({"example": "", "example.org": "example.org"})
STRIPPED = Naming({ANY: ""})


@pytest.mark.parametrize(
    ("typed", "naming", "realm"),
    [
        ("alice", KEPT, ""),
        ("alice@Example.ORG", KEPT, "example.org"),
        ("alice @ example.org ", KEPT, "example.org"),
        ("EXAMPLE\\alice@example.org", KEPT, "example.org"),
        ("ａｌｉｃｅ＠ｅｘａｍｐｌｅ.org", KEPT, "example.org"),
        ("odd@name@example.org", KEPT, "example.org"),
        ("alice@大学.example", KEPT, "大学.example"),
        ("alice@", KEPT, ""),
        ("back\\slash \\2a", KEPT, ""),
        ("@", KEPT, ""),
        ("", KEPT, ""),
        ("EXAMPLE\\alice", SERVED, "example"),
        ("alice@EXAMPLE", SERVED, "example"),
        ("alice@example.org", SERVED, "example.org"),
        ("example.org\\alice", SERVED, "example.org"),
        ("example\\alice@example.org", SERVED, "example.org"),
        ("alice@else", SERVED, ""),
    ],
)
def test_the_realm_of_a_name(typed: str, naming: Naming, realm: str) -> None:
    """RFC 7542 §2.2: the realm is what follows the last @."""
    assert realm_of(typed, naming) == realm


@pytest.mark.parametrize(
    ("typed", "naming"),
    [
        ("staff.example.org\\alice", KEPT),
        ("alice@staff.example.org", STRIPPED),
        ("alice@students.example.org@staff.example.org", STRIPPED),
        ("*\\alice", STRIPPED),
    ],
)
def test_a_realm_that_is_merely_dropped_is_none(typed: str, naming: Naming) -> None:
    """Else whoever types it would choose the policy."""
    assert realm_of(typed, naming) == ""


@given(st.text(), st.sampled_from([KEPT, SERVED, STRIPPED]))
@example("alice @ example.org", KEPT)
@example("0@\N{DIAERESIS}", KEPT)  # of which NFKC makes a space and a mark
def test_a_realm_is_looked_up_with_the_name_or_one_that_is_served(typed: str, naming: Naming) -> None:
    realm = realm_of(typed, naming)
    name = looked_up(typed, naming)

    if realm and not isinstance(name, Outcome):
        assert realm in (naming.realms or {}) or fold(name).endswith(f"@{realm}")


@given(st.text(min_size=1))
def test_who_typed_no_realm_is_looked_up_without_one(typed: str) -> None:
    name = looked_up(typed, KEPT)

    if not realm_of(typed, KEPT) and not isinstance(name, Outcome):
        assert "@" not in name
