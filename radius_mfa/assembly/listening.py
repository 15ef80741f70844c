"""The sockets of a configuration, opened while there may still be root, and what TLS speaks on them."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from socket import socket
from ssl import SSLContext

from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.config.values import Endpoint
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.transports.sockets import open_tcp, open_udp, why_not
from radius_mfa.transports.tls import Files, server_context, why
from radius_mfa.wire.clients import Clients


@dataclass(frozen=True, slots=True)
class Opened:
    """A listener of the YAML: UDP has a socket for each worker, RadSec one for all."""

    kind: str
    sockets: tuple[socket, ...]


@dataclass(frozen=True, slots=True)
class Sockets:
    """All that is listened on, in the order of the YAML; `metrics`: None where there are none to be fetched."""

    listeners: tuple[Opened, ...]
    metrics: socket | None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [listener.sockets[0].getsockname()[:2] for listener in self.listeners]


def open_sockets(loaded: Loaded, stack: ExitStack | AsyncExitStack) -> Sockets:
    """Closed with `stack`, should the start fail.  Raises ConfigurationError."""
    if not loaded.configuration.listen:
        text = "is empty, which is for what runs inside of FreeRADIUS; name an address to serve at"
        raise ConfigurationError(loaded.places.cite(text, "listen"))
    listeners = []
    for number, listener in enumerate(loaded.configuration.listen):
        kind, endpoint = kind_of(listener)
        try:
            if kind == "udp":
                sockets = tuple(open_udp(endpoint.host, endpoint.port, loaded.configuration.workers))
            else:
                sockets = (open_tcp(endpoint.host, endpoint.port),)
        except OSError as broken:
            text = f"cannot listen on {endpoint.host} port {endpoint.port}: {why_not(broken)}"
            raise ConfigurationError(loaded.places.cite(text, "listen", number, kind)) from None
        for sock in sockets:
            stack.callback(sock.close)
        listeners.append(Opened(kind, sockets))
    return Sockets(tuple(listeners), open_metrics(loaded, stack))


def open_metrics(loaded: Loaded, stack: ExitStack | AsyncExitStack) -> socket | None:
    """Where the metrics are fetched, None where they are not.  Raises ConfigurationError."""
    if loaded.configuration.metrics is None:
        return None
    listen = loaded.configuration.metrics.listen
    try:
        sock = open_tcp(listen.host, listen.port, both=True)
    except OSError as broken:
        text = f"cannot listen on {listen.host} port {listen.port}: {why_not(broken)}"
        raise ConfigurationError(loaded.places.cite(text, "metrics", "listen")) from None
    stack.callback(sock.close)
    return sock


def kind_of(listener: model.Listener) -> tuple[str, Endpoint]:
    """udp or radsec, and where."""
    if listener.udp is not None:
        return "udp", listener.udp
    assert listener.radsec is not None  # a listener is one of the two
    return "radsec", listener.radsec


def context_of(loaded: Loaded, number: int, clients: Clients) -> SSLContext:
    """What the RadSec listener of that number in the YAML speaks.  Raises ConfigurationError."""
    listener = loaded.configuration.listen[number]
    own, key, client_ca = listener.certificate, listener.key, listener.client_ca
    try:
        # All three or none: the check has seen to it.
        return server_context(Files(own, key, client_ca) if own and key and client_ca else clients.psks)
    except OSError as broken:  # of which SSLError is one
        text = f"certificate, key and client_ca cannot be used: {why(broken)}"
        raise ConfigurationError(loaded.places.cite(text, "listen", number)) from None
