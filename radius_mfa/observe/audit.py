"""The audit file: one JSON object a line for every request that was decided."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import orjson
import structlog

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import AuditEvent
from radius_mfa.observe.audit_files import is_in_proc, is_nobody_elses, real_file

Soon = Callable[[Callable[[], None]], object]

_FROM_THE_START = "which is good from the start only, and only if it is root's"
_WHY_NOT = {errno.ENXIO: "is a pipe that nobody reads", errno.ELOOP: f"is a symbolic link, {_FROM_THE_START}"}
_TRY_AGAIN = 1.0  # seconds between two tries to make a new file where none can be made

log = structlog.get_logger()


class Audit(Protocol):
    """Where events are told."""

    def __call__(self, event: AuditEvent) -> None:
        """Never raises, and holds nothing up."""
        ...

    def reopen(self) -> None:
        """Go on in a new file, where there is one.  Never raises."""
        ...

    def close(self) -> None: ...


class AuditFile:
    """Appends events to `path`, whole lines with a single write, so that several processes may share it.

    Before each write it looks whether the path still leads to its file, which costs 2 µs: what is told after
    logrotate has renamed the file is in the new one, whoever has made that, and no signal is needed.  After a
    regular file that is only ever one as well, and not by a symbolic link: whoever may make files in the folder
    is not to choose any file of this machine for us to write.  At the start, which every reload is, there may be
    a link, a pipe or a device, but none that somebody else may have put there.  What a link leads to is the file
    from then on: it may be rotated where it is.

    The file is made readable by its owner and group only (`mode`).  When a line cannot be written the log
    says so and has the event instead: the login itself is not held up.
    """

    def __init__(self, path: Path, soon: Soon | None = None, mode: int = 0o640) -> None:
        """`soon`: has something done at the end of this turn of the event loop: what is told until then is
        written together.  None: each event is written at once.  Raises ConfigurationError.
        """
        self._path = real_file(path)
        self._file = _opened(self._path, mode)
        self._mode = mode
        self._torn = _ends_within_a_line(self._file)
        # Of what else may be at the path a pipe takes a long write in pieces, with others' between.
        self._status = os.fstat(self._file)
        self._soon = soon if stat.S_ISREG(self._status.st_mode) else None
        self._told: list[AuditEvent] = []  # not yet written; nobody changes them any more
        self._tried_in_vain: float | None = None  # to make a new file, monotonic, when last

    def __call__(self, event: AuditEvent) -> None:
        self._told.append(event)
        if self._soon is None:
            self._write()
        elif len(self._told) == 1:
            self._soon(self._write)

    def _write(self) -> None:
        """Write what has been told since the last time.

        Not made into lines before: a turn's in a row take half the time that one here and one there do.
        """
        told, self._told = self._told, []
        if not told:  # it was written when the file was closed or opened anew
            return
        if self._was_moved():
            self._follow()
        lines = [_line(event) for event in told]
        octets, begins = b"".join(lines), 0
        if self._torn:  # half a line is in the file: what follows begins on its own
            octets, begins = b"\n" + octets, 1
        try:
            written = os.write(self._file, octets)
        except OSError:
            written = 0
        if written:
            self._torn = octets[written - 1 : written] != b"\n"
        if written == len(octets) and all(lines):
            return
        end = begins
        for event, line in zip(told, lines, strict=True):
            end += len(line)
            if end > written or not line:
                log.error("audit_not_written", **as_record(event))

    def reopen(self) -> None:
        """Go on in the file that is at the path now: the one before was rotated away.  Never raises."""
        self._write()
        self._tried_in_vain = None  # whoever asks for it is to be told once more
        self._follow()

    def _was_moved(self) -> bool:
        """Whether the path leads elsewhere, or nowhere.  Where that cannot be known it is as it was."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return not os.path.samestat(there, self._status)

    def _follow(self) -> None:
        """Open what is at the path, or make it."""
        now, tried = monotonic(), self._tried_in_vain
        if tried is not None and now - tried < _TRY_AGAIN:
            return
        try:
            again = _opened(self._path, self._mode, only_regular=stat.S_ISREG(self._status.st_mode))
        except ConfigurationError as broken:
            self._tried_in_vain = now
            if tried is None:
                log.error("audit_not_reopened", error=str(broken), note="goes on in the file it has")
            return
        before, self._status = self._status, os.fstat(again)
        self._tried_in_vain = None
        is_another = not os.path.samestat(before, self._status)
        self._torn = _ends_within_a_line(again) or (self._torn and not is_another)
        os.dup2(again, self._file, inheritable=False)
        os.close(again)
        if is_another:  # rotated, as a rule; a file that somebody has put in its place leaves a trace like this
            there = self._status
            log.info("audit_reopened", file=str(self._path), octets=there.st_size, owner=there.st_uid)

    def close(self) -> None:
        self._write()
        os.close(self._file)


class Audits:
    """Several places, each of which is told every event."""

    def __init__(self, places: Sequence[Audit]) -> None:
        self._places = places

    def __call__(self, event: AuditEvent) -> None:
        for place in self._places:
            place(event)

    def reopen(self) -> None:
        for place in self._places:
            place.reopen()

    def close(self) -> None:
        for place in self._places:
            place.close()


class AuditLog:
    """Where no file is configured: the events go to the log."""

    def __call__(self, event: AuditEvent) -> None:
        log.info("audit", **as_record(event))

    def reopen(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing is held open."""


def _line(event: AuditEvent) -> bytes:
    """The event's line; none where a text is none that JSON can hold: it must not take the others with it."""
    try:
        return orjson.dumps(as_record(event), option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return b""


def as_record(event: AuditEvent) -> dict[str, Any]:
    """The event as the file has it: fields that say nothing are left out, the time is ISO 8601, UTC."""
    # The outcome as plain text: a member of an enumeration takes half as long again to be written as JSON.
    time, outcome = _readable(event.time), str(event.outcome)
    record: dict[str, Any] = {"time": time, "outcome": outcome, "decision": event.decision}
    # One by one: there is an event for every request, and a loop over the fields takes three times as long.
    if event.client:
        record["client"] = event.client
    if event.source:
        record["source"] = event.source
    if event.user_name:
        record["user_name"] = event.user_name
    if event.user_id:
        record["user_id"] = event.user_id
    if event.username:
        record["username"] = event.username
    if event.login:
        record["login"] = event.login
    if event.round:
        record["round"] = event.round
    if event.policy:
        record["policy"] = event.policy
    if event.factor:
        record["factor"] = event.factor
    if event.station:
        record["station"] = event.station
    if event.called_station:
        record["called_station"] = event.called_station
    if event.nas_address:
        record["nas_address"] = event.nas_address
    if event.nas_identifier:
        record["nas_identifier"] = event.nas_identifier
    if event.duration:
        record["duration"] = event.duration
    if event.detail:
        record["detail"] = event.detail
    return {**record, **_of_desk(event)} if event.by or event.by_id else record


def _of_desk(event: AuditEvent) -> dict[str, str]:
    """Who of the help desk did it."""
    return {key: value for key, value in (("by", event.by), ("by_id", event.by_id)) if value}


def _readable(time: float) -> str:
    """That time, seconds since 1970, in ISO 8601, UTC, its microseconds cut to milliseconds."""
    second, fraction = divmod(time, 1.0)
    microseconds = round(fraction * 1e6)
    if microseconds == 1_000_000:
        second, microseconds = second + 1, 0
    return f"{_second(second)}.{microseconds // 1000:03}+00:00"


@lru_cache(maxsize=4)  # many events fall into one
def _second(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


def _opened(path: Path, mode: int, *, only_regular: bool = False) -> int:
    """The file, to append to, made where it is not there.  Raises ConfigurationError.

    `only_regular`: whatever else is there is refused, whosever it is.
    """
    # Not to wait: a pipe may have no reader, or no room.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags | (0 if is_in_proc(path) else os.O_NOFOLLOW), mode)
    except OSError as broken:
        why = _WHY_NOT.get(broken.errno or 0, broken.strerror)
        raise ConfigurationError(f"audit.file: {path}: {why}") from None
    made = os.fstat(file)
    if not stat.S_ISREG(made.st_mode) and (only_regular or not is_nobody_elses(path, made)):
        os.close(file)
        raise ConfigurationError(f"audit.file: {path}: is no regular file, {_FROM_THE_START}")
    # Its group may write into a new one, where that was asked for, whatever the umask says.
    if mode & stat.S_IWGRP and stat.S_ISREG(made.st_mode) and not made.st_size and made.st_uid == os.geteuid():
        os.fchmod(file, mode)
    return file


def _ends_within_a_line(file: int) -> bool:
    """Whether half a line is in the file already: of a server that found the disk full, or lost its power."""
    size = os.fstat(file).st_size
    if not size:  # or a pipe, or a device
        return False
    try:
        with open(f"/proc/self/fd/{file}", "rb") as written:  # that very file, whatever is at its path by now
            return os.pread(written.fileno(), 1, size - 1) != b"\n"
    except OSError:  # it is ours to write, and not to read
        return False
