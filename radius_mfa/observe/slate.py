"""What one process writes and another reads: the last thing written, whole, whatever becomes of the writer.

A slate is a file in memory that the supervisor makes before any other process begins; they inherit its descriptor.
It has two halves, written in turn, so that a write which is cut off spoils only the older of the two.  A half is
a head (mark, number of the write, length, checksum of these and the octets) and the octets; one whose checksum
is wrong is none.  The one with the higher number is the newer.  What was never written takes no memory.
"""

from __future__ import annotations

import os
from contextlib import suppress
from struct import Struct
from zlib import crc32

MOST = 4 << 20  # octets that can be written

_HEAD = Struct("<8sQII")
_COVERED = Struct("<QI")
_MARK = b"slate 1\n"
_HALVES = (0, MOST + 4096)  # where they begin: the second where the longest first one has long ended
_LOOKS = 10  # both halves may change under a reader's eyes, if it is slow; ten times over is another matter


class Slate:
    """One process at a time writes, in one thread at a time; any number may read meanwhile."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def made(cls, name: str) -> Slate:
        """A new one with nothing on it.  `name` is for people who look into /proc.  Raises OSError."""
        return cls(os.memfd_create(name))

    def fileno(self) -> int:
        """The descriptor; it is not inherited unless it is handed on."""
        return self._fd

    def close(self) -> None:
        """Let go of the descriptor; whoever else has it keeps what is written."""
        os.close(self._fd)

    def write(self, octets: bytes) -> None:
        """Raises ValueError for more than `MOST` octets, OSError without memory; the last is still read then."""
        if len(octets) > MOST:
            raise ValueError(f"{len(octets)} octets are too many for a slate")
        number, place, _ = self._newest() or (0, _HALVES[1], b"")
        rest = memoryview(_half(number + 1, octets))
        place = _HALVES[1] if place == _HALVES[0] else _HALVES[0]
        while rest:
            written = os.pwrite(self._fd, rest, place)
            rest, place = rest[written:], place + written

    def read(self) -> bytes | None:
        """What was written last, or the one before it while that is being written; None if there is neither."""
        with suppress(OSError):
            for _ in range(_LOOKS):
                if found := self._newest():
                    return found[2]
        return None

    def _newest(self) -> tuple[int, int, bytes] | None:
        """The number of the newer whole half, where it begins and what is on it."""
        heads = [(self._head(place), place) for place in _HALVES]
        for (number, length, checksum), place in sorted(heads, reverse=True):
            octets = os.pread(self._fd, length, place + _HEAD.size)
            if number and _checksum(number, octets) == checksum and len(octets) == length:
                return number, place, octets
        return None

    def _head(self, place: int) -> tuple[int, int, int]:
        """Number, length and checksum as they stand there; three zeros if it is no head."""
        head = os.pread(self._fd, _HEAD.size, place)
        if len(head) == _HEAD.size:
            mark, number, length, checksum = _HEAD.unpack(head)
            if mark == _MARK and length <= MOST:
                return number, length, checksum
        return 0, 0, 0


def _half(number: int, octets: bytes) -> bytes:
    return _HEAD.pack(_MARK, number, len(octets), _checksum(number, octets)) + octets


def _checksum(number: int, octets: bytes) -> int:
    return crc32(octets, crc32(_COVERED.pack(number, len(octets))))
