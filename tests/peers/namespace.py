"""Run a server in the network namespace that this is started in, and let others in.

    unshare --net python namespace.py PORT,PORT… COMMAND…

A program, for `tests.peers.samba`.  Standard input is a Unix socket, on which come as many listening sockets
as there are ports, made in another namespace: whoever connects to one there is led to the port here.  It says
`ready` once the ports can be connected to.  When the other end is closed the command is ended.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress

_GLANCE = 0.02  # seconds between two looks whether the command listens
_PATIENCE = 10.0  # seconds that it may take to end

_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40  # netdevice(7)


def main() -> None:
    ports, command = [int(port) for port in sys.argv[1].split(",")], sys.argv[2:]
    _raise_loopback()
    control = socket.socket(fileno=0)
    _, descriptors, _, _ = socket.recv_fds(control, 1, len(ports))
    asyncio.run(_run(control, dict(zip(ports, descriptors, strict=True)), command))


def _raise_loopback() -> None:
    """In a new namespace it is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP | _IFF_RUNNING))


async def _run(control: socket.socket, listening: dict[int, int], command: list[str]) -> None:
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(control, closed.set)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    ends = map(asyncio.ensure_future, (closed.wait(), process.wait(), _serve(control, listening)))
    try:
        ended, _ = await asyncio.wait(tuple(ends), return_when=asyncio.FIRST_COMPLETED)
        for end in ended:
            end.result()
    finally:
        await _end(process)


async def _serve(control: socket.socket, listening: dict[int, int]) -> None:
    servers = []
    for port, descriptor in listening.items():
        while not await _is_open(port):
            await asyncio.sleep(_GLANCE)
        servers.append(await asyncio.start_server(_leading_to(port), sock=socket.socket(fileno=descriptor)))
    control.sendall(b"ready")
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _leading_to(port: int) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    async def accepted(reader: StreamReader, writer: StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        directions = map(asyncio.ensure_future, (_copy(reader, inner_writer), _copy(inner_reader, writer)))
        await asyncio.wait(tuple(directions), return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        inner_writer.close()

    return accepted


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    """The command, and whatever it has started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _PATIENCE)


if __name__ == "__main__":
    main()
