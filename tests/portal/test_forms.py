"""What comes in a form, whoever has sent it."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from radius_mfa.portal.forms import read_form

FORM = "application/x-www-form-urlencoded"


def read(body: bytes, content_type: str = FORM, *, pieces: int = 1, hangs_up: bool = False) -> Mapping[str, str]:
    size = max(1, -(-len(body) // pieces))
    left = [body[at : at + size] for at in range(0, len(body), size)] or [b""]

    async def receive() -> Any:
        if hangs_up and len(left) == 1:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [(b"content-type", content_type.encode("latin-1"))] if content_type else []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    return asyncio.run(read_form(Request(scope, receive)))


def status_of(*arguments: Any, **more: Any) -> int:
    with pytest.raises(HTTPException) as refused:
        read(*arguments, **more)
    return refused.value.status_code


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=20,
    )
)
def test_what_a_browser_sends_is_read_as_it_was_typed(fields: dict[str, str]) -> None:
    assert read(urlencode(fields).encode(), pieces=3) == fields


@given(body=st.binary(max_size=200) | st.text(alphabet="ab=&%0f+;é").map(str.encode), pieces=st.integers(1, 5))
def test_whatever_comes_is_read_or_refused(body: bytes, pieces: int) -> None:
    try:
        form = read(body, pieces=pieces)
    except HTTPException:
        return
    for text in (*form, *form.values()):
        text.encode()  # there is nothing in it that cannot be written down


@pytest.mark.parametrize("kind", ["", "multipart/form-data; boundary=x", "text/plain", "application/json"])
def test_what_is_no_form_is_not_read(kind: str) -> None:
    assert status_of(b"a=b", kind) == 415


@pytest.mark.parametrize("kind", [f"{FORM}; charset=utf-8", FORM.upper(), f" {FORM} "])
def test_a_form_is_known_however_it_is_spelt(kind: str) -> None:
    assert read(b"a=b", kind) == {"a": "b"}


def test_a_form_that_is_too_long_is_not_read_to_its_end() -> None:
    assert read(b"a=" + b"x" * 16_382) == {"a": "x" * 16_382}
    assert status_of(b"a=" + b"x" * 16_383) == 413
    assert status_of(b"x" * 1_000_000, pieces=100) == 413


def test_a_form_of_too_many_fields_is_refused() -> None:
    assert len(read("&".join(f"f{number}=x" for number in range(20)).encode())) == 20
    assert status_of("&".join(f"f{number}=x" for number in range(21)).encode()) == 400


def test_the_first_of_a_name_counts() -> None:
    assert read(b"a=1&a=2&b=&a=3") == {"a": "1", "b": ""}


def test_octets_that_are_no_text_are_replaced() -> None:
    assert read(b"a=%ff%FE") == {"a": "��"}


def test_who_hangs_up_in_the_middle_has_sent_nothing() -> None:
    assert status_of(b"a=b&c=d", pieces=2, hangs_up=True) == 400
