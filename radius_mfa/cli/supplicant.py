"""Debian's eapol_test, run and spoken to: the Wi-Fi client and its access point in one, without the Wi-Fi.

What the user types it asks for over wpa_supplicant's control interface, a Unix socket; all else it prints.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from radius_mfa.cli.eapol_network import Network
from radius_mfa.cli.eapol_output import Output, read
from radius_mfa.core.errors import RadiusMfaError

PROGRAM = "eapol_test"
NOT_INSTALLED = f"{PROGRAM} is not installed: apt-get install eapoltest"

_INTERFACE = "test"  # what eapol_test calls its own, and the socket in the folder
_LONGEST = 600  # seconds, after which it ends by itself, should nobody be there to end it
_GRACE = 5.0  # seconds it has to end once it was told to
_LONGEST_EVENT = 65_536

_EVENT = re.compile(r"<\d+>(.*)", re.DOTALL)
_REQUEST = re.compile(r"CTRL-REQ-(OTP|PASSWORD)-(\d+):(.*)", re.DOTALL)
_PROMPT = re.compile(r"\[(.*)\] needed for SSID .*", re.DOTALL)  # of a password it says no more than that


class EapolTestError(RadiusMfaError):
    """eapol_test did not do what it was started for."""


Answer = Callable[[str], str | None]
"""Given what the server asks, what the user types; None ends it there."""


@dataclass(frozen=True, slots=True)
class Supplicant:
    """A station at an access point that asks `server`, an IP address and a port.

    `station`: the MAC, as aa:bb:cc:dd:ee:ff.  `patience`: seconds without anything new, but for the user's own.
    `arguments`: more of eapol_test's.
    """

    server: tuple[str, int]
    secret: bytes = field(repr=False)
    network: Network
    station: str | None = None
    patience: float = 15.0
    arguments: tuple[str, ...] = ()

    def log_in(self, answer: Answer, told: Callable[[str], None]) -> tuple[bool, Output]:
        """Whether eapol_test has ended well, and all that it has printed.

        `told` is given its events as they come (wpa_ctrl.h), without those that `answer` is for.  Raises
        EapolTestError.
        """
        with (
            tempfile.TemporaryDirectory(prefix="radius-mfa-") as folder,  # 0700
            tempfile.TemporaryFile() as printed,  # there are passwords in it: it has no name
        ):
            with (
                self._started(Path(folder), printed) as process,
                _attached(process, Path(folder, "control", _INTERFACE)) as control,
            ):
                self._converse(process, control, answer, told)
            printed.seek(0)
            return process.returncode == 0, read(printed.read())

    @contextmanager
    def _started(self, folder: Path, printed: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
        configuration = folder / "network"
        configuration.touch(0o600)
        configuration.write_text(self.network.configuration(folder / "control"))
        # A list of our own words and of paths that we have made: no shell reads it.
        process = subprocess.Popen(  # noqa: S603
            self._command(configuration), stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _command(self, configuration: Path) -> list[str | bytes | Path]:
        program = shutil.which(PROGRAM)
        if program is None:
            raise EapolTestError(NOT_INSTALLED)
        host, port = self.server
        station = () if self.station is None else (f"-M{self.station}",)
        # It takes the secret as an argument only: who may see this machine's processes may see it meanwhile.
        secret = b"-s" + self.secret
        address = (f"-a{host}", f"-p{port}", secret, f"-t{_LONGEST}")
        return [program, "-W", "-c", configuration, *address, *station, *self.arguments]

    def _converse(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        answer: Answer,
        told: Callable[[str], None],
    ) -> None:
        """Until it ends, or nothing comes any more, or the user has had enough."""
        with _ending(process) as ending:
            while event := _next_event(control, ending, self.patience):
                request = _REQUEST.fullmatch(event)
                if request is None:
                    told(event)
                    continue
                kind, network, asked = request.groups()
                prompt = _PROMPT.fullmatch(asked)
                text = answer(prompt[1] if prompt else kind.capitalize())
                if text is None:
                    return
                with suppress(ConnectionError):  # it has waited for too long, and its end is what comes next
                    reply = f"CTRL-RSP-{kind}-{network}:{text}"
                    control.send(reply.encode(errors="surrogateescape"))


@contextmanager
def _attached(process: subprocess.Popen[bytes], path: Path) -> Iterator[socket.socket]:
    """Its control interface, as a monitor, which it waits for before it begins."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        try:
            control.bind(str(path.parent.with_name("monitor")))
        except OSError:
            raise EapolTestError(
                f"{path.parent.parent}: no place for a socket; set TMPDIR to a short path"
            ) from None
        end = monotonic() + _GRACE
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                control.connect(str(path))
                break
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
            if process.poll() is not None or monotonic() > end:
                raise EapolTestError(f"{PROGRAM} does not start")
        control.send(b"ATTACH")
        yield control


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """What can be read from once the process has ended."""
    ending = os.pidfd_open(process.pid)
    try:
        yield ending
    finally:
        os.close(ending)


def _next_event(control: socket.socket, ending: int, patience: float) -> str | None:
    """The next, of those that are more than the reply to a command; None: there are no more."""
    end = monotonic() + patience
    while True:
        ready, _, _ = select.select([control.fileno(), ending], [], [], max(end - monotonic(), 0))
        if control.fileno() not in ready:
            return None
        event = _EVENT.fullmatch(control.recv(_LONGEST_EVENT).decode(errors="replace"))
        if event and event[1]:
            return event[1]
