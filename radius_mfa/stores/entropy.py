"""The operating system's randomness, a page at a time.

A call of it costs more than to seal something with what it brings, and a login wants four.  Each octet is given
out once, and no process has what another has fetched.
"""

from __future__ import annotations

import os
from struct import Struct

_PIECE, _PIECES = 16, 256  # octets, and how many are fetched at a time
_CUT = Struct(f"{_PIECE}s" * _PIECES)

_pieces: list[bytes] = []  # fetched, and not given out yet


def octets(count: int) -> bytes:
    """So many of them.  In whichever thread: no piece is given to two."""
    if count > _PIECE:
        return os.urandom(count)
    try:
        return _pieces.pop()[:count]
    except IndexError:
        fetched: tuple[bytes, ...] = _CUT.unpack(os.urandom(_CUT.size))
        _pieces.extend(fetched[1:])
        return fetched[0][:count]


# What a process has fetched is no other's.
os.register_at_fork(after_in_child=_pieces.clear)


class SystemEntropy:
    """`core.ports.Entropy`."""

    octets = staticmethod(octets)
