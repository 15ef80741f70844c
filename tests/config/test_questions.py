"""What is typed at `radius-mfa init`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.profiles import GATEWAYS
from radius_mfa.config.questions import BY_NAME, answers_template, parsed, unanswered

_ROOT = Path(__file__).parents[2]
_HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True)


def refusal(name: str, typed: str) -> str:
    """Why it is not taken; "" where it is."""
    try:
        parsed(BY_NAME[name], typed)
    except ValueError as refused:
        return str(refused)
    return ""


def test_every_profile_has_a_title_that_its_page_has_too() -> None:
    table = (_ROOT / "docs" / "gateways" / "README.md").read_text()
    for name, gateway in GATEWAYS.items():
        (row,) = (line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
        assert gateway.title.split(",")[0].split(" that")[0].casefold() in row.casefold()


@given(
    st.lists(
        st.tuples(st.sampled_from(["ldap", "ldaps"]), _HOSTS, st.integers(1, 65535)),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_servers_are_taken_with_commas_or_spaces(servers: list[tuple[str, str, int]]) -> None:
    urls = [f"{scheme}://{host}:{port}" for scheme, host, port in servers]
    for between in (", ", ",", " "):
        assert parsed(BY_NAME["ldap_servers"], between.join(urls)) == ", ".join(urls)


@given(st.ip_addresses())
def test_any_address_is_taken_as_it_was_typed(address: object) -> None:
    assert parsed(BY_NAME["client_address"], f" {address} ") == str(address)


@given(st.sampled_from(list(BY_NAME)), st.text(max_size=60))
def test_whatever_is_typed_is_taken_or_refused_in_words(name: str, typed: str) -> None:
    why = refusal(name, typed)
    assert "{it}" not in why or "{it}" in typed
    assert not (BY_NAME[name].secret and len(typed) > 15 and typed in why)


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("ldap_servers", "ldap.example.org", "must be a URL that begins with ldap:// or ldaps:// and a host"),
        ("ldap_servers", " , ", "is empty"),
        ("ldap_servers", "ldaps://a..b", "must have a host name, with 1 to 63 characters between its dots"),
        ("ldap_servers", "ldap://a ldap://A:389", "has ldap://A:389 twice"),
        ("ldap_base_dn", "example.org", '"example.org" is no DN, as dc=example,dc=org'),
        ("ldap_start_tls", "perhaps", 'must be yes or no, not "perhaps"'),
        ("ldap_ca_file", "/no/such.pem", '"/no/such.pem" cannot be read: No such file or directory'),
        ("ldap_user_filter", "(uid=me)", "must have {username} in it, as in (uid={username})"),
        (
            "client_address",
            "192.0.2.1/24",
            '"192.0.2.1/24" has bits set beyond the prefix; write 192.0.2.0/24, or the',
        ),
        ("client_address", "192.0.2.1, 192.0.2.1/32", "has 192.0.2.1/32 twice"),
        ("listen", "0.0.0.0:0", "must have a port of its own"),
        ("client_name", "here", '"here" is what this machine is called; take another'),
        ("client_name", "../vpn", "must have letters, digits, -, _ and . only, 32 at most"),
        ("contact", "${CONTACT}", "would be taken for a variable of the environment"),
        ("smtp_sender", "nobody", "must be an e-mail address"),
        ("client_secret", "a\x00b", "has control characters in it"),
    ],
)
def test_a_slip_is_told_in_a_line(name: str, typed: str, why: str) -> None:
    assert refusal(name, typed).startswith(why)


def test_the_file_to_fill_in_has_every_question_and_no_more_than_must_be_filled_in() -> None:
    lines = answers_template().splitlines()
    asked = [found[1] for line in lines if (found := re.match(r"(?:# )?(\w+):(?: |$)", line))]
    assert asked == list(BY_NAME)
    open_ = [line.rstrip(":") for line in lines if line and not line.startswith("#")]
    assert open_ == [question.name for question in unanswered({})]
    assert open_ == ["ldap_servers", "ldap_bind_dn", "ldap_bind_password", "client_address"]


def test_mail_is_asked_for_as_far_as_there_is_a_server() -> None:
    more = [each.name for each in unanswered({"smtp": "smtp://mail.example.org", "smtp_username": "mfa"})]
    assert more[-2:] == ["smtp_password", "smtp_sender"]


def test_the_page_about_it_has_every_question() -> None:
    page = (_ROOT / "docs" / "first-vpn.md").read_text()
    for question in BY_NAME.values():
        assert f"| `{question.name}` | {question.help} |" in page
