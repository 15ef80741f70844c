"""What a running server says of itself: that it is there, and which keys it has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import structlog

from radius_mfa.core.errors import BackendError, KeyFileError, RadiusMfaError
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import KeyStore, Node
from radius_mfa.stores.key_file import LOOK_EVERY
from radius_mfa.stores.seal import AeadSealer, check_proofs

SAY_EVERY = 10.0  # seconds
DEAD_AFTER = 60.0  # seconds without a word
_PATIENCE = 1.0  # seconds that a start or a stop may wait for the store

log = structlog.get_logger()


class Presence:
    """A server's row among the nodes, and its eye on the key file.

    The row is written when the server starts, whenever its keys change, and every few seconds; it goes
    with the server.  Whatever becomes of it, logins go on.
    """

    def __init__(self, store: KeyStore, sealer: AeadSealer, clock: Clock, process: str = "") -> None:
        """`process`: which one of a server with several."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._id = os.urandom(8).hex()
        self._name = f"{socket.gethostname()} {process}".strip()
        self._said: tuple[bytes, ...] = ()  # which keys it has said to have
        self._next = 0.0  # when it has something to say even so, monotonic
        self._failing = False
        self._first = asyncio.Event()

    async def known(self) -> None:
        """Wait until others can see the server, but not for long.

        From then on no key is retired that it seals with.  Raises KeyFileError where one was just now.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), _PATIENCE)
        try:
            check_proofs(await self._store.key_proofs(), self._sealer)
        except BackendError:
            return  # said already
        except KeyFileError:
            await self.leave()
            raise

    async def keep(self) -> None:
        """Follow the key file and say so, for ever."""
        await self._say()
        self._first.set()
        keys = self._sealer.key_ids
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._sealer.keep_up()
            before, keys = keys, self._sealer.key_ids  # it may have kept up by itself
            if keys != self._said or self._clock.monotonic() >= self._next:
                await self._say()
            if keys != before:
                sealing, *others = (key_id.hex() for key_id in keys)
                log.info("keys_changed", sealing=sealing, accepted=others)
                await self._check()

    async def leave(self) -> None:
        """The server has stopped."""
        try:
            await asyncio.wait_for(self._store.drop_node(self._id), _PATIENCE)
        except (RadiusMfaError, TimeoutError) as broken:
            log.warning("node_not_dropped", error=str(broken))

    async def _say(self) -> None:
        keys = self._sealer.key_ids
        self._next = self._clock.monotonic() + SAY_EVERY
        try:
            await self._store.note_node(Node(self._id, self._name, keys, self._clock.wall()))
        except RadiusMfaError as broken:
            if not self._failing:
                log.error("node_not_noted", error=str(broken))
            self._failing = True
        else:
            self._said, self._failing = keys, False

    async def _check(self) -> None:
        """Say at once what would keep the server from starting the next time."""
        try:
            check_proofs(await self._store.key_proofs(), self._sealer)
        except KeyFileError as wrong:
            log.error("key_file_wrong", error=str(wrong))
        except RadiusMfaError as broken:
            log.error("key_file_not_checked", error=str(broken))
