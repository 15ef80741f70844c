"""LDAP filters: RFC 4515 §3 (grammar), §4 (examples)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.filters import plain_filter, user_filter


@pytest.mark.parametrize(
    "written",
    [
        "(uid={username})",
        "(&(objectClass=person)(uid={username}))",
        "(|(uid={username})(mail={username}@example.org))",
        "(&(sAMAccountName={username})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
        "(cn:caseExactMatch:={username})",
        "(uid:dn:={username})",
        "(:dn:2.4.6.8.10:={username})",
        "(&(uid={username})(cn=*)(sn=Müll*er)(x>=1)(y<=2)(z~=3)(empty=))",
        r"(&(uid={username})(cn=a\2ab\28c\29\5c\00))",
        "(&(uid={username})(|))",
        "(cn;lang-de={username})",
    ],
)
def test_a_well_formed_filter_is_taken_as_written(written: str) -> None:
    assert user_filter(written) == written


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("(uid=alice)", "must have {username} in it"),
        ("uid={username}", "must stand in parentheses"),
        ("(uid={username}", "parentheses that do not match"),
        ("(uid={username}))", "parentheses that do not match"),
        ("(&(uid={username})(a=b)", "parentheses that do not match"),
        ("(uid={username})(a=b)", "is not an LDAP filter"),
        ("((uid={username}))", "is not an LDAP filter"),
        ("(!(uid={username})(a=b))", "is not an LDAP filter"),
        ("(& (uid={username}))", "is not an LDAP filter"),
        ("({username})", "must compare something with {username}"),
        ("(&({username}=x)(uid={username}))", "must compare something with {username}"),
        ("(={username})", "is not an LDAP filter"),
        (r"(uid={username}\4)", "is not an LDAP filter"),
        ("(&(uid={username})(cn={name}))", "only {username} can stand in braces"),
        ("(uid={username}{)", "only {username} can stand in braces"),
        ("(uid={username}\0)", "has a NUL"),
        ("(uid={username})" * 300, "longer than 4096"),
    ],
)
def test_a_slip_in_a_filter_is_named(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as wrong:
        user_filter(written)
    assert why in str(wrong.value)


def test_an_active_filter_names_nobody() -> None:
    assert plain_filter("(accountStatus=active)") == "(accountStatus=active)"
    with pytest.raises(ValueError, match="is for user_filter"):
        plain_filter("(uid={username})")
    with pytest.raises(ValueError, match=r"^write braces as \\7b and \\7d$"):
        plain_filter("(uid={name})")


def _around(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("(!{})".format, inside) | st.lists(inside, max_size=4).map(lambda all_: f"(&{''.join(all_)})")


@given(st.recursive(st.just("(a=b)"), _around, max_leaves=20))
def test_any_nesting_of_sound_filters_is_sound(written: str) -> None:
    assert plain_filter(written) == written


@given(st.text("(&|!=ab)\\{}", max_size=20))
def test_no_filter_is_sound_unless_its_parentheses_match(written: str) -> None:
    try:
        plain_filter(written)
    except ValueError:
        return
    assert written.count("(") == written.count(")")
