"""The key file, and the seal under its keys: AES-256-GCM, one derived key a purpose.

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

import base64
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from radius_mfa.core.errors import KeyFileError

_VERSION = b"\x01"
_ID, _NONCE, _TAG, _KEY, _DIGEST = 4, 12, 16, 32, 16  # octets
_SHORTEST = len(_VERSION) + _ID + _NONCE + _TAG
_PROOF = "key_check"  # the purpose of what only the right key opens

_LINE = re.compile(r"([0-9a-f]{8}) (primary|accepted) ([A-Za-z0-9+/]{43}=)")
_HEADER = """\
# The keys of radius-mfa: an id, `primary` (it seals) or `accepted` (it opens), and the key itself.
# Whoever has this file can read what the store keeps sealed.  Without it nobody can: keep a copy elsewhere.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `id` of 4 octets, which everything sealed under it names, and `secret` of 32."""

    id: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The keys: the primary one seals, all of them open."""

    primary: Key
    accepted: tuple[Key, ...] = ()

    @classmethod
    def new(cls) -> KeyFile:
        """One key that nobody else has."""
        return cls(Key(os.urandom(_ID), os.urandom(_KEY)))

    def text(self) -> str:
        """What the file holds, secrets and all."""
        lines = [_line(self.primary, "primary"), *(_line(key, "accepted") for key in self.accepted)]
        return _HEADER + "".join(lines)


def _line(key: Key, use: str) -> str:
    return f"{key.id.hex()} {use} {base64.b64encode(key.secret).decode()}\n"


def parse_key_file(text: str, name: str) -> KeyFile:
    """The keys in `text`; `name` is what an error calls the file.  Raises KeyFileError, never with a key in it."""
    primary: list[Key] = []
    accepted: list[Key] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise KeyFileError(f"{name}:{number}: not a key; a line is ID, `primary` or `accepted`, and the key")
        key = Key(bytes.fromhex(found[1]), _secret(found[3], name, number))
        if key.id in {each.id for each in (*primary, *accepted)}:
            raise KeyFileError(f"{name}:{number}: key {found[1]} is there twice")
        (primary if found[2] == "primary" else accepted).append(key)
    if len(primary) != 1:
        raise KeyFileError(f"{name}: has {len(primary) or 'no'} primary keys; it needs exactly one")
    return KeyFile(primary[0], tuple(accepted))


def _secret(text: str, name: str, number: int) -> bytes:
    secret = base64.b64decode(text)
    if base64.b64encode(secret).decode() != text:  # bits beyond the last octet: a slip of the hand
        raise KeyFileError(f"{name}:{number}: not a key; it was changed")
    return secret


def read_key_file(path: Path) -> KeyFile:
    """The keys in the file, which nobody but its owner may read or write.  Raises KeyFileError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: is not a file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyFileError(f"{path}: can be read or written by others; run `chmod 600 {path}`")
            octets = file.read()
    except FileNotFoundError:
        raise KeyFileError(f"{path}: there is no key file; `radius-mfa keys init` makes one") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    return parse_key_file(octets.decode("ascii", "replace"), str(path))


def _without_waiting(path: str, flags: int) -> int:
    """Should it be a pipe, nobody may ever write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def create_key_file(path: Path) -> None:
    """Make a key file with one new key, on the disk when this returns; never in place of another.

    Raises KeyFileError.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path}: is there already, and was left as it is") from None
    except FileNotFoundError:
        raise KeyFileError(f"{path}: its folder does not exist") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(KeyFile.new().text())
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)  # half a key file would only be in the way
        raise KeyFileError(f"{path}: {error.strerror}") from None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AeadSealer:
    """`core.ports.Sealer` under the keys of a key file."""

    def __init__(self, keys: KeyFile) -> None:
        self._primary = keys.primary
        self._keys = {key.id: key for key in (keys.primary, *keys.accepted)}
        self._ciphers: dict[tuple[bytes, str], AESGCM] = {}
        self._digest_keys: dict[str, bytes] = {}

    @property
    def primary_id(self) -> bytes:
        """The id of the key that seals."""
        return self._primary.id

    def seal(self, purpose: str, plain: bytes, *bound_to: str) -> bytes:
        head, nonce = _VERSION + self._primary.id, os.urandom(_NONCE)
        names = _names(head, purpose, bound_to)
        return head + nonce + self._cipher(self._primary, purpose).encrypt(nonce, plain, names)

    def open(self, purpose: str, sealed: bytes, *bound_to: str) -> bytes | None:
        head, rest = sealed[: 1 + _ID], sealed[1 + _ID :]
        key = self._keys.get(head[1:])
        if key is None or head[:1] != _VERSION or len(sealed) < _SHORTEST:
            return None
        names = _names(head, purpose, bound_to)
        try:
            return self._cipher(key, purpose).decrypt(rest[:_NONCE], rest[_NONCE:], names)
        except InvalidTag:
            return None

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        key = self._digest_keys.get(purpose)
        if key is None:
            key = self._digest_keys[purpose] = _derived(self._primary, "digest", purpose)
        return hashlib.blake2b(_with_lengths(parts), key=key, digest_size=_DIGEST).digest()

    def _cipher(self, key: Key, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key.id, purpose))
        if cipher is None:
            cipher = self._ciphers[key.id, purpose] = AESGCM(_derived(key, "seal", purpose))
        return cipher


def _derived(key: Key, use: str, purpose: str) -> bytes:
    """A key for one use and purpose (RFC 5869)."""
    info = _with_lengths((b"radius-mfa", use.encode(), purpose.encode()))
    return HKDF(SHA256(), _KEY, salt=None, info=info).derive(key.secret)


def _names(head: bytes, purpose: str, bound_to: Iterable[str]) -> bytes:
    """What is authenticated beside the plain octets."""
    return _with_lengths((head, purpose.encode(), *(name.encode() for name in bound_to)))


def _with_lengths(parts: Iterable[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class KeyProofs(Protocol):
    """What a store keeps to tell its own key file from another: by key id, what that key sealed."""

    async def key_proofs(self) -> Mapping[bytes, bytes]: ...

    async def add_first_key_proof(self, key_id: bytes, proof: bytes) -> None:
        """Keep the proof, unless there is one already."""
        ...


async def verify_key(store: KeyProofs, sealer: AeadSealer) -> None:
    """Make sure that the key file is the one the store was sealed with; a new store takes it for its own.

    Raises KeyFileError.
    """
    proofs = await store.key_proofs()
    if not proofs:
        key_id = sealer.primary_id
        await store.add_first_key_proof(key_id, sealer.seal(_PROOF, b"", key_id.hex()))
        proofs = await store.key_proofs()  # another process may have been quicker, with another file
    check_proofs(proofs, sealer)


def check_proofs(proofs: Mapping[bytes, bytes], sealer: AeadSealer) -> None:
    """Make sure that the key file opens one of the proofs, where there are any.  Raises KeyFileError."""
    if proofs and all(sealer.open(_PROOF, proof, key_id.hex()) is None for key_id, proof in proofs.items()):
        raise KeyFileError("this key file is not the one the store was sealed with")
