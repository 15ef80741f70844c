"""The audit file and what logrotate has put beside it, and their lines from either end.

All files are opened before the first line is read: what is renamed or removed after that is read all the same.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 18  # octets read at once from the end
LONGEST = 1 << 18  # octets of a line, far above those of any event: what is longer is not kept in memory
# As logrotate names them: `.1`, `.2.gz`, `-20261101.gz`; with other endings, to say that they are not read.
_ROTATED = re.compile(r"[.-][0-9][0-9-]*(\.(?:gz|bz2|xz|zst|lz4))?")
_GZIP = b"\x1f\x8b"  # RFC 1952 §2.3.1
_LOOKS = 5  # at the folder, until nothing new is in it

Line = tuple[int, bytes]
"""Where a line begins, in octets of the file (unpacked, if it is compressed), and the line without its end."""


@dataclass(frozen=True, slots=True)
class AuditPart:
    """One of the files, open.  `changed`: when something was last written to it, seconds since 1970."""

    path: Path
    stream: BinaryIO
    changed: float
    packed: bool

    def backwards(self, block: int = BLOCK) -> Iterator[Line]:
        """Its lines from the end, empty ones left out; of a compressed one, forwards all the same."""
        return self.forwards() if self.packed else backwards(self.stream, block)

    def forwards(self, start: int = 0) -> Iterator[Line]:
        """Its lines from that octet on, empty ones left out."""
        if not self.packed:
            return forwards(self.stream, start)
        self.stream.seek(0)
        return forwards(gzip.GzipFile(fileobj=self.stream), start)


def open_parts(path: Path, since: float, stack: ExitStack) -> tuple[list[AuditPart], dict[Path, str]]:
    """The file and those rotated from it, the newest first, without those not written to since `since`.

    `since`: seconds since 1970.  The second is what cannot be read, by path, with the reason.
    """
    parts: dict[tuple[int, int], AuditPart] = {}
    unread: dict[Path, str] = {}
    for _ in range(_LOOKS):  # logrotate may be renaming them at this moment
        before = len(parts)
        for each in _named(path):
            try:
                part, identity = _opened(each, since, parts, stack)
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
    path: Path, since: float, known: dict[tuple[int, int], AuditPart], stack: ExitStack
) -> tuple[AuditPart | None, tuple[int, int]]:
    """The file, open, and what it is whatever its name; None where it is known already, or too old."""
    status = path.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in known or status.st_mtime < since:
        return None, identity
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "is not a file")
    stream = stack.enter_context(path.open("rb"))
    status = os.fstat(stream.fileno())  # another may have its name by now
    identity = (status.st_dev, status.st_ino)
    packed = stream.read(len(_GZIP)) == _GZIP
    if not packed and path.suffix in (".gz", ".bz2", ".xz", ".zst", ".lz4"):
        raise OSError(0, "is compressed, and not by gzip")
    part = AuditPart(path, stream, status.st_mtime, packed)
    return None if identity in known else part, identity


def backwards(stream: BinaryIO, block: int = BLOCK) -> Iterator[Line]:
    """The lines from the end, read in blocks of so many octets; empty ones are left out."""
    end = stream.seek(0, os.SEEK_END)
    rest = b""  # the beginning of a line whose end has been read
    while end:
        start = max(end - block, 0)
        stream.seek(start)
        rest, *lines = (stream.read(end - start) + rest).split(b"\n")
        at, begun = start + len(rest) + 1, []
        for line in lines:
            if line:
                begun.append((at, line))
            at += len(line) + 1
        yield from reversed(begun)
        rest, end = rest[: LONGEST + 1], start
    if rest:
        yield 0, rest


def forwards(stream: BinaryIO | gzip.GzipFile, start: int = 0) -> Iterator[Line]:
    """The lines from that octet on; empty ones are left out."""
    at = stream.seek(start)
    while line := stream.readline(LONGEST + 1):
        begun, at, end = at, at + len(line), line
        while not end.endswith(b"\n") and (end := stream.readline(LONGEST)):
            at += len(end)
        if line := line.removesuffix(b"\n"):
            yield begun, line
