"""The key file: what it says, how it is made and changed, and how a process that runs follows it."""

from __future__ import annotations

import base64
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from radius_mfa.core.errors import KeyFileError
from radius_mfa.core.ports import Clock
from radius_mfa.stores.naming import sync_folder
from radius_mfa.stores.ownership import give_to_owner_of_folder

if TYPE_CHECKING:
    from hashlib import blake2b

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ID, SECRET = 4, 32  # octets
LOOK_EVERY = 1.0  # seconds until the file is looked at again

_LINE = re.compile(r"([0-9a-f]{8}) (primary|accepted) ([A-Za-z0-9+/]{43}=)")
_HEADER = """\
# The keys of radius-mfa: an id, `primary` (it seals) or `accepted` (it opens), and the key itself.
# Whoever has this file can read what the store keeps sealed.  Without it nobody can: keep a copy elsewhere.
"""

log = structlog.get_logger()


class Seal(NamedTuple):
    """What is sealed for one purpose begins with `head`; `names` begin what is authenticated beside it."""

    head: bytes
    names: bytes
    cipher: AESGCM


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `id` of 4 octets, which everything sealed under it names, and `secret` of 32.

    `seals`, `digests`: what was derived from it so far, by purpose (`stores.seal`); it goes when the key does.
    """

    id: bytes
    secret: bytes = field(repr=False)
    seals: dict[str, Seal] = field(default_factory=dict, init=False, repr=False, compare=False)
    digests: dict[str, blake2b] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def new(cls) -> Key:
        """A key that nobody else has."""
        return cls(os.urandom(ID), os.urandom(SECRET))


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The keys: the primary one seals, all of them open."""

    primary: Key
    accepted: tuple[Key, ...] = ()

    @classmethod
    def new(cls) -> KeyFile:
        """One key that nobody else has."""
        return cls(Key.new())

    @property
    def all(self) -> tuple[Key, ...]:
        """First the one that seals."""
        return self.primary, *self.accepted

    @property
    def others(self) -> tuple[Key, ...]:
        """Every key that opens, but for the one that seals."""
        return self.accepted

    @property
    def ids(self) -> tuple[bytes, ...]:
        """Of all of them, first that of the one that seals."""
        return tuple(key.id for key in self.all)

    def find(self, key_id: bytes) -> Key | None:
        return _find(self.all, key_id)

    def with_accepted(self, keys: Sequence[Key]) -> KeyFile:
        """These too, which seal nothing yet."""
        return KeyFile(self.primary, (*self.accepted, *keys))

    def sealing_with(self, primary: Key) -> KeyFile:
        """The same keys, another of which seals."""
        return KeyFile(primary, tuple(key for key in self.all if key.id != primary.id))

    def without(self, *ids: bytes) -> KeyFile:
        """Some of those that only open left out."""
        return KeyFile(self.primary, tuple(key for key in self.accepted if key.id not in ids))

    def text(self) -> str:
        """What the file holds, secrets and all."""
        lines = [_line(self.primary, "primary"), *(_line(key, "accepted") for key in self.accepted)]
        return _HEADER + "".join(lines)


def _line(key: Key, use: str) -> str:
    return f"{key.id.hex()} {use} {base64.b64encode(key.secret).decode()}\n"


# --- reading ----------------------------------------------------------------------------------------


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
    """The keys in the file, which none but its owner may write, and its group read at most.  Raises KeyFileError.

    The portal may be another user than the server, and needs the same keys: both are in that group.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: is not a file")
            if mode & (stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP):
                raise KeyFileError(f"{path}: can be read or written by others; run `chmod 600 {path}`")
            octets = file.read()
    except FileNotFoundError:
        raise KeyFileError(
            f"{path}: there is no key file; put its copy back, or for a new store run `radius-mfa keys init`"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    return parse_key_file(octets.decode("ascii", "replace"), str(path))


def _without_waiting(path: str, flags: int) -> int:
    """Should it be a pipe, nobody may ever write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


class FollowedKeyFile:
    """The keys of a file that may change while they are in use; asked like a `KeyFile`.

    What seals is what the file said a second ago at most.  A key that is gone from it opens for
    `linger` seconds more, since what it sealed may be under way.  Raises KeyFileError at the start;
    later, a file that cannot be used is logged, once, and changes nothing.
    """

    def __init__(self, path: Path, clock: Clock, linger: float) -> None:
        self._path = path
        self._clock = clock
        self._linger = linger
        self._looked = clock.monotonic()
        self._looked_for_more = self._looked - LOOK_EVERY
        self._seen = _signature(path)
        self._keys = read_key_file(path)
        self._leaving: dict[Key, float] = {}  # until when, monotonic

    @property
    def primary(self) -> Key:
        if self._clock.monotonic() - self._looked >= LOOK_EVERY:
            self.look()
        return self._keys.primary

    @property
    def ids(self) -> tuple[bytes, ...]:
        """Of the keys in the file, first that of the one that seals."""
        return self._keys.ids

    @property
    def others(self) -> tuple[Key, ...]:
        """Every key that opens, but for the one that seals."""
        return self.all[1:] if self._leaving else self._keys.accepted

    @property
    def all(self) -> tuple[Key, ...]:
        """Every key that opens, first the one that seals."""
        now = self._clock.monotonic()
        return *self._keys.all, *(key for key, until in self._leaving.items() if now < until)

    def find(self, key_id: bytes) -> Key | None:
        """The key of that id; an unknown one may be new in the file.

        Whoever sends us octets names the key: the file is not looked at for each of them.
        """
        if key_id == self._keys.primary.id:  # as nearly always
            return self._keys.primary
        found = _find(self.all, key_id)
        now = self._clock.monotonic()
        if found is None and now - self._looked_for_more >= LOOK_EVERY:
            self._looked_for_more = now
            self.look()
            found = _find(self.all, key_id)
        return found

    def look(self) -> bool:
        """Whether the file says something else than before, which counts from now on."""
        now = self._looked = self._clock.monotonic()
        self._leaving = {key: until for key, until in self._leaving.items() if now < until}
        seen = _signature(self._path)
        if seen == self._seen:
            return False
        self._seen = seen  # whatever comes of it: nothing is said twice
        try:
            keys = read_key_file(self._path)
            if not set(keys.all) & set(self._keys.all):
                raise KeyFileError(f"{self._path}: has none of the keys that are in use")
        except KeyFileError as wrong:
            log.error("key_file_refused", error=str(wrong), note="the keys in use stay")
            return False
        before, self._keys = self._keys, keys
        gone = [key for key in before.all if key not in keys.all]
        self._leaving |= dict.fromkeys(gone, now + self._linger)
        return keys != before


def _find(keys: Iterable[Key], key_id: bytes) -> Key | None:
    return next((key for key in keys if key.id == key_id), None)


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes whenever the file does; None where it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


# --- writing ----------------------------------------------------------------------------------------


def create_key_file(path: Path, keys: KeyFile | None = None) -> None:
    """Make a key file, with one new key or these, on the disk when this returns; never in place of another.

    Raises KeyFileError.
    """
    try:
        _write(path, keys or KeyFile.new())
    except FileExistsError:
        raise KeyFileError(f"{path}: is there already, and was left as it is") from None
    except FileNotFoundError:
        raise KeyFileError(f"{path}: its folder does not exist") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None


@contextmanager
def editing(path: Path) -> Iterator[KeyFileEditor]:
    """Change the key file, as the only one who does.  Raises KeyFileError."""
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: its folder does not exist") from None
    except OSError as error:
        raise KeyFileError(f"{path.parent}: {error.strerror}") from None
    try:
        _lock(folder, path)
        yield KeyFileEditor(path)
    finally:
        os.close(folder)


def _lock(folder: int, path: Path) -> None:
    """The folder's, since the file itself is another one after each change."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise KeyFileError(f"{path}: another `radius-mfa keys` is changing it; wait for that") from None
    except OSError as error:
        raise KeyFileError(f"{path.parent}: cannot be locked: {error.strerror}") from None


class KeyFileEditor:
    """A key file that nobody else changes meanwhile.  `keys`: what it says now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys = read_key_file(path)

    @property
    def changed(self) -> float:
        """When the file was last changed, wall seconds."""
        return self.path.stat().st_mtime

    def replace(self, keys: KeyFile) -> None:
        """Put these in place of what is there, on the disk when this returns.

        At every moment the file is there, whole, as it was or as it will be.  Raises KeyFileError.
        """
        new = self.path.with_name(f".{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)  # from one of us who was killed
            _write(new, keys, like=self.path)
            new.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise KeyFileError(f"{self.path}: could not be replaced: {error.strerror}") from None
        self.keys = keys


def _write(path: Path, keys: KeyFile, like: Path | None = None) -> None:
    """Make the file: owner and mode those of `like`, else owned as its folder; never half.  Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            if like is None:
                give_to_owner_of_folder(file.fileno(), path)
            else:
                before, made = like.stat(), os.fstat(file.fileno())
                if (before.st_uid, before.st_gid) != (made.st_uid, made.st_gid):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & (stat.S_IRWXU | stat.S_IRGRP))
            file.write(keys.text())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError:
        path.unlink(missing_ok=True)
        raise
