"""The benchmark itself, with a few dozen logins: what it prints can be read, and adds up."""

import asyncio
import hashlib
import json
import platform
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.asked import arguments, need, need_writable, write
from bench.budget import STEPS
from bench.directory import slapd
from bench.load import Load, access_request, refuses, verified
from bench.machine import is_profiled, this_machine
from bench.report import REST
from bench.rig import SECRET, Site, rig
from bench.stopwatch import Stopwatch, timed

RUNS, LOGINS = 2, 24
SCALE = ("--runs", str(RUNS), "--logins", str(LOGINS), "--starts", "1")
SIDES = ("ours", "freeradius")


def bench(*arguments: str) -> list[str]:
    """What it prints; it has to end well, and to complain of nothing."""
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_both_servers_accept_every_login_and_what_is_printed_adds_up(tmp_path: Path) -> None:
    file, drawn = tmp_path / "figures.json", tmp_path / "figures.svg"
    *lines, budget = bench("quick", *SCALE, "--json", str(file), "--plot", str(drawn))

    every = RUNS * LOGINS
    for name in ("radius_mfa", "FreeRADIUS"):
        assert f"accepted  {name} {every} of {every}, 0 packets resent" in lines
    table = [re.split(r" {2,}", line) for line in lines[lines.index("") :] if line]
    assert table[0] == ["", "radius_mfa", "FreeRADIUS", "ratio"]
    assert {"CPU, µs/login", "logins/s", "round one p99, ms", "MB at start", f"MB after {every} logins"} < {
        row[0] for row in table
    }

    figures = json.loads(file.read_text())
    for side in SIDES:
        assert (figures[side]["accepted"], figures[side]["failures"]) == (every, {})
        assert [logins for logins, _ in figures[side]["memory"]] == [0, LOGINS, every]
        for spread in figures[side]["figures"].values():
            assert 0 < spread["lowest"] <= spread["median"] <= spread["highest"]
    cpu = [figures[side]["figures"]["cpu"]["median"] for side in SIDES]
    assert figures["ratios"]["cpu"]["median"] == pytest.approx(cpu[0] / cpu[1])
    assert figures["budget"].keys() == {*STEPS, REST}
    assert sum(figures["budget"].values()) == pytest.approx(cpu[0])
    assert "radius_mfa" in "".join(ElementTree.parse(drawn).getroot().itertext())

    found = re.fullmatch(r"budget µs/login: (.+) = (\d+)", budget)
    assert found is not None
    steps = [step.rpartition(" ") for step in found[1].split(" + ")]
    assert [name for name, _, _ in steps] == [*STEPS, REST]
    assert sum(int(cost) for _, _, cost in steps) == pytest.approx(int(found[2]), abs=len(steps))


def test_802_1x_is_full_and_resumed_at_both_with_each_kind_of_key() -> None:
    lines = bench("eap", "--runs", "1", "--logins", "8")
    for handshakes in ("full", "resumed"):
        for name in ("radius_mfa", "FreeRADIUS"):
            assert lines.count(f"accepted  {name} 8 of 8 {handshakes}, 0 packets resent") == 2


@pytest.mark.parametrize(
    "what", [[], ["quick"], ["flat", "quick"], ["workers"], ["policies"], ["eap", "quick"], ["inside"]]
)
@pytest.mark.parametrize("count", ["--runs", "--logins", "--starts"])
@pytest.mark.parametrize("number", ["0", "-1", "1.5", "²"])
def test_less_than_one_of_anything_is_refused(
    what: list[str], count: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(None, ["workers", "policies"], [*what, count, number])

    *_usage, said = capsys.readouterr().err.splitlines()
    assert said == f"bench: error: argument {count}: {number!r} is not a whole number above 0"
    assert ended.value.code == 2


def refused(*given: str) -> str:
    """The one line of a benchmark that has started nothing."""
    done = subprocess.run([sys.executable, "-m", "bench", *given], capture_output=True, text=True, check=False)
    (said,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    return said


@pytest.mark.parametrize(
    ("what", "option"),
    [
        *((what, option) for what in ("quick", "flat", "workers") for option in ("--json", "--plot")),
        ("eap", "--json"),
        ("inside", "--json"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, what: str, option: str
) -> None:
    nowhere = tmp_path / "nowhere" / "figures"

    for file, why in ((nowhere, "No such file or directory"), (tmp_path, "Is a directory")):
        assert refused(what, option, str(file)) == f"bench: cannot write {option} {file}: {why}"


@pytest.mark.parametrize("what", ["eap", "inside"])
def test_of_802_1x_and_of_what_is_inside_nothing_is_drawn(what: str, tmp_path: Path) -> None:
    drawn = tmp_path / "figures.svg"

    assert refused(what, "--plot", str(drawn)) == f"bench: of {what} nothing is drawn: leave --plot out"
    assert not drawn.exists()


def test_figures_and_drawing_are_not_written_over_each_other(tmp_path: Path) -> None:
    file, same = tmp_path / "figures", tmp_path / "." / "same"
    same.symlink_to(file)

    said = refused("quick", "--json", str(file), "--plot", str(same))

    assert said == f"bench: --json and --plot are the same file, {file}"


def test_a_file_keeps_its_figures_until_there_are_new_ones(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("old\n")
    asked = arguments(None, [], ["--json", str(file)])

    need_writable(asked)
    assert file.read_text() == "old\n"
    assert write(asked, {"new": 1}, "")
    assert json.loads(file.read_text()) == {"new": 1}


def test_figures_that_cannot_be_written_in_the_end_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "figures.svg"
    asked = arguments(None, [], ["--json", "/dev/full", "--plot", str(drawn)])

    assert not write(asked, {"cpu": 374}, "<svg/>")

    said = capsys.readouterr()
    assert json.loads(said.out) == {"cpu": 374}
    assert said.err == "bench: cannot write --json /dev/full: No space left on device\n"
    assert drawn.read_text() == "<svg/>"


def test_a_server_that_is_not_installed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "freeradius"

    with pytest.raises(SystemExit) as ended:
        need([tmp_path, missing])

    assert capsys.readouterr().err == f"bench: {missing} is missing: make bench installs it\n"
    assert ended.value.code == 2


def test_there_is_no_pair_of_another_name() -> None:
    assert refused("flat", "--only", "users", "moons").startswith("bench: there is no moons; there is users, ")


@pytest.mark.parametrize(
    ("build", "profiled"),
    [
        ({"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'", "PGO_PROF_USE_FLAG": "-fprofile-use"}, True),
        ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": ""}, True),  # Debian's
        ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": "-fprofile-use"}, False),
        ({}, False),
    ],
)
def test_how_the_interpreter_was_built_is_known(build: dict[str, object], profiled: bool) -> None:
    assert is_profiled(build) is profiled


def test_the_report_does_not_say_where_it_was_made() -> None:
    said = str(this_machine())

    assert platform.node() not in said
    assert "/work" not in said.replace("GNU/Linux", "")
    assert re.match(r"\d+ cores of ", said)
    assert re.search(r", Python [\d.]+ built with(out)? profile-guided optimization$", said)


@pytest.mark.parametrize("otherwise", ["--ldaps", "--postgresql"])
def test_the_directory_may_be_spoken_to_over_tls_and_the_state_be_in_postgresql(otherwise: str) -> None:
    lines = bench("quick", otherwise, "--runs", "1", "--logins", "8", "--starts", "1")

    assert "accepted  radius_mfa 8 of 8, 0 packets resent" in lines
    assert "accepted  FreeRADIUS 8 of 8, 0 packets resent" in lines


def test_a_reply_counts_only_when_it_answers_the_request() -> None:
    """RFC 2865 §3: the Response Authenticator."""
    secret = b"secret"
    request = access_request(secret, 7, b"u1", b"pw1", b"")
    forged = bytes((2, 7, 0, 20)) + bytes(16)

    assert not verified(secret, request, forged)


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_step_has_its_own_time_and_not_that_of_what_it_calls() -> None:
    watch = Stopwatch()
    inner = timed(spin, watch, "inner")

    def both() -> None:
        spin(0.02)
        inner(0.05)

    timed(both, watch, "outer")()

    assert watch.spent["inner"] == pytest.approx(0.05, rel=0.2)
    assert watch.spent["outer"] == pytest.approx(0.02, rel=0.2)


def test_a_step_that_waits_is_not_timed_meanwhile() -> None:
    watch = Stopwatch()

    async def step(turn: asyncio.Event, then: asyncio.Event) -> str:
        await turn.wait()
        spin(0.02)
        then.set()
        return "done"

    async def main() -> list[str]:
        first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
        first.set()
        waits, goes = timed(step, watch, "waits"), timed(step, watch, "goes")
        return list(await asyncio.gather(waits(second, third), goes(first, second)))

    assert asyncio.run(main()) == ["done", "done"]
    assert watch.spent == pytest.approx({"waits": 0.02, "goes": 0.02}, rel=0.2)


def test_what_is_thrown_into_a_timed_step_arrives_there() -> None:
    watch = Stopwatch()

    async def step() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "in time"
        return "never"

    async def main() -> str:
        return await timed(step, watch, "step")()

    assert asyncio.run(main()) == "in time"


@pytest.mark.parametrize(("what", "few", "many"), [("workers", "1", "2"), ("policies", "5", "500")])
def test_two_servers_beside_each_other_are_compared_and_each_ends_with_its_budget(
    what: str, few: str, many: str
) -> None:
    lines = bench(what, "--runs", "1", "--logins", "16")

    assert f"{what}: 32 of 32 logins accepted, 32 at once" in lines
    assert [line.split()[0] for line in lines if " µs/login, " in line] == [few, many]
    for shares in (line for line in lines if "cores: " in line):
        assert re.findall(r"(\w+) \d+%", shares) == ["server", "slapd", "load", "others"]
    assert len([line for line in lines if line.startswith("  ratio ")]) == 1
    assert len([line for line in lines if "until the policy is found" in line]) == 2 * (what == "policies")
    assert all(line.startswith("budget µs/login: wire ") for line in lines[-2:])


def test_a_load_that_only_opens_challenges_leaves_them_so_and_others_log_in_beside_them() -> None:
    with slapd(4) as directory, rig(4, directory) as it:
        opened = Load(it.port, SECRET, [0, 1, 2, 0], opening=True).run()
        audit = it.config.with_name("audit.jsonl")
        events = [json.loads(line)["outcome"] for line in audit.read_text().splitlines()]
        closed = Load(it.port, SECRET, range(4)).run()

    assert (opened.accepted, opened.failures, events) == (4, {}, ["challenged"] * 4)
    assert (closed.accepted, closed.failures) == (4, {})


def test_each_user_of_a_store_gets_as_many_namesakes_with_tokens() -> None:
    with slapd(3) as directory, rig(3, directory, site=Site(stored=30)) as it:
        assert it.stored == 30
        with closing(sqlite3.connect(it.config.with_name("state.db"))) as store:
            owners = store.execute("SELECT count(DISTINCT user_id), count(DISTINCT id) FROM totp_token").fetchone()
        figures = Load(it.port, SECRET, range(3)).run()

    assert owners == (30, 30)
    assert figures.accepted == 3


def test_a_server_that_accepts_any_password_is_found_out() -> None:
    """RFC 2865 §4.2: an Access-Accept to whatever comes, properly signed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as careless:
        careless.bind(("127.0.0.1", 0))

        def accept() -> None:
            request, source = careless.recvfrom(4096)
            head = bytes((2, request[1], 0, 20))
            careless.sendto(head + hashlib.md5(head + request[4:20] + SECRET).digest(), source)

        thread = threading.Thread(target=accept)
        thread.start()
        assert not refuses(careless.getsockname()[1], SECRET, 1)
        thread.join()
