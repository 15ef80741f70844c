"""Audit events to syslog: RFC 5424 over UDP (RFC 5426) and TCP, and what libc sends over a local socket.

A thread sends, so that no login waits for it.  What it has not sent yet is kept, up to a limit: from there on
events are dropped and counted, as is an event that cannot be sent at all.  TLS is left to a local syslog daemon,
which keeps what cannot be sent on disk as well.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from threading import Condition, Thread
from time import monotonic
from typing import Any

import structlog

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.ports import Meter
from radius_mfa.observe.audit import as_record

MOST_WAITING = 10_000  # events, of about 1 kB each, while the daemon is away
_AUTHPRIV = 10  # the facility of security messages (RFC 5424 §6.2.1)
_NOTICE, _WARNING, _ERROR = 5, 4, 3
# A refusal is worth a second look; a request that was met with silence is mostly something broken.
_SEVERITY = {"reject": _WARNING, "refused": _WARNING, "discard": _ERROR}
_NAME = "radius-mfa"
# What others chose the length of comes last: daemons cut long lines, many of them at 1 kB (RFC 5424 §6.1).
_SAID = ("user_name", "station", "called_station", "nas_identifier", "detail")
# English whatever the locale (RFC 3164 §4.1.2).
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PATIENCE = 5.0  # seconds for a connection, and for the daemon to take a message
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0  # seconds until it is tried again
_TO_END = 2.0  # seconds in which what waits may be sent once nothing more comes
_TELL_EVERY = 60.0  # seconds between two lines of the log about what was dropped

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Target:
    """`kind`: `unix`, with `path`; or `udp`, `tcp`, with `host` (a name or an address) and `port`."""

    kind: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        return f"{self.kind}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class AuditSyslog:
    """`observe.audit.Audit`: tells `target` every event, in a thread that begins with the first."""

    def __init__(self, target: Target, meter: Meter, most: int = MOST_WAITING) -> None:
        """`most`: events that may wait."""
        self._target = target
        self._meter = meter
        self._most = most
        self._waiting: deque[AuditEvent] = deque()
        self._news = Condition()
        self._end: float | None = None  # monotonic: by when the last of it is to be sent
        self._thread: Thread | None = None
        self._lost = 0  # since the log was told
        self._told_at = float("-inf")

    def __call__(self, event: AuditEvent) -> None:
        if len(self._waiting) >= self._most:
            self._drop()
            return
        with self._news:  # held by the thread for no longer than it takes to look
            self._waiting.append(event)
            self._news.notify()
        if self._thread is None:
            # Whoever ends without closing is not held up by it.
            self._thread = Thread(target=self._send_all, name="audit-syslog", daemon=True)
            self._thread.start()

    def reopen(self) -> None:
        """A connection that is lost is made anew without being asked."""

    def close(self) -> None:
        """Take nothing more.  What waits is sent or given up by the thread; only the end of the process waits."""
        with self._news:
            self._end = monotonic() + _TO_END
            self._news.notify()
        if self._thread is not None:
            Thread(target=self._thread.join, args=(_TO_END + _PATIENCE,), name="audit-syslog-end").start()

    def _drop(self) -> None:
        now = monotonic()
        with self._news:  # the thread drops, too
            self._meter.count("audit_dropped")
            self._lost += 1
            lost = self._lost
            if now - self._told_at < _TELL_EVERY:
                return
            self._lost, self._told_at = 0, now
        log.error("audit_syslog_dropped", target=str(self._target), events=lost)

    # --- in the thread ------------------------------------------------------------------------------

    def _send_all(self) -> None:
        line: _Line | None = None
        pause = _FIRST_PAUSE
        while self._comes_another():
            try:
                line = line or _Line(self._target)
                self._send_next(line)
            except OSError as broken:
                if pause == _FIRST_PAUSE:
                    log.error(
                        "audit_syslog_failed", target=str(self._target), error=broken.strerror or str(broken)
                    )
                if line is not None:
                    line.close()
                line = None
                if not self._is_to_go_on_after(pause):
                    break
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
        if line is not None:
            line.close()
        if self._waiting:
            log.error("audit_syslog_dropped", target=str(self._target), events=len(self._waiting))

    def _send_next(self, line: _Line) -> None:
        """Send the first that waits; drop it where it is that which is wrong, and not the way.  Raises OSError."""
        try:
            line.send(self._waiting[0])
        except OSError as broken:
            if broken.errno != errno.EMSGSIZE:
                raise  # it stays, to be sent when the daemon is back
            self._drop()
        except Exception:  # whatever is odd about it, those behind it are to be sent
            self._drop()
        self._waiting.popleft()

    def _comes_another(self) -> bool:
        """Wait for an event; False once there is none and none will come."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._end is not None)
            return bool(self._waiting)

    def _is_to_go_on_after(self, pause: float) -> bool:
        """Wait so long; False where there is no time left."""
        until = monotonic() + pause
        with self._news:
            while (left := min(until, self._end or until) - monotonic()) > 0:
                self._news.wait(left)
            return self._end is None or monotonic() < self._end


class _Line:
    """A socket to the daemon.  All raises OSError."""

    def __init__(self, target: Target) -> None:
        self._kind = target.kind
        self._host = _printable(socket.gethostname(), 255)
        self._socket = _opened(target)

    def send(self, event: AuditEvent) -> None:
        if self._kind == "unix":
            self._socket.send(local(event))
            return
        message = rfc5424(event, self._host)
        if self._kind == "udp":
            self._socket.send(message)
            return
        self._must_be_open()
        self._socket.sendall(b"%d %b" % (len(message), message))  # octet counting (RFC 6587 §3.4.1)

    def close(self) -> None:
        self._socket.close()

    def _must_be_open(self) -> None:
        """A daemon sends nothing but its end, after which what is written to it would be lost."""
        self._socket.setblocking(False)
        try:
            said = self._socket.recv(64)
        except BlockingIOError:
            return
        finally:
            self._socket.settimeout(_PATIENCE)
        if not said:
            raise ConnectionResetError(0, "has closed the connection")


def _opened(target: Target) -> socket.socket:
    try:
        return _connected(target)
    except (ValueError, OverflowError):  # of a name with a part that is empty or too long, or such a port
        raise OSError(0, "its host can be no name") from None


def _connected(target: Target) -> socket.socket:
    if target.kind == "tcp":
        return socket.create_connection((target.host, target.port), _PATIENCE)
    family: int = socket.AF_UNIX
    address: Any = target.path
    if target.kind == "udp":
        family, _, _, _, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.settimeout(_PATIENCE)
        opened.connect(address)
    except BaseException:
        opened.close()
        raise
    return opened


# --- what is sent -------------------------------------------------------------------------------------


def rfc5424(event: AuditEvent, host: str) -> bytes:
    """The event as a message of RFC 5424 §6: its record, JSON in ASCII, behind the outcome as MSGID."""
    record = as_record(event)
    about = _printable(record["outcome"], 32)
    head = f"<{_priority(event)}>1 {record['time']} {host} {_NAME} {os.getpid()} {about} -"
    return f"{head} {_json(record)}".encode()


def local(event: AuditEvent) -> bytes:
    """As libc's syslog(3) writes to /dev/log, which daemons expect there: local time, and no host."""
    record = as_record(event)
    at = datetime.fromtimestamp(event.time)
    head = f"<{_priority(event)}>{_MONTHS[at.month - 1]} {at.day:2} {at:%H:%M:%S} {_NAME}[{os.getpid()}]:"
    return f"{head} {_json(record)}".encode()


def _priority(event: AuditEvent) -> int:
    return _AUTHPRIV * 8 + _SEVERITY.get(event.decision, _NOTICE)


def _json(record: dict[str, Any]) -> str:
    """In ASCII: with anything else a message has to begin with a mark (RFC 5424 §6.4) that is no JSON."""
    ordered = {key: record[key] for key in sorted(record, key=_SAID.__contains__)}
    return json.dumps(ordered, separators=(",", ":"))


def _printable(text: str, most: int) -> str:
    """A field of the header (RFC 5424 §6): printable ASCII without spaces, `-` for none."""
    return "".join(each for each in text if "!" <= each <= "~")[:most] or "-"
