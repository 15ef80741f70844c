"""How a value is written, which its parser carries with it."""

from __future__ import annotations

import pytest

from radius_mfa.config.forms import Form, Parser, form_of, written


@written(Form(says="yes or no", words=("yes", "no")))
def answer(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("must be yes or no, not {it}")
    return text == "yes"


def test_a_parser_with_a_form_parses_as_before() -> None:
    assert (answer("yes"), answer("no")) == (True, False)
    with pytest.raises(ValueError, match="must be yes or no"):
        answer("perhaps")


def test_a_parser_says_how_what_it_takes_is_written() -> None:
    assert isinstance(answer, Parser)
    assert form_of(answer) == Form(says="yes or no", words=("yes", "no"))


def test_whatever_says_nothing_takes_any_text() -> None:
    assert form_of(str.strip) == Form()
