"""The metrics, where Prometheus fetches them.

It is a thread's work, beside the event loop, and there is room for few who ask at once: whoever connects and
says nothing, or little, takes a place for a few seconds.
"""

from __future__ import annotations

import socket
import socketserver
import sys
from contextlib import suppress
from http.server import HTTPServer
from threading import BoundedSemaphore, Event, Thread, Timer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector

from radius_mfa.observe.metrics import Counts

_MOST_AT_ONCE = 8
_PATIENCE = 5.0  # seconds that somebody may say or take nothing
_GLANCE = 0.2  # seconds between two looks whether to end

log = structlog.get_logger()


class MetricsEndpoint:
    """Answers `GET /metrics` in a thread of its own, from the moment it is made.  Raises OSError.

    `deadline`: seconds that an answer may take, with all that somebody has to say.
    """

    def __init__(self, host: str, port: int, counts: Counts, deadline: float = 10.0) -> None:
        registry = CollectorRegistry()
        registry.register(counts)
        ProcessCollector(registry=registry)
        self._server = _Server(host, port, registry, deadline)
        self._thread = Thread(target=self._server.serve_forever, args=(_GLANCE,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """What is listened on."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Listen no more; whoever is connected is not waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(MetricsHandler):
    timeout = _PATIENCE


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True  # nor does the end of the process wait for anybody
    request_queue_size = 64

    def __init__(self, host: str, port: int, registry: CollectorRegistry, deadline: float) -> None:
        self._deadline = deadline
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._room = BoundedSemaphore(_MOST_AT_ONCE)
        self._ended = Event()
        super().__init__((host, port), _Handler.factory(registry))

    def server_bind(self) -> None:
        """Without asking a name server what the address is called, as HTTPServer does: it may not answer."""
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[Any, Any]:
        """The next who connects; where there is no descriptor for them, they will still be there in a moment."""
        try:
            return super().get_request()
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
