"""Proofs of keys, the nodes that have them, and sealing anew: `core.store.KeyStore`, for every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from radius_mfa.core.kept import NewRecoveryCode, Proposal, Voucher
from radius_mfa.core.store import Node, Resealed, SealedRow
from radius_mfa.core.stored import NewMailCode
from tests.adapters import NOON
from tests.stores.support import ALICE, BOB, Asked, asked, new_token
from tests.stores.test_contract import ENGINES

OLD, NEW = b"old!", b"new!"
DAY = 86400.0
PURPOSES = ("totp", "mail", "recovery_codes", "address", "voucher")


@pytest.fixture(params=ENGINES)
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    with asked(lambda clock: ENGINES[request.param](tmp_path, clock)) as it:
        yield it


def sealed(key: bytes, what: str = "secret") -> bytes:
    """As `stores/seal.py` has it: a version, the key's id, and the rest."""
    return b"\x01" + key + what.encode()


def proofs(it: Asked) -> dict[bytes, bytes]:
    return dict(it.run(it.store.key_proofs()))


def otherwise(it: Asked, purpose: str, key: bytes = NEW, after: str = "", most: int = 100) -> list[SealedRow]:
    return list(it.run(it.store.sealed_otherwise(purpose, key, after, most)))


def reseal(it: Asked, *rows: Resealed) -> int:
    return it.run(it.store.reseal(rows))


def nodes(it: Asked, since: float = 0.0) -> list[Node]:
    return list(it.run(it.store.nodes(since)))


def add_token(it: Asked, number: int, key: bytes = OLD, user_id: str = ALICE) -> None:
    it.add(new_token(number, user_id=user_id, seed=sealed(key, f"seed {number}")))


def everything(it: Asked, key: bytes) -> None:
    """A secret of every purpose."""
    add_token(it, 1, key)
    it.run(it.store.set_mail_address(ALICE, "alice", "alice@example.net"))
    about = (NOON, NOON + DAY, "alice@example.net", "ja", "vpn", "")
    it.run(it.store.issue_mail_code(NewMailCode("c1", ALICE, "K1", sealed(key, "code"), *about), it.soon()))
    it.run(it.store.set_recovery_codes(ALICE, "alice", [NewRecoveryCode("r1", sealed(key, "recovery"))]))
    proposed = Proposal("p1", ALICE, "alice@example.org", "K2", sealed(key, "address"), NOON, NOON + DAY)
    it.run(it.store.propose_address(proposed, "alice", "ja"))
    it.run(it.store.set_voucher(Voucher("v1", ALICE, sealed(key, "voucher"), NOON, NOON + DAY), "alice"))


# --- proofs -------------------------------------------------------------------------------------


def test_a_store_has_no_proof_until_one_is_given(it: Asked) -> None:
    assert proofs(it) == {}
    it.run(it.store.add_key_proof(OLD, b"proof"))
    it.run(it.store.add_key_proof(NEW, b"another"))

    assert proofs(it) == {OLD: b"proof", NEW: b"another"}


def test_a_proof_is_never_replaced(it: Asked) -> None:
    """Else a wrong key file of the same id would prove itself."""
    it.run(it.store.add_key_proof(OLD, b"proof"))
    it.run(it.store.add_key_proof(OLD, b"another"))

    assert proofs(it) == {OLD: b"proof"}


def test_of_many_first_proofs_at_once_one_is_kept(it: Asked) -> None:
    async def many() -> None:
        ids = (bytes([number]) * 4 for number in range(20))
        await asyncio.gather(*(it.store.add_key_proof(each, b"proof", first=True) for each in ids))

    it.run(many())

    assert len(proofs(it)) == 1


def test_a_first_proof_is_kept_only_where_there_is_none_of_any_key(it: Asked) -> None:
    it.run(it.store.add_key_proof(OLD, b"proof", first=True))
    it.run(it.store.add_key_proof(NEW, b"another", first=True))

    assert proofs(it) == {OLD: b"proof"}


def test_a_dropped_proof_is_gone(it: Asked) -> None:
    it.run(it.store.add_key_proof(OLD, b"proof"))
    it.run(it.store.add_key_proof(NEW, b"another"))
    it.run(it.store.drop_key_proof(OLD))
    it.run(it.store.drop_key_proof(b"none"))

    assert proofs(it) == {NEW: b"another"}


# --- nodes --------------------------------------------------------------------------------------


def test_a_node_is_what_it_last_said_of_itself(it: Asked) -> None:
    it.run(it.store.note_node(Node("n1", "radius-a", (OLD,), NOON)))
    it.run(it.store.note_node(Node("n2", "radius-b", (), NOON)))
    it.run(it.store.note_node(Node("n1", "radius-a2", (NEW, OLD), NOON + 60)))

    assert nodes(it) == [Node("n1", "radius-a2", (NEW, OLD), NOON + 60), Node("n2", "radius-b", (), NOON)]


def test_nodes_that_have_said_nothing_since_are_not_listed(it: Asked) -> None:
    it.run(it.store.note_node(Node("n1", "b", (OLD,), NOON)))
    it.run(it.store.note_node(Node("n2", "a", (OLD,), NOON + 1)))

    assert [node.id for node in nodes(it, NOON)] == ["n2", "n1"]  # by their names
    assert [node.id for node in nodes(it, NOON + 0.5)] == ["n2"]


def test_a_node_that_has_stopped_is_gone(it: Asked) -> None:
    it.run(it.store.note_node(Node("n1", "a", (OLD,), NOON)))
    it.run(it.store.drop_node("n1"))
    it.run(it.store.drop_node("n1"))

    assert nodes(it) == []


def test_nodes_of_long_ago_are_purged(it: Asked) -> None:
    it.run(it.store.note_node(Node("n1", "a", (OLD,), NOON)))
    it.run(it.store.note_node(Node("n2", "b", (OLD,), NOON + 10)))

    assert it.purge(NOON + 10) == 1
    assert [node.id for node in nodes(it)] == ["n2"]


# --- sealing anew ---------------------------------------------------------------------------------


def test_secrets_of_every_purpose_are_found_under_another_key(it: Asked) -> None:
    everything(it, OLD)

    assert [otherwise(it, purpose) for purpose in PURPOSES] == [
        [SealedRow("totp", ALICE, "t1", sealed(OLD, "seed 1"))],
        [SealedRow("mail", ALICE, "c1", sealed(OLD, "code"))],
        [SealedRow("recovery_codes", ALICE, "r1", sealed(OLD, "recovery"))],
        [SealedRow("address", ALICE, "p1", sealed(OLD, "address"))],
        [SealedRow("voucher", ALICE, "v1", sealed(OLD, "voucher"))],
    ]
    assert [otherwise(it, purpose, OLD) for purpose in PURPOSES] == [[]] * len(PURPOSES)


def test_what_was_sealed_anew_is_found_no_more(it: Asked) -> None:
    everything(it, OLD)
    for purpose in PURPOSES:
        rows = otherwise(it, purpose)
        assert reseal(it, *(Resealed(row, sealed(NEW, purpose)) for row in rows)) == 1

    assert [otherwise(it, purpose) for purpose in PURPOSES] == [[]] * len(PURPOSES)
    assert [row.octets for purpose in PURPOSES for row in otherwise(it, purpose, OLD)] == [
        sealed(NEW, purpose) for purpose in PURPOSES
    ]
    assert it.facts().tokens[0].seed == sealed(NEW, "totp")


def test_secrets_come_by_the_page_by_their_ids_and_of_all_users(it: Asked) -> None:
    for number in range(10, 20):
        add_token(it, number, OLD if number % 2 else NEW, BOB if number > 15 else ALICE)
    pages: list[Sequence[SealedRow]] = []
    while page := otherwise(it, "totp", after=pages[-1][-1].id if pages else "", most=2):
        pages.append(page)

    assert [[row.id for row in page] for page in pages] == [["t11", "t13"], ["t15", "t17"], ["t19"]]
    assert [row.user_id for page in pages for row in page] == [ALICE, ALICE, ALICE, BOB, BOB]


def test_only_what_it_was_made_of_is_replaced(it: Asked) -> None:
    """A secret may have been replaced or deleted since it was read."""
    for number in (1, 2, 3):
        add_token(it, number)
    first, second, third = otherwise(it, "totp")
    reseal(it, Resealed(first, sealed(NEW, "by another")))
    it.run(it.store.remove_token(ALICE, "t2"))

    assert reseal(it, *(Resealed(row, sealed(NEW, "late")) for row in (first, second, third))) == 1
    assert [token.seed for token in it.facts().tokens] == [sealed(NEW, "by another"), sealed(NEW, "late")]


def test_of_many_that_seal_a_secret_anew_at_once_one_does(it: Asked) -> None:
    add_token(it, 1)
    (row,) = otherwise(it, "totp")

    async def many() -> list[int]:
        made = (Resealed(row, sealed(NEW, f"by {number}")) for number in range(20))
        return await asyncio.gather(*(it.store.reseal([each]) for each in made))

    assert sum(it.run(many())) == 1


def test_a_seed_is_known_by_its_new_fingerprint_once_it_is_sealed_anew(it: Asked) -> None:
    add_token(it, 1)
    (row,) = otherwise(it, "totp")
    reseal(it, Resealed(row, sealed(NEW), b"fingerprint under the new key"))

    again = new_token(2, fingerprint=b"fingerprint under the new key")
    under_the_old = new_token(3, fingerprint=new_token(1).fingerprint)
    assert it.add(again, under_the_old) == [False, True]


def test_one_seed_that_came_in_twice_under_two_keys_is_sealed_anew_all_the_same(it: Asked) -> None:
    add_token(it, 1)
    add_token(it, 2)
    first, second = otherwise(it, "totp")

    assert reseal(it, Resealed(first, sealed(NEW, "1"), b"one"), Resealed(second, sealed(NEW, "2"), b"one")) == 2
    assert otherwise(it, "totp") == []


def test_what_came_too_late_changes_no_fingerprint(it: Asked) -> None:
    add_token(it, 1)
    (row,) = otherwise(it, "totp")
    reseal(it, Resealed(row, sealed(NEW), b"new fingerprint"))
    reseal(it, Resealed(row, sealed(NEW), b"late fingerprint"))

    assert it.add(new_token(2, fingerprint=b"late fingerprint")) == [True]
    assert it.add(new_token(3, fingerprint=b"new fingerprint")) == [False]


def test_sealing_anew_leaves_alone_whatever_else_a_token_is(it: Asked) -> None:
    it.add(new_token(1, seed=sealed(OLD), last_step=7, drift=-1))
    (before,) = it.facts().tokens
    (row,) = otherwise(it, "totp")
    reseal(it, Resealed(row, sealed(NEW), b"new fingerprint"))

    (after,) = it.facts().tokens
    assert (after.last_step, after.drift, after.confirmed) == (before.last_step, before.drift, before.confirmed)
    assert after.seed == sealed(NEW)
