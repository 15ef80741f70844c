"""What works of a client and yet should not stay."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.config.support import SMALL, Folder, client, spoilt, two_clients

SECRET = "0123456789abcdef"


class TestSecrets:
    @pytest.mark.parametrize(
        ("secret", "warned"), [("abcdefghijkl", True), ("abcdefghijklm", False), ("äöüßäöü", False)]
    )
    def test_of_twelve_octets_or_fewer_are_told(self, folder: Folder, secret: str, warned: bool) -> None:
        """RFC 2865 §3 asks for 16 octets at least."""
        assert folder.warnings(spoilt(SECRET, secret)) == [
            "6: clients[0].secret: 12 octets or fewer can be guessed from recorded packets; take 16 or more"
        ] * warned  # fmt: skip

    @pytest.mark.parametrize(
        ("secret", "why"),
        [
            ("testing123", "is one that everybody knows, and tried first"),
            ("TESTING-1234567890", "is one that everybody knows, and tried first"),
            ("secret", "is one that everybody knows, and tried first"),
            ("'Cisco Cisco'", None),
            ("Password12345678", "is one that everybody knows, and tried first"),
            ("radius_secret", "is one that everybody knows, and tried first"),
            ("V-P-N", "is the client's own name"),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", "is one or two characters over and over"),
            ("abababababababababababab", "is one or two characters over and over"),
            ("1234567890123456789", "has digits only, and fewer than 20"),
            ("12345678901234567890", ""),
            ("correct horse battery staple", ""),
        ],
    )
    def test_that_are_guessed_first_are_told_and_not_shown(
        self, folder: Folder, secret: str, why: str | None
    ) -> None:
        found = folder.warnings(spoilt(SECRET, secret))
        if why is None:
            assert "12 octets or fewer" in found[0]
        else:
            expected = [f"6: clients[0].secret: {why}; take 16 octets or more at random"] if why else []
            assert found == expected
        assert not any(secret in each for each in found if secret != "secret")

    def test_are_told_once_each(self, folder: Folder) -> None:
        text = spoilt(f"secret: {SECRET}", "secret: [testing123, cisco]")
        assert len(folder.warnings(text)) == 1

    @pytest.mark.parametrize("secret", ["$VPN_SECRET_OF_OURS", "prefix-${VPN_SECRET}", "$VPN"])
    def test_that_were_to_be_a_variable_are_told(self, folder: Folder, secret: str) -> None:
        assert folder.warnings(spoilt(SECRET, f'"{secret}"')) == [
            "6: clients[0].secret: is taken as written; a variable is ${NAME} and nothing else"
        ]

    def test_that_several_have_are_told_and_not_shown(self, folder: Folder) -> None:
        """RFC 2865 §3: a secret tells a client from another only where it is that client's."""
        second = "  - {name: wifi, address: 198.51.100.1, secret: [fedcba9876543210, 0123456789abcdef]}\n"
        (warning,) = folder.warnings(two_clients(second))
        assert warning == (
            '7: clients[1].secret: is that of client "vpn" (line 6) too, so each of them can speak as the other; '
            "give each its own"
        )

    def test_may_be_those_of_a_client_for_this_machine(self, folder: Folder) -> None:
        second = f"  - {{name: here, address: [127.0.0.1, '::1'], secret: {SECRET}}}\n"
        assert folder.warnings(two_clients(second)) == []


class TestMessageAuthenticator:
    def test_off_is_told_with_what_to_take(self, folder: Folder) -> None:
        assert folder.warnings(client("message_authenticator: off")) == [
            "7: clients[0].message_authenticator: off leaves the way open to forged answers (CVE-2024-3596); "
            "take require, or auto"
        ]


class TestPatience:
    def test_of_a_gateway_that_gives_up_at_once(self, folder: Folder) -> None:
        assert folder.warnings(client("timeout: 300ms", "retries: 1")) == [
            "7: clients[0].timeout: timeout × (retries + 1) is 0.6 s: a directory will hardly answer in that time;"
            " let the gateway wait longer"
        ]

    def test_of_a_gateway_that_waits_longer_than_its_challenge_lives(self, folder: Folder) -> None:
        assert folder.warnings(client("timeout: 60s", "retries: 4")) == [
            "7: clients[0].timeout: timeout × (retries + 1) is 300 s: as long as challenge_lifetime, or longer; "
            "let the gateway give up sooner, or raise challenge_lifetime"
        ]


def more_clients(*addresses: str) -> str:
    """SMALL with more clients, on line 7 and the following; the first one's address is on line 5."""
    return two_clients(
        "".join(
            f"  - {{name: c{at}, address: {address}, secret: fedcba987654321{at}}}\n"
            for at, address in enumerate(addresses, 1)
        )
    )


def at(address: str, others: Iterable[str]) -> str:
    """The same, with another address for the first one."""
    return more_clients(*others).replace("address: 192.0.2.1\n", f"address: {address}\n")


class TestAddresses:
    """The longest prefix that has an address decides whose request it is: a client may be left with none."""

    @pytest.mark.parametrize(
        ("address", "others", "by"),
        [
            ("192.0.2.0/31", ["192.0.2.0", "192.0.2.1"], '"c1" (line 7), "c2" (line 8)'),
            ("192.0.2.0/24", ["[192.0.2.0/25, 192.0.2.128/25]"], '"c1" (line 7)'),
            (
                "192.0.2.0/24",
                ["192.0.2.128/25", "192.0.2.0/26", "192.0.2.64/26"],
                '"c2" (line 8), "c3" (line 9), "c1" (line 7)',
            ),
            ('"2001:db8::/127"', ['"2001:db8::"', '"2001:db8::1"'], '"c1" (line 7), "c2" (line 8)'),
            ("0.0.0.0/0", ["0.0.0.0/1", "128.0.0.0/1"], '"c1" (line 7), "c2" (line 8)'),
            (
                '["2001:db8::/127", 192.0.2.0/31]',
                ['["2001:db8::", "2001:db8::1", 192.0.2.0, 192.0.2.1]'],
                '"c1" (line 7)',
            ),
        ],
    )
    def test_that_longer_prefixes_take_are_told(
        self, folder: Folder, address: str, others: list[str], by: str
    ) -> None:
        assert folder.warnings(at(address, others)) == [
            f"5: clients[0].address: never matches: longer prefixes of {by} take all of it; "
            "change it, or remove the client"
        ]

    @pytest.mark.parametrize(
        ("address", "others"),
        [
            ("192.0.2.0/30", ["192.0.2.0", "192.0.2.1", "192.0.2.3"]),  # one is left
            ("192.0.2.0/30", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            ("192.0.2.0/30", ["192.0.2.0", "192.0.2.1", "192.0.2.2"]),
            ("192.0.2.0/24", ["192.0.0.0/16"]),  # shorter ones take nothing
            ("[192.0.2.0/31, 198.51.100.1]", ["192.0.2.0", "192.0.2.1"]),
            ("[192.0.2.0/30, 192.0.2.1]", ["192.0.2.0/31", "192.0.2.2/31"]),  # its own longer one stays
        ],
    )
    def test_of_which_some_are_left_are_not(self, folder: Folder, address: str, others: list[str]) -> None:
        assert folder.warnings(at(address, others)) == []

    def test_are_not_taken_by_who_comes_over_tls_from_there(self, folder: Folder) -> None:
        fenced = [f"  - {{name: g{at}, address: 192.0.2.{at}, certificate: g{at}.example.org}}\n" for at in (0, 1)]
        text = two_clients("".join(fenced)).replace("address: 192.0.2.1\n", "address: 192.0.2.0/31\n")
        assert not any("never matches" in each for each in folder.warnings(text))

    def test_of_many_who_take_them_a_few_are_named(self, folder: Folder) -> None:
        text = at("192.0.2.0/29", (f"192.0.2.{each}" for each in range(8)))
        (warning,) = folder.warnings(text)
        assert '"c3" (line 9), 5 more take all of it' in warning


def test_nothing_is_said_of_a_client_as_it_should_be(folder: Folder) -> None:
    assert folder.warnings(SMALL) == []
