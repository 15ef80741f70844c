"""The benchmark itself, with a few dozen logins: what it prints can be read, and adds up."""

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.budget import STEPS
from bench.load import access_request, verified
from bench.report import REST
from bench.stopwatch import Stopwatch, timed

RUNS, LOGINS = 2, 24


def test_a_small_run_accepts_every_login_and_prints_what_adds_up(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    scale = ["--runs", str(RUNS), "--logins", str(LOGINS), "--starts", "1"]
    command = [sys.executable, "-m", "bench", "quick", *scale, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    *lines, budget = done.stdout.splitlines()
    printed = dict(re.split(r" {2,}", line, maxsplit=1) for line in lines)
    assert printed["accepted"] == f"{RUNS * LOGINS} of {RUNS * LOGINS}, 32 at once, 0 packets resent"
    assert {"logins/s", "round one", "round two", "CPU", "memory", "ready", "token import"} < set(printed)

    found = re.fullmatch(r"budget µs/login: (.+) = (\d+)", budget)
    assert found is not None
    steps = [step.rpartition(" ") for step in found[1].split(" + ")]
    assert [name for name, _, _ in steps] == [*STEPS, REST]
    assert sum(int(cost) for _, _, cost in steps) == pytest.approx(int(found[2]), abs=len(steps))

    figures = json.loads(file.read_text())
    assert (figures["accepted"], figures["failures"]) == (RUNS * LOGINS, {})
    assert figures["budget"].keys() == {*STEPS, REST}
    assert all(0 < figures[latency]["p50"] <= figures[latency]["p99"] for latency in ("round_one", "round_two"))


@pytest.mark.parametrize("otherwise", ["--ldaps", "--postgresql"])
def test_the_directory_may_be_spoken_to_over_tls_and_the_state_be_in_postgresql(otherwise: str) -> None:
    scale = ["--runs", "1", "--logins", "8", "--starts", "1"]
    command = [sys.executable, "-m", "bench", "quick", otherwise, *scale]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "8 of 8" in done.stdout


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


@pytest.mark.parametrize(("what", "numbers"), [("workers", (1, 2)), ("policies", (5, 500))])
def test_two_servers_beside_each_other_are_compared_and_each_ends_with_its_budget(
    what: str, numbers: tuple[int, int]
) -> None:
    command = [sys.executable, "-m", "bench", what, "--runs", "1", "--logins", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for number in numbers:
        assert f"{what} {number} ".ljust(14) + "16 of 16 logins accepted" in lines
    for shares in (line for line in lines if "cores" in line):
        assert re.findall(r"(\w+) \d+%", shares) == ["server", "slapd", "load", "others"]
    (ratio,) = (line for line in lines if line.startswith("ratio"))
    assert re.search(rf"times the CPU of {numbers[0]} with {numbers[1]}$", ratio)
    assert len([line for line in lines if "until the policy is found" in line]) == 2 * (what == "policies")
    assert all(line.startswith("budget µs/login: wire ") for line in lines[-2:])
