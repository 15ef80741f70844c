"""What a browser keeps for us."""

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from radius_mfa.portal.browser import BROWSER, KNOWN, LANGUAGE, VISIT, Cookies
from radius_mfa.stores.key_file import KeyFile
from radius_mfa.stores.seal import AeadSealer
from tests.adapters import SeededEntropy, new_sealer


def cookies(*, secure: bool = True) -> Cookies:
    return Cookies(new_sealer(), SeededEntropy(), secure=secure)


COOKIES = cookies()


def request(said: str) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", said.encode("latin-1", "replace"))]})


def given_out(kept: Cookies, name: str, value: str = "v") -> tuple[str, dict[str, str]]:
    response = Response()
    kept.set(response, name, value)
    ((key, morsel),) = SimpleCookie(response.headers["set-cookie"]).items()
    return key, {name: said for name, said in morsel.items() if said}


@pytest.mark.parametrize("name", [VISIT, BROWSER, KNOWN])
def test_over_tls_no_other_host_and_no_script_has_it(name: str) -> None:
    key, said = given_out(COOKIES, name)

    assert key == f"__Host-{name}"
    assert said.items() >= {"path": "/", "samesite": "lax", "secure": True, "httponly": True}.items()


def test_without_tls_it_has_the_plain_name() -> None:
    key, said = given_out(cookies(secure=False), VISIT)

    assert key == "visit"
    assert "secure" not in said
    assert said["httponly"]


@pytest.mark.parametrize(("name", "kept"), [(LANGUAGE, True), (KNOWN, True), (VISIT, False), (BROWSER, False)])
def test_only_what_names_nobodys_visit_outlives_the_browser(name: str, kept: bool) -> None:
    assert given_out(COOKIES, name)[1].get("max-age") == (str(365 * 86400) if kept else None)


def test_what_is_dropped_is_dropped_under_the_same_rules() -> None:
    response = Response()
    COOKIES.drop(response, VISIT)
    said = response.headers["set-cookie"]

    assert said.startswith('__Host-visit="";')
    assert "Max-Age=0" in said
    assert "Secure" in said
    assert "Path=/" in said


def test_over_tls_the_plain_name_is_not_read() -> None:
    assert COOKIES.read(request("visit=abc"), VISIT) == ""
    assert COOKIES.read(request("__Host-visit=abc"), VISIT) == "abc"


@given(st.text(alphabet=st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=100))
def test_whatever_a_browser_sends_is_ours_in_form_or_nothing(value: str) -> None:
    read = COOKIES.read(request(f"__Host-visit={value}"), VISIT)

    assert len(read) <= 64
    assert all(each.isalnum() or each in "_." for each in read)


def test_a_value_is_one_that_nobody_has_seen() -> None:
    values = {COOKIES.new_value() for _ in range(100)}

    assert len(values) == 100
    assert {len(value) for value in values} == {64}


def test_the_store_knows_a_visit_by_what_does_not_bring_it_back() -> None:
    value = COOKIES.new_value()

    assert value not in COOKIES.visit_id(value)
    assert COOKIES.visit_id(value) != COOKIES.csrf(value)
    assert cookies().visit_id(value) != COOKIES.visit_id(value)  # of another key


def test_a_form_is_of_its_browser_alone() -> None:
    value, other = COOKIES.new_value(), COOKIES.new_value()

    assert COOKIES.is_ours(value, COOKIES.csrf(value))
    assert not COOKIES.is_ours(other, COOKIES.csrf(value))
    assert not COOKIES.is_ours("", COOKIES.csrf(""))
    assert not COOKIES.is_ours(value, "")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_somebody_makes_up_is_not_ours(token: str) -> None:
    assert not COOKIES.is_ours("value", token)


def test_a_form_outlives_a_change_of_keys() -> None:
    old = KeyFile.new()
    new = KeyFile(KeyFile.new().primary, old.all)
    token = Cookies(AeadSealer(old), SeededEntropy(), secure=True).csrf("value")

    assert Cookies(AeadSealer(new), SeededEntropy(), secure=True).is_ours("value", token)


def known_by(kept: Cookies, value: str, name: str = "alice") -> str:
    return kept.known(request(f"__Host-known={value}"), name)


def test_a_browser_is_known_for_the_name_that_was_let_in_there() -> None:
    value, other = COOKIES.new_known("alice"), COOKIES.new_known("alice")

    assert len(value) <= 64
    assert known_by(COOKIES, value) == value[:16]
    assert known_by(COOKIES, other) not in ("", value[:16])
    assert known_by(COOKIES, value, "bob") == ""
    assert known_by(COOKIES, other[:16] + value[16:]) == ""
    assert known_by(cookies(), value) == ""  # of another key


@given(st.from_regex(r"[A-Za-z0-9_.]{0,64}", fullmatch=True))
def test_nobody_makes_up_a_browser_that_is_known(value: str) -> None:
    assert known_by(COOKIES, value) == ""


def test_a_known_browser_outlives_a_change_of_keys() -> None:
    old = KeyFile.new()
    new = KeyFile(KeyFile.new().primary, old.all)
    value = Cookies(AeadSealer(old), SeededEntropy(), secure=True).new_known("alice")

    assert known_by(Cookies(AeadSealer(new), SeededEntropy(), secure=True), value) == value[:16]
