"""The portal as it is run: a process of its own beside the server's, over the same configuration file."""

from __future__ import annotations

from typing import Any

from tests.peers.server import Server


class PortalProcess(Server):
    """`radius-mfa portal`.  Its port stands in the file, since its address does."""

    verb = "portal"

    def _listens(self, ready: dict[str, Any]) -> None:
        pass
