"""What is kept about keys: proofs of them, who has which, and the secrets that are to be sealed anew."""

from __future__ import annotations

from collections.abc import Sequence

from radius_mfa.core.store import Node, Resealed, SealedRow
from radius_mfa.stores.work import Statement, Work

PROOFS = Statement("SELECT key_id, proof FROM key_check")
_ADD_PROOF = Statement("""
    INSERT INTO key_check (key_id, proof) VALUES (?, ?) ON CONFLICT (key_id) DO NOTHING""")
_DROP_PROOF = Statement("DELETE FROM key_check WHERE key_id = ?")

# Where secrets are: by what they are sealed for, the table and the column.
PLACES = {
    "totp": ("totp_token", "seed"),
    "mail": ("mail_code", "code"),
    "recovery_codes": ("recovery_code", "code"),
    "address": ("proposal", "code"),
    "voucher": ("voucher", "code"),
}
PURPOSES = tuple(PLACES)
# What is lost for good with its key; a mailed code, an address to confirm and a voucher end by themselves.
LASTING = frozenset({"totp", "recovery_codes"})
# Octets 2 to 5 of what is sealed are the id of the key (stores/seal.py).
_OTHERWISE = {
    purpose: Statement(
        f"SELECT user_id, id, {column} FROM {table} "
        f"WHERE id > ? AND substr({column}, 2, 4) <> ? ORDER BY id LIMIT ?"
    )
    for purpose, (table, column) in PLACES.items()
}
_RESEAL = {
    purpose: Statement(f"UPDATE {table} SET {column} = ? WHERE id = ? AND {column} = ? RETURNING 1")
    for purpose, (table, column) in PLACES.items()
}
# Should two nodes have added one seed under two keys, the second stays as it is: better twice than not at all.
_SET_FINGERPRINT = Statement("""
    UPDATE totp_token SET fingerprint = ? WHERE id = ? AND NOT EXISTS
        (SELECT 1 FROM totp_token t WHERE t.user_id = totp_token.user_id AND t.fingerprint = ? AND t.id <> ?)""")

_NOTE_NODE = Statement("""
    INSERT INTO node (id, name, keys, seen) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, keys = excluded.keys, seen = excluded.seen""")
_DROP_NODE = Statement("DELETE FROM node WHERE id = ?")
_NODES = Statement("SELECT id, name, keys, seen FROM node WHERE seen >= ? ORDER BY name, id")
_ID = 4  # octets of a key's id

PURGE_NODES = Statement("""
    DELETE FROM node WHERE id IN (SELECT id FROM node WHERE seen < ? ORDER BY seen LIMIT ?) RETURNING 1""")


def key_proofs() -> Work[dict[bytes, bytes]]:
    return {row[0]: row[1] for row in (yield PROOFS())}


def add_key_proof(key_id: bytes, proof: bytes, first: bool) -> Work[None]:
    if first and (yield PROOFS()):
        return
    yield _ADD_PROOF(key_id, proof)


def drop_key_proof(key_id: bytes) -> Work[None]:
    yield _DROP_PROOF(key_id)


def sealed_otherwise(purpose: str, key_id: bytes, after: str, most: int) -> Work[list[SealedRow]]:
    rows = yield _OTHERWISE[purpose](after, key_id, most)
    return [SealedRow(purpose, *row) for row in rows]


def reseal(rows: Sequence[Resealed]) -> Work[int]:
    done = 0
    for each in sorted(rows, key=lambda each: each.row.user_id):  # see `postgresql_together`
        changed = yield _RESEAL[each.row.purpose](each.octets, each.row.id, each.row.octets)
        if changed and each.fingerprint is not None:
            yield _SET_FINGERPRINT(each.fingerprint, each.row.id, each.fingerprint, each.row.id)
        done += len(changed)
    return done


def note_node(node: Node) -> Work[None]:
    yield _NOTE_NODE(node.id, node.name, b"".join(node.keys), node.seen)


def drop_node(node_id: str) -> Work[None]:
    yield _DROP_NODE(node_id)


def nodes(since: float) -> Work[list[Node]]:
    rows = yield _NODES(since)
    return [
        Node(node_id, name, tuple(keys[at : at + _ID] for at in range(0, len(keys), _ID)), seen)
        for node_id, name, keys, seen in rows
    ]
