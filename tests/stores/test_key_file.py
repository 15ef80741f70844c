"""The key file: read whatever is in it, made, changed whole, and followed by what runs."""

import base64
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from radius_mfa.core.errors import KeyFileError
from radius_mfa.stores.key_file import (
    LOOK_EVERY,
    FollowedKeyFile,
    Key,
    KeyFile,
    create_key_file,
    editing,
    parse_key_file,
    read_key_file,
)
from radius_mfa.stores.seal import AeadSealer
from tests.adapters import FixedClock
from tests.stores.support import TOP

ONE = Key(b"\x00\x00\x00\x01", bytes(range(32)))
TWO = Key(b"\x00\x00\x00\x02", bytes(range(32, 64)))
THREE = Key(b"\x00\x00\x00\x03", bytes(range(64, 96)))
LINGER = 300.0

keys = st.builds(Key, st.binary(min_size=4, max_size=4), st.binary(min_size=32, max_size=32))


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
from radius_mfa.stores.key_file import create_key_file
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


@pytest.mark.parametrize("mode", [0o660, 0o620, 0o604, 0o602, 0o610, 0o644, 0o777])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_key_file(path)
    path.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key_file(path)


@pytest.mark.parametrize("mode", [0o640, 0o440])
def test_a_key_file_that_its_group_may_read_is_for_server_and_portal(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_key_file(path, KeyFile(ONE))
    path.chmod(mode)

    assert read_key_file(path) == KeyFile(ONE)


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


# --- changed ------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    create_key_file(path, KeyFile(ONE))
    return path


def test_a_file_can_be_made_of_keys_there_are(path: Path) -> None:
    assert read_key_file(path) == KeyFile(ONE)


def test_the_file_is_replaced_whole_and_stays_the_owners_alone(path: Path) -> None:
    with path.open() as before, editing(path) as file:
        file.replace(file.keys.with_accepted([TWO]))
        assert file.keys == KeyFile(ONE, (TWO,))
        file.replace(file.keys.sealing_with(TWO))
        # Whoever has the file open still reads the whole of what it was.
        assert parse_key_file(before.read(), "key") == KeyFile(ONE)

    assert read_key_file(path) == KeyFile(TWO, (ONE,))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_the_mode_stays_what_it_was(path: Path, mode: int) -> None:
    path.chmod(mode)
    with editing(path) as file:
        file.replace(file.keys.with_accepted([TWO]))
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_owner_and_the_group_stay_who_they_were(path: Path) -> None:
    """Also in a folder whose files are another group's (setgid)."""
    os.chown(path, 4711, 4712)
    os.chown(path.parent, 4711, 4713)
    path.parent.chmod(0o2770)
    with editing(path) as file:
        file.replace(file.keys.with_accepted([TWO]))
    assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)


def test_only_keys_that_do_not_seal_are_left_out() -> None:
    assert KeyFile(ONE, (TWO, THREE)).without(TWO.id, ONE.id) == KeyFile(ONE, (THREE,))


def test_what_a_link_points_to_is_replaced_and_not_the_link(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    with editing(link) as file:
        file.replace(KeyFile(TWO))

    assert link.is_symlink()
    assert read_key_file(path) == KeyFile(TWO)


def test_one_at_a_time_changes_the_file(path: Path) -> None:
    with (
        editing(path),
        pytest.raises(KeyFileError, match="another `radius-mfa keys` is changing it"),
        editing(path),
    ):
        pass
    with editing(path) as file:
        file.replace(KeyFile(TWO))


def test_who_is_killed_holds_nobody_up(path: Path) -> None:
    """The lock goes with the process, and what it left half done is in nobody's way."""
    path.with_name(".key.new").write_text("half a k")
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    os.close(folder)
    with editing(path) as file:
        file.replace(KeyFile(TWO))

    assert read_key_file(path) == KeyFile(TWO)
    assert not path.with_name(".key.new").exists()


def test_what_cannot_be_edited_says_why(tmp_path: Path) -> None:
    for wrong, said in ((tmp_path / "no" / "key", "its folder does not exist"), (tmp_path / "key", "no key file")):
        with pytest.raises(KeyFileError, match=said), editing(wrong):
            pass


def test_a_file_that_cannot_be_replaced_stays_as_it_was(path: Path) -> None:
    """Where no file may grow, as on a full disk."""
    program = """
import resource, sys
from pathlib import Path
from radius_mfa.core.errors import KeyFileError
from radius_mfa.stores.key_file import Key, editing
with editing(Path(sys.argv[1])) as file:
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, resource.RLIM_INFINITY))
    try:
        file.replace(file.keys.with_accepted([Key.new()]))
    except KeyFileError as refused:
        sys.exit(str(refused))
"""
    done = subprocess.run([sys.executable, "-c", program, path], cwd=TOP, capture_output=True, text=True)

    assert done.stderr == f"{path}: could not be replaced: File too large\n"
    assert read_key_file(path) == KeyFile(ONE)
    assert [each.name for each in path.parent.iterdir()] == ["key"]


# --- followed -----------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def followed(path: Path, clock: FixedClock) -> FollowedKeyFile:
    return FollowedKeyFile(path, clock, LINGER)


def put(path: Path, keys: KeyFile) -> None:
    with editing(path) as file:
        file.replace(keys)


def test_a_changed_file_is_taken_over_at_the_next_look(path: Path, followed: FollowedKeyFile) -> None:
    assert not followed.look()
    put(path, KeyFile(ONE, (TWO,)))
    assert list(followed.ids) == [ONE.id]
    assert followed.look()
    assert list(followed.ids) == [ONE.id, TWO.id]
    assert not followed.look()


def test_who_seals_looks_once_a_second(path: Path, clock: FixedClock, followed: FollowedKeyFile) -> None:
    put(path, KeyFile(TWO, (ONE,)))
    clock.advance(0.9 * LOOK_EVERY)
    assert followed.primary == ONE
    clock.advance(0.2 * LOOK_EVERY)
    assert followed.primary == TWO


def test_an_unknown_key_is_looked_for_at_once_but_not_for_every_packet(
    path: Path, clock: FixedClock, followed: FollowedKeyFile
) -> None:
    sealer = AeadSealer(followed)
    new, strange = (AeadSealer(KeyFile(key)).seal("state", b"plain") for key in (TWO, THREE))
    put(path, KeyFile(ONE, (TWO,)))
    assert sealer.open("state", new) == b"plain"

    put(path, KeyFile(ONE, (TWO, THREE)))
    # Looked for a moment ago.
    assert sealer.open("state", strange) is None
    clock.advance(LOOK_EVERY)
    assert sealer.open("state", strange) == b"plain"


def test_a_key_that_is_gone_opens_for_a_while_and_never_seals(
    path: Path, clock: FixedClock, followed: FollowedKeyFile
) -> None:
    sealer = AeadSealer(followed)
    sealed = sealer.seal("state", b"plain")
    put(path, KeyFile(TWO, (ONE,)))
    assert sealer.keep_up()
    put(path, KeyFile(TWO))
    assert sealer.keep_up()

    assert (sealer.key_ids, sealer.primary_id) == ((TWO.id,), TWO.id)
    clock.advance(LINGER - 1)
    assert sealer.open("state", sealed) == b"plain"
    assert sealer.seal("state", b"").startswith(b"\x01" + TWO.id)
    clock.advance(1)
    assert sealer.open("state", sealed) is None
    assert sealer.other_digests("state") == ()


def test_a_key_that_comes_back_stays(path: Path, clock: FixedClock, followed: FollowedKeyFile) -> None:
    for keys in (KeyFile(TWO, (ONE,)), KeyFile(TWO), KeyFile(TWO, (ONE,))):
        put(path, keys)
        followed.look()
    clock.advance(LINGER)
    assert followed.find(ONE.id) == ONE


def spoil_mode(path: Path) -> None:
    path.chmod(0o660)


def spoil_text(path: Path) -> None:
    path.write_text("no key at all")


def put_a_strangers(path: Path) -> None:
    put(path, KeyFile(THREE))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (Path.unlink, "there is no key file"),
        (spoil_mode, "can be read or written by others"),
        (spoil_text, ":1: not a key"),
        (put_a_strangers, "has none of the keys that are in use"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_once_and_changes_nothing(
    path: Path, followed: FollowedKeyFile, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(path)
    with capture_logs() as logs:
        for _ in range(3):
            assert not followed.look()
    (one,) = logs
    assert (one["event"], one["log_level"]) == ("key_file_refused", "error")
    assert said in one["error"]
    assert followed.primary == ONE

    path.unlink(missing_ok=True)
    create_key_file(path, KeyFile(TWO, (ONE,)))
    assert followed.look()
    assert followed.primary == TWO
