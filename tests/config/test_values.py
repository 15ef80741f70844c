"""What a single value may be, and what it becomes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config import times, values
from radius_mfa.config.values import Endpoint, Secret, Server
from tests.config.support import HASH, refused


class TestDurations:
    @pytest.mark.parametrize(
        ("written", "seconds"),
        [("500ms", 0.5), ("5s", 5.0), ("10m", 600.0), ("24h", 86400.0), ("7d", 604800.0), ("0s", 0.0)],
    )
    def test_are_seconds(self, written: str, seconds: float) -> None:
        assert values.duration(written) == seconds

    @pytest.mark.parametrize(
        "written",
        ["", "5", "s", "5 s", "1.5s", "-5s", "5S", "5sec", "1h30m", "٥s", "5s\n", "9" * 10 + "s", "1:30"],
    )
    def test_have_no_other_form(self, written: str) -> None:
        assert "must be a duration such as 500ms" in refused(values.duration, written)

    @pytest.mark.parametrize("written", ["99ms", "61s", "2m"])
    def test_keep_to_their_range(self, written: str) -> None:
        with pytest.raises(ValueError, match="must be from 100ms to 60s"):
            values.lasting("100ms", "60s")(written)

    def test_may_be_none_at_all_besides(self) -> None:
        lasting = values.lasting("1m", "365d", or_not=True)
        assert [lasting(written) for written in ("0s", "0d", "1m", "365d")] == [0.0, 0.0, 60.0, 365 * 86400.0]
        for written in ("59s", "1s", "500ms", "366d"):
            with pytest.raises(ValueError, match="must be 0s, or from 1m to 365d, not"):
                lasting(written)


class TestWholeNumbers:
    @pytest.mark.parametrize(
        "written", ["", "-1", "+1", "1.0", "0x1", "1e1", "1_0", "١", " 1", "1\n", "21", "9" * 100]
    )
    def test_are_decimal_digits_in_range(self, written: str) -> None:
        with pytest.raises(ValueError, match="must be a whole number from 0 to 20"):
            values.whole(0, 20)(written)

    def test_may_have_leading_zeros(self) -> None:
        assert values.whole(0, 20)("012") == 12

    def test_are_never_booleans(self) -> None:
        with pytest.raises(ValueError, match="must be a whole number"):
            values.whole(0, 20)(True)


class TestText:
    def test_counts_octets_not_characters(self) -> None:
        assert values.text(1, 64)("ä" * 32) == "ä" * 32
        with pytest.raises(ValueError, match="must have 1 to 64 octets"):
            values.text(1, 64)("ä" * 33)

    @pytest.mark.parametrize("written", ["a\nb", "\x00", "a\x1b[31m", "\u2028"])
    def test_has_no_control_characters(self, written: str) -> None:
        with pytest.raises(ValueError, match="has control characters"):
            values.text()(written)

    def test_is_not_a_boolean(self) -> None:
        with pytest.raises(ValueError, match="must be text; put quotes around"):
            values.text()(True)


class TestListeners:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("127.0.0.1:1812", Endpoint("127.0.0.1", 1812)),
            ("[::1]:1812", Endpoint("::1", 1812)),
            ("0.0.0.0:65535", Endpoint("0.0.0.0", 65535)),
            ("[fe80::1%eth0]:1812", Endpoint("fe80::1%eth0", 1812)),
            ("127.0.0.1:0", Endpoint("127.0.0.1", 0)),
        ],
    )
    def test_are_an_address_and_a_port(self, written: str, expected: Endpoint) -> None:
        assert values.endpoint(written) == expected
        assert str(expected) == written

    @pytest.mark.parametrize(
        "written",
        [
            "1812",
            ":1812",
            "*:1812",
            "localhost:1812",
            "127.0.0.1",
            "::1:1812",
            "[127.0.0.1]:1812",
            "[::1]",
            "[::g]:1",
            "256.0.0.1:1812",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "127.0.0.1:1812 ",
            "127.0.0.1:99999999",
            "127.1:1812",
        ],
    )
    def test_have_no_other_form(self, written: str) -> None:
        refused(values.endpoint, written)


class TestNetworks:
    @pytest.mark.parametrize("written", ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0"])
    def test_are_addresses_or_prefixes(self, written: str) -> None:
        assert values.network(written) == ip_network(written)

    def test_mapped_ones_are_ipv4(self) -> None:
        """RFC 4291 §2.5.5.2"""
        assert values.network("::ffff:192.0.2.0/120") == ip_network("192.0.2.0/24")

    def test_host_bits_are_answered_with_the_right_prefix(self) -> None:
        assert "write 192.0.2.0/24, or" in refused(values.network, "192.0.2.77/24")
        assert "write 2001:db8::/32, or" in refused(values.network, "2001:db8::1/32")

    @pytest.mark.parametrize(
        "written", ["", "vpn.example.org", "192.0.2", "192.0.2.0/33", "192.0.2.0-9", "0192.0.2.1", "*"]
    )
    def test_have_no_other_form(self, written: str) -> None:
        assert refused(values.network, written).startswith("must be an IP address or a prefix")


class TestServers:
    parse = staticmethod(values.server("ldap", "ldaps"))

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("ldap://ldap.example.org", Server("ldap.example.org", 389, tls=False)),
            ("ldaps://ldap.example.org/", Server("ldap.example.org", 636, tls=True)),
            ("ldap://[::1]:3389", Server("::1", 3389, tls=False)),
            ("LDAP://ldap.example.org", Server("ldap.example.org", 389, tls=False)),
        ],
    )
    def test_are_urls(self, written: str, expected: Server) -> None:
        assert self.parse(written) == expected

    @pytest.mark.parametrize(
        "written",
        [
            "ldap.example.org",
            "http://ldap.example.org",
            "ldap://",
            "ldap:///dc=x",
            "ldap://h:0",
            "ldap://h:65536",
            "ldap://h:port",
            "ldap://h/dc=example?uid",
            "ldap://h?x",
            "ldap://h#x",
            "ldap://[::1",
            "ldap://h h",
            "ldap://ä",
        ],
    )
    def test_have_no_other_form(self, written: str) -> None:
        refused(self.parse, written)

    def test_never_hold_a_password_and_none_is_shown(self) -> None:
        why = refused(self.parse, "ldap://radius:hunter2@ldap.example.org")
        assert "no user name or password" in why
        assert "hunter2" not in why

    def test_are_shown_with_their_port(self) -> None:
        assert [str(self.parse(each)) for each in ("ldap://h", "ldaps://[::1]")] == ["h:389", "[::1]:636"]


class TestWebAddresses:
    def test_are_https_or_on_this_machine(self) -> None:
        for written in ("https://mfa.example.org/x", "http://127.0.0.1:8080", "http://localhost"):
            assert values.web_address(written) == written
        assert "must begin with https" in refused(values.web_address, "http://mfa.example.org")


class TestNamesInCertificates:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("gw.example.org", "gw.example.org"),
            ("GW.Example.Org", "gw.example.org"),
            ("gw", "gw"),
            ("xn--mller-kva.example", "xn--mller-kva.example"),
            ("gw_1.example.org", "gw_1.example.org"),
            ("1.gw", "1.gw"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:0DB8:0:0::1", "2001:db8::1"),
        ],
    )
    def test_are_of_dns_or_addresses(self, written: str, expected: str) -> None:
        """RFC 6125 §6.4.1: upper and lower case are the same."""
        assert values.certificate_name(written) == expected
        assert values.certificate_name(expected) == expected

    @pytest.mark.parametrize("written", ["*.example.org", "*", "gw*.example.org"])
    def test_are_no_pattern(self, written: str) -> None:
        assert refused(values.certificate_name, written).startswith("must be one exact name")

    @pytest.mark.parametrize(
        "written",
        [
            "",
            ".",
            "gw.example.org.",
            "gw..example.org",
            "gw example",
            "-gw.example.org",
            "gw-.example.org",
            "müller.example",
            "\u212aelvin.example",  # lower() would make it ASCII
            "g" * 64,
            ".".join(["g" * 63] * 4),
            "192.0.2",
            "192.0.2.256",
            "192.0.2.0/24",
            "192.0.2.1:2083",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "CN=gw.example.org",
            "radius://gw.example.org",
            "gw@example.org",
            "gw.example.org\n",
            "gw\0.example.org",
        ],
    )
    def test_have_no_other_form(self, written: str) -> None:
        assert refused(values.certificate_name, written).startswith("must be a DNS name")


class TestKeysInPlaceOfCertificates:
    @pytest.mark.parametrize("digits", ["00" * 16, "aF" * 16, "0123456789abcdef" * 8])
    def test_are_hex_digits(self, digits: str) -> None:
        """RFC 4279 §5.3: 64 octets are what every implementation takes."""
        assert values.psk_key(Secret(digits)).reveal() == digits

    @pytest.mark.parametrize(
        "digits",
        ["00" * 15, "00" * 65, "0" * 33, "0x" + "00" * 16, "00 " * 16, "gg" * 16, "٠٠" * 16, "00" * 16 + "\n"],
    )
    def test_are_nothing_else_and_not_shown(self, digits: str) -> None:
        with pytest.raises(ValueError, match="must be hex digits, two for each of 16 to 64 octets") as wrong:
            values.psk_key(Secret(digits))
        assert digits not in str(wrong.value)


class TestPasswordHashes:
    def test_are_argon2id(self) -> None:
        assert values.argon2id(Secret(HASH)).reveal() == HASH

    @pytest.mark.parametrize(
        "written",
        [
            "hunter2",
            "$argon2i$v=19$m=1,t=1,p=1$c29tZXNhbHRzYWx0$c29tZXNhbHRzYWx0",
            "$2b$12$abc",
            HASH[:-40],
            HASH + "\n",
            "{SSHA}x",
        ],
    )
    def test_are_nothing_else_and_not_shown(self, written: str) -> None:
        with pytest.raises(ValueError, match="must be an argon2id hash") as wrong:
            values.argon2id(Secret(written))
        assert written not in str(wrong.value)


class TestFiles:
    def test_must_be_there(self, tmp_path: Path) -> None:
        assert refused(lambda name: values.readable_file(tmp_path / name), "x") == (
            "{it} cannot be read: No such file or directory"
        )

    def test_must_be_files(self, tmp_path: Path) -> None:
        assert refused(lambda name: values.readable_file(tmp_path / name), ".") == "{it} is not a file"

    def test_private_keys_must_be_closed_to_others(self, tmp_path: Path) -> None:
        (tmp_path / "key").touch(0o640)
        assert values.private_file(tmp_path / "key") == tmp_path / "key"
        (tmp_path / "key").chmod(0o644)
        assert "open to everyone" in refused(lambda name: values.private_file(tmp_path / name), "key")


class TestSecret:
    def test_is_masked_wherever_it_is_shown(self) -> None:
        secret = Secret("hunter2")
        assert "hunter2" not in f"{secret} {secret!r} {[secret]} {secret:}"
        assert secret.reveal() == "hunter2"

    def test_is_equal_by_what_it_holds(self) -> None:
        assert Secret("a") == Secret("a") != Secret("b")
        assert hash(Secret("a")) == hash(Secret("a"))
        assert Secret("a") != "a"


PARSERS: list[Callable[[str], object]] = [
    values.duration,
    values.endpoint,
    values.network,
    values.server("ldap", "ldaps"),
    values.web_address,
    values.certificate_name,
    values.path,
    values.mail_address,
    values.attribute_name,
    times.zone,
    times.days,
    times.hours,
    values.whole(0, 9),
    values.lasting("1s", "1h"),
    values.boolean,
    values.text(),
    values.secret,
]


@given(st.sampled_from(PARSERS), st.text() | st.text(":/[]@.,-$0123456789mondays", max_size=20))
def test_whatever_is_written_is_a_value_or_a_value_error(parse: Callable[[str], object], written: str) -> None:
    with contextlib.suppress(ValueError):
        parse(written)
