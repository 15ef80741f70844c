"""The audit file and what logrotate has put beside it, and their lines from either end.

All files are opened before the first line is read: what is renamed or removed after that is read all the same.
What is rotated is only ever a regular file: the folder may be another's, who is not to have us read, or write,
what a symbolic link leads to, nor to keep us busy for ever with a file in which nothing is.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

BLOCK = 1 << 16  # octets read at once from the end
LONGEST = 1 << 18  # octets of a line, far above those of any event: what is longer is not kept in memory
# As logrotate names them: `.1`, `.2.gz`, `-20261101.gz`; with other endings, to say that they are not read.
# `.backup` is what it makes of a file that a server has made where it wanted to.
_ROTATED = re.compile(r"[.-][0-9][0-9-]*(?:\.backup)?(\.(?:gz|bz2|xz|zst|lz4))?")
_GZIP = b"\x1f\x8b"  # RFC 1952 §2.3.1
_GZIP_FORMAT = zlib.MAX_WBITS | 16  # as zlib is told that
_NEAR = 1 << 13  # octets with a few lines in them
_LOOKS = 5  # at the folder, until nothing new is in it
_LINKS = 40  # one behind another, as the kernel follows
_PROC = Path("/proc")
MOST_BARREN = 1 << 26  # octets without an event, far above what a power failure leaves: the rest is not read
BARREN = f"has more than {MOST_BARREN >> 20} MB without an event in it, and is not read on from there"

Line = tuple[int, bytes]
"""Where a line begins, in octets of the file (unpacked, if it is compressed), and the line without its end."""
Sieve = Callable[[bytes], Iterable[Line]]
"""Those of the lines in some octets, which begin and end with one, that are worth looking at; in their order."""


class Octets(Protocol):
    """What is read from the first octet on."""

    def read(self, most: int, /) -> bytes: ...


class Watch:
    """Over the reading of one file.  `is_barren`, `was_enough`: why it was not read to its end, if it was not."""

    def __init__(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """`is_enough`: asked before each block."""
        self._is_enough = is_enough
        self._barren = 0  # octets, unpacked, since there was an event
        self.is_barren = self.was_enough = False

    def goes_on(self, octets: int) -> bool:
        """Whether so many more are to be looked at."""
        self._barren += octets
        self.is_barren = self._barren > MOST_BARREN
        self.was_enough = self._is_enough()
        return not (self.is_barren or self.was_enough)

    def found(self) -> None:
        """There was an event."""
        self._barren = 0


def every_line(octets: bytes) -> Iterator[Line]:
    """The sieve that keeps all but empty ones."""
    at = 0
    for line in octets.split(b"\n"):
        if line:
            yield at, line
        at += len(line) + 1


@dataclass(frozen=True, slots=True)
class AuditPart:
    """One of the files, open.  `changed`: when something was last written to it, seconds since 1970."""

    path: Path
    stream: BinaryIO
    changed: float
    packed: bool

    def backwards(
        self, block: int = BLOCK, sieve: Sieve = every_line, watch: Watch | None = None
    ) -> Iterator[Line]:
        """Its lines from the end; of a compressed one, forwards all the same."""
        if self.packed:
            return self.forwards(sieve=sieve, watch=watch)
        return backwards(self.stream, block, sieve, watch)

    def forwards(self, start: int = 0, sieve: Sieve = every_line, watch: Watch | None = None) -> Iterator[Line]:
        """Its lines from that octet on, where one begins; 0 in a compressed one."""
        self.stream.seek(start)
        read = _ahead(_Unpacked(self.stream)) if self.packed else blocks(self.stream)
        return forwards(read, start, sieve, watch)

    def size(self) -> int:
        """Octets; of what is in it now."""
        return os.fstat(self.stream.fileno()).st_size

    def after(self, at: int) -> Iterator[Line]:
        """Its lines from the first on that begins behind that octet.  None where there is none near."""
        for most in (_NEAR, 2 * LONGEST):
            octets = os.pread(self.stream.fileno(), most, at)
            begin, end = octets.find(b"\n") + 1, octets.rfind(b"\n")
            if 0 < begin < end:
                yield from ((at + begin + place, line) for place, line in every_line(octets[begin:end]))
                return


def real_file(path: Path) -> Path:
    """The file that is meant: where there is a symbolic link at `path`, what that leads to, there or not.

    A link that somebody else may have made is not followed, and is what is returned.  So is one of what a process
    has open, as /dev/stdout leads to, by its path in /proc: that may be a pipe, to which there is no other.
    """
    for _ in range(_LINKS):
        folder = Path(os.path.realpath(path.parent))
        if is_in_proc(folder):
            return folder / path.name
        leads_to = _leads_to(path)
        if leads_to is None:
            return path
        path = folder / leads_to
    return path


def _leads_to(path: Path) -> str | None:
    """What is written in the link that is there; None where there is none, or one that is not to be followed."""
    try:
        link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:  # of that very link, which may have been changed for another by now
        return os.readlink("", dir_fd=link) if is_nobody_elses(path, os.fstat(link)) else None
    except OSError:  # it is none
        return None
    finally:
        os.close(link)


def is_in_proc(path: Path) -> bool:
    """Whether that is the kernel's, where nobody else can put anything."""
    return _PROC in path.parents


def is_nobody_elses(path: Path, found: os.stat_result) -> bool:
    """Whether what was `found` there is root's, or where none but root and our own user may put anything."""
    folder = _status(path.parent.stat)
    if found.st_uid == 0 or folder is None:
        return found.st_uid == 0
    return folder.st_uid in (0, os.geteuid()) and not folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def open_parts(
    path: Path, since: float, stack: ExitStack, *, links: bool = True
) -> tuple[list[AuditPart], dict[Path, str]]:
    """The file and those rotated from it, the newest first, without those not written to since `since`.

    `since`: seconds since 1970.  `links`: whether the file itself may be a symbolic link.
    The second is what cannot be read, by path, with the reason.
    """
    parts: dict[tuple[int, int], AuditPart] = {}
    unread: dict[Path, str] = {}
    for _ in range(_LOOKS):  # logrotate may be renaming them at this moment
        before = len(parts)
        for each in _named(path):
            try:
                part, identity = _opened(each, since, parts, stack, follow=links and each == path)
            except FileNotFoundError:
                continue  # renamed or removed since it was listed: the next look has it by its new name
            except OSError as broken:
                unread[each] = why(broken)
                continue
            if part is not None:
                parts[identity] = part
        if len(parts) == before:
            break
    return sorted(parts.values(), key=lambda part: part.changed, reverse=True), unread


def delete_rotated(path: Path, now: float, kept: float) -> list[Path]:
    """Delete what was rotated from the file at `path` and last written to longer ago than `kept`; which that was.

    `now`: seconds since 1970; `kept`: seconds.  The age of each is that beside the newest of them at most: a clock
    that is ahead does not make all of them old.  Never the file itself, by whatever name, nor what is no file.
    Raises OSError once all has been tried.
    """
    path = real_file(path)
    deleted, broken = [], None
    live = _status(path.stat)
    found = {each: status for each in _named(path)[1:] if (status := _status(each.lstat)) is not None}
    rotated = {each: status for each, status in found.items() if stat.S_ISREG(status.st_mode)}
    times = [status.st_mtime for status in (live, *rotated.values()) if status is not None]
    before = min(now, max(times, default=now)) - kept
    for each, status in rotated.items():
        if status.st_mtime >= before or (live is not None and os.path.samestat(status, live)):
            continue
        try:
            each.unlink()
            deleted.append(each)
        except FileNotFoundError:
            continue  # logrotate has renamed or removed it
        except OSError as wrong:
            broken = wrong
    if broken is not None:
        raise broken
    return deleted


def _status(look: Callable[[], os.stat_result]) -> os.stat_result | None:
    try:
        return look()
    except OSError:
        return None


def why(broken: OSError) -> str:
    """Why a file cannot be read, to stand behind its name."""
    reason = broken.strerror or "is not whole"  # gzip gives no other reason
    return f"cannot be read: {reason}" if broken.errno else reason


def _named(path: Path) -> list[Path]:
    """The file and whatever is called as one rotated from it, there or not."""
    try:
        names = set(os.listdir(path.parent))
    except OSError:  # only the file itself may be ours to read
        names = set()
    found = [path]
    for name in sorted(names):
        rotated = _ROTATED.fullmatch(name.removeprefix(path.name)) if name.startswith(path.name) else None
        # While `X.gz` is being written, `X` is still there.
        if rotated and name.removesuffix(rotated[1] or "\0") not in names - {name}:
            found.append(path.with_name(name))
    return found


def _opened(
    path: Path, since: float, known: dict[tuple[int, int], AuditPart], stack: ExitStack, *, follow: bool
) -> tuple[AuditPart | None, tuple[int, int]]:
    """The file, open, and what it is whatever its name; None where it is known already, or too old."""
    status = path.stat(follow_symlinks=follow)
    identity = (status.st_dev, status.st_ino)
    if identity in known:
        return None, identity
    _must_be_regular(status)
    if status.st_mtime < since:
        return None, identity
    # Not to wait: another may have its name by now, and that be a pipe.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    stream = stack.enter_context(os.fdopen(os.open(path, flags), "rb"))
    status = os.fstat(stream.fileno())
    _must_be_regular(status)
    identity = (status.st_dev, status.st_ino)
    packed = stream.read(len(_GZIP)) == _GZIP
    if not packed and path.suffix in (".gz", ".bz2", ".xz", ".zst", ".lz4"):
        raise OSError(0, "is compressed, and not by gzip")
    part = AuditPart(path, stream, status.st_mtime, packed)
    return None if identity in known else part, identity


def _must_be_regular(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(0, "is a symbolic link, which is not followed")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "is not a file")


class _Unpacked:
    """What a gzip file has in it, be it several in a row.  Reading raises zlib.error, and EOFError of half a file.

    Four times as fast as the standard library's, which goes through the octets several times.
    """

    def __init__(self, packed: Octets) -> None:
        self._packed = packed
        self._unpack: zlib._Decompress | None = None  # None: between two, or behind the last
        self._rest = b""  # read, and not unpacked yet

    def read(self, most: int, /) -> bytes:
        while True:
            self._rest = self._rest or self._packed.read(most)
            if self._unpack is None:
                self._rest = self._rest.lstrip(b"\0") or self._packed.read(most).lstrip(
                    b"\0"
                )  # zeros: as tapes pad
                if not self._rest:
                    return b""
                self._unpack = zlib.decompressobj(_GZIP_FORMAT)
            if not self._rest:
                raise EOFError
            octets = self._unpack.decompress(self._rest, most)
            self._rest = self._unpack.unconsumed_tail or self._unpack.unused_data
            if self._unpack.eof:
                self._unpack = None
            if octets:
                return octets


def backwards(
    stream: BinaryIO, block: int = BLOCK, sieve: Sieve = every_line, watch: Watch | None = None
) -> Iterator[Line]:
    """The lines from the end, read in blocks of so many octets."""
    watch = watch or Watch()
    end = stream.seek(0, os.SEEK_END)
    rest = b""  # the beginning of a line whose end has been read
    while end:
        start = max(end - block, 0)
        if not watch.goes_on(end - start):
            return
        stream.seek(start)
        rest, begins, lines = (stream.read(end - start) + rest).partition(b"\n")
        if begins:
            base = start + len(rest) + 1
            yield from ((base + at, line) for at, line in reversed([*sieve(lines)]))
        rest, end = rest[: LONGEST + 1], start
    if rest:
        yield 0, rest


def blocks(stream: Octets, block: int = BLOCK) -> Iterator[bytes]:
    """What is read, in blocks of so many octets at most."""
    return iter(lambda: stream.read(block), b"")


def _ahead(stream: Octets) -> Iterator[bytes]:
    """The same, while another thread unpacks the next one already."""
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(stream.read, BLOCK)
        while octets := coming.result():
            coming = other.submit(stream.read, BLOCK)
            yield octets


def forwards(
    read: Iterable[bytes], start: int = 0, sieve: Sieve = every_line, watch: Watch | None = None
) -> Iterator[Line]:
    """The lines in what is read from that octet on, where one begins."""
    watch = watch or Watch()
    at, rest, left_out = start, b"", 0  # `rest` begins a line, of whose octets `left_out` are not kept
    for octets in read:
        if not watch.goes_on(len(octets)):
            return
        if left_out or len(rest) > LONGEST:  # what no event's line is: its end is all that is looked for
            end, ends, octets = octets.partition(b"\n")
            left_out += len(end)
            if not ends:
                continue
            yield at, rest
            at, rest, left_out = at + len(rest) + left_out + 1, b"", 0
        lines, ends, more = octets.rpartition(b"\n")
        if ends:
            lines = rest + lines
            yield from ((at + place, line) for place, line in sieve(lines))
            at, rest = at + len(lines) + 1, more
        else:
            rest += more
            left_out, rest = max(len(rest) - LONGEST - 1, 0), rest[: LONGEST + 1]
    if rest:
        yield at, rest
