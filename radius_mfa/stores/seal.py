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
from collections.abc import Iterable, Mapping
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from radius_mfa.core.errors import KeyFileError
from radius_mfa.core.store import KeyStore
from radius_mfa.stores.entropy import octets
from radius_mfa.stores.key_file import ID, SECRET, FollowedKeyFile, Key, KeyFile, Seal

_VERSION = b"\x01"
_NONCE, _TAG, _DIGEST = 12, 16, 16  # octets
_HEAD = len(_VERSION) + ID
_SHORTEST = _HEAD + _NONCE + _TAG
_KEY_ID, _NONCE_OF, _REST = slice(len(_VERSION), _HEAD), slice(_HEAD, _HEAD + _NONCE), slice(_HEAD + _NONCE, None)
_LENGTH = Struct(">I").pack
_PROOF = "key_check"  # the purpose of what only the right key opens


def key_id_of(sealed: bytes) -> bytes:
    """The id of the key that it was sealed under."""
    return sealed[_KEY_ID]


class AeadSealer:
    """`core.ports.Sealer` under the keys of a key file, which stay as they are or are followed."""

    def __init__(self, keys: KeyFile | FollowedKeyFile) -> None:
        self._keys = keys

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
        primary, nonce = self._keys.primary, octets(_NONCE)
        head, names, cipher = primary.seals.get(purpose) or _new_seal(primary, purpose)
        return head + nonce + cipher.encrypt(nonce, plain, _with_names(names, bound_to) if bound_to else names)

    def open(self, purpose: str, sealed: bytes, *bound_to: str) -> bytes | None:
        if len(sealed) < _SHORTEST or not sealed.startswith(_VERSION):
            return None
        key = self._keys.find(sealed[_KEY_ID])
        if key is None:
            return None
        _, names, cipher = key.seals.get(purpose) or _new_seal(key, purpose)
        if bound_to:
            names = _with_names(names, bound_to)
        try:
            return cipher.decrypt(sealed[_NONCE_OF], sealed[_REST], names)
        except InvalidTag:
            return None

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        return _digest(self._keys.primary, purpose, parts)

    def other_digests(self, purpose: str, *parts: bytes) -> tuple[bytes, ...]:
        others = self._keys.others
        return tuple([_digest(key, purpose, parts) for key in others]) if others else ()


def _new_seal(key: Key, purpose: str) -> Seal:
    head = _VERSION + key.id
    seal = Seal(head, _with_lengths([head, purpose.encode()]), AESGCM(_derived(key, "seal", purpose)))
    key.seals[purpose] = seal
    return seal


def _digest(key: Key, purpose: str, parts: Iterable[bytes]) -> bytes:
    keyed = key.digests.get(purpose)
    if keyed is None:
        derived = _derived(key, "digest", purpose)
        keyed = key.digests[purpose] = hashlib.blake2b(key=derived, digest_size=_DIGEST)
    digest = keyed.copy()
    digest.update(_with_lengths(parts))
    return digest.digest()


def _derived(key: Key, use: str, purpose: str) -> bytes:
    """A key for one use and purpose (RFC 5869)."""
    info = _with_lengths((b"radius-mfa", use.encode(), purpose.encode()))
    return HKDF(SHA256(), SECRET, salt=None, info=info).derive(key.secret)


def _with_names(octets: bytes, names: Iterable[str]) -> bytes:
    """The octets and these names, each after its length in four octets."""
    for name in names:
        part = name.encode()
        octets += _LENGTH(len(part)) + part
    return octets


def _with_lengths(parts: Iterable[bytes]) -> bytes:
    """The parts, each after its length in four octets."""
    octets = b""
    for part in parts:
        octets += _LENGTH(len(part)) + part
    return octets


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
