"""A key's life: added, promoted, retired, and everything sealed under the next one."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from radius_mfa.core.errors import KeyFileError
from radius_mfa.core.kept import NewRecoveryCode, NewToken, Proposal, Voucher
from radius_mfa.core.seeds import fingerprint_octets
from radius_mfa.core.store import KeyStore, Node, Resealed, SealedRow, Store
from radius_mfa.core.stored import NewMailCode
from radius_mfa.stores.key_file import Key, KeyFile, create_key_file, editing, read_key_file
from radius_mfa.stores.key_work import PURPOSES
from radius_mfa.stores.rekey import KnownKey, Rekeying, add_key, take_over_keys
from radius_mfa.stores.seal import AeadSealer, check_proofs, key_id_of, verify_key
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON
from tests.stores.support import ALICE, BOB, TOP, Asked, asked, new_token
from tests.stores.test_contract import ENGINES

ONE = Key(b"\x00\x00\x00\x01", bytes(range(32)))
TWO = Key(b"\x00\x00\x00\x02", bytes(range(32, 64)))
THREE = Key(b"\x00\x00\x00\x03", bytes(range(64, 96)))
SEED = b"12345678901234567890"
# What `fill` puts into a store, by purpose and row.
PLAIN = {
    ("totp", "t1"): SEED,
    ("totp", "t2"): SEED[::-1],
    ("mail", "m1"): b"12345678",
    ("recovery_codes", "r1"): b"abcdefghij",
    ("recovery_codes", "r2"): b"klmnopqrst",
    ("address", "p1"): b"87654321",
    ("voucher", "v1"): b"voucher",
}


class Keys:
    """A store, its key file and the nodes at it.  Waiting takes no time, and lets `meanwhile` happen."""

    def __init__(self, it: Asked, path: Path) -> None:
        self.it = it
        self.path = path
        self.waited = 0.0
        self.told: list[str] = []
        self.counted: list[int] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        create_key_file(path, KeyFile(ONE))
        it.run(verify_key(it.store, self.sealer))
        self.rekeying = Rekeying(path, it.store, it.clock, self.told.append, self.counted.append, self._pause)

    @property
    def file(self) -> KeyFile:
        return read_key_file(self.path)

    @property
    def sealer(self) -> AeadSealer:
        return AeadSealer(self.file)

    @property
    def proved(self) -> set[bytes]:
        return set(self.it.run(self.it.store.key_proofs()))

    async def _pause(self, seconds: float) -> None:
        self.waited += seconds
        self.it.clock.advance(seconds)  # type: ignore[attr-defined]  # it is a FixedClock
        if self.meanwhile:
            await self.meanwhile()

    def put(self, keys: KeyFile) -> None:
        with editing(self.path) as file:
            file.replace(keys)

    def node(self, name: str, *keys: Key) -> Node:
        """What a server says now."""
        node = Node(name, name, tuple(key.id for key in keys), self.it.clock.wall())
        self.it.run(self.it.store.note_node(node))
        return node

    def promote(self, key: Key | None = None) -> bytes:
        return self.it.run(self.rekeying.promote(key.id if key else None))

    def retire(self, key: Key) -> int:
        return self.it.run(self.rekeying.retire(key.id))

    def rotate(self) -> tuple[bytes, int]:
        return self.it.run(self.rekeying.rotate())

    def rows(self) -> list[SealedRow]:
        """Every secret in the store."""
        return [
            row
            for purpose in PURPOSES
            for row in self.it.run(self.it.store.sealed_otherwise(purpose, b"none", "", 1000))
        ]

    def opened(self, keys: KeyFile | None = None) -> dict[tuple[str, str], bytes | None]:
        """What is in the store, by purpose and row; None where the keys do not open it."""
        sealer = AeadSealer(keys or self.file)
        return {
            (row.purpose, row.id): sealer.open(row.purpose, row.octets, row.user_id, row.id) for row in self.rows()
        }

    def fill(self) -> None:
        """A secret of every kind."""
        fill(self.it, self.sealer)


def fill(it: Asked, sealer: AeadSealer) -> None:
    def sealed(purpose: str, row: str, user: str = ALICE) -> bytes:
        return sealer.seal(purpose, PLAIN[purpose, row], user, row)

    def token(number: int, user: str) -> bool:
        name = f"t{number}"
        fingerprint = sealer.digest("fingerprint", fingerprint_octets(PLAIN["totp", name]))
        new = new_token(number, user_id=user, seed=sealed("totp", name, user), fingerprint=fingerprint)
        return it.add(new)[0]

    assert token(1, ALICE)
    assert token(2, BOB)
    store, later = it.store, NOON + 3600
    it.run(store.set_mail_address(ALICE, "alice", "alice@example.net"))
    what = ("A1", sealed("mail", "m1"), NOON, later, "alice@example.net", "en", "vpn", "")
    assert it.run(store.issue_mail_code(NewMailCode("m1", ALICE, *what), it.soon()))
    codes = [NewRecoveryCode(name, sealed("recovery_codes", name)) for name in ("r1", "r2")]
    it.run(store.set_recovery_codes(ALICE, "alice", codes))
    proposal = Proposal("p1", BOB, "bob@example.net", "B1", sealed("address", "p1", BOB), NOON, later)
    it.run(store.propose_address(proposal, "bob", "en"))
    it.run(store.set_voucher(Voucher("v1", BOB, sealed("voucher", "v1", BOB), NOON, later), "bob"))


@pytest.fixture(params=ENGINES)
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keys]:
    with asked(lambda clock: ENGINES[request.param](tmp_path, clock)) as it:
        yield Keys(it, tmp_path / "key")


def refused(do: Callable[[], object]) -> str:
    with pytest.raises(KeyFileError) as wrong:
        do()
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


# --- adding -------------------------------------------------------------------------------------


def test_an_added_key_only_opens(at: Keys) -> None:
    added = add_key(at.path)

    assert at.file.primary == ONE
    assert [key.id for key in at.file.accepted] == [added]
    assert at.proved == {ONE.id}


def test_the_keys_of_another_file_are_taken_over_as_accepted(at: Keys) -> None:
    other = at.path.with_name("other")
    create_key_file(other, KeyFile(TWO, (ONE, THREE)))

    assert take_over_keys(at.path, other) == (TWO.id, THREE.id)
    assert at.file == KeyFile(ONE, (TWO, THREE))
    assert take_over_keys(at.path, other) == ()


def test_where_there_is_no_file_the_other_becomes_it(at: Keys) -> None:
    new = at.path.with_name("new")

    assert take_over_keys(new, at.path) == (ONE.id,)
    assert read_key_file(new) == at.file


def test_a_file_to_take_over_must_be_private_and_agree(at: Keys) -> None:
    other = at.path.with_name("other")
    assert refused(lambda: take_over_keys(at.path, other)) == f"{other}: there is no such file"
    create_key_file(other, KeyFile(TWO, (Key(ONE.id, THREE.secret),)))
    assert refused(lambda: take_over_keys(at.path, other)) == f"{other}: has another key 00000001 than {at.path}"
    other.chmod(0o644)
    assert "chmod 600" in refused(lambda: take_over_keys(at.path, other))
    assert at.file == KeyFile(ONE)


# --- promoting ----------------------------------------------------------------------------------


def test_a_promoted_key_seals_and_is_needed_from_then_on(at: Keys) -> None:
    at.put(KeyFile(ONE, (TWO,)))

    assert at.promote() == TWO.id
    assert at.file == KeyFile(TWO, (ONE,))
    assert at.proved == {ONE.id, TWO.id}
    proofs = at.it.run(at.it.store.key_proofs())
    check_proofs(proofs, at.sealer)
    assert "lacks key 00000002" in refused(lambda: check_proofs(proofs, AeadSealer(KeyFile(ONE))))
    # Once more is nothing.
    assert at.promote(TWO) == TWO.id
    assert at.file == KeyFile(TWO, (ONE,))


def test_what_to_promote_is_asked_where_it_is_not_plain(at: Keys) -> None:
    assert refused(at.promote).endswith("has no key to promote; `radius-mfa keys add` makes one")
    at.put(KeyFile(ONE, (TWO, THREE)))
    assert refused(at.promote).endswith("say which key to promote: 00000002, 00000003")
    assert at.promote(THREE) == THREE.id
    # ONE has sealed before: it is not the new one.
    assert at.promote() == TWO.id
    assert refused(at.promote).endswith("say which key to promote: 00000003, 00000001")
    assert refused(lambda: at.promote(Key(b"what", b""))).endswith(
        "has no key 77686174; it has 00000002, 00000003, 00000001"
    )


def test_nothing_is_promoted_until_every_running_server_has_it(at: Keys) -> None:
    at.put(KeyFile(ONE, (TWO,)))
    at.node("near", ONE, TWO)
    far = at.node("far", ONE)

    said = refused(at.promote)
    assert said.startswith("key 00000002 is not on far yet: ")
    assert "keys add --from FILE" in said
    assert (at.file, at.proved) == (KeyFile(ONE, (TWO,)), {ONE.id})
    # One that has said nothing for a minute does not run any more.
    at.it.run(at.it.store.note_node(replace(far, seen=at.it.clock.wall() - 60.5)))
    assert at.promote() == TWO.id


def test_a_file_that_lacks_what_the_store_needs_promotes_nothing(at: Keys) -> None:
    at.put(KeyFile(ONE, (TWO,)))
    at.promote()
    at.put(KeyFile(ONE, (THREE,)))

    assert refused(at.promote).startswith(f"{at.path}: this key file lacks key 00000002")
    assert refused(lambda: at.retire(THREE)).startswith(f"{at.path}: this key file lacks key 00000002")
    assert refused(at.rotate).startswith(f"{at.path}: this key file lacks key 00000002")


def test_a_strangers_key_file_is_mended_by_taking_over_and_promoting(at: Keys) -> None:
    """Somebody ran `keys init` where a copy was meant."""
    copy = at.path.with_name("copy")
    create_key_file(copy, at.file)
    at.put(KeyFile(THREE))
    take_over_keys(at.path, copy)

    assert "would seal with key 00000003" in refused(lambda: at.it.run(verify_key(at.it.store, at.sealer)))
    assert at.promote(ONE) == ONE.id
    at.it.run(verify_key(at.it.store, at.sealer))
    assert at.retire(THREE) == 0
    assert at.file == KeyFile(ONE)


# --- retiring -----------------------------------------------------------------------------------


@pytest.fixture
def promoted(at: Keys) -> Keys:
    """A secret of every kind under ONE, and TWO seals."""
    at.fill()
    at.put(KeyFile(ONE, (TWO,)))
    at.promote()
    return at


def test_everything_under_a_retired_key_is_sealed_anew(promoted: Keys) -> None:
    before, copy = promoted.opened(), KeyFile(ONE)
    assert before == PLAIN

    assert promoted.retire(ONE) == len(PLAIN)
    assert sum(promoted.counted) == len(PLAIN)
    assert (promoted.file, promoted.proved) == (KeyFile(TWO), {TWO.id})
    assert promoted.opened() == PLAIN
    assert set(promoted.opened(copy).values()) == {None}


def test_a_seed_is_still_one_token_after_its_key_was_retired(promoted: Keys) -> None:
    promoted.retire(ONE)
    sealer = promoted.sealer

    def again(user: str, seed: bytes, token_id: int) -> bool:
        fingerprint = sealer.digest("fingerprint", fingerprint_octets(seed))
        new = new_token(token_id, user_id=user, seed=b"sealed", fingerprint=fingerprint)
        return promoted.it.add(new)[0]

    assert not again(ALICE, SEED, 8)
    assert again(BOB, SEED, 9)


def test_what_is_under_a_third_key_stays_as_it_is(promoted: Keys) -> None:
    promoted.put(KeyFile(TWO, (ONE, THREE)))
    promoted.promote(THREE)
    promoted.retire(TWO)

    assert promoted.file == KeyFile(THREE, (ONE,))
    assert {key_id_of(row.octets) for row in promoted.rows()} == {ONE.id}
    assert promoted.opened() == PLAIN


def test_the_key_that_seals_is_not_retired(promoted: Keys) -> None:
    assert refused(lambda: promoted.retire(TWO)) == "key 00000002 seals; promote another before it is retired"
    assert refused(lambda: promoted.retire(THREE)).endswith("has no key 00000003; it has 00000002, 00000001")


def test_a_key_that_a_running_server_seals_with_is_not_retired(promoted: Keys) -> None:
    promoted.node("near", TWO, ONE)
    promoted.node("far", ONE, TWO)

    said = refused(lambda: promoted.retire(ONE))
    assert said == "far still seals with key 00000001: run `radius-mfa keys promote` there"
    assert (promoted.file, promoted.proved) == (KeyFile(TWO, (ONE,)), {ONE.id, TWO.id})
    assert {key_id_of(row.octets) for row in promoted.rows()} == {ONE.id}


def test_a_server_that_begins_to_seal_with_it_meanwhile_keeps_it(promoted: Keys) -> None:
    async def begins() -> None:
        await promoted.it.store.note_node(Node("late", "late", (ONE.id, TWO.id), promoted.it.clock.wall()))

    promoted.meanwhile = begins
    assert refused(lambda: promoted.retire(ONE)).startswith("late still seals with key 00000001")
    assert ONE.id in promoted.proved
    assert promoted.file == KeyFile(TWO, (ONE,))


def test_a_server_that_starts_in_the_last_moment_keeps_it_too(promoted: Keys) -> None:
    """It is seen once no other could start any more."""
    late = Node("late", "late", (ONE.id, TWO.id), promoted.it.clock.wall())
    store = cast(KeyStore, Starting(promoted.it.store, late))
    rekeying = Rekeying(promoted.path, store, promoted.it.clock, pause=_no_time)

    said = refused(lambda: promoted.it.run(rekeying.retire(ONE.id)))
    assert said.startswith("late still seals with key 00000001")
    promoted.it.run(verify_key(promoted.it.store, AeadSealer(KeyFile(ONE, (TWO,)))))
    assert promoted.file == KeyFile(TWO, (ONE,))


class Starting:
    """A store at which a server starts just before a key's proof is dropped."""

    def __init__(self, store: Store, node: Node) -> None:
        self._store = store
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def drop_key_proof(self, key_id: bytes) -> None:
        await self._store.note_node(self._node)
        await self._store.drop_key_proof(key_id)


def test_a_code_issued_under_the_old_key_meanwhile_is_sealed_anew_too(promoted: Keys) -> None:
    issued: list[str] = []

    async def issues() -> None:
        if len(issued) < 12:  # beyond one round through all purposes
            name = f"a{len(issued)}"
            code = AeadSealer(KeyFile(ONE)).seal("recovery_codes", b"late", f"u-late{name}", name)
            issued.append(name)
            await promoted.it.store.set_recovery_codes(f"u-late{name}", "", [NewRecoveryCode(name, code)])

    promoted.meanwhile = issues
    assert promoted.retire(ONE) == len(PLAIN) + 12
    assert {key_id_of(row.octets) for row in promoted.rows()} == {TWO.id}


def test_a_secret_that_is_replaced_meanwhile_is_not_written_over(promoted: Keys) -> None:
    it = promoted.it
    (row,) = [row for row in promoted.rows() if row.purpose == "voucher"]
    new = Voucher("v2", BOB, promoted.sealer.seal("voucher", b"new", BOB, "v2"), NOON, NOON + 3600)
    it.run(it.store.set_voucher(new, "bob"))

    assert it.run(it.store.reseal([Resealed(row, b"late")])) == 0
    assert promoted.opened()["voucher", "v2"] == b"new"


def test_a_secret_that_opens_under_no_key_is_named_and_keeps_the_key(promoted: Keys) -> None:
    it = promoted.it
    strange = AeadSealer(KeyFile(THREE)).seal("recovery_codes", b"code", "u-carol", "r7")
    moved = AeadSealer(KeyFile(ONE)).seal("totp", SEED, ALICE, "t9")
    it.run(it.store.set_recovery_codes("u-carol", "carol", [NewRecoveryCode("r7", strange)]))
    it.add(new_token(9, user_id="u-carol", seed=moved))

    said = refused(lambda: promoted.retire(ONE))
    assert said.startswith("2 stored secrets open under no key of this file, and nothing was retired: ")
    assert "totp t9 of u-carol, recovery_codes r7 of u-carol; put back the key" in said
    assert (promoted.file, promoted.proved) == (KeyFile(TWO, (ONE,)), {ONE.id, TWO.id})
    it.run(it.store.reset("u-carol"))
    assert promoted.retire(ONE) == 0
    assert promoted.file == KeyFile(TWO)


def test_retiring_on_the_other_nodes_only_takes_the_key_from_the_file(promoted: Keys) -> None:
    promoted.retire(ONE)
    promoted.put(KeyFile(TWO, (ONE,)))  # the file of another node

    assert promoted.retire(ONE) == 0
    assert promoted.file == KeyFile(TWO)


def test_a_file_that_was_just_changed_is_given_time_to_be_seen(promoted: Keys) -> None:
    """A command that began before, and has no row among the nodes, may seal with what it read for a second."""
    promoted.retire(ONE)

    assert promoted.waited >= 2.0


def test_a_file_that_everybody_has_seen_is_not_waited_for(at: Keys) -> None:
    at.put(KeyFile(TWO, (ONE,)))
    at.promote(TWO)
    os.utime(at.path, (NOON - 5, NOON - 5))
    at.retire(ONE)

    assert at.waited == 0.0


# --- rotating -----------------------------------------------------------------------------------


def test_where_no_server_runs_a_rotation_goes_straight_through(at: Keys) -> None:
    at.fill()
    new, done = at.rotate()

    assert done == len(PLAIN)
    assert (at.file.ids, at.proved) == ((new,), {new})
    assert at.opened() == PLAIN
    assert set(at.opened(KeyFile(ONE)).values()) == {None}
    assert at.told == []


def test_a_rotation_waits_for_the_server_to_follow(at: Keys) -> None:
    at.fill()
    at.node("near", ONE)

    async def follows() -> None:
        await at.it.store.note_node(Node("near", "near", at.file.ids, at.it.clock.wall()))

    at.meanwhile = follows
    new, _ = at.rotate()
    assert at.told == [f"waiting until near has key {new.hex()}", f"waiting until near seals with key {new.hex()}"]
    assert at.file.ids == (new,)


def test_a_rotation_gives_up_on_a_server_with_a_file_of_its_own(at: Keys) -> None:
    at.fill()
    at.node("far", ONE)

    async def speaks() -> None:
        await at.it.store.note_node(Node("far", "far", (ONE.id,), at.it.clock.wall()))

    at.meanwhile = speaks
    said = refused(at.rotate)
    (added,) = (key.id for key in at.file.accepted)
    assert said.startswith(f"far follows another key file and never has key {added.hex()}: take this one there")
    assert at.file.primary == ONE
    assert at.proved == {ONE.id}
    assert at.opened(KeyFile(ONE)) == PLAIN
    # Which can be gone on with step by step, or all at once when that one has stopped.
    at.meanwhile = None
    at.it.run(at.it.store.drop_node("far"))
    new, done = at.rotate()
    assert (at.file.ids, done) == ((new,), len(PLAIN))


def test_a_rotation_outwaits_a_server_that_has_died(at: Keys) -> None:
    at.node("dead", ONE)
    new, _ = at.rotate()

    assert at.file.ids == (new,)
    assert 55 < at.waited < 75


def test_a_rotation_without_a_store_of_before(tmp_path: Path) -> None:
    with asked(lambda clock: SqliteStore.open("sqlite://", clock)) as it:
        path = tmp_path / "key"
        create_key_file(path)
        new, done = it.run(Rekeying(path, it.store, it.clock, pause=_no_time).rotate())
        assert (read_key_file(path).ids, done) == ((new,), 0)
        it.run(verify_key(it.store, AeadSealer(read_key_file(path))))


async def _no_time(_: float) -> None:
    await asyncio.sleep(0)


def test_the_keys_there_are(at: Keys) -> None:
    at.put(KeyFile(ONE, (TWO,)))
    at.promote()
    at.put(KeyFile(ONE, (THREE,)))
    near = at.node("near", ONE, TWO)

    assert at.it.run(at.rekeying.keys()) == [
        KnownKey(ONE.id, "primary", proved=True),
        KnownKey(THREE.id, "accepted", proved=False),
        KnownKey(TWO.id, "missing", proved=True),
    ]
    assert at.it.run(at.rekeying.nodes()) == [near]


# --- cut short ----------------------------------------------------------------------------------


class CutShort(Exception):  # noqa: N818  # nothing went wrong
    """The process ends here."""


class Until:
    """A store that is asked so many things, and after that nothing ever again."""

    def __init__(self, store: object, calls: int) -> None:
        self._store = store
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise CutShort
            return await getattr(self._store, name)(*arguments, **named)

        return call


def test_a_rotation_that_is_cut_short_anywhere_leaves_what_works_and_is_done_again(tmp_path: Path) -> None:
    """Between any two things it asks of the store; the file is replaced in one go in between."""
    for calls in count():
        folder = tmp_path / str(calls)
        folder.mkdir()
        with asked(lambda clock: SqliteStore.open("sqlite://", clock)) as it:
            at = Keys(it, folder / "key")
            at.fill()
            cutting = cast(KeyStore, Until(it.store, calls))
            try:
                it.run(Rekeying(at.path, cutting, it.clock, pause=_no_time).rotate())
            except CutShort:
                pass
            else:
                break
            # As a server finds it that starts now: it opens everything, and may seal.
            it.run(verify_key(it.store, at.sealer))
            assert at.opened() == PLAIN
            new, _ = at.rotate()
            assert (at.file.ids, at.proved) == ((new,), {new})
            assert at.opened() == PLAIN
    assert calls > 3 * len(PURPOSES)


MANY = 2000


def test_a_killed_rotation_is_done_again(tmp_path: Path) -> None:
    """SIGKILL in the middle of sealing anew, with some under the old key and some under the new one."""
    url, path = f"sqlite:///{tmp_path}/state.db", tmp_path / "key"
    create_key_file(path, KeyFile(ONE))
    with asked(lambda clock: SqliteStore.open(url, clock)) as it:
        sealer = AeadSealer(KeyFile(ONE))
        it.run(verify_key(it.store, sealer))
        it.add(*(_many(number, sealer) for number in range(MANY)))
    program = """
import asyncio, sys
from pathlib import Path
from radius_mfa.stores.rekey import Rekeying
from radius_mfa.stores.sqlite import SqliteStore
from tests.stores.support import SystemClock
store = SqliteStore.open(sys.argv[1], SystemClock())
say = lambda some: print(some, flush=True)
asyncio.run(Rekeying(Path(sys.argv[2]), store, SystemClock(), count=say).rotate())
"""
    command = [sys.executable, "-c", program, url, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TOP) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.kill()
    halfway = read_key_file(path)
    assert ONE in halfway.accepted
    assert _ids_in(tmp_path / "state.db") == {ONE.id, halfway.primary.id}

    with asked(lambda clock: SqliteStore.open(url, clock)) as it:
        it.run(verify_key(it.store, AeadSealer(halfway)))
        new, done = it.run(Rekeying(path, it.store, it.clock, pause=_no_time).rotate())
    assert done == MANY
    assert read_key_file(path).ids == (new,)
    assert _ids_in(tmp_path / "state.db") == {new}


def _many(number: int, sealer: AeadSealer) -> NewToken:
    user, token_id, seed = f"u{number}", f"t{number}", number.to_bytes(20, "big")
    sealed = sealer.seal("totp", seed, user, token_id)
    fingerprint = sealer.digest("fingerprint", fingerprint_octets(seed))
    return new_token(number, user_id=user, seed=sealed, fingerprint=fingerprint)


def _ids_in(path: Path) -> set[bytes]:
    with closing(sqlite3.connect(path)) as store:
        return {key_id_of(row[0]) for row in store.execute("SELECT seed FROM totp_token")}
