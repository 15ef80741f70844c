"""Sockets, opened before root is given up and handed on from process to process."""

from __future__ import annotations

import ctypes
import resource
import socket
import struct
from errno import EADDRINUSE

# Linux's numbers, which Python 3.11 does not name (asm-generic/socket.h, linux/in.h).
_SO_RCVBUFFORCE = 33
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_MEMINFO = 55
IP_PKTINFO = 8

# The default holds 256 small datagrams, one burst of a gateway that has restarted.
_RECEIVE_BUFFER = 4 * 1024 * 1024
_DESCRIPTORS = 65536
_BACKLOG = 512  # connections that wait to be accepted: all clients at once, after a restart

_DROPS = struct.Struct("=32xI")  # the last of nine numbers, SK_MEMINFO_DROPS (linux/sock_diag.h)

# Classic BPF (linux/filter.h): load a word of the datagram, divide it, return what is left over.
_LOAD_WORD, _MODULO, _RETURN_A = 0x20, 0x94, 0x16
_INSTRUCTION = struct.Struct("=HBBI")
_REQUEST_AUTHENTICATOR = 4  # where it is in a packet (RFC 2865 §3)


def allow_descriptors() -> None:
    """As many as there may be, up to what is enough: each connection is one, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def open_udp(host: str, port: int, readers: int = 1) -> list[socket.socket]:
    """Bound UDP sockets of one port for `transports.udp`, one for each reader; IPv6 without brackets.

    Of several, the kernel chooses by the Request Authenticator: a single NAS's port spreads over all of them,
    and the same packet sent again meets the same socket.  Raises OSError, also where somebody else has the port.
    """
    sockets: list[socket.socket] = []
    try:
        for _ in range(readers):
            sock = _udp(host)
            sockets.append(sock)
            # The first alone must find the port free, or it would join another server's group without a word.
            if len(sockets) > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((host, port))
            if readers > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = sock.getsockname()[1]
        if readers > 1:
            _spread(sockets[0], readers)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def why_not(broken: OSError) -> str:
    """Why a socket could not be opened, and what helps, for people."""
    if broken.errno == EADDRINUSE:
        return f"{broken.strerror}; stop what listens there, or choose another port"
    return str(broken.strerror)


def dropped(sock: socket.socket) -> int:
    """How many datagrams the kernel had no room for, in 32 bits: before us there may have been another process."""
    (count,) = _DROPS.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size))
    return int(count)


def open_tcp(host: str, port: int, *, both: bool = False) -> socket.socket:
    """A listening TCP socket, for however many processes.  `both`: `::` takes IPv4 as well.  Raises OSError."""
    sock = socket.socket(_family(host), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the one before are ending
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _udp(host: str) -> socket.socket:
    sock = socket.socket(_family(host), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        _raise_buffer(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _raise_buffer(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:  # without CAP_NET_ADMIN as much as net.core.rmem_max allows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def _spread(sock: socket.socket, readers: int) -> None:
    """Have the kernel choose among the sockets of the group: to the filter a datagram begins with its Code."""
    program = b"".join(
        (
            _INSTRUCTION.pack(_LOAD_WORD, 0, 0, _REQUEST_AUTHENTICATOR),
            _INSTRUCTION.pack(_MODULO, 0, 0, readers),
            _INSTRUCTION.pack(_RETURN_A, 0, 0, 0),
        )
    )
    octets = ctypes.create_string_buffer(program, len(program))
    count = len(program) // _INSTRUCTION.size
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HL", count, ctypes.addressof(octets))
    )
