"""The source address alone chooses the client, and so the secret (RFC 2865 §3); over TLS the proved name does."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.wire.clients import Client, Clients, Stranger, unmapped
from tests.wire.support import SECRET, make_client


def named(**networks: str) -> Clients:
    return Clients(make_client(name=name, networks=tuple(text.split())) for name, text in networks.items())


def found(clients: Clients, address: str) -> str | None:
    client = clients.find(address)
    return client.nas.name if client else None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "host"),
        ("192.0.2.2", "net"),
        ("192.0.2.130", "half"),
        ("198.51.100.1", "everything"),
        ("2001:db8::1", "host6"),
        ("2001:db8:0:0:0:0:0:2", "net6"),
        ("2001:db9::1", None),
        ("::ffff:192.0.2.1", "host"),  # RFC 4291 §2.5.5.2
        ("::ffff:203.0.113.9", "mapped"),
        ("203.0.113.9", "mapped"),
        ("fe80::1%eth0", "link"),
    ],
)
def test_the_longest_prefix_wins(address: str, name: str | None) -> None:
    clients = named(
        everything="0.0.0.0/0",
        net="192.0.2.0/24",
        host="192.0.2.1",
        half="192.0.2.128/25",
        net6="2001:db8::/32",
        host6="2001:db8::1",
        mapped="::ffff:203.0.113.0/120",
        link="fe80::/10",
    )
    assert found(clients, address) == name


@pytest.mark.parametrize("address", ["", "localhost", "192.0.2", "192.0.2.1\x00", "::g", "%", "é"])
def test_what_is_no_address_is_nobodys(address: str) -> None:
    assert named(everything="0.0.0.0/0 ::/0").find(address) is None


def test_one_client_has_many_networks() -> None:
    clients = named(vpn="192.0.2.0/28 2001:db8::/64", wifi="192.0.2.16/28")
    assert [found(clients, a) for a in ("192.0.2.3", "2001:db8::3", "192.0.2.17")] == ["vpn", "vpn", "wifi"]
    assert [client.nas.name for client in clients] == ["vpn", "wifi"]


def test_two_clients_at_one_prefix_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="vpn and wifi"):
        named(vpn="192.0.2.0/24", wifi="::ffff:192.0.2.0/120")


def test_a_client_may_name_a_network_twice() -> None:
    assert found(named(vpn="192.0.2.0/24 ::ffff:192.0.2.0/120"), "192.0.2.1") == "vpn"


def test_secrets_are_not_in_the_representation() -> None:
    client = make_client(psk=("the identity", b"the key"))
    assert not any(text in repr(client) for text in (SECRET.decode(), "the identity", "the key"))


def test_a_client_is_called_by_the_name_it_has_in_the_configuration() -> None:
    clients = named(vpn="192.0.2.1", wifi="192.0.2.2")
    assert [client and client.nas.name for client in map(clients.called, ("wifi", "nobody"))] == ["wifi", None]


class TestOverTls:
    """RFC 6614 §2.3: by the certificate, and of it by nothing but its SANs, or by the pre-shared key."""

    clients = Clients(
        [
            make_client(name="vpn", networks=("198.51.100.1",), certificate="vpn.example.org"),
            make_client(name="wifi", networks=(), certificate="192.0.2.7"),
            make_client(
                name="six", networks=("::1/128",), certificate="2001:db8::1", radsec_networks=("2001:db8::/64",)
            ),
            make_client(
                name="key", networks=("192.0.2.9",), psk=("key-1", b"k" * 16), radsec_networks=("192.0.2.0/28",)
            ),
            make_client(name="udp", networks=("192.0.2.10",)),
        ]
    )

    def whose(self, *names: str, source: str = "198.51.100.1") -> str:
        found = self.clients.certified(names, source)
        return found if isinstance(found, Stranger) else found.nas.name

    def test_whoever_has_a_name_or_a_key_for_it_may_come(self) -> None:
        assert [client.radsec for client in self.clients] == [True, True, True, True, False]

    @pytest.mark.parametrize(
        ("names", "whose"),
        [
            (["vpn.example.org"], "vpn"),
            (["other.example.org", "vpn.example.org", "198.51.100.7"], "vpn"),
            (["192.0.2.7"], "wifi"),
            ([], Stranger.NAMELESS),
            (["other.example.org"], Stranger.UNKNOWN),
            (["example.org"], Stranger.UNKNOWN),
            (["vpn.example.org.evil.example"], Stranger.UNKNOWN),
            (["192.0.2.70"], Stranger.UNKNOWN),
            (["127.0.0.1"], Stranger.UNKNOWN),
            (["vpn"], Stranger.UNKNOWN),
            (["key-1"], Stranger.UNKNOWN),
            (["vpn.example.org", "192.0.2.7"], Stranger.AMBIGUOUS),
        ],
    )
    def test_one_of_its_sans_is_exactly_what_the_configuration_says(self, names: list[str], whose: str) -> None:
        assert self.whose(*names) == whose

    @pytest.mark.parametrize("name", ["*.example.org", "*", "v*.example.org", "*pn.example.org"])
    def test_a_wildcard_is_nobodys(self, name: str) -> None:
        """RFC 9525 §6.3 lets a client take one; here a whole zone would be that client."""
        assert self.whose(name) == Stranger.UNKNOWN

    @pytest.mark.parametrize(
        ("source", "whose"),
        [
            ("2001:db8::2", "six"),
            ("2001:db8::2%eth0", "six"),
            ("2001:db8:0:1::2", Stranger.ELSEWHERE),
            ("::1", Stranger.ELSEWHERE),  # where its datagrams come from
            ("192.0.2.1", Stranger.ELSEWHERE),
            ("nowhere", Stranger.ELSEWHERE),
        ],
    )
    def test_it_may_have_to_come_from_certain_networks(self, source: str, whose: str) -> None:
        assert self.whose("2001:db8::1", source=source) == whose

    @pytest.mark.parametrize(
        ("identity", "source", "whose"),
        [
            ("key-1", "192.0.2.1", "key"),
            ("key-1", "::ffff:192.0.2.1", "key"),
            ("key-1", "192.0.2.16", Stranger.ELSEWHERE),
            ("key-2", "192.0.2.1", Stranger.UNKNOWN),
            ("vpn.example.org", "192.0.2.1", Stranger.UNKNOWN),
            ("", "192.0.2.1", Stranger.UNKNOWN),
        ],
    )
    def test_or_who_has_the_key_of_an_identity(self, identity: str, source: str, whose: str) -> None:
        found = self.clients.with_psk(identity, source)
        assert (found if isinstance(found, Stranger) else found.nas.name) == whose

    def test_keys_by_identity(self) -> None:
        assert self.clients.psks == {"key-1": b"k" * 16}

    @pytest.mark.parametrize(
        ("address", "plain"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("nowhere", None),
        ],
    )
    def test_an_address_as_a_socket_spells_it(self, address: str, plain: str | None) -> None:
        found = unmapped(address)
        assert (found and str(found)) == plain


_networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda p: ip_network((p[0], p[1]), strict=False)),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
        lambda p: ip_network((p[0] | 1 << 127, p[1]), strict=False)
    ),
)


@given(st.lists(_networks, min_size=1, max_size=12, unique=True), st.data())
def test_it_finds_what_looking_at_every_network_finds(networks: list[object], data: st.DataObject) -> None:
    clients = named(**{str(number): str(network) for number, network in enumerate(networks)})
    around = ip_network(str(data.draw(st.sampled_from(networks))))
    offset = data.draw(st.integers(0, around.num_addresses - 1))
    address = ip_address(int(around.network_address) + offset)
    if address.version != around.version:  # a small number is an IPv4 address to ip_address
        return
    fitting = [n for n in map(ip_network, map(str, networks)) if address.version == n.version and address in n]
    longest = max(fitting, key=lambda network: network.prefixlen)
    client = clients.find(str(address))
    assert isinstance(client, Client)
    assert client.networks == (longest,)
    assert clients.find(str(address)) is client
