"""What a mailed link carries: nobody makes one up, and whatever is typed instead is none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.links import link_id_of, link_token
from tests.adapters import new_sealer

SEALER = new_sealer()
LINK = "0011223344556677"
TOKEN = link_token(SEALER, LINK)


def test_a_link_is_read_back() -> None:
    assert link_id_of(SEALER, TOKEN) == LINK


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_id_is_read_back_and_nothing_in_it_is_escaped_in_a_url(link_id: str) -> None:
    token = link_token(SEALER, link_id)

    assert re.fullmatch("[A-Za-z0-9_-]+", token)
    assert link_id_of(SEALER, token) == link_id


def test_it_is_another_one_each_time_and_shows_nothing_of_the_id() -> None:
    assert link_token(SEALER, LINK) != TOKEN
    assert LINK not in TOKEN


def test_only_what_our_keys_have_sealed_for_a_link_is_one() -> None:
    assert link_id_of(new_sealer(), TOKEN) is None


@given(st.integers(0, len(TOKEN) - 2), st.sampled_from("AQgw-_"))
def test_whoever_changes_a_letter_has_none(at: int, letter: str) -> None:
    """The last letter of it has bits that say nothing."""
    changed = TOKEN[:at] + letter + TOKEN[at + 1 :]

    assert link_id_of(SEALER, changed) == (LINK if changed == TOKEN else None)


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("A", id="a letter"),
        pytest.param("=", id="padding"),
        pytest.param("====", id="more of it"),
        pytest.param(TOKEN[:-1], id="one letter less"),
        pytest.param(TOKEN + "A", id="one more"),
        pytest.param(f" {TOKEN}", id="a space"),
        pytest.param(f"{TOKEN}\n", id="a line"),
        pytest.param(f"{TOKEN}。", id="a full stop"),
        pytest.param("\ud800", id="half a character"),
        pytest.param("A" * 1_000_000, id="a million letters"),
    ],
)
def test_what_is_typed_instead_is_none(typed: str) -> None:
    assert link_id_of(SEALER, typed) is None


@given(st.text(st.characters(), max_size=300) | st.text(st.sampled_from("AZaz09-_+/=.%"), max_size=300))
def test_whatever_follows_in_the_address_breaks_nothing(typed: str) -> None:
    assert link_id_of(SEALER, typed) is None
