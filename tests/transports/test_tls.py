"""Who may come in over TLS, by certificate or by key, and in what words everybody else is refused."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from radius_mfa.transports.tls import ALPN, HAS_PSK, Files, Peer, names_in, server_context, web_context, why
from radius_mfa.wire.clients import Clients, Stranger
from tests.peers.certificates import Authority, self_signed
from tests.transports.support import End, Pki, shaken
from tests.wire.support import make_client

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("foreign") / "theirs")


@pytest.fixture(scope="module")
def between(pki: Pki) -> Authority:
    return pki.authority.intermediate("between")


def peer(pki: Pki, *names: str) -> Peer:
    server, _ = shaken(pki.context, pki.nas(*names))
    return Peer.of(server.tls)


def refusal(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    with pytest.raises(ssl.SSLError) as caught:
        shaken(server, client)
    return why(caught.value)


class TestNames:
    """RFC 6614 §2.3: of a certificate only subjectAltName counts."""

    @pytest.mark.parametrize(
        ("written", "found"),
        [
            (["vpn.example.org"], {"vpn.example.org"}),
            (["VPN.Example.ORG"], {"vpn.example.org"}),
            (["192.0.2.7"], {"192.0.2.7"}),
            (["2001:db8::7"], {"2001:db8::7"}),
            (["2001:0DB8:0:0:0:0:0:7"], {"2001:db8::7"}),
            (["*.example.org"], {"*.example.org"}),  # which `Clients.certified` takes for nobody's
            (["a.example.org", "b.example.org", "192.0.2.7"], {"a.example.org", "b.example.org", "192.0.2.7"}),
            (["xn--bcher-kva.example.org"], {"xn--bcher-kva.example.org"}),
            (["https://vpn.example.org", "vpn@example.org"], set()),
            (["192.0.2.7 "], set()),  # a dNSName: `_identity` of the tests takes it for no address
            ([], set()),
        ],
    )
    def test_of_a_certificate(self, pki: Pki, written: list[str], found: set[str]) -> None:
        assert peer(pki, *written).names == found

    def test_the_common_name_is_none(self, pki: Pki) -> None:
        """RFC 9525 §2: it was never meant for that."""
        server, _ = shaken(pki.context, pki.client_context(pki.authority.certify("vpn.example.org", names=())))
        clients = Clients([make_client(certificate="vpn.example.org")])
        assert Peer.of(server.tls).found_among(clients, "127.0.0.1") is Stranger.NAMELESS

    @pytest.mark.parametrize("written", ["192.0.2.7", "192.0.2.7\n", "2001:db8::7", "::ffff:192.0.2.7"])
    def test_a_dns_name_that_reads_as_an_address_is_none(self, written: str) -> None:
        assert names_in({"subjectAltName": (("DNS", written), ("DNS", "vpn.example.org"))}) == {"vpn.example.org"}

    @pytest.mark.parametrize("written", ["2001:DB8:0:0:0:0:0:7\n", "2001:DB8:0:0:0:0:0:7"])
    def test_an_address_as_openssl_writes_it(self, written: str) -> None:
        assert names_in({"subjectAltName": (("IP Address", written),)}) == {"2001:db8::7"}

    @pytest.mark.parametrize(
        "certificate",
        [
            None,
            {},
            {"subject": ((("commonName", "vpn.example.org"),),)},
            {"subjectAltName": (("IP Address", "<invalid>"), ("URI", "vpn.example.org"), ("DirName", ""))},
        ],
    )
    def test_nothing_else_is_a_name(self, certificate: dict[str, object] | None) -> None:
        assert names_in(certificate) == frozenset()

    def test_a_client_is_whom_one_of_its_names_is_of(self, pki: Pki) -> None:
        clients = Clients(
            [
                make_client(name="vpn", certificate="vpn.example.org", networks=("192.0.2.1",)),
                make_client(name="wifi", certificate="192.0.2.7", networks=("192.0.2.2",)),
            ]
        )

        def whose(*names: str) -> str:
            found = peer(pki, *names).found_among(clients, "127.0.0.1")
            return found if isinstance(found, Stranger) else found.nas.name

        assert whose("Other.example.org", "VPN.example.org") == "vpn"
        assert whose("192.0.2.7") == "wifi"
        assert whose("*.example.org") == Stranger.UNKNOWN
        assert whose("vpn.example.org", "192.0.2.7") == Stranger.AMBIGUOUS

    def test_the_log_is_told_all_of_them(self, pki: Pki) -> None:
        assert (
            str(peer(pki, "b.example.org", "a.example.org", "192.0.2.7"))
            == "192.0.2.7, a.example.org, b.example.org"
        )


class TestRefused:
    """RFC 6614 §2.3: in the handshake, in words of OpenSSL's."""

    def test_whoever_shows_no_certificate(self, pki: Pki) -> None:
        assert refusal(pki.context, pki.client_context(None)) == "peer did not return a certificate"

    def test_expired(self, pki: Pki) -> None:
        certificate = pki.authority.certify("vpn.example.org", expired=True)
        assert refusal(pki.context, pki.client_context(certificate)) == "certificate has expired"

    def test_not_yet_valid(self, pki: Pki) -> None:
        certificate = pki.authority.certify("vpn.example.org", early=True)
        assert refusal(pki.context, pki.client_context(certificate)) == "certificate is not yet valid"

    def test_self_signed(self, pki: Pki, tmp_path: Path) -> None:
        certificate = self_signed(tmp_path, "vpn.example.org")
        assert refusal(pki.context, pki.client_context(certificate)) == "self-signed certificate"

    def test_of_a_foreign_authority(self, pki: Pki, foreign: Authority) -> None:
        certificate = foreign.certify("vpn.example.org")
        assert refusal(pki.context, pki.client_context(certificate)) == "unable to get local issuer certificate"

    def test_for_servers_only(self, pki: Pki) -> None:
        """RFC 5280 §4.2.1.12."""
        certificate = pki.authority.certify("vpn.example.org", purpose="server")
        assert refusal(pki.context, pki.client_context(certificate)) in (
            "unsuitable certificate purpose",
            "unsupported certificate purpose",
        )

    def test_for_clients_only_is_what_it_is_to_be(self, pki: Pki) -> None:
        certificate = pki.authority.certify("vpn.example.org", purpose="client")
        server, _ = shaken(pki.context, pki.client_context(certificate))
        assert Peer.of(server.tls).names == {"vpn.example.org"}

    def test_tls_before_1_2(self, pki: Pki) -> None:
        """RFC 8996 §5."""
        context = pki.client_context(pki.authority.certify("vpn.example.org"))
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.options &= ~ssl.OP_NO_TLSv1_1
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        assert refusal(pki.context, context) == "unsupported protocol"

    @pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", b"\x01\x07\x00\x14" + bytes(16), bytes(100)])
    def test_what_is_no_tls(self, pki: Pki, octets: bytes) -> None:
        end = End(pki.context, server=True)
        end.incoming.write(octets)
        with pytest.raises(ssl.SSLError) as caught:
            end.shake()
        assert why(caught.value) in ("http request", "wrong version number", "record layer failure")


class TestIntermediate:
    """An authority between ours and the certificate (RFC 8446 §4.4.2)."""

    def test_with_its_chain_it_is_ours(self, pki: Pki, between: Authority) -> None:
        server, _ = shaken(pki.context, pki.client_context(between.certify("vpn.example.org")))
        assert Peer.of(server.tls).names == {"vpn.example.org"}

    def test_without_it_nobody_knows(self, pki: Pki, between: Authority) -> None:
        certificate = between.certify("vpn.example.org", chain=False)
        assert refusal(pki.context, pki.client_context(certificate)) == "unable to get local issuer certificate"

    def test_it_may_be_the_one_that_is_trusted_and_then_nobody_else_is(self, pki: Pki, between: Authority) -> None:
        context = server_context(Files(pki.server, pki.server, between.ca_file))
        for chain in (True, False):
            certificate = between.certify("vpn.example.org", chain=chain)
            server, _ = shaken(context, pki.client_context(certificate))
            assert Peer.of(server.tls).names == {"vpn.example.org"}
        assert refusal(context, pki.vpn) == "self-signed certificate in certificate chain"


class TestAlpn:
    """RFC 9765 §3.3: historic RADIUS where a client says so, or nothing."""

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            ([], None),
            ([ALPN], ALPN),
            (["radius/1.1", ALPN], ALPN),
            (["radius/1.1"], None),
            (["h2", "http/1.1"], None),
        ],
    )
    def test_is_radius_1_0_or_none(self, pki: Pki, offered: Iterable[str], chosen: str | None) -> None:
        certificate = pki.authority.certify("vpn.example.org")
        ends = shaken(pki.context, pki.client_context(certificate, alpn=offered))
        assert [end.tls.selected_alpn_protocol() for end in ends] == [chosen, chosen]


class TestEachProvesAnew:
    """So that whoever is removed is gone."""

    def sessions(
        self, pki: Pki, version: ssl.TLSVersion, *servers: ssl.SSLContext
    ) -> tuple[ssl.SSLSession | None, list[End]]:
        """What a NAS keeps of its first connection, and the two ends of the second, where it uses that."""
        certificate = pki.authority.certify("vpn.example.org")
        context = pki.client_context(certificate, version=version)
        server, client = shaken(servers[0], context)
        client.incoming.write(server.seal(b"a packet, and the tickets before it"))
        assert client.tls.read() == b"a packet, and the tickets before it"
        session = client.tls.session
        return session, shaken(servers[-1], context, session)

    def test_no_ticket_is_issued(self, pki: Pki) -> None:
        """RFC 8446 §4.6.1."""
        session, again = self.sessions(pki, V13, pki.context)
        assert session is None or not session.has_ticket
        assert [end.tls.session_reused for end in again] == [False, False]

    def test_a_session_of_tls_1_2_is_still_of_him_who_proved_it_and_not_kept_by_him(self, pki: Pki) -> None:
        """RFC 5246 §7.3: by its number, which Python cannot forbid.  Whose it is, is asked again each time."""
        session, again = self.sessions(pki, V12, pki.context)
        assert session is None or not session.has_ticket
        assert Peer.of(again[0].tls).names == {"vpn.example.org"}

    @pytest.mark.parametrize("version", [V12, V13])
    def test_what_was_configured_anew_knows_no_session(self, pki: Pki, version: ssl.TLSVersion) -> None:
        _, again = self.sessions(pki, version, pki.context, pki.server_context())
        assert [end.tls.session_reused for end in again] == [False, False]

    @pytest.mark.parametrize("version", [V12, V13])
    def test_both_versions_are_spoken(self, pki: Pki, version: ssl.TLSVersion) -> None:
        certificate = pki.authority.certify("vpn.example.org")
        server, _ = shaken(pki.context, pki.client_context(certificate, version=version))
        assert server.tls.version() == {V12: "TLSv1.2", V13: "TLSv1.3"}[version]


class TestFiles:
    def test_what_cannot_be_read_or_used_is_an_oserror(self, pki: Pki, tmp_path: Path) -> None:
        junk = tmp_path / "junk.pem"
        junk.write_text("junk")
        ca, absent = pki.authority.ca_file, tmp_path / "absent.pem"
        for files in (
            Files(absent, pki.server, ca),
            Files(pki.server, absent, ca),
            Files(pki.server, pki.server, absent),
            Files(junk, pki.server, ca),
            Files(pki.server, pki.server, junk),
            Files(pki.server, pki.authority.certify("another"), ca),
        ):
            with pytest.raises(OSError):  # noqa: PT011 - which of its many it is depends on OpenSSL
                server_context(files)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (TimeoutError(), "took too long"),
        (ConnectionAbortedError("SSL handshake is taking longer than 5 seconds"), "took too long"),
        (ConnectionResetError(), "closed in the middle"),
        (BrokenPipeError(), "closed in the middle"),
        (ssl.SSLError(1, "[SSL] no name for it"), "[ssl] no name for it"),
        (ssl.SSLError("the key is encrypted"), "the key is encrypted"),
        (ssl.SSLError(), "sslerror"),
        (OSError(5, "odd"), "OSError"),
    ],
)
def test_why_in_words(broken: BaseException, words: str) -> None:
    assert why(broken) == words


if HAS_PSK:

    class TestPsk:
        """RFC 9813 §4: a key for each client instead of certificates."""

        KEYS: ClassVar = {"key-1": b"k" * 16, "key-2": b"q" * 32}

        def context(self, identity: str, key: bytes, version: ssl.TLSVersion) -> ssl.SSLContext:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            context.set_ciphers("PSK")
            setter: Any = context
            setter.set_psk_client_callback(lambda _hint: (identity, key))
            return context

        @pytest.mark.parametrize("version", [V12, V13])
        @pytest.mark.parametrize("identity", ["key-1", "key-2"])
        def test_whoever_has_the_key_is_who_he_says(self, identity: str, version: ssl.TLSVersion) -> None:
            server, _ = shaken(server_context(self.KEYS), self.context(identity, self.KEYS[identity], version))
            found = Peer.of(server.tls)
            assert (found.identity, found.names, str(found)) == (identity, frozenset(), identity)
            clients = Clients([make_client(psk=(identity, self.KEYS[identity]))])
            client = found.found_among(clients, "127.0.0.1")
            assert not isinstance(client, Stranger)
            assert client.nas.name == "vpn"

        @pytest.mark.parametrize("version", [V12, V13])
        @pytest.mark.parametrize(
            ("identity", "key"),
            [("key-1", b"q" * 32), ("key-3", b"k" * 16), ("", b"k" * 16), ("KEY-1", b"k" * 16)],
        )
        def test_nobody_else_is(self, identity: str, key: bytes, version: ssl.TLSVersion) -> None:
            with pytest.raises(ssl.SSLError):
                shaken(server_context(self.KEYS), self.context(identity, key, version))

        def test_handshakes_at_once_do_not_mix_up_who_is_who(self) -> None:
            context = server_context(self.KEYS)
            servers = [End(context, server=True) for _ in self.KEYS]
            clients = [End(self.context(each, key, V12)) for each, key in self.KEYS.items()]
            for _ in range(3):
                for server, client in zip(servers, clients, strict=True):
                    client.shake()
                    server.incoming.write(client.outgoing.read())
                for server, client in zip(reversed(servers), reversed(clients), strict=True):
                    server.shake()
                    client.incoming.write(server.outgoing.read())
            assert [Peer.of(server.tls).identity for server in servers] == ["key-1", "key-2"]

        def test_without_forward_secrecy_there_is_no_handshake(self) -> None:
            context = self.context("key-1", self.KEYS["key-1"], V12)
            context.set_ciphers("kPSK")
            with pytest.raises(ssl.SSLError):
                shaken(server_context(self.KEYS), context)

        def test_a_certificate_is_of_no_use_where_a_key_is_asked_for(self, pki: Pki) -> None:
            with pytest.raises(ssl.SSLError):
                shaken(server_context(self.KEYS), pki.vpn)

        @pytest.mark.parametrize("version", [V12, V13])
        def test_nor_a_key_where_a_certificate_is(self, pki: Pki, version: ssl.TLSVersion) -> None:
            with pytest.raises(ssl.SSLError):
                shaken(pki.context, self.context("key-1", self.KEYS["key-1"], version))

        @pytest.mark.parametrize("version", [V12, V13])
        def test_no_session_is_taken_up_again(self, version: ssl.TLSVersion) -> None:
            server, client = server_context(self.KEYS), self.context("key-1", self.KEYS["key-1"], version)
            session = shaken(server, client)[1].tls.session
            assert session is None or not session.has_ticket
            again = shaken(server, client, session)[0].tls
            assert Peer.of(again).identity == "key-1"


class TestForBrowsers:
    def test_no_version_of_old_is_spoken_and_nobody_is_asked_for_a_certificate(self, tmp_path: Path) -> None:
        own = Authority(tmp_path / "ours").certify("mfa.example.org")
        context = web_context(own, own)

        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_NONE

    def test_files_that_do_not_fit_are_refused(self, tmp_path: Path) -> None:
        one, other = (Authority(tmp_path / name).certify("mfa.example.org") for name in ("one", "other"))

        with pytest.raises(ssl.SSLError):
            web_context(one, other)
