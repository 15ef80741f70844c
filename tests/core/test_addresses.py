"""E-mail addresses: what is one, and whose it is."""

from __future__ import annotations

from email import message_from_string, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.addresses import is_below, readable_address, readable_domain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("alice@example.org", "alice@example.org"),
        ("Alice.B+mfa@Mail.EXAMPLE.org", "Alice.B+mfa@mail.example.org"),
        ("o'brien_{x}=y#1@example.org", "o'brien_{x}=y#1@example.org"),
        (" alice@example.org", "alice@example.org"),
        ("\u3000alice@example.org\n", "alice@example.org"),
        ("alice＠example.org", "alice@example.org"),
        ("ａｌｉｃｅ＠ｅxample．org", "alice@example.org"),
        ("a@1x.example-2.org", "a@1x.example-2.org"),
        ("a@例え.jp", "a@xn--r8jz45g.jp"),
        ("a@MÜNCHEN.de", "a@xn--mnchen-3ya.de"),
        ("a@mu\u0308nchen.de", "a@xn--mnchen-3ya.de"),
        ("a@xn--strae-oqa.de", "a@xn--strae-oqa.de"),
        ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
    ],
)
def test_an_address_is_read(text: str, address: str) -> None:
    assert readable_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "alice@",
        "@example.org",
        "alice@localhost",
        "alice@example.org@example.net",
        "alice@192.0.2.1",
        "alice@[192.0.2.1]",
        "alice@example..org",
        "alice@example.org.",
        "alice@-example.org",
        "alice@exam_ple.org",
        ".alice@example.org",
        "alice.@example.org",
        "a..b@example.org",
        "-alice@example.org",
        "alice @example.org",
        "alice@example.org\r\nBcc: eve@example.com",
        "alice\x00@example.org",
        "alice\x7f@example.org",
        "alice@example.org,eve@example.com",
        "<alice@example.org>",
        "Alice <alice@example.org>",
        '"alice"@example.org',
        "alice%example.com@example.org",
        "example.com!alice@example.org",
        "|alice@example.org",
        "/alice@example.org",
        "`alice`@example.org",
        "アリス@example.org",
        "alice@example。org",
        "alice@straße.de",  # would become another's domain
        "alice@\ud800.jp",
        "alice@example.org\u2028x",
        "alice@exa\u2100mple.org",
        "a" * 65 + "@example.org",
        "alice@" + "a" * 64 + ".org",
        "a@" + ".".join(["a" * 60] * 5),
        "a" * 64 + "@" + ".".join(["ü" * 40] * 4) + ".de",
    ],
)
def test_what_is_no_address_is_not(text: str) -> None:
    assert readable_address(text) is None


@given(st.text() | st.from_regex(r"[\x00-\x7f]{1,9}@[\x00-\x7f]{1,9}\.[a-z]{2,3}", fullmatch=True) | st.emails())
def test_what_is_taken_cannot_break_out_of_a_header(text: str) -> None:
    address = readable_address(text)
    if address is None:
        return

    assert address.isascii()
    assert address.isprintable()
    assert not set(address) & set(' ,;:<>()[]"\\')
    assert len(address) <= 254
    assert readable_address(address) == address
    message = message_from_string(f"To: {address}\n\n", policy=policy.default)
    assert message.keys() == ["To"]
    (only,) = message["To"].addresses
    assert (only.addr_spec, message["To"].defects) == (address, ())


@given(st.from_regex(r"[a-z0-9][a-z0-9.+]{0,5}@[a-zü例-]{1,9}\.(org|jp)", fullmatch=True))
def test_an_ordinary_address_that_is_taken_keeps_its_name(text: str) -> None:
    address = readable_address(text)

    assert address is None or address.partition("@")[0] == text.partition("@")[0]


@pytest.mark.parametrize("written", ["example.org", "EXAMPLE.org", "@example.org", ".example.org", " example.org"])
def test_a_domain_is_read_in_every_spelling(written: str) -> None:
    assert readable_domain(written) == "example.org"


def test_a_whole_country_is_a_domain_too() -> None:
    assert readable_domain("org") == "org"
    assert is_below("a@example.org", "org")


def test_a_domain_may_be_written_in_its_own_letters() -> None:
    assert readable_domain("bücher.example") == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "written", ["", "a b", "1", "example.org,example.net", "*.example.org", "https://a.b", "@"]
)
def test_what_is_no_domain_is_not(written: str) -> None:
    assert readable_domain(written) is None


@pytest.mark.parametrize("address", ["a@example.org", "a@mail.example.org"])
def test_an_address_is_below_its_domain(address: str) -> None:
    assert is_below(address, "example.org")


@pytest.mark.parametrize("address", ["a@notexample.org", "a@example.org.net", "example.org@example.net", ""])
def test_an_address_elsewhere_is_not(address: str) -> None:
    assert not is_below(address, "example.org")
