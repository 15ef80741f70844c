"""Ports of this machine for those who have to be told one beforehand.

Whoever connects, or asks for any port, is given one out of the kernel's range: of those a port may be somebody's a
moment after it was found free.  Below that range nobody is given a port that was not asked for by its number, and
there each process of a run of pytest has a part of its own, in which each begins somewhere, since there may be
another run.  Where the kernel's range leaves too little below it, it is gone into.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

_LOWEST, _AT_LEAST_TO = 10_000, 20_000
_PARTS = 8


def free_port() -> int:
    """One that is free at all addresses, for TCP and for UDP, and that this process has not had before."""
    for port in _ports:
        with ExitStack() as stack:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    both = stack.enter_context(socket.socket(socket.AF_INET6, kind))
                    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    both.bind(("::", port))
            except OSError:
                continue
            return port
    raise OSError("there is no port left that this process has not had")


def _own_part() -> Iterator[int]:
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    size = (max(lowest_given, _AT_LEAST_TO) - _LOWEST) // _PARTS
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
    first, begin = _LOWEST + number * size, random.randrange(size)
    return (first + (begin + each) % size for each in range(size))


_ports = _own_part()
