"""The metrics, where Prometheus fetches them, and whether all is well, for whoever starts us anew or sends logins.

It is a thread's work, beside the event loop, and there is room for few who ask at once: whoever connects and
says nothing, or little, takes a place for a few seconds.
"""

from __future__ import annotations

import socket
import socketserver
import sys
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from threading import BoundedSemaphore, Event, Thread, Timer
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector
from prometheus_client.registry import Collector

from radius_mfa.observe.vitals import Vitals

_MOST_AT_ONCE = 8
_PATIENCE = 5.0  # seconds that somebody may say or take nothing
_GLANCE = 0.2  # seconds between two looks whether to end

log = structlog.get_logger()


class MetricsEndpoint:
    """Answers `GET /metrics`, `/healthz`, `/readyz` in a thread of its own, from the moment it is made.

    `sock`: listening, its own from now on; another process may have it too.  `deadline`: seconds that an
    answer may take, with all that somebody has to say.
    """

    def __init__(self, sock: socket.socket, collector: Collector, vitals: Vitals, deadline: float = 10.0) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(registry=registry)
        self._server = _Server(sock, registry, vitals, deadline)
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


class _Handler(MetricsHandler):
    timeout = _PATIENCE
    server: _Server

    def do_GET(self) -> None:  # noqa: N802  # as `http.server` looks for it
        vitals, path = self.server.vitals, urlsplit(self.path).path
        if path == "/healthz":
            self._say_whether_well(vitals.ails())
        elif path == "/readyz":
            self._say_whether_well(vitals.unready())
        elif path != "/metrics":
            self._say(HTTPStatus.NOT_FOUND, "/metrics, /healthz and /readyz are all there is\n")
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


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True  # nor does the end of the process wait for anybody

    def __init__(self, sock: socket.socket, registry: CollectorRegistry, vitals: Vitals, deadline: float) -> None:
        self.vitals = vitals
        self._deadline = deadline
        self._room = BoundedSemaphore(_MOST_AT_ONCE)
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

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is room for one more."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        cutting = Timer(self._deadline, _cut, (request,))
        cutting.daemon = True
        try:
            cutting.start()
            super().process_request_thread(request, client_address)
        finally:
            cutting.cancel()
            self._room.release()
            _cut(request)  # also where there was no thread for the timer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever went away or was too slow is no error; a mistake of ours is one line of the log."""
        del request, client_address
        broken = sys.exc_info()[1]
        if not isinstance(broken, OSError):
            log.error("metrics_failed", error=type(broken).__name__)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
