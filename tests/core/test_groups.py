"""Directory groups: one spelling for all of one group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.groups import fold_group

STAFF = "cn=staff,ou=groups,dc=example"


@pytest.mark.parametrize(
    "spelling",
    [
        "CN=Staff,OU=Groups,DC=example",
        "cn=staff, ou=groups, dc=example",
        " cn = staff ,ou = groups , dc=example ",
    ],
)
def test_spellings_of_one_group_fold_together(spelling: str) -> None:
    """RFC 4514 §2: names and attribute types do not differ by case."""
    assert fold_group(spelling) == STAFF


def test_an_escaped_comma_belongs_to_the_name() -> None:
    """RFC 4514 §2.4."""
    assert fold_group("cn=staff\\, old,dc=example") != fold_group("cn=staff\\,old,dc=example")


def test_an_escaped_space_belongs_to_the_name() -> None:
    """RFC 4514 §2.4: an escaped space at the end of a value is no escaped comma within one."""
    assert fold_group("cn=x\\ ,ou=groups") != fold_group("cn=x\\,ou=groups")


def test_folding_takes_no_longer_for_endless_white_space() -> None:
    """A quadratic search would not come back in the time a test run has."""
    assert fold_group("cn=staff" + " " * 1_000_000 + "x") == "cn=staff x"


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        (r"cn=Admins\, net,ou=groups", r"cn=Admins\2C net,ou=groups"),
        (r"cn=Admins\, net,ou=groups", r"CN=admins\2c net, OU=Groups"),
        (r"cn=a\+b", r"cn=a\2Bb"),
        (r"cn=M\C3\BCller", "cn=müller"),
        (r"cn=\#1", "cn=#1"),
        (r"cn=x\3Dy", "cn=x=y"),
        (r"cn=x\=y", "cn=x=y"),
        (r"cn=back\\slash", r"cn=back\5cslash"),
        (r"cn=two\20words", "cn=two words"),
    ],
)
def test_a_group_is_the_same_in_whatever_way_it_is_escaped(written: str, otherwise: str) -> None:
    """RFC 4514 §2.4, §3: servers choose; a policy must not be passed over because of it."""
    assert fold_group(written) == fold_group(otherwise)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"cn=a\,b", "cn=a,b"),
        (r"cn=a\2Cb", "cn=a,b"),
        (r"DOM\group", "DOMgroup"),
        (r"cn=a\\,b", r"cn=a\,b"),
        (r"cn=a\FFb", "cn=ab"),
        (r"cn=a\00b", "cn=ab"),
    ],
)
def test_other_groups_stay_other_groups(one: str, other: str) -> None:
    assert fold_group(one) != fold_group(other)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"]), max_size=20))
def test_a_server_may_escape_as_much_as_it_likes(name: str) -> None:
    little = "".join(f"\\{each}" if each in '"+,;<>\\' else each for each in name)
    much = "".join(f"\\{octet:02x}" for octet in name.encode())

    assert fold_group(f"cn=x{little}x,ou=g") == fold_group(f"cn=x{much}x,ou=g")
