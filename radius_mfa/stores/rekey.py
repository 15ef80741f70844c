"""The life of a key: added, promoted, retired; and everything that is stored sealed under the next one.

    added      in the file as accepted: it opens what others may seal with it
    promoted   a proof of it is in the store (no key file without it is taken from now on), and it seals
    retired    nothing is sealed with it any more, or under it: its proof goes, then the key

A step that was cut short leaves keys that work, and can be repeated.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radius_mfa.core.errors import KeyFileError
from radius_mfa.core.ports import Clock
from radius_mfa.core.seeds import fingerprint_octets
from radius_mfa.core.store import KeyStore, Node, Resealed, SealedRow
from radius_mfa.stores.key_file import (
    LOOK_EVERY,
    Key,
    KeyFile,
    KeyFileEditor,
    create_key_file,
    editing,
    read_key_file,
)
from radius_mfa.stores.key_work import LASTING, PURPOSES
from radius_mfa.stores.node import DEAD_AFTER, SAY_EVERY
from radius_mfa.stores.seal import AeadSealer, check_opens, check_proofs, key_id_of, proof_of

_BATCH = 200  # secrets sealed anew in one transaction
_PAUSE = 0.05  # seconds that logins have the store for themselves between two
_POLL = 0.25  # seconds between two looks at the nodes
_PATIENCE = DEAD_AFTER + 2 * SAY_EVERY  # seconds: one that has died is not waited for by then
_NAMED = 5  # secrets that are named in an error

Pause = Callable[[float], Awaitable[None]]


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key of the file or of the store.  `use`: primary, accepted, or missing from the file.

    `proved`: the store needs it.
    """

    id: bytes
    use: str
    proved: bool


# --- the file alone ---------------------------------------------------------------------------------


def add_key(path: Path) -> bytes:
    """Put a new key into the file, as accepted: its id.  Raises KeyFileError."""
    with editing(path) as file:
        return _add(file).id


def _add(file: KeyFileEditor) -> Key:
    key = Key.new()
    while file.keys.find(key.id):
        key = Key.new()
    file.replace(file.keys.with_accepted([key]))
    return key


def take_over_keys(path: Path, source: Path) -> tuple[bytes, ...]:
    """Put the keys of another key file into this one, as accepted: the ids of those it lacked.

    Where there is none yet, it becomes the same.  Raises KeyFileError.
    """
    if not os.path.exists(source):
        raise KeyFileError(f"{source}: there is no such file")
    others = read_key_file(source)
    if not os.path.exists(path):
        create_key_file(path, others)
        return others.ids
    with editing(path) as file:
        for key in others.all:
            if file.keys.find(key.id) not in (None, key):
                raise KeyFileError(f"{source}: has another key {key.id.hex()} than {path}")
        lacking = [key for key in others.all if file.keys.find(key.id) is None]
        if lacking:
            file.replace(file.keys.with_accepted(lacking))
        return tuple(key.id for key in lacking)


# --- file and store ---------------------------------------------------------------------------------


class Rekeying:
    """The keys of a key file and of the store that is sealed under them.

    `tell`: hears what is being waited for; `count`: how many secrets were sealed anew, each time some
    were.  Everything raises KeyFileError where it is refused, and StoreError.
    """

    def __init__(
        self,
        path: Path,
        store: KeyStore,
        clock: Clock,
        tell: Callable[[str], None] = _ignore,
        count: Callable[[int], None] = _ignore,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._path = path
        self._store = store
        self._clock = clock
        self._tell = tell
        self._count = count
        self._pause = pause

    async def keys(self) -> list[KnownKey]:
        """The keys there are: of the file, then those that it lacks."""
        keys, proofs = read_key_file(self._path), await self._store.key_proofs()
        primary, *accepted = keys.ids
        return [
            KnownKey(primary, "primary", primary in proofs),
            *(KnownKey(key_id, "accepted", key_id in proofs) for key_id in accepted),
            *(KnownKey(key_id, "missing", True) for key_id in sorted(proofs) if key_id not in keys.ids),
        ]

    async def nodes(self) -> Sequence[Node]:
        """The servers that run."""
        return await self._store.nodes(self._clock.wall() - DEAD_AFTER)

    async def promote(self, key_id: bytes | None = None) -> bytes:
        """Let the key seal; without an id the one that never did.  Its id."""
        with editing(self._path) as file:
            proofs = await self._store.key_proofs()
            self._checked(check_opens, proofs, file.keys)
            key = self._to_promote(file.keys, key_id, frozenset(proofs))
            await self._promote(file, key)
            return key.id

    def _to_promote(self, keys: KeyFile, key_id: bytes | None, proved: frozenset[bytes]) -> Key:
        if key_id is not None:
            return self._named(keys, key_id)
        new = [key for key in keys.accepted if key.id not in proved]
        if len(new) == 1:
            return new[0]
        accepted = ", ".join(key.id.hex() for key in keys.accepted)
        if not accepted:
            raise KeyFileError(f"{self._path}: has no key to promote; `radius-mfa keys add` makes one")
        raise KeyFileError(f"{self._path}: say which key to promote: {accepted}")

    def _named(self, keys: KeyFile, key_id: bytes) -> Key:
        key = keys.find(key_id)
        if key is None:
            names = ", ".join(each.hex() for each in keys.ids)
            raise KeyFileError(f"{self._path}: has no key {key_id.hex()}; it has {names}")
        return key

    async def _promote(self, file: KeyFileEditor, key: Key) -> None:
        lacking = [node.name for node in await self.nodes() if key.id not in node.keys]
        if lacking:
            raise KeyFileError(
                f"key {key.id.hex()} is not on {_listed(lacking)} yet: take this key file there and run "
                "`radius-mfa keys add --from FILE`"
            )
        # Before it seals: from now on no server starts that could not open what comes.
        await self._store.add_key_proof(key.id, proof_of(key))
        if key != file.keys.primary:
            file.replace(file.keys.sealing_with(key))

    async def retire(self, key_id: bytes) -> int:
        """Seal everything anew that is under the key, then let it go; how many secrets."""
        with editing(self._path) as file:
            self._checked(check_proofs, await self._store.key_proofs(), file.keys)
            key = self._named(file.keys, key_id)
            if key == file.keys.primary:
                raise KeyFileError(f"key {key_id.hex()} seals; promote another before it is retired")
            return await self._retire(file, frozenset((key_id,)))

    async def _retire(self, file: KeyFileEditor, ids: frozenset[bytes]) -> int:
        await self._refuse_in_use(ids)
        # A command that runs since before the key was replaced looks at the file each second.
        since = max(0.0, self._clock.wall() - file.changed)
        await self._pause(max(0.0, 2 * LOOK_EVERY - since))
        done = await self._reseal_all(file.keys, ids)
        await self._refuse_in_use(ids)
        await self._disown(file.keys, ids)
        done += await self._reseal_all(file.keys, ids)
        file.replace(file.keys.without(*ids))
        return done

    async def _disown(self, keys: KeyFile, ids: frozenset[bytes]) -> None:
        """Let no server start that seals with these; one that has just done so is seen, or refuses by itself."""
        for key_id in ids:
            await self._store.drop_key_proof(key_id)
        try:
            await self._refuse_in_use(ids)
        except KeyFileError:
            for key in keys.all:
                if key.id in ids:
                    await self._store.add_key_proof(key.id, proof_of(key))
            raise

    async def _refuse_in_use(self, ids: frozenset[bytes]) -> None:
        for node in await self.nodes():
            if node.keys and node.keys[0] in ids:
                raise KeyFileError(
                    f"{node.name} still seals with key {node.keys[0].hex()}: run `radius-mfa keys promote` there"
                )

    async def rotate(self) -> tuple[bytes, int]:
        """A new key in place of all there are: its id, and how many secrets were sealed anew.

        For servers that follow this very file; where another does not, it ends with what can be gone on
        with step by step.
        """
        with editing(self._path) as file:
            self._checked(check_proofs, await self._store.key_proofs(), file.keys)
            new = _add(file)
            name = new.id.hex()
            await self._until(
                lambda node: new.id in node.keys,
                f"has key {name}",
                f"take this one there for `radius-mfa keys add --from FILE`, then `radius-mfa keys promote {name}`"
                " here and there, then `radius-mfa keys retire` for each other key",
            )
            await self._promote(file, new)
            await self._until(
                lambda node: node.keys[:1] == (new.id,),
                f"seals with key {name}",
                f"run `radius-mfa keys promote {name}` there, then `radius-mfa keys retire` for each other key",
            )
            others = frozenset(key.id for key in file.keys.accepted)
            return new.id, await self._retire(file, others) if others else 0

    async def _until(self, done: Callable[[Node], bool], what: str, else_: str) -> None:
        """Wait until that is so of every node.

        Who has spoken twice more without it does not follow this file; who has not, may have died.
        """
        end = self._clock.monotonic() + _PATIENCE
        spoke: dict[str, list[float]] = {}
        while waiting := [node for node in await self.nodes() if not done(node)]:
            if not spoke:
                self._tell(f"waiting until {_listed([node.name for node in waiting])} {what}")
            for node in waiting:
                times = spoke.setdefault(node.id, [])
                if node.seen not in times:
                    times.append(node.seen)
                if len(times) > 2 or self._clock.monotonic() >= end:
                    raise KeyFileError(f"{node.name} follows another key file and never {what}: {else_}")
            await self._pause(_POLL)

    def _checked(
        self,
        check: Callable[[Mapping[bytes, bytes], AeadSealer], None],
        proofs: Mapping[bytes, bytes],
        keys: KeyFile,
    ) -> None:
        try:
            check(proofs, AeadSealer(keys))
        except KeyFileError as wrong:
            raise KeyFileError(f"{self._path}: {wrong}") from None

    # --- sealing anew -------------------------------------------------------------------------------

    async def _reseal_all(self, keys: KeyFile, ids: frozenset[bytes]) -> int:
        """Seal anew, until nothing is left, whatever is under these keys; how many secrets."""
        sealer = AeadSealer(keys)
        done = 0
        while True:
            some, closed = 0, list[SealedRow]()
            for purpose in PURPOSES:
                found, changed = await self._reseal(sealer, purpose, ids, closed)
                some += found
                done += changed
            if closed:
                raise KeyFileError(_unopened(closed))
            if not some:
                return done

    async def _reseal(
        self, sealer: AeadSealer, purpose: str, ids: frozenset[bytes], closed: list[SealedRow]
    ) -> tuple[int, int]:
        """Go once through the secrets of one purpose: how many are under these keys, how many were sealed anew.

        One that was changed meanwhile is left as it is now.  `closed` gets what does not open.
        """
        found, done, after = 0, 0, ""
        while rows := await self._store.sealed_otherwise(purpose, sealer.primary_id, after, _BATCH):
            after = rows[-1].id
            anew = []
            for row in rows:
                key_id = key_id_of(row.octets)
                if key_id in sealer.key_ids and key_id not in ids:
                    continue  # another key's, which stays
                if fresh := _resealed(sealer, row):
                    anew.append(fresh)
                elif purpose in LASTING:
                    closed.append(row)
            if anew:
                changed = await self._store.reseal(anew)
                found, done = found + len(anew), done + changed
                self._count(changed)
                await self._pause(_PAUSE)
        return found, done


def _resealed(sealer: AeadSealer, row: SealedRow) -> Resealed | None:
    """The secret under the key that seals; None where it opens under none."""
    plain = sealer.open(row.purpose, row.octets, row.user_id, row.id)
    if plain is None:
        return None
    fingerprint = sealer.digest("fingerprint", fingerprint_octets(plain)) if row.purpose == "totp" else None
    return Resealed(row, sealer.seal(row.purpose, plain, row.user_id, row.id), fingerprint)


def _unopened(rows: Sequence[SealedRow]) -> str:
    named = ", ".join(f"{row.purpose} {row.id} of {row.user_id}" for row in rows[:_NAMED])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return (
        f"{len(rows)} stored secrets open under no key of this file, and nothing was retired: {named}{more}; "
        "put back the key they were sealed with, or reset these users"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(set(names)))
