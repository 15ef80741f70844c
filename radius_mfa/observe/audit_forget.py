"""Takes out of the audit files who somebody was: their events stay, as those of nobody.

A line of a plain file is written over where it stands, with as many octets: without what identified the user,
and with spaces at its end, which JSON allows.  So nothing moves, servers may go on appending, and whatever
happens in between, every line begins and ends where it did.  A compressed file is written anew beside the old
one, and takes its place once it has reached the disk.

Only regular files are looked into, and what a symbolic link leads to is left alone: the folder may be another's.
A link in place of the file itself is followed where it is nobody else's.
All files are gone through again until there is nothing left, since servers write and logrotate renames meanwhile.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Collection, Generator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from radius_mfa.core import usernames
from radius_mfa.core.visits import PORTAL
from radius_mfa.observe.audit_files import BARREN, AuditPart, Sieve, Watch, every_line, open_parts, real_file
from radius_mfa.observe.audit_search import Event, event_of
from radius_mfa.observe.audit_sieve import NameSieve

SOMEBODY = "-"  # in `by`, of one of the help desk who was forgotten
_IDENTIFYING = ("user_name", "user_id", "username", "station", "detail")
_LEAST = ("time", "outcome", "decision")
_PASSES = 10  # more than logrotate and servers can be in the way of


@dataclass
class Forgotten:
    """`events`: how many are nobody's now.  Files with the reason: `failed`, which we may not read or write;
    `unread`, in which nobody could look for them.
    """

    events: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    unread: dict[Path, str] = field(default_factory=dict)


def forget(path: Path, user_id: str, names: Collection[str], called: Collection[str] = ()) -> Forgotten:
    """Make nobody's what is about that user in the file at `path` and in those rotated from it.

    `names`: the user has or had.  An event with an id is about whoever has the id: a name may have been given to
    another.  `called`: the names that are this user's and nobody else's now.  By these alone it is known of
    lines of older versions, without `by_id`, what they did at the help desk.
    """
    path, forgotten = real_file(path), Forgotten()
    person = _Person(user_id, names, called)
    for _ in range(_PASSES):
        before, known = forgotten.events, len(person.names)
        forgotten.failed, forgotten.unread = {}, {}
        _go_through(path, person, forgotten)
        if forgotten.events == before and len(person.names) == known:
            break
    return forgotten


def _go_through(path: Path, person: _Person, forgotten: Forgotten) -> None:
    with ExitStack() as stack:
        parts, unread = open_parts(path, 0.0, stack, links=False)
        for each, why in unread.items():
            # Whoever may read it may be able to do it.
            whose = forgotten.unread if os.access(each, os.R_OK, follow_symlinks=False) else forgotten.failed
            whose[each] = why
        for part in parts:
            try:
                if part.packed:
                    forgotten.events += _pack_anew(part, person)
                else:
                    forgotten.events += _write_over(part, person, is_live=part.path == path)
            except OSError as broken:
                forgotten.failed[part.path] = f"cannot be rewritten: {broken.strerror}"
            except (EOFError, zlib.error):
                forgotten.unread[part.path] = "is not whole"
            except _BarrenError:
                forgotten.unread[part.path] = BARREN


class _BarrenError(Exception):
    """Nothing comes in a file any more, as far as it was read."""


def _lines(part: AuditPart, sieve: Sieve = every_line) -> Generator[tuple[int, bytes, Event | None], None, None]:
    """Its lines, where each begins, and the event that it is, if it is one.  Raises _BarrenError."""
    watch = Watch()
    for at, line in part.forwards(sieve=sieve, watch=watch):
        event = event_of(line)
        if event is not None:
            watch.found()
        yield at, line, event
    if watch.is_barren:
        raise _BarrenError


class _Person:
    """Who is to be forgotten.  `names`: folded; what else the files call the id is learnt on the way.

    What is learnt may be another's by now, and so tells nothing of who has done something: `called` does.
    """

    def __init__(self, user_id: str, names: Collection[str], called: Collection[str]) -> None:
        self.id = user_id
        self._called = {usernames.fold(name) for name in called} - {""}
        self.names = {usernames.fold(name) for name in (*names, user_id)} - {""}  # an id can be typed, too

    def sieve(self) -> NameSieve:
        """For what may be about them, as far as is known now."""
        return NameSieve([*self.names, *self._called, self.id])

    def anonymous(self, line: bytes, event: Event | None) -> bytes | None:
        """The line as nobody's, with as many octets; None where there is nothing to take out."""
        said = None if event is None else self._without(event)
        return None if said is None else _fitted(said, line)

    def _without(self, event: Event) -> Event | None:
        acted = self._has_acted(event)
        if self._is_about(event):
            self.names |= {usernames.fold(_text(event, "username"))} - {""}
            dropped = {*_IDENTIFYING, *(["source"] if event.get("client") == PORTAL else [])}
            event = {key: value for key, value in event.items() if key not in dropped}
            event["forgotten"] = True
        elif not acted:
            return None
        if acted:
            event = {**event, "by": SOMEBODY}
            event.pop("by_id", None)
        return event

    def _has_acted(self, event: Event) -> bool:
        if user_id := _text(event, "by_id"):
            return user_id == self.id
        return usernames.fold(_text(event, "by")) in self._called

    def _is_about(self, event: Event) -> bool:
        if user_id := _text(event, "user_id"):
            return user_id == self.id
        return any(usernames.fold(_text(event, key)) in self.names for key in ("user_name", "username"))


def _text(event: Event, key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""


def _fitted(event: Event, line: bytes) -> bytes:
    """The event in as many octets; where somebody has written it oddly, with less said, or blank."""
    for keys in (event.keys(), event.keys() - {"forgotten"}, _LEAST):
        octets = orjson.dumps({key: event[key] for key in event if key in keys})
        if len(octets) <= len(line):
            return octets.ljust(len(line))
    return b" " * len(line)


def _write_over(part: AuditPart, person: _Person, *, is_live: bool) -> int:
    """How many events of a plain file were made nobody's."""
    done = 0
    with ExitStack() as stack:
        writing: int | None = None  # opened once there is something to write
        for at, line, event in _lines(part, person.sieve()):
            octets = person.anonymous(line, event)
            if octets is None:
                continue
            if writing is None:
                writing = _opened_to_write(part, stack)
            if os.pread(part.stream.fileno(), len(line), at) == line:  # it may have been cut off meanwhile
                os.pwrite(writing, octets, at)
                done += 1
        if writing is not None:
            os.fsync(writing)
            if not is_live:  # by its time a rotated file is known to be old
                os.utime(writing, (part.changed, part.changed))
    return done


def _opened_to_write(part: AuditPart, stack: ExitStack) -> int:
    """A descriptor of that very file, by whatever name it goes now; not to append, which would move the line."""
    fd = os.open(f"/proc/self/fd/{part.stream.fileno()}", os.O_WRONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _pack_anew(part: AuditPart, person: _Person) -> int:
    """The same of a compressed file, which has a new one in its place then, if there was anything."""
    with closing(_lines(part, person.sieve())) as lines:  # else it reads ahead beside what follows
        if all(person.anonymous(line, event) is None for _, line, event in lines):
            return 0
    made = os.fstat(part.stream.fileno())
    fd, name = tempfile.mkstemp(prefix=f".{part.path.name}.", dir=part.path.parent)
    done = 0
    try:
        with open(fd, "wb") as file:
            with gzip.GzipFile("", "wb", fileobj=file, mtime=part.changed) as packing:
                for _, line, event in _lines(part):
                    octets = person.anonymous(line, event)
                    done += octets is not None
                    packing.write((octets or line) + b"\n")
            file.flush()
            with suppress(PermissionError):  # the group is ours where we have made the old one
                os.fchown(fd, made.st_uid, made.st_gid)
            os.fchmod(fd, made.st_mode & 0o666)  # last: not to be open to those it is not for, nor run as anybody
            os.utime(fd, (part.changed, part.changed))
            os.fsync(fd)
        if not os.path.samestat(os.lstat(part.path), made):  # renamed meanwhile: the next time
            return 0
        os.replace(name, part.path)
        _sync_folder(part.path.parent)
        return done
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
