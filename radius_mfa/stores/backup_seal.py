"""The seal of a backup: under a passphrase, piece by piece, so that a file of any size needs little memory.

    octets       what
    20           `radius-mfa backup 1` and a line end
    16           salt, random
    65536 + 16   AES-256-GCM of a piece, and its tag; as often as there is something
    n + 16       that of the last piece, n octets, 0 to 65536

The key is argon2id of the passphrase and the salt, so no two files share one; how much work that is belongs to the
format, for a file that says so by itself could ask for any amount.  A piece's nonce is its number, and whether it
is the last: what was left out, moved, cut off or added does not open.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from radius_mfa.core.errors import BackupError
from radius_mfa.stores.entropy import octets

PIECE = 65536  # octets

_MAGIC = b"radius-mfa backup 1\n"
_SALT, _TAG, _KEY = 16, 16, 32  # octets
_PASSES, _MEMORY, _LANES = 3, 65536, 4  # argon2id with 64 MiB (RFC 9106 §4)
_SEALED = PIECE + _TAG


class SealedWriter:
    """What is written to it goes sealed to `file`; there is nothing of use there before `close`."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        self._head = _MAGIC + octets(_SALT)
        self._cipher = AESGCM(_key(passphrase, self._head))
        self._held = bytearray()
        self._number = 0
        file.write(self._head)

    def write(self, some: bytes) -> None:
        self._held += some
        while len(self._held) > PIECE:
            self._seal(bytes(self._held[:PIECE]), last=False)
            del self._held[:PIECE]

    def close(self) -> None:
        """Seal what is left, as the last piece."""
        self._seal(bytes(self._held), last=True)
        self._held.clear()

    def _seal(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), piece, self._head))
        self._number += 1


def opened_pieces(file: BinaryIO, passphrase: str, name: str) -> Iterator[bytes]:
    """What was written, a piece at a time, each of which is authentic; `name` is what an error calls the file.

    Only at the end is it known that nothing is missing.  Raises BackupError.
    """
    head = _read(file, len(_MAGIC) + _SALT, name)
    if len(head) < len(_MAGIC) + _SALT or not head.startswith(_MAGIC):
        raise BackupError(f"{name}: is not a backup that this radius-mfa knows")
    cipher = AESGCM(_key(passphrase, head))
    wrong = "does not open: it was sealed with another passphrase, or was changed or cut off"
    number, piece = 0, _read(file, _SEALED, name)
    while piece or not number:
        following = _read(file, _SEALED, name)
        try:
            yield cipher.decrypt(_nonce(number, not following), piece, head)
        except InvalidTag:
            raise BackupError(f"{name}: {wrong}") from None
        number, piece, wrong = number + 1, following, "was changed or cut off"


def _read(file: BinaryIO, octets: int, name: str) -> bytes:
    try:
        return file.read(octets)
    except OSError as error:
        raise BackupError(f"{name}: cannot be read: {error.strerror}") from None


@lru_cache(maxsize=1)  # whoever writes one reads it again
def _key(passphrase: str, head: bytes) -> bytes:
    salt = head[len(_MAGIC) :]
    return hash_secret_raw(passphrase.encode(), salt, _PASSES, _MEMORY, _LANES, _KEY, Type.ID)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
