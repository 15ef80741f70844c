"""The operating system's randomness, a page at a time.

A call of it costs more than to seal something with what it brings, and a login wants four.  Each octet is given
out once, and no process has what another has fetched.
"""

from __future__ import annotations

import os
from threading import Lock

_PAGE = 4096  # octets


class _Pool:
    """What was fetched and is not given out yet."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._octets = b""
        self._at = 0
        os.register_at_fork(after_in_child=self._drop)

    def octets(self, count: int) -> bytes:
        with self._lock:
            end = self._at + count
            if end > len(self._octets):
                self._octets = os.urandom(max(_PAGE, count))
                self._at, end = 0, count
            given = self._octets[self._at : end]
            self._at = end
        return given

    def _drop(self) -> None:
        """Another process has them: in a child nobody else holds the lock, whoever did when it was made."""
        self._lock = Lock()
        self._octets, self._at = b"", 0


octets = _Pool().octets


class SystemEntropy:
    """`core.ports.Entropy`."""

    octets = staticmethod(octets)
