"""What is to be known of the certificates that we show, out of their files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from radius_mfa.config.certificates import chain_in, common_name, days_left, ends_of, served, to_be_pinned
from tests.config.support import SMALL, Folder, radsec
from tests.peers.certificates import Authority, self_signed

HOST = "radius.example.org"
EAP = "eap: {certificate: eap.pem, key: eap.pem}\n"
DAY = 86400.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


def test_the_servers_own_comes_first_whatever_else_is_in_the_file(authority: Authority) -> None:
    """A key stands before it there, and the intermediate after it."""
    own, above = chain_in(authority.intermediate("below").certify(HOST))
    assert [common_name(each.subject) for each in (own, above)] == [HOST, "authority below"]


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    assert chain_in(tmp_path / "junk.pem") == chain_in(tmp_path / "nowhere.pem") == ()


def test_a_name_without_a_common_one_is_shown_whole() -> None:
    organization = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example")
    assert common_name(x509.Name([organization])) == "O=Example"


class TestOfAConfiguration:
    def test_they_are_those_of_802_1x_and_of_every_listener_that_has_one(
        self, folder: Folder, authority: Authority
    ) -> None:
        """Whom UDP listeners, the directory and clients are to be believed by is nothing that we show."""
        for name in ("server.pem", "ca.pem", "eap.pem"):
            folder.write(name)
        configuration = folder.load(radsec() + EAP).configuration
        assert served(configuration) == {
            "eap": folder.path / "eap.pem",
            "radsec 127.0.0.1:2083": folder.path / "server.pem",
        }
        assert ends_of(configuration) == {}  # of empty files
        assert served(folder.load(SMALL).configuration) == {}

        folder.write("eap.pem", authority.certify(HOST, days=90).read_bytes())
        (end,) = ends_of(configuration).values()
        assert days_left(end, datetime.now(UTC).timestamp()) == 89  # an hour of them is over: less than 90


class TestWhatSupplicantsPin:
    def until(self, file: Path) -> str:
        own, *_ = chain_in(file)
        days = (own.not_valid_after_utc - datetime.now(UTC)) // timedelta(days=1)
        return f"valid until {own.not_valid_after_utc:%Y-%m-%d} ({days} days)"

    def test_is_the_name_and_the_root(self, authority: Authority) -> None:
        file = authority.certify(HOST, days=94)
        doubt = " (your root, or else its certificate is missing in the file)"
        assert to_be_pinned(file) == f"supplicants pin {HOST}, issued by authority ours{doubt}; {self.until(file)}"

    def test_is_who_has_signed_the_last_in_the_file(self, authority: Authority) -> None:
        file = authority.intermediate("below").certify(HOST, names=[HOST, "192.0.2.1", "r2.example.org"])
        assert to_be_pinned(file).startswith(f"supplicants pin {HOST}, r2.example.org, issued by authority ours; ")

    def test_is_the_certificate_itself_where_nobody_else_stands_behind_it(self, tmp_path: Path) -> None:
        file = self_signed(tmp_path, HOST)
        assert to_be_pinned(file).startswith(f"supplicants pin {HOST}, issued by {HOST}; ")

    def test_is_of_use_until_the_first_in_it_expires(self, authority: Authority, tmp_path: Path) -> None:
        """An intermediate that has expired leaves nothing of the others."""
        file = tmp_path / "both.pem"
        file.write_bytes(b"".join(authority.certify(HOST, days=days).read_bytes() for days in (94, 20)))
        assert "(19 days)" in to_be_pinned(file)

    def test_is_one_line_of_text(self, tmp_path: Path) -> None:
        """A name may have anything in it (RFC 5280 §4.1.2.4)."""
        file = self_signed(tmp_path, "radius\u001b[31m\u000a.example.org")
        assert to_be_pinned(file).isprintable()


@pytest.mark.parametrize(("end", "days"), [(DAY, 1), (DAY - 1, 0), (0.0, 0), (-1.0, -1), (-DAY - 1, -2)])
def test_days_are_whole_ones(end: float, days: int) -> None:
    assert days_left(1e9 + end, 1e9) == days
