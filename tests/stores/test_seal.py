"""The seal and the key file, against a second reading of the format and against whatever comes."""

import asyncio
import base64
import hashlib
import hmac
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.errors import KeyFileError
from radius_mfa.stores.seal import (
    AeadSealer,
    Key,
    KeyFile,
    create_key_file,
    parse_key_file,
    read_key_file,
    verify_key,
)
from radius_mfa.stores.sqlite import SqliteStore
from tests.stores.support import TOP, Asked, asked

ONE = Key(b"\x00\x00\x00\x01", bytes(range(32)))
TWO = Key(b"\x00\x00\x00\x02", bytes(range(32, 64)))
SEALER = AeadSealer(KeyFile(ONE))

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
bound = st.lists(names, max_size=3)
keys = st.builds(Key, st.binary(min_size=4, max_size=4), st.binary(min_size=32, max_size=32))


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


# --- the key file -------------------------------------------------------------------------------


def line(key: Key, use: str = "primary") -> str:
    return f"{key.id.hex()} {use} {base64.b64encode(key.secret).decode()}"


@given(st.lists(keys, min_size=1, max_size=4, unique_by=lambda key: key.id))
def test_a_key_file_reads_back_as_it_was_written(some: list[Key]) -> None:
    written = KeyFile(some[0], tuple(some[1:]))

    assert parse_key_file(written.text(), "key") == written


def test_comments_empty_lines_and_carriage_returns_are_nothing() -> None:
    text = f"# note\r\n\r\n{line(ONE, 'accepted')}\r\n  \n{line(TWO)}  \n#{line(ONE)}"

    assert parse_key_file(text, "key") == KeyFile(TWO, (ONE,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "key: has no primary keys; it needs exactly one"),
        (line(ONE, "accepted"), "key: has no primary keys; it needs exactly one"),
        (f"{line(ONE)}\n{line(TWO)}", "key: has 2 primary keys; it needs exactly one"),
        (f"{line(ONE)}\n{line(ONE, 'accepted')}", "key:2: key 00000001 is there twice"),
        (f"# note\n{line(ONE)[:-2]}", "key:2: not a key; a line is ID, `primary` or `accepted`, and the key"),
        (line(ONE, "secondary"), "key:1: not a key; a line is ID, `primary` or `accepted`, and the key"),
        (line(ONE).replace(" ", ""), "key:1: not a key; a line is ID, `primary` or `accepted`, and the key"),
        (line(ONE)[:-2] + "9=", "key:1: not a key; it was changed"),
    ],
)
def test_a_key_file_that_is_wrong_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(KeyFileError) as refused:
        parse_key_file(text, "key")
    assert str(refused.value) == said


lines = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[0-9a-f]{7,9} (primary|accepted|other) [A-Za-z0-9+/]{40,44}=?", fullmatch=True),
    st.builds(line, keys, st.sampled_from(["primary", "accepted"])),
)


@given(st.lists(lines, max_size=5))
def test_any_text_is_a_key_file_or_refused_without_quoting_it(some: list[str]) -> None:
    read = read_or_refused("\n".join(some))

    if isinstance(read, KeyFile):
        assert (len(read.primary.id), len(read.primary.secret)) == (4, 32)
    else:
        assert "\n" not in read
        assert not any(word in read for each in some for word in each.split() if len(word) > 9)


def read_or_refused(text: str) -> KeyFile | str:
    try:
        return parse_key_file(text, "key")
    except KeyFileError as refused:
        return str(refused)


def test_no_secret_is_in_a_repr() -> None:
    both = KeyFile(ONE, (TWO,))

    for secret in (ONE.secret, TWO.secret):
        for form in (repr(secret), secret.hex(), base64.b64encode(secret).decode()):
            assert form not in repr(both) + str(both) + repr(AeadSealer(both))


def test_a_new_key_file_is_the_owners_alone_and_never_the_same(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    create_key_file(one)
    create_key_file(other)

    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert read_key_file(one).primary != read_key_file(other).primary
    assert read_key_file(one).accepted == ()


def test_a_key_file_is_never_put_in_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("precious")

    with pytest.raises(KeyFileError, match="is there already"):
        create_key_file(path)
    assert path.read_text() == "precious"


def test_a_key_file_is_not_made_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyFileError, match="is there already"):
        create_key_file(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_file_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(KeyFileError, match="its folder does not exist"):
        create_key_file(tmp_path / "missing" / "key")
    with pytest.raises(KeyFileError, match="Not a directory"):
        create_key_file(tmp_path / "file" / "key")


def test_half_a_key_file_is_not_left_behind(tmp_path: Path) -> None:
    """Where no file may grow, as on a full disk."""
    program = """
import resource, sys
from pathlib import Path
from radius_mfa.core.errors import KeyFileError
from radius_mfa.stores.seal import create_key_file
resource.setrlimit(resource.RLIMIT_FSIZE, (5, resource.RLIM_INFINITY))
try:
    create_key_file(Path(sys.argv[1]))
except KeyFileError as refused:
    sys.exit(str(refused))
"""
    path = tmp_path / "key"
    done = subprocess.run([sys.executable, "-c", program, path], cwd=TOP, capture_output=True, text=True)

    assert done.stderr == f"{path}: File too large\n"
    assert not path.exists()


def test_a_missing_key_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="`radius-mfa keys init`"):
        read_key_file(tmp_path / "key")


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o610, 0o777])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_key_file(path)
    path.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key_file(path)


def test_what_is_no_file_is_no_key_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(KeyFileError, match="is not a file"):
        read_key_file(tmp_path / "pipe")
    with pytest.raises(KeyFileError, match="Is a directory"):
        read_key_file(tmp_path)
    with pytest.raises(KeyFileError, match="Not a directory"):
        read_key_file(Path("/dev/null/key"))


def test_a_key_file_of_octets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key_file(path)
    path.write_bytes(os.urandom(100).replace(b"#", b"") + b"\n")

    with pytest.raises(KeyFileError, match="not a key"):
        read_key_file(path)


# --- whose key file it is -----------------------------------------------------------------------


@pytest.fixture
def it() -> Iterator[Asked]:
    with asked(lambda clock: SqliteStore.open("sqlite://", clock)) as it:
        yield it


def verify(it: Asked, keys: KeyFile) -> None:
    assert isinstance(it.store, SqliteStore)
    it.run(verify_key(it.store, AeadSealer(keys)))


def test_a_new_store_takes_the_key_file_for_its_own(it: Asked) -> None:
    for _ in range(2):
        verify(it, KeyFile(ONE))
    verify(it, KeyFile(TWO, (ONE,)))


def test_another_key_file_than_the_stores_is_refused(it: Asked) -> None:
    verify(it, KeyFile(ONE))

    for other in (KeyFile(TWO), KeyFile(Key(ONE.id, TWO.secret))):
        with pytest.raises(KeyFileError, match="not the one the store was sealed with"):
            verify(it, other)
    verify(it, KeyFile(ONE))


def test_of_two_key_files_at_a_new_store_one_is_refused(it: Asked) -> None:
    async def both() -> list[BaseException | None]:
        assert isinstance(it.store, SqliteStore)
        sealers = (AeadSealer(KeyFile(key)) for key in (ONE, TWO))
        return await asyncio.gather(*(verify_key(it.store, sealer) for sealer in sealers), return_exceptions=True)

    assert [type(each) for each in it.run(both())].count(KeyFileError) == 1
