"""The seal under the keys of a key file: AES-256-GCM, one derived key a purpose.

What is sealed, 33 octets longer than what went in; the format is final:

    octets  what
    1       version, 1
    4       id of the key
    12      nonce, random
    n + 16  ciphertext and tag

Version, key id, purpose and what it is bound to are authenticated with it, each with its length, so
that a sealed value which was moved to another user, row or use does not open.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from radius_mfa.core.errors import KeyFileError
from radius_mfa.core.store import KeyStore
from radius_mfa.stores.key_file import ID, SECRET, FollowedKeyFile, Key, KeyFile

_VERSION = b"\x01"
_NONCE, _TAG, _DIGEST = 12, 16, 16  # octets
_SHORTEST = len(_VERSION) + ID + _NONCE + _TAG
_PROOF = "key_check"  # the purpose of what only the right key opens


def key_id_of(sealed: bytes) -> bytes:
    """The id of the key that it was sealed under."""
    return sealed[1 : 1 + ID]


class AeadSealer:
    """`core.ports.Sealer` under the keys of a key file, which stay as they are or are followed."""

    def __init__(self, keys: KeyFile | FollowedKeyFile) -> None:
        self._keys = keys
        # By the secret, whatever id it goes by.
        self._ciphers: dict[tuple[bytes, str], AESGCM] = {}
        self._digest_keys: dict[tuple[bytes, str], bytes] = {}

    @property
    def primary_id(self) -> bytes:
        """The id of the key that seals."""
        return self._keys.primary.id

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """The ids of the keys in the file, first that of the one that seals."""
        return self._keys.ids

    def keep_up(self) -> bool:
        """Take over what has become of the file now; whether that is something else."""
        return isinstance(self._keys, FollowedKeyFile) and self._keys.look()

    def seal(self, purpose: str, plain: bytes, *bound_to: str) -> bytes:
        primary = self._keys.primary
        head, nonce = _VERSION + primary.id, os.urandom(_NONCE)
        names = _names(head, purpose, bound_to)
        return head + nonce + self._cipher(primary, purpose).encrypt(nonce, plain, names)

    def open(self, purpose: str, sealed: bytes, *bound_to: str) -> bytes | None:
        if sealed[: len(_VERSION)] != _VERSION or len(sealed) < _SHORTEST:
            return None
        key = self._keys.find(key_id_of(sealed))
        if key is None:
            return None
        head, rest = sealed[: 1 + ID], sealed[1 + ID :]
        names = _names(head, purpose, bound_to)
        try:
            return self._cipher(key, purpose).decrypt(rest[:_NONCE], rest[_NONCE:], names)
        except InvalidTag:
            return None

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        return self._digest(self._keys.primary, purpose, parts)

    def other_digests(self, purpose: str, *parts: bytes) -> tuple[bytes, ...]:
        return tuple(self._digest(key, purpose, parts) for key in self._keys.all[1:])

    def _digest(self, key: Key, purpose: str, parts: Iterable[bytes]) -> bytes:
        derived = self._digest_keys.get((key.secret, purpose))
        if derived is None:
            derived = self._digest_keys[key.secret, purpose] = _derived(key, "digest", purpose)
        return hashlib.blake2b(_with_lengths(parts), key=derived, digest_size=_DIGEST).digest()

    def _cipher(self, key: Key, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key.secret, purpose))
        if cipher is None:
            cipher = self._ciphers[key.secret, purpose] = AESGCM(_derived(key, "seal", purpose))
        return cipher


def _derived(key: Key, use: str, purpose: str) -> bytes:
    """A key for one use and purpose (RFC 5869)."""
    info = _with_lengths((b"radius-mfa", use.encode(), purpose.encode()))
    return HKDF(SHA256(), SECRET, salt=None, info=info).derive(key.secret)


def _names(head: bytes, purpose: str, bound_to: Iterable[str]) -> bytes:
    """What is authenticated beside the plain octets."""
    return _with_lengths((head, purpose.encode(), *(name.encode() for name in bound_to)))


def _with_lengths(parts: Iterable[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def proof_of(key: Key) -> bytes:
    """What a store keeps to know the key again."""
    return AeadSealer(KeyFile(key)).seal(_PROOF, b"", key.id.hex())


async def verify_key(store: KeyStore, sealer: AeadSealer) -> None:
    """Make sure that the key file is the one the store was sealed with; a new store takes it for its own.

    Raises KeyFileError.
    """
    proofs = await store.key_proofs()
    if not proofs:
        key_id = sealer.primary_id
        await store.add_key_proof(key_id, sealer.seal(_PROOF, b"", key_id.hex()), first=True)
        proofs = await store.key_proofs()  # another process may have been quicker, with another file
    check_proofs(proofs, sealer)


def check_proofs(proofs: Mapping[bytes, bytes], sealer: AeadSealer) -> None:
    """Make sure that the key file is the store's, where one is: that nothing is sealed with what others lack.

    Raises KeyFileError.
    """
    check_opens(proofs, sealer)
    if proofs and sealer.primary_id not in proofs:
        known = " or ".join(sorted(f"`radius-mfa keys promote {key_id.hex()}`" for key_id in proofs))
        raise KeyFileError(
            f"this key file would seal with key {sealer.primary_id.hex()}, which the store knows nothing of: "
            f"run {known}"
        )


def check_opens(proofs: Mapping[bytes, bytes], sealer: AeadSealer) -> None:
    """Make sure that whatever is in the store can be opened.  Raises KeyFileError."""
    closed = sorted(key_id for key_id, proof in proofs.items() if sealer.open(_PROOF, proof, key_id.hex()) is None)
    if other := [key_id for key_id in closed if key_id in sealer.key_ids]:
        raise KeyFileError(
            f"this key file has another key {other[0].hex()} than the store; put the right one back"
        )
    if closed:
        names = ", ".join(key_id.hex() for key_id in closed)
        keys, it = ("keys", "them") if len(closed) > 1 else ("key", "it")
        raise KeyFileError(
            f"this key file lacks {keys} {names}, which the store was sealed with: put {it} back, or bring {it} "
            "from the node that has it with `radius-mfa keys add --from FILE`"
        )
