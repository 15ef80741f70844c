"""The metrics, where Prometheus fetches them."""

from __future__ import annotations

from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from radius_mfa.observe.metrics import Counts


class MetricsEndpoint:
    """Answers `GET /metrics` in a thread of its own, from the moment it is made.  Raises OSError."""

    def __init__(self, host: str, port: int, counts: Counts) -> None:
        registry = CollectorRegistry()
        registry.register(counts)
        self._server: WSGIServer
        self._thread: Thread
        self._server, self._thread = start_http_server(port, host, registry)

    @property
    def address(self) -> tuple[str, int]:
        """What is listened on."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
