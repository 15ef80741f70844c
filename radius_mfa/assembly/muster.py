"""From one process to several: what they have in common is opened, and the supervisor takes this one's place."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from radius_mfa.assembly.listening import Sockets, open_sockets
from radius_mfa.assembly.privileges import become
from radius_mfa.config.load import Loaded
from radius_mfa.config.snapshot import frozen
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.observe.slate import Slate
from radius_mfa.transports.crew import Crew, Listening, box, in_memory

_PROGRAM = "radius_mfa.transports.supervisor"


def become_supervisor(loaded: Loaded) -> None:
    """Open all sockets, give up root, and be the supervisor; never returns.  Raises ConfigurationError."""
    with ExitStack() as stack:
        sockets = open_sockets(loaded, stack)
        become(loaded)
        crew = _crew(loaded, sockets)
        fd = in_memory("crew", crew.packed().encode())
        for each in (fd, crew.configuration, *crew.descriptors()):
            os.set_inheritable(each, True)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            # This program and no other; nothing of the folder it was started in is imported (-P).
            os.execv(sys.executable, [sys.executable, "-P", "-m", _PROGRAM, crew.yaml, str(fd)])  # noqa: S606
        except OSError as broken:
            raise ConfigurationError(f"{sys.executable}: cannot be run: {broken.strerror}") from None


def _crew(loaded: Loaded, sockets: Sockets) -> Crew:
    """What is opened here stays open until this process is another."""
    processes = loaded.configuration.workers + 1
    pairs = [box() for _ in range(processes)]
    return Crew(
        yaml=loaded.places.file,
        workers=loaded.configuration.workers,
        listeners=tuple(
            Listening(each.kind, tuple(sock.fileno() for sock in each.sockets)) for each in sockets.listeners
        ),
        metrics=sockets.metrics.fileno() if sockets.metrics else None,
        configuration=in_memory("configuration", frozen(loaded)),
        boxes=tuple((receive.detach(), send.detach()) for receive, send in pairs),
        slates=tuple(Slate.made("slate").fileno() for _ in range(processes)),
        log_format=loaded.configuration.log.format,
    )
