"""The server as it is run, over UDP: `radius-mfa serve` with the site's configuration.

After each batch a Status-Server is sent and its reply waited for: by then the server has read all that came
before, so that nothing is lost on the way, and what it has learnt of its sources is what the oracle has.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.soak.form import answers
from bench.soak.mutate import Craft, Datagram
from bench.soak.octets import SIGNATURE, packet, signature
from bench.soak.oracle import Account, Question, Silence
from bench.soak.site import CLIENTS, configuration
from bench.soak.tally import Tally, Trouble
from tests.peers.server import Server

_BATCH = 32
_SOCKETS = 3  # of each source
_KEPT = 8  # requests under one Identifier of a socket that a reply may be to
_PATIENCE = 10.0  # seconds
_QUIET = 0.5  # seconds without a reply, after which none comes any more
# What the log of a server in good order never says.
_NEVER_SAID = ("internal_error", "answer_failed", "reply_unencodable", "traceback", "exception")


@dataclass(slots=True)
class _Sent:
    """A datagram on its way.  `at`: wall seconds; `replies`: how many have come for it."""

    datagram: Datagram
    read: Question | Silence
    at: float
    replies: int = 0

    def is_answered_by(self, reply: bytes) -> bool:
        """Whether the reply was made for it, with whichever secret."""
        if isinstance(self.read, Question):
            return answers(self.read, reply)
        octets = self.datagram.octets
        asked = (
            Question(each, "", secret, 0, octets[1], octets[4:20], (), None)
            for each in CLIENTS
            for secret in each.secrets
        )
        return any(answers(each, reply) for each in asked)


class _Nases:
    """The sockets of all sources, and what was sent from each."""

    def __init__(self, tally: Tally, addresses: Sequence[tuple[str, int]]) -> None:
        self._tally = tally
        self._ports = {":" in host: (host, port) for host, port in addresses}
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._sent: dict[tuple[socket.socket, int], deque[_Sent]] = {}
        self._fence = self._open("127.0.0.1")
        self._numbers = iter(range(1 << 40))
        self._passed = b""

    def send(self, datagram: Datagram) -> None:
        place = datagram.host, datagram.port % _SOCKETS
        sock = self._sockets.get(place) or self._sockets.setdefault(place, self._open(datagram.host))
        datagram = replace(datagram, port=sock.getsockname()[1])
        sent = _Sent(datagram, self._tally.sent(datagram), time.time())
        if len(datagram.octets) > 1:
            self._sent.setdefault((sock, datagram.octets[1]), deque(maxlen=_KEPT)).append(sent)
        sock.send(datagram.octets)

    def pass_fence(self) -> bool:
        """Wait until the server has read all that was sent; False when it does not answer."""
        authenticator = next(self._numbers).to_bytes(16, "big")
        zeroed = packet(12, authenticator[15], authenticator, [(SIGNATURE, bytes(16))])
        signed = signature(zeroed, CLIENTS[0].secrets[0])
        self._passed = b""
        self._fence.send(packet(12, authenticator[15], authenticator, [(SIGNATURE, signed)]))
        until = time.monotonic() + _PATIENCE
        while not self._passed and (left := until - time.monotonic()) > 0:
            self.receive(left)
        return self._passed[:2] == bytes((2, authenticator[15]))

    def receive(self, seconds: float) -> bool:
        """Take in what is there, or comes within so many seconds; whether there was anything."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            for reply in _received(sock):
                if sock is self._fence:
                    self._passed = reply
                else:
                    self._take(sock, reply)
        return bool(ready)

    def _take(self, sock: socket.socket, reply: bytes) -> None:
        sent = self._sent.get((sock, reply[1] if len(reply) > 1 else -1), ())
        fitting = [each for each in sent if each.is_answered_by(reply)]
        # With the same Request Authenticator twice: who may be answered, and was not yet.
        fitting.sort(key=lambda each: (isinstance(each.read, Silence), each.replies))
        if not fitting:
            newest = sent[-1].datagram if sent else None
            return self._tally.trouble(Trouble.BAD_REPLY, newest, f"answers nothing that was sent: {reply.hex()}")
        found = fitting[0]
        found.replies += 1
        return self._tally.replied(found.datagram, found.read, reply, found.at, time.time())

    def _open(self, host: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((host, 0))
        sock.connect(self._ports[":" in host])
        self._selector.register(sock, selectors.EVENT_READ)
        return sock

    def close(self) -> None:
        for sock in (self._fence, *self._sockets.values()):
            sock.close()
        self._selector.close()


def _received(sock: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield sock.recv(8192)
        except BlockingIOError:
            return
        except ConnectionError:  # nobody listens any more: the fence will say so
            return


def try_over_udp(tally: Tally, craft: Craft, everybody: Sequence[Account], packets: int) -> None:
    """Send so many packets at a server of its own, and see that it is well in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="radius-mfa-soak-")))
        server = stack.enter_context(Server(_furnished(folder, everybody)))
        nases = _Nases(tally, server.addresses)
        stack.callback(nases.close)
        alive = True
        for _ in range(-(-packets // _BATCH)):
            for _ in range(_BATCH):
                nases.send(craft.datagram())
            alive = nases.pass_fence()
            if not alive:
                break
        while nases.receive(_QUIET):
            pass
        status = server.stop()
        if not alive or status:
            tally.trouble(Trouble.EXCEPTION, None, f"the server answers no more, and ended with status {status}")
        said = server.said()
        for line in said.splitlines():
            if any(each in line.lower() for each in _NEVER_SAID):
                tally.trouble(Trouble.EXCEPTION, None, f"in its log: {line}")


def _furnished(folder: Path, everybody: Sequence[Account]) -> Path:
    """The configuration file, everybody having a token."""
    config, tokens = folder / "soak.yaml", folder / "tokens.csv"
    configured = configuration(folder, listen=("127.0.0.1:0", "[::1]:0"))
    configured["factors"] = {"totp": configured["factors"]["totp"]}  # there is no mail server
    config.write_text(json.dumps(configured))  # JSON is YAML
    with tokens.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["username", "secret"])
        rows.writerows((each.name, base64.b32encode(each.seed).decode()) for each in everybody)
    for command in (["keys", "init"], ["token", "import", str(tokens)]):
        whole = [sys.executable, "-m", "radius_mfa", "--config", str(config), *command]
        subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    return config
