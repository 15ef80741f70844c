"""The seal, against a second reading of the format, and whose key file it is."""

import asyncio
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.errors import KeyFileError
from radius_mfa.stores.key_file import LOOK_EVERY, FollowedKeyFile, Key, KeyFile, create_key_file, editing
from radius_mfa.stores.seal import AeadSealer, check_opens, proof_of, verify_key
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import FixedClock
from tests.stores.support import Asked, asked

ONE = Key(b"\x00\x00\x00\x01", bytes(range(32)))
TWO = Key(b"\x00\x00\x00\x02", bytes(range(32, 64)))
THREE = Key(b"\x00\x00\x00\x03", bytes(range(64, 96)))
SEALER = AeadSealer(KeyFile(ONE))

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
bound = st.lists(names, max_size=3)


# --- the seal -----------------------------------------------------------------------------------


@given(names, st.binary(max_size=300), bound)
def test_what_was_sealed_opens_and_is_33_octets_longer(purpose: str, plain: bytes, bound_to: list[str]) -> None:
    sealed = SEALER.seal(purpose, plain, *bound_to)

    assert len(sealed) == len(plain) + 33
    assert SEALER.open(purpose, sealed, *bound_to) == plain


def test_the_same_is_never_sealed_the_same_way() -> None:
    assert len({SEALER.seal("totp", b"seed") for _ in range(100)}) == 100


def expanded(secret: bytes, *parts: bytes) -> bytes:
    """HKDF-SHA256 with no salt, one block (RFC 5869 §2.2, §2.3)."""
    info = b"".join(len(part).to_bytes(4, "big") + part for part in (b"radius-mfa", *parts))
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), info + b"\x01", "sha256")


def test_the_format_is_final() -> None:
    """Opened by a second reading of what the module says; a State or a seed of today must open for ever."""
    sealed = SEALER.seal("totp", b"seed", "u-alice", "t1")

    version, key_id, nonce, rest = sealed[:1], sealed[1:5], sealed[5:17], sealed[17:]
    assert (version, key_id) == (b"\x01", ONE.id)
    parts = (version + key_id, b"totp", b"u-alice", b"t1")
    names = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert AESGCM(expanded(ONE.secret, b"seal", b"totp")).decrypt(nonce, rest, names) == b"seed"


def test_something_sealed_long_ago_opens() -> None:
    head = "010000000100112233445566778899aabb"
    sealed = bytes.fromhex(head + "497be222a273cfa15d619d8a4893adfa2f69e86c4f9f987d8f4cb28539a4f14234a5436e")

    assert SEALER.open("totp", sealed, "u-alice", "t1") == b"12345678901234567890"


@given(st.binary(max_size=80))
def test_octets_of_others_do_not_open(octets: bytes) -> None:
    assert SEALER.open("state", octets) is None
    assert SEALER.open("state", b"\x01" + ONE.id + octets) is None


@given(st.binary(max_size=60), st.data())
def test_a_sealed_value_that_was_changed_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(SEALER.seal("state", plain, "vpn"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))

    assert SEALER.open("state", bytes(sealed), "vpn") is None


@given(st.binary(max_size=60), st.data())
def test_a_sealed_value_that_was_cut_or_grew_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = SEALER.seal("state", plain)

    assert SEALER.open("state", sealed[: data.draw(st.integers(0, len(sealed) - 1))]) is None
    assert SEALER.open("state", sealed + data.draw(st.binary(min_size=1, max_size=9))) is None


@given(names, bound, names, bound)
def test_nothing_opens_for_another_purpose_or_bound_to_something_else(
    purpose: str, bound_to: list[str], other: str, other_bound: list[str]
) -> None:
    sealed = SEALER.seal(purpose, b"plain", *bound_to)

    same = (purpose, bound_to) == (other, other_bound)
    assert (SEALER.open(other, sealed, *other_bound) == b"plain") is same


def test_names_do_not_run_into_each_other() -> None:
    sealed = SEALER.seal("totp", b"seed", "ab", "c")

    assert SEALER.open("totp", sealed, "a", "bc") is None
    assert SEALER.open("totp", sealed, "abc") is None
    assert SEALER.open("totpab", sealed, "c") is None


def test_an_accepted_key_opens_and_does_not_seal() -> None:
    old, new = AeadSealer(KeyFile(ONE)), AeadSealer(KeyFile(TWO, (ONE,)))

    assert new.open("totp", old.seal("totp", b"seed")) == b"seed"
    assert old.open("totp", new.seal("totp", b"seed")) is None


def test_another_secret_under_the_same_id_does_not_open() -> None:
    assert AeadSealer(KeyFile(Key(ONE.id, TWO.secret))).open("totp", SEALER.seal("totp", b"seed")) is None


def test_what_seals_opens_and_digests_is_the_key_that_the_file_has_now(tmp_path: Path) -> None:
    """Another may even come to go by the same id."""
    path, clock, other = tmp_path / "keys", FixedClock(), Key(ONE.id, THREE.secret)
    create_key_file(path, KeyFile(ONE))
    sealer, sealed = AeadSealer(FollowedKeyFile(path, clock, linger=0.0)), SEALER.seal("totp", b"seed", "u-alice")
    for keys in (KeyFile(ONE), KeyFile(TWO, (ONE,)), KeyFile(TWO, (other,)), KeyFile(other, (TWO,))):
        with editing(path) as file:
            file.replace(keys)
        clock.advance(LOOK_EVERY)
        fresh, now = AeadSealer(keys), sealer.seal("totp", b"seed", "u-alice")
        assert fresh.open("totp", now, "u-alice") == sealer.open("totp", now, "u-alice") == b"seed"
        assert sealer.open("totp", sealed, "u-alice") == fresh.open("totp", sealed, "u-alice")
        assert sealer.digest("answer", b"a") == fresh.digest("answer", b"a")
        assert sealer.other_digests("answer", b"a") == fresh.other_digests("answer", b"a")


def test_a_digest_is_of_its_key_purpose_and_parts() -> None:
    parts = b"\0\0\0\x02ab" + b"\0\0\0\x01c"
    key = expanded(ONE.secret, b"digest", b"answer")

    assert SEALER.digest("answer", b"ab", b"c") == hashlib.blake2b(parts, key=key, digest_size=16).digest()
    others = [
        SEALER.digest("answer", b"a", b"bc"),
        SEALER.digest("answer", b"abc"),
        SEALER.digest("fingerprint", b"ab", b"c"),
        AeadSealer(KeyFile(TWO)).digest("answer", b"ab", b"c"),
    ]
    assert len({SEALER.digest("answer", b"ab", b"c"), *others}) == 5


def test_other_digests_are_those_of_the_keys_that_do_not_seal() -> None:
    one, two, three = (AeadSealer(KeyFile(key)) for key in (ONE, TWO, THREE))
    all_of_them = AeadSealer(KeyFile(TWO, (ONE, THREE)))

    assert two.other_digests("fingerprint", b"a") == ()
    assert all_of_them.digest("fingerprint", b"a") == two.digest("fingerprint", b"a")
    assert all_of_them.other_digests("fingerprint", b"a") == (
        one.digest("fingerprint", b"a"),
        three.digest("fingerprint", b"a"),
    )


# --- whose key file it is -----------------------------------------------------------------------


@pytest.fixture
def it() -> Iterator[Asked]:
    with asked(lambda clock: SqliteStore.open("sqlite://", clock)) as it:
        yield it


def verify(it: Asked, keys: KeyFile) -> None:
    assert isinstance(it.store, SqliteStore)
    it.run(verify_key(it.store, AeadSealer(keys)))


def refused(it: Asked, keys: KeyFile) -> str:
    with pytest.raises(KeyFileError) as wrong:
        verify(it, keys)
    return str(wrong.value)


def test_a_new_store_takes_the_key_file_for_its_own(it: Asked) -> None:
    for _ in range(2):
        verify(it, KeyFile(ONE))
    verify(it, KeyFile(ONE, (TWO,)))


def test_a_key_file_without_the_stores_key_is_refused_by_the_id_it_lacks(it: Asked) -> None:
    verify(it, KeyFile(ONE))

    lacks = "this key file lacks key 00000001, which the store was sealed with: put it back, or bring it"
    assert refused(it, KeyFile(TWO)).startswith(lacks)
    assert "`radius-mfa keys add --from FILE`" in refused(it, KeyFile(TWO))
    verify(it, KeyFile(ONE))


def test_another_key_under_the_same_id_is_refused(it: Asked) -> None:
    verify(it, KeyFile(ONE))

    assert refused(it, KeyFile(Key(ONE.id, TWO.secret))).startswith("this key file has another key 00000001 than")


def test_every_key_of_the_store_must_be_in_the_file(it: Asked) -> None:
    verify(it, KeyFile(ONE))
    it.run(it.store.add_key_proof(TWO.id, proof_of(TWO)))
    it.run(it.store.add_key_proof(THREE.id, proof_of(THREE)))

    assert "lacks keys 00000002, 00000003, which" in refused(it, KeyFile(ONE))
    assert "lacks key 00000003, which" in refused(it, KeyFile(TWO, (ONE,)))
    verify(it, KeyFile(TWO, (THREE, ONE)))


def test_a_key_the_store_does_not_know_may_open_but_not_seal(it: Asked) -> None:
    """It was retired, or put there by hand: others could not open what it seals."""
    verify(it, KeyFile(ONE))

    said = refused(it, KeyFile(TWO, (ONE,)))
    assert said.startswith("this key file would seal with key 00000002, which the store knows nothing of: ")
    assert said.endswith("run `radius-mfa keys promote 00000001`")
    check_opens(it.run(it.store.key_proofs()), AeadSealer(KeyFile(TWO, (ONE,))))


def test_of_two_key_files_at_a_new_store_one_is_refused(it: Asked) -> None:
    async def both() -> list[BaseException | None]:
        assert isinstance(it.store, SqliteStore)
        sealers = (AeadSealer(KeyFile(key)) for key in (ONE, TWO))
        return await asyncio.gather(*(verify_key(it.store, sealer) for sealer in sealers), return_exceptions=True)

    assert [type(each) for each in it.run(both())].count(KeyFileError) == 1
