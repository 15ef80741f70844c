"""Debian's OpenVPN with its RADIUS plugin (openvpn-auth-radius): a gateway, and people who come to it.

    with OpenVpn(server.port, source=…, secret=…) as gateway, gateway.client("alice", "password,123456") as client:
        assert client.is_connected()
        client.send(b"through the tunnel")

The gateway has a network namespace of its own, and its clients have one, with a cable between them; that takes
root or sudo to make.  What the plugin sends in there is led to the server here, and kept to be looked at.
Everything is in a temporary folder, and any number can run at once.
"""

from __future__ import annotations

import hashlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Self

from tests.peers.certificates import Authority
from tests.peers.foreign_proxy import ForeignProgram

PLUGIN = "/usr/lib/openvpn/radiusplugin.so"
WAIT, RETRIES = 1, 9  # seconds that the plugin waits for a reply, and how often it asks again

_NETWORK = "198.51.100."
_GATEWAY = f"{_NETWORK}1"
_INSIDE = "10.8.0.1"  # the gateway's end of every tunnel
_PORT = 7
_ENOUGH = 16384  # octets under a key, after which a client negotiates another

_PATIENCE = 30.0  # seconds; a loaded machine may take its time

_SERVER = """
server 10.8.0.0 255.255.255.0
topology subnet
dev tun
disable-dco
local {gateway}
ca {ca_file}
cert {certificate}
key {certificate}
dh none
verify-client-cert none
username-as-common-name
plugin {plugin} {folder}/plugin.conf
status {folder}/status 1
status-version 1
client-config-dir {folder}/clients
tmp-dir {folder}
verb 3
{more}
"""

# It looks for a few options of OpenVPN in the file itself.
_PLUGIN = """
NAS-Identifier=vpn.example.org
Service-Type=5
Framed-Protocol=1
NAS-Port-Type=5
NAS-IP-Address={gateway}
OpenVPNConfig={folder}/server.conf
subnet=255.255.255.0
overwriteccfiles=true
server
{{
    authport=1812
    acctport=1813
    name=127.0.0.1
    retry={retries}
    wait={wait}
    sharedsecret={secret}
}}
"""

_CLIENT = """
client
dev tun
disable-dco
remote {gateway}
local {station}
lport 0
ca {ca_file}
verify-x509-name vpn.example.org name
auth-user-pass {credentials}
auth-retry none
connect-retry-max 1
reneg-sec 0
reneg-bytes {enough}
verb 3
"""

# In a namespace: says its process id, and makes a socket of any kind that it is asked for.
_HOLDER = """
import os, socket
control = socket.socket(fileno=0)
control.send(str(os.getpid()).encode())
while kind := control.recv(1):
    with socket.socket(socket.AF_INET, kind[0]) as made:
        socket.send_fds(control, [b"-"], [made.fileno()])
"""


class Namespace:
    """A network namespace, as a context manager; it ends when the last that runs in it does."""

    def __enter__(self) -> Self:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_PATIENCE)
        command = [*_become(), "unshare", "--net", sys.executable, "-I", "-c", _HOLDER]
        with theirs:
            self._holder = subprocess.Popen(command, stdin=theirs.fileno())
        try:
            self.pid = int(self._control.recv(16))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()  # at which the holder ends
        self._holder.wait(_PATIENCE)

    def command(self, *command: str | Path) -> list[str | Path]:
        """What runs a command in it."""
        return [*_become(), "nsenter", f"--net=/proc/{self.pid}/ns/net", *command]

    def ip(self, *lines: str) -> None:
        """Commands of ip(8)."""
        command = self.command("ip", "-batch", "-")
        done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """A socket of its, that is used here."""
        self._control.send(bytes([kind]))
        _, (descriptor,), _, _ = socket.recv_fds(self._control, 1, 1)
        made = socket.socket(fileno=descriptor)
        made.settimeout(_PATIENCE)
        return made


class Relay:
    """Brings the plugin's requests to the server as they came: from another port, where they came from another.

    `requests`: what it has brought, with the port it came from; `lose`: how many replies to lose.  An
    Accounting-Request is answered here (RFC 2866 §4.2): the server keeps no accounts, and the plugin lets nobody
    in whose account is not begun.
    """

    def __init__(self, within: Namespace, port: int, source: str, secret: str) -> None:
        """`port`: the server's, on the loopback interface; `source`: the address that it sees."""
        self.requests: list[tuple[int, bytes]] = []
        self.lose = 0
        self._to, self._source, self._secret = ("127.0.0.1", port), source, secret.encode()
        self._within = within
        self._back: dict[socket.socket, tuple[str, int]] = {}
        self._forth: dict[tuple[str, int], socket.socket] = {}

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._end, theirs = (undo.enter_context(each) for each in socket.socketpair())
            self._ready = undo.enter_context(selectors.DefaultSelector())
            self._ready.register(theirs, selectors.EVENT_READ, None)
            for port, what in ((1812, self._request), (1813, self._account)):
                inner = undo.enter_context(self._within.socket(socket.SOCK_DGRAM))
                inner.bind(("127.0.0.1", port))
                self._ready.register(inner, selectors.EVENT_READ, what)
                if port == 1812:
                    self._inner = inner
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.send(b"-")
        self._thread.join(_PATIENCE)
        for outer in self._back:
            outer.close()
        self._undo.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._ready.select():
                if key.data is None:
                    return
                assert isinstance(key.fileobj, socket.socket)
                key.data(key.fileobj)

    def _request(self, inner: socket.socket) -> None:
        octets, peer = inner.recvfrom(4096)
        self.requests.append((peer[1], octets))
        if peer not in self._forth:
            outer = socket.socket(type=socket.SOCK_DGRAM)
            outer.bind((self._source, 0))
            outer.connect(self._to)
            self._forth[peer], self._back[outer] = outer, peer
            self._ready.register(outer, selectors.EVENT_READ, self._reply)
        self._forth[peer].send(octets)

    def _reply(self, outer: socket.socket) -> None:
        try:
            octets = outer.recv(4096)
        except ConnectionRefusedError:  # the server is gone
            return
        if self.lose:
            self.lose -= 1
        else:
            self._inner.sendto(octets, self._back[outer])

    def _account(self, inner: socket.socket) -> None:
        octets, peer = inner.recvfrom(4096)
        head = bytes([5, octets[1], 0, 20])
        inner.sendto(head + hashlib.md5(head + octets[4:20] + self._secret).digest(), peer)


class _OpenVpn(ForeignProgram):
    """One that runs, as root."""

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None and _become():
            subprocess.run([*_become(), "kill", str(self._process.pid)], check=False)
            self._process.wait(_PATIENCE)
        super().stop()


class Client(_OpenVpn):
    """Somebody at `station`, whose password is asked once and kept for as long as they are connected."""

    def __init__(self, clients: Namespace, gateway: socket.socket, station: str) -> None:
        """`gateway`: where what is sent arrives."""
        super().__init__()
        self.station = station
        self._namespace = clients
        self._gateway = gateway

    def is_connected(self) -> bool:
        """Whether the tunnel comes up; else they are told that they are refused, and it is over."""
        if self.says("Initialization Sequence Completed"):
            return True
        self.is_refused()
        return False

    def is_refused(self) -> None:
        """Wait until they are told so, which ends it; an error if they are not."""
        assert self.ends(), self.log()
        assert "AUTH_FAILED" in self.log(), self.log()

    def send(self, octets: bytes) -> bytes:
        """Through the tunnel; what arrives."""
        with self._namespace.socket(socket.SOCK_STREAM) as sender:
            sender.connect((_INSIDE, _PORT))
            receiver, _ = self._gateway.accept()
            with receiver:
                sender.sendall(octets)
                sender.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: receiver.recv(65536), b""))

    def renegotiate(self) -> None:
        """Have it ask for another key, for which the gateway asks for the password again."""
        self.send(bytes(_ENOUGH))


class OpenVpn(_OpenVpn):
    """The gateway.  `relay`: what its plugin asks."""

    relay: Relay

    def __init__(self, port: int, source: str, secret: str, *options: str) -> None:
        """`port`: the server's; `source`: the address that it sees; `options`: further lines of the gateway's."""
        super().__init__()
        self._where = (port, source, secret)
        self._options = options
        self._stations = count(2)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="openvpn-")))
            self._here = undo.enter_context(Namespace())
            self._clients = undo.enter_context(Namespace())
            self._lay_cable()
            self.relay = undo.enter_context(Relay(self._here, *self._where))
            self._listening = undo.enter_context(self._here.socket(socket.SOCK_STREAM))
            self._listening.bind(("0.0.0.0", _PORT))
            self._listening.listen()
            undo.callback(self.stop)
            self.start(self._here.command("openvpn", "--config", self._configuration()))
            self.wait_for("Initialization Sequence Completed")
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @contextmanager
    def client(self, name: str, typed: str, station: str = "") -> Iterator[Client]:
        """Somebody who comes from there, else from where nobody has been, with one line for the password."""
        if not station:
            station = f"{_NETWORK}{next(self._stations)}"
            self._clients.ip(f"address add {station}/24 dev cable")
        client = Client(self._clients, self._listening, station)
        credentials = self._write("credentials", f"{name}\n{typed}\n")
        values = {"gateway": _GATEWAY, "station": station, "ca_file": self._ca_file, "enough": _ENOUGH}
        configuration = self._write("client.conf", _CLIENT.format(credentials=credentials, **values))
        try:
            client.start(self._clients.command("openvpn", "--config", configuration))
            yield client
        finally:
            client.stop()

    def _lay_cable(self) -> None:
        self._here.ip(
            "link set lo up",
            f"link add cable type veth peer name cable netns {self._clients.pid}",
            f"address add {_GATEWAY}/24 dev cable",
            "link set cable up",
        )
        self._clients.ip("link set cable up")

    def _configuration(self) -> Path:
        authority = Authority(self._folder / "tls")
        self._ca_file = authority.ca_file
        (self._folder / "clients").mkdir()
        values = {"folder": self._folder, "gateway": _GATEWAY}
        plugin = _PLUGIN.format(wait=WAIT, retries=RETRIES, secret=self._where[2], **values)
        self._write("plugin.conf", plugin)
        values |= {"ca_file": authority.ca_file, "certificate": authority.certify("vpn.example.org")}
        return self._write("server.conf", _SERVER.format(plugin=PLUGIN, more="\n".join(self._options), **values))

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.touch(0o600)
        path.write_text(text)
        return path


def _become() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("sudo", "-n")
