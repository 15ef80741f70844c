"""Who may come over UDP, and who over TLS."""

from __future__ import annotations

import pytest

from tests.config.support import SECOND_CLIENT, SMALL, Folder, listener, spoilt, two_clients

PSK = "psk: {identity: gw, key: 00112233445566778899aabbccddeeff}"
PROOFS = ["certificate: gw.example.org", PSK]


class TestListeners:
    @pytest.mark.parametrize(
        ("written", "problem"),
        [
            ("{}", "2: listen[0]: must have either udp or radsec"),
            (
                "{udp: 127.0.0.1:1812, radsec: 127.0.0.1:2083}",
                "2: listen[0]: must have either udp or radsec",
            ),
            (
                "{udp: 127.0.0.1:1812, certificate: radius-mfa.yaml}",
                "2: listen[0].certificate: belongs to radsec, not to udp; remove it",
            ),
            (
                "{udp: 127.0.0.1:1812, idle_timeout: 10m}",
                "2: listen[0].idle_timeout: belongs to radsec, not to udp; remove it",
            ),
        ],
    )
    def test_are_of_one_kind(self, folder: Folder, written: str, problem: str) -> None:
        assert folder.problems(listener(written)) == [problem]

    def test_of_radsec_need_certificate_key_and_client_ca(self, folder: Folder) -> None:
        assert folder.problems(listener("radsec: 127.0.0.1:2083")) == [
            f"2: listen[0].{key}: is missing; radsec needs it" for key in ("certificate", "key", "client_ca")
        ]

    def test_that_are_equal_are_refused(self, folder: Folder) -> None:
        twice = spoilt("clients:\n", "  - udp: '[::1]:1812'\n  - udp: 127.0.0.1:1812\nclients:\n")
        assert folder.problems(twice) == [
            '4: listen[2].udp: "127.0.0.1:1812" is listened on already, on line 2; change one'
        ]


class TestClients:
    def test_have_names_of_their_own(self, folder: Folder) -> None:
        assert folder.problems(two_clients(SECOND_CLIENT.replace("wifi", "vpn"))) == [
            '7: clients[1].name: "vpn" names another client, on line 4; change one'
        ]

    def test_have_addresses_of_their_own(self, folder: Folder) -> None:
        assert folder.problems(two_clients(SECOND_CLIENT.replace("198.51.100.1", "192.0.2.1"))) == [
            '7: clients[1].address: "192.0.2.1" is a client\'s address already, on line 5; change one'
        ]

    @pytest.mark.parametrize("other", ["192.0.2.1/32", '"::ffff:192.0.2.1"'])
    def test_have_addresses_of_their_own_however_they_are_written(self, folder: Folder, other: str) -> None:
        (problem,) = folder.problems(spoilt("address: 192.0.2.1", f"address: [192.0.2.1, {other}]"))
        assert problem.startswith("5: clients[0].address[1]: ")

    def test_may_stand_inside_one_another(self, folder: Folder) -> None:
        assert folder.problems(two_clients(SECOND_CLIENT.replace("198.51.100.1", "192.0.2.0/24"))) == []

    @pytest.mark.parametrize("key", ["address", "secret"])
    def test_need_address_and_secret(self, folder: Folder, key: str) -> None:
        lines = [line for line in SMALL.splitlines(keepends=True) if not line.startswith(f"    {key}")]
        assert folder.problems("".join(lines)) == [f"4: clients[0].{key}: is missing"]

    def test_need_something_to_be_told_by(self, folder: Folder) -> None:
        assert folder.problems(two_clients("  - name: nobody\n")) == [
            "7: clients[1]: must have address and secret (UDP), or certificate or psk (RadSec)"
        ]

    @pytest.mark.parametrize("proof", PROOFS)
    @pytest.mark.parametrize(
        "beside", ["", ", address: 198.51.100.1", ", address: 198.51.100.1, secret: xxxxxxxxxxxxx"]
    )
    def test_need_neither_where_tls_says_who_they_are(self, folder: Folder, proof: str, beside: str) -> None:
        assert folder.problems(two_clients(f"  - {{name: gw, {proof}{beside}}}\n")) == []

    @pytest.mark.parametrize("proof", PROOFS)
    def test_have_no_secret_without_an_address(self, folder: Folder, proof: str) -> None:
        assert folder.problems(two_clients(f"  - {{name: gw, secret: fedcba9876543210, {proof}}}\n")) == [
            "7: clients[1].secret: is for UDP, which is told by the address; add address, or remove it"
        ]

    def test_may_come_over_tls_from_where_others_are(self, folder: Folder) -> None:
        """A gateway that is known by its certificate may stand behind the address of another one."""
        fenced = [f"  - {{name: gw{at}, address: 192.0.2.1, certificate: gw{at}.example.org}}\n" for at in (1, 2)]
        assert folder.problems(two_clients("".join(fenced))) == []
        shared = fenced[0].replace("}", ", secret: fedcba9876543210}")
        assert folder.problems(two_clients(shared)) == [
            '7: clients[1].address: "192.0.2.1" is a client\'s address already, on line 5; change one'
        ]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("gw.example.org", "gw.example.org"),
            ("gw.example.org", "GW.Example.ORG"),
            ("'2001:db8::1'", "'2001:0DB8:0::1'"),
        ],
    )
    def test_have_certificates_of_their_own_however_they_are_written(
        self, folder: Folder, one: str, other: str
    ) -> None:
        text = two_clients(f"  - {{name: a, certificate: {one}}}\n  - {{name: b, certificate: {other}}}\n")
        shown = other.strip("'")
        assert folder.problems(text) == [
            f'8: clients[2].certificate: "{shown}" is a client\'s certificate already, on line 7; change one'
        ]

    def test_have_identities_of_their_own(self, folder: Folder) -> None:
        text = two_clients(f"  - {{name: a, {PSK}}}\n  - {{name: b, {PSK}}}\n  - {{name: c, {PSK.upper()}}}\n")
        text = text.replace("PSK: {IDENTITY", "psk: {identity").replace("KEY:", "key:")
        assert folder.problems(text) == [
            '8: clients[2].psk.identity: "gw" is a client\'s identity already, on line 7; change one'
        ]


class TestWarnings:
    FILES = "certificate: radius-mfa.yaml, key: radius-mfa.yaml, client_ca: radius-mfa.yaml"
    CERTIFIED, SHARED = PROOFS

    def test_of_a_listener_for_nobody(self, folder: Folder) -> None:
        text = listener(f"{{radsec: 127.0.0.1:2083, {self.FILES}}}")
        nobody = "2: listen[0].radsec: lets nobody in: no client has a certificate"
        assert folder.warnings(text) == [nobody]
        certified = text.replace("directory:\n", f"  - {{name: gw, {self.CERTIFIED}}}\ndirectory:\n")
        assert folder.warnings(certified) == []
        # Keys are for another listener.
        shared = text.replace("directory:\n", f"  - {{name: gw, {self.SHARED}}}\ndirectory:\n")
        assert folder.warnings(shared) == [
            nobody,
            "7: clients[1].psk: is of no use: there is no radsec listener without a certificate",
        ]

    @pytest.mark.parametrize(
        ("proof", "how"), [(CERTIFIED, "with a certificate"), (SHARED, "without a certificate")]
    )
    def test_of_a_client_that_has_nowhere_to_go(self, folder: Folder, proof: str, how: str) -> None:
        key = proof.partition(":")[0]
        assert folder.warnings(two_clients(f"  - {{name: gw, {proof}}}\n")) == [
            f"7: clients[1].{key}: is of no use: there is no radsec listener {how}"
        ]

    def test_a_listener_without_a_certificate_is_for_clients_with_a_key(self, folder: Folder) -> None:
        text = listener("{radsec: 127.0.0.1:2083}")
        shared = text.replace("directory:\n", f"  - {{name: gw, {self.SHARED}}}\ndirectory:\n")
        assert folder.warnings(shared) == []


class TestWithoutListeners:
    """`listen: []`: FreeRADIUS listens, and has the addresses and the secrets."""

    def test_a_client_needs_a_name_alone(self, folder: Folder) -> None:
        inside = spoilt("listen:\n  - udp: 127.0.0.1:1812\n", "listen: []\n")
        for line in ("    address: 192.0.2.1\n", "    secret: 0123456789abcdef\n"):
            assert line in inside
            inside = inside.replace(line, "")
        assert folder.load(inside).configuration.listen == ()

    def test_names_are_one_client_s_all_the_same(self, folder: Folder) -> None:
        twice = two_clients(SECOND_CLIENT.replace("wifi", "vpn"))
        inside = twice.replace("listen:\n  - udp: 127.0.0.1:1812\n", "listen: []\n")
        assert folder.problems(inside) == ['6: clients[1].name: "vpn" names another client, on line 3; change one']
