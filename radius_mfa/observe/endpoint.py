"""The metrics, where Prometheus fetches them, and whether all is well, for whoever starts us anew or sends logins.

It is a thread's work, beside the event loop, and there is room for few who ask at once.  Nobody can keep others
out by taking a place and saying nothing, or little: whoever comes while there is no room takes that of the
slowest, who has had the time in which any other asks and is answered.
"""

from __future__ import annotations

import socket
import socketserver
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector
from prometheus_client.registry import Collector

_MOST_AT_ONCE = 32
_GLANCE = 0.2  # seconds between two looks whether to end, and whose time is over
_STUCK = 1.0  # seconds in which whoever was cut off has gone

log = structlog.get_logger()


class Asked(Protocol):
    """As `Vitals`: a line for each thing that is wrong."""

    def ails(self) -> Sequence[str]: ...

    def unready(self) -> Sequence[str]: ...


class MetricsEndpoint:
    """Answers `GET /healthz`, `/readyz`, `/metrics` in a thread of its own, from the moment it is made.

    `sock`: listening, its own from now on; another process may have it too.  `collector`: None: there are no
    metrics here.  `patience`, `deadline`: seconds in which a whole request has to be there, and all of its answer
    taken.  `to_ask`, `to_take`: seconds of those in which nobody takes the place of who asks, or is answered.
    """

    def __init__(
        self,
        sock: socket.socket,
        collector: Collector | None,
        vitals: Asked,
        patience: float = 2.0,
        deadline: float = 10.0,
        to_ask: float = 0.1,
        to_take: float = 0.5,
    ) -> None:
        registry = CollectorRegistry()
        if collector is not None:
            registry.register(collector)
            ProcessCollector(registry=registry)
        paths = _HEALTH if collector is None else ("/metrics", *_HEALTH)
        room = _Room(patience, deadline, to_ask, to_take)
        self._server = _Server(sock, registry, vitals, room, paths)
        self._thread = Thread(target=self._server.serve_forever, args=(_GLANCE,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """What is listened on."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Listen no more, whoever else may; whoever is connected is not waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_HEALTH = ("/healthz", "/readyz")


class _Handler(MetricsHandler):
    server: _Server

    def parse_request(self) -> bool:
        """Read the head, and so all of a request."""
        is_one = super().parse_request()
        self.server.room.has_asked(self.connection)
        return is_one

    # `http.server` looks for methods by these names.

    def do_GET(self) -> None:  # noqa: N802
        vitals, path, paths = self.server.vitals, urlsplit(self.path).path, self.server.paths
        if path not in paths:
            self._say(HTTPStatus.NOT_FOUND, f"{', '.join(paths[:-1])} and {paths[-1]} are all there is\n")
        elif path == "/healthz":
            self._say_whether_well(vitals.ails())
        elif path == "/readyz":
            self._say_whether_well(vitals.unready())
        elif self.command == "HEAD":  # nothing is added up for who does not read it
            self._say(HTTPStatus.OK, "")
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815

    def _refuse_method(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are all there is\n", Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method  # noqa: N815

    def _say_whether_well(self, wrong: Sequence[str]) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
        self._say(status, "".join(f"{line}\n" for line in wrong or ("ok",)))

    def _say(self, status: HTTPStatus, text: str, **headers: str) -> None:
        octets = text.encode()
        self.send_response(status)
        told = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(octets))}
        for name, value in (told | {"Cache-Control": "no-store"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(octets)


@dataclass(slots=True)
class _Place:
    """Monotonic seconds.  `own`: until when nobody else gets it; `until`: when it ends, wanted or not."""

    since: float
    own: float
    until: float


class _Room:
    """Who is connected."""

    def __init__(self, patience: float, deadline: float, to_ask: float, to_take: float) -> None:
        self._patience, self._deadline = patience, deadline
        self._to_ask, self._to_take = to_ask, to_take
        self._places: dict[socket.socket, _Place] = {}
        self._changed = Condition()

    def enter(self, connection: socket.socket) -> bool:
        """Take a place, if need be somebody's who has had theirs for long enough; whether there is one."""
        with self._changed:
            # Anew each time: the slowest may have asked meanwhile, and so have time of its own to be answered.
            while not self._has_room() and (left := min(map(_own, self._places.values())) - monotonic()) > 0:
                self._changed.wait_for(self._has_room, left)
            if not self._has_room():
                _cut(min(self._places, key=lambda each: _own(self._places[each])))
                self._changed.wait_for(self._has_room, _STUCK)
            if not self._has_room():
                return False
            now = monotonic()
            self._places[connection] = _Place(now, now + self._to_ask, now + self._patience)
            return True

    def has_asked(self, connection: socket.socket) -> None:
        """Its whole request is there."""
        with self._changed:
            place = self._places[connection]
            place.own, place.until = monotonic() + self._to_take, place.since + self._deadline

    def leave(self, connection: socket.socket) -> None:
        """It is over."""
        with self._changed:
            self._places.pop(connection, None)
            self._changed.notify_all()

    def cut_who_is_late(self) -> None:
        """Hang up on whoever has had all their time."""
        now = monotonic()
        with self._changed:
            for connection, place in self._places.items():
                if now >= place.until:
                    _cut(connection)

    def _has_room(self) -> bool:
        return len(self._places) < _MOST_AT_ONCE


def _own(place: _Place) -> float:
    return place.own


def _cut(connection: socket.socket) -> None:
    """Its thread finds that nobody is there any more, and leaves."""
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True  # nor does the end of the process wait for anybody

    def __init__(
        self,
        sock: socket.socket,
        registry: CollectorRegistry,
        vitals: Asked,
        room: _Room,
        paths: Sequence[str],
    ) -> None:
        self.vitals = vitals
        self.paths = paths
        self.room = room
        self._ended = Event()
        # Not that of TCPServer, which opens a socket.
        socketserver.BaseServer.__init__(self, sock.getsockname(), _Handler.factory(registry))
        sock.setblocking(False)  # another process may take a connection that both have seen
        self.socket = sock

    def get_request(self) -> tuple[Any, Any]:
        """The next who connects; where there is no descriptor for them, they will still be there in a moment."""
        try:
            return super().get_request()
        except BlockingIOError:  # another process has taken it
            raise
        except OSError:
            self._ended.wait(_GLANCE)
            raise

    def shutdown(self) -> None:
        self._ended.set()
        super().shutdown()

    def service_actions(self) -> None:
        """What is done between two who connect, and every `_GLANCE` seconds."""
        self.room.cut_who_is_late()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more."""
        del client_address
        return self.room.enter(request)

    def shutdown_request(self, request: Any) -> None:
        """It is over, whyever."""
        self.room.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever went away or was too slow is no error; a mistake of ours is one line of the log."""
        del request, client_address
        broken = sys.exc_info()[1]
        if not isinstance(broken, OSError):
            log.error("metrics_failed", error=type(broken).__name__)
