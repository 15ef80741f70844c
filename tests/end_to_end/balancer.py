"""What a cluster puts before its pods: UDP to one address, shared among backends as kube-proxy does it.

A flow (the address and port of a client) stays with the backend that it met first, and looks to that like the
client itself (`externalTrafficPolicy: Local`).  Once a backend is taken out, its flows are forgotten: what it
still answers gets to nobody, and the client's next packet goes to another.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from itertools import count
from typing import Self

Address = tuple[str, int]

_LONGEST = 4096


class Balancer:
    """It listens at `address`, as long as it is entered."""

    def __init__(self) -> None:
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.address: Address = self._front.getsockname()
        self._backends: list[Address] = []
        self._turns = count()
        self._flows: dict[Address, socket.socket] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._told, self._tell = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._front, selectors.EVENT_READ)
        self._selector.register(self._told, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._tell)
        self._thread.join()
        for flow in (self._front, *self._flows.values()):
            flow.close()
        self._selector.close()
        os.close(self._told)

    def add(self, backend: Address) -> None:
        """New flows may go there from now on."""
        with self._lock:
            self._backends.append(backend)

    def remove(self, backend: Address) -> None:
        """Nothing goes there from now on, nor comes from there."""
        with self._lock:
            self._backends.remove(backend)
            for client, flow in [*self._flows.items()]:
                if flow.getpeername() == backend:
                    self._forget(client, flow)

    def flows(self) -> dict[Address, int]:
        """How many go to each backend."""
        with self._lock:
            there = [flow.getpeername() for flow in self._flows.values()]
            return {backend: there.count(backend) for backend in self._backends}

    # --- in its own thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._told or key.fd == self._told:
                    return
                with self._lock:
                    if key.fileobj is self._front:
                        self._forward()
                    else:
                        self._answer(key.data, key.fileobj)  # type: ignore[arg-type]

    def _forward(self) -> None:
        octets, client = self._front.recvfrom(_LONGEST)
        flow = self._flows.get(client) or self._begin(client)
        try:
            flow.send(octets)
        except ConnectionRefusedError:  # of a packet before: nobody listened there
            flow.send(octets)

    def _begin(self, client: Address) -> socket.socket:
        flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        flow.bind((client[0], 0))
        flow.connect(self._backends[next(self._turns) % len(self._backends)])
        self._selector.register(flow, selectors.EVENT_READ, client)
        self._flows[client] = flow
        return flow

    def _answer(self, client: Address, flow: socket.socket) -> None:
        if self._flows.get(client) is not flow:  # seen before it was forgotten
            return
        try:
            self._front.sendto(flow.recv(_LONGEST), client)
        except ConnectionRefusedError:
            return

    def _forget(self, client: Address, flow: socket.socket) -> None:
        self._selector.unregister(flow)
        flow.close()
        del self._flows[client]
