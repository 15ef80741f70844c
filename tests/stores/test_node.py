"""What a running server says of itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from radius_mfa.core.errors import KeyFileError
from radius_mfa.core.store import Node
from radius_mfa.stores.key_file import FollowedKeyFile, Key, KeyFile, create_key_file, editing
from radius_mfa.stores.node import DEAD_AFTER, Presence
from radius_mfa.stores.seal import AeadSealer, proof_of, verify_key
from radius_mfa.stores.sqlite import SqliteStore
from tests.stores.support import Asked, SystemClock, asked

ONE = Key(b"\x00\x00\x00\x01", bytes(range(32)))
TWO = Key(b"\x00\x00\x00\x02", bytes(range(32, 64)))
PATIENCE = 30.0


@pytest.fixture
def it() -> Iterator[Asked]:
    with asked(lambda clock: SqliteStore.open("sqlite://", clock), SystemClock()) as it:
        yield it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    create_key_file(path, KeyFile(ONE))
    return path


class Heard:
    """A store that can be waited for: until it has heard of so many nodes."""

    def __init__(self, it: Asked) -> None:
        self._store = it.store
        self.said: asyncio.Queue[Node] = asyncio.Queue()
        self.key_proofs = it.store.key_proofs
        self.drop_node = it.store.drop_node

    async def note_node(self, node: Node) -> None:
        await self._store.note_node(node)
        self.said.put_nowait(node)

    async def nodes(self) -> list[Node]:
        return list(await self._store.nodes(SystemClock().wall() - DEAD_AFTER))


async def presence(it: Asked, path: Path) -> tuple[Heard, Presence, asyncio.Task[None]]:
    heard = Heard(it)
    sealer = AeadSealer(FollowedKeyFile(path, SystemClock(), 300.0))
    await verify_key(it.store, sealer)
    here = Presence(heard, sealer, SystemClock())  # type: ignore[arg-type]  # what it asks of a store
    keeping = asyncio.create_task(here.keep())
    await here.known()
    return heard, here, keeping


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_server_is_seen_from_its_start_to_its_end(it: Asked, path: Path) -> None:
    async def main() -> None:
        heard, here, keeping = await presence(it, path)
        (node,) = await heard.nodes()
        assert (node.name, node.keys) == (socket.gethostname(), (ONE.id,))
        assert abs(node.seen - SystemClock().wall()) < PATIENCE
        await ended(keeping)
        await here.leave()
        assert await heard.nodes() == []

    it.run(main())


def test_other_keys_are_said_when_the_file_has_them(it: Asked, path: Path) -> None:
    async def main() -> None:
        heard, _, keeping = await presence(it, path)
        await heard.said.get()
        with editing(path) as file:
            file.replace(KeyFile(ONE, (TWO,)))
        node = await asyncio.wait_for(heard.said.get(), PATIENCE)
        assert node.keys == (ONE.id, TWO.id)
        assert await heard.nodes() == [node]
        await ended(keeping)

    with capture_logs() as logs:
        it.run(main())
    assert [(each["event"], each["sealing"], each["accepted"]) for each in logs] == [
        ("keys_changed", ONE.id.hex(), [TWO.id.hex()])
    ]


def test_a_server_whose_key_is_retired_while_it_starts_does_not_start(it: Asked, path: Path) -> None:
    async def main() -> None:
        sealer = AeadSealer(FollowedKeyFile(path, SystemClock(), 300.0))
        await verify_key(it.store, sealer)
        await it.store.add_key_proof(TWO.id, proof_of(TWO))
        await it.store.drop_key_proof(ONE.id)
        heard = Heard(it)
        here = Presence(heard, sealer, SystemClock())  # type: ignore[arg-type]  # what it asks of a store
        keeping = asyncio.create_task(here.keep())
        with pytest.raises(KeyFileError, match="lacks key 00000002"):
            await here.known()
        assert await heard.nodes() == []
        await ended(keeping)

    it.run(main())


def test_a_store_that_is_broken_is_said_once_and_ends_nothing(it: Asked, path: Path) -> None:
    async def main() -> None:
        _, here, keeping = await presence(it, path)
        await it.store.close()
        await ended(keeping)
        again = asyncio.create_task(here.keep())
        await here.known()
        await here._say()
        assert not again.done()
        await ended(again)
        await here.leave()

    with capture_logs() as logs:
        it.run(main())
    assert [each["event"] for each in logs] == ["node_not_noted", "node_not_dropped"]
