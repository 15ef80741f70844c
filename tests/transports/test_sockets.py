"""The kernel's choice among the sockets of a port, and who may have a port at all."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

import pytest

from radius_mfa.transports.sockets import open_tcp, open_udp
from tests.peers.ports import free_port

HOSTS = ["127.0.0.1", "::1"]
_PATIENCE = 10.0  # seconds

# Tells of each connection it accepts, and ends with the first.
ACCEPTOR = """
import os, socket, sys
listening = socket.socket(fileno=int(sys.argv[1]))
listening.setblocking(True)
os.write(1, b"begun")
connection, _ = listening.accept()
connection.sendall(b"by another")
"""


@contextmanager
def opened(host: str, readers: int, port: int = 0) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(sock) for sock in open_udp(host, port, readers)]


@contextmanager
def sending_to(sock: socket.socket) -> Iterator[socket.socket]:
    """A NAS, at one port of its own."""
    with socket.socket(sock.family, socket.SOCK_DGRAM) as nas:
        nas.connect(sock.getsockname())
        yield nas


def packet(authenticator: bytes, code: int = 1, identifier: int = 0, attributes: bytes = b"") -> bytes:
    """RFC 2865 §3: Code, Identifier, Length, Request Authenticator, attributes."""
    length = 20 + len(attributes)
    return bytes([code, identifier]) + length.to_bytes(2, "big") + authenticator + attributes


def where(sockets: list[socket.socket], octets: bytes) -> int:
    """The number of the socket that these octets have come to."""
    readable, _, _ = select.select(sockets, [], [], _PATIENCE)
    (sock,) = readable
    assert sock.recv(4096) == octets
    return sockets.index(sock)


@pytest.mark.parametrize("readers", [1, 2, 3, 7])
@pytest.mark.parametrize("host", HOSTS)
def test_one_nas_port_spreads_over_all_sockets_by_the_request_authenticator(host: str, readers: int) -> None:
    """RFC 2865 §3: the Request Authenticator is unpredictable, and another one for each new request."""
    random, met = Random(readers), [0] * readers
    with opened(host, readers) as sockets, sending_to(sockets[0]) as nas:
        for number in range(300):
            octets = packet(random.randbytes(16), identifier=number % 256)
            nas.send(octets)
            met[where(sockets, octets)] += 1
    assert sum(met) == 300
    assert min(met) > 300 / readers / 2
    assert max(met) < 300 / readers * 2


@pytest.mark.parametrize("readers", [2, 3, 7])
@pytest.mark.parametrize("host", HOSTS)
def test_the_same_packet_always_meets_the_same_socket(host: str, readers: int) -> None:
    """RFC 2865 §2.5: what is retransmitted has the same Request Authenticator, perhaps from another port."""
    random = Random(readers)
    with opened(host, readers) as sockets:
        for _ in range(20):
            octets, places = packet(random.randbytes(16), attributes=random.randbytes(40)), set()
            for _ in range(3):
                with sending_to(sockets[0]) as nas:
                    nas.send(octets)
                    places.add(where(sockets, octets))
            assert len(places) == 1


@pytest.mark.parametrize("readers", [2, 3, 7])
def test_the_first_four_octets_of_the_request_authenticator_choose(readers: int) -> None:
    with opened("127.0.0.1", readers) as sockets, sending_to(sockets[0]) as nas:
        for number in (0, 1, 2, 6, 7, 2**31, 2**32 - 1):
            octets = packet(number.to_bytes(4, "big") + os.urandom(12))
            nas.send(octets)
            assert where(sockets, octets) == number % readers


@pytest.mark.parametrize("readers", [1, 2, 7])
@pytest.mark.parametrize("host", HOSTS)
def test_datagrams_too_short_to_be_packets_come_to_the_first_and_hurt_nobody(host: str, readers: int) -> None:
    """RFC 2865 §3: at least 20 octets; there need not be so many."""
    with opened(host, readers) as sockets, sending_to(sockets[0]) as nas:
        for length in range(8):
            octets = b"\xff" * length
            nas.send(octets)
            assert where(sockets, octets) == 0
        octets = packet((readers - 1).to_bytes(4, "big") + bytes(12))
        nas.send(octets)
        assert where(sockets, octets) == readers - 1


def test_what_nobody_reads_waits_for_whoever_comes_to_its_socket_next() -> None:
    with opened("127.0.0.1", 2) as sockets, sending_to(sockets[0]) as nas:
        waiting = packet((1).to_bytes(4, "big") + bytes(12))
        nas.send(waiting)
        with sockets[1].dup() as replacement:
            assert replacement.recv(4096) == waiting


@pytest.mark.parametrize("readers", [1, 2, 7])
@pytest.mark.parametrize("theirs", [1, 2, 7])
@pytest.mark.parametrize("host", HOSTS)
def test_a_second_server_does_not_join_the_group_without_a_word(host: str, theirs: int, readers: int) -> None:
    port = free_port()
    with opened(host, theirs, port):
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="in use"):
            open_udp(host, port, readers)
        assert os.listdir("/proc/self/fd") == before, "what was opened is closed"
    with opened(host, readers, port) as second:
        assert [sock.getsockname()[1] for sock in second] == [port] * readers


def test_ipv6_leaves_the_port_of_ipv4_to_others() -> None:
    port = free_port()
    with opened("::", 2, port), opened("0.0.0.0", 2, port) as four:
        assert four[1].getsockname() == ("0.0.0.0", port)


def test_every_reader_has_room_for_a_burst() -> None:
    """The default holds some 256 small datagrams; a gateway that restarts sends all it has at once."""
    with opened("127.0.0.1", 2) as sockets, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        usual = other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        sizes = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for sock in sockets]
        assert min(sizes) > usual
        assert sizes[0] == sizes[1]
        with sending_to(sockets[0]) as nas:
            for _ in range(2000):
                nas.send(packet((1).to_bytes(4, "big") + bytes(12)))
        assert sum(1 for _ in waiting_at(sockets[1])) == 2000


def waiting_at(sock: socket.socket) -> Iterator[bytes]:
    while select.select([sock], [], [], 0)[0]:
        yield sock.recv(4096)


@pytest.mark.parametrize("host", HOSTS)
def test_two_processes_accept_what_comes_to_one_tcp_socket(host: str) -> None:
    with open_tcp(host, 0) as listening:
        address = listening.getsockname()[:2]
        command = [sys.executable, "-c", ACCEPTOR, str(listening.fileno())]
        with subprocess.Popen(command, pass_fds=[listening.fileno()], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.read(5) == b"begun"
            with socket.create_connection(address, timeout=_PATIENCE) as connection:
                assert connection.recv(100) == b"by another"
            assert other.wait(_PATIENCE) == 0
        with socket.create_connection(address, timeout=_PATIENCE) as connection:
            ours, peer = listening.accept()
            ours.close()
            assert peer == connection.getsockname()


def test_a_tcp_port_belongs_to_one_server() -> None:
    with open_tcp("127.0.0.1", 0) as listening:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="in use"):
            open_tcp("127.0.0.1", listening.getsockname()[1])
        assert os.listdir("/proc/self/fd") == before


def test_a_tcp_port_whose_connections_are_ending_is_free_for_the_next_server() -> None:
    port = free_port()
    with (
        open_tcp("127.0.0.1", port) as listening,
        socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection,
    ):
        select.select([listening], [], [], _PATIENCE)
        accepted, _ = listening.accept()
        accepted.close()  # first: its end is the one that lingers
        assert connection.recv(1) == b""
    open_tcp("127.0.0.1", port).close()


@pytest.mark.parametrize("both", [False, True])
def test_only_where_it_is_asked_to_a_socket_for_ipv6_takes_ipv4_as_well(both: bool) -> None:
    port = free_port()  # also of IPv4, where it is nobody else's whom we would meet
    with open_tcp("::", port, both=both):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE).close()
        except ConnectionRefusedError:
            assert not both
        else:
            assert both


def test_an_address_that_is_not_ours_is_nobodys() -> None:
    before = os.listdir("/proc/self/fd")
    for open_one in (open_udp, open_tcp):
        with pytest.raises(OSError, match="assign"):
            open_one("192.0.2.1", 0)
    assert os.listdir("/proc/self/fd") == before
