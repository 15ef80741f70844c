"""The soak itself, a few seconds a part: it prints its figures, keeps its bounds, and says when one is broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.soak.report import Figure, lines, status


def soak(file: Path, *arguments: str, ends_with: int = 0) -> tuple[str, dict[str, dict[str, Any]]]:
    """What a small run of some parts prints, and its figures by name."""
    command = [sys.executable, "-m", "bench.soak", "--quick", "--json", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (ends_with, ""), done.stdout + done.stderr
    return done.stdout, {each["name"]: each for each in json.loads(file.read_text())}


def test_a_small_run_of_the_packets_has_no_trouble(tmp_path: Path) -> None:
    printed, figures = soak(tmp_path / "figures.json", "--only", "packets", "--packets", "300")

    assert figures["packets tried"]["value"] >= 300
    assert {"exceptions out", "wrong accepts", "replies to what must be discarded"} < set(figures)
    assert "every bound kept" in printed


def test_a_small_run_of_the_tunnels_has_no_trouble(tmp_path: Path) -> None:
    printed, figures = soak(tmp_path / "figures.json", "--only", "tunnels", "--inputs", "3000")

    assert figures["EAP: all inputs tried"]["value"] >= 3000
    assert {"EAP: exceptions out", "EAP: keys, though nobody was let in", "EAP: in the tunnel"} < set(figures)
    assert "every bound kept" in printed


def test_a_small_run_of_the_memory_says_what_it_grew_by_and_fails_where_that_is_too_much(tmp_path: Path) -> None:
    arguments = ("--only", "memory", "--requests", "2000", "--warm-up", "1000", "--growth", "-100")
    printed, figures = soak(tmp_path / "figures.json", *arguments, ends_with=1)

    (line,) = [line for line in printed.splitlines() if "at most" in line]
    assert "BROKEN" in line
    assert "1 bounds BROKEN" in printed.splitlines()[-1]
    grown = figures["memory grown"]
    assert (grown["most"], grown["ok"]) == (-100, False)
    for kind in ("login", "half finished", "wrong code", "wrong password", "repeated", "bad signature"):
        assert f" {kind}" in grown["note"]
    assert 30 < figures["memory at start"]["value"] <= figures["memory, the most"]["value"] < 300


def test_a_small_run_of_the_floods_has_every_login_accepted_beside_each(tmp_path: Path) -> None:
    printed, figures = soak(tmp_path / "figures.json", "--only", "floods", "--seconds", "0.5")

    kinds = [name.removesuffix(": sent") for name in figures if name.endswith(": sent")]
    assert len(kinds) == 7
    for kind in ("quiet", *kinds[:-1]):
        assert figures[f"{kind}: logins accepted"]["value"] == 100
        assert 0 < figures[f"{kind}: a login, p50"]["value"] <= figures[f"{kind}: a login, p99"]["value"]
    for kind in kinds:
        assert figures[f"{kind}: sent"]["value"] > 100
    for kind in ("unknown source", "bad Message-Authenticator", "unsigned under require"):
        discarded, _, _ = figures[f"{kind}: sent"]["note"].partition(" discarded")
        assert int(discarded) > 100
    assert "every bound kept" in printed


def test_a_small_run_of_the_outages_loses_no_login(tmp_path: Path) -> None:
    _, figures = soak(tmp_path / "figures.json", "--only", "outages", "--seconds", "1.5")

    lost = {name: each["value"] for name, each in figures.items() if name.endswith("logins lost")}
    assert lost == {
        f"{outage}: logins lost": 0
        for outage in (
            "directory killed",
            "directory frozen",
            "server killed, started",
            "SIGHUP",
            "SIGTERM, started",
        )
    }
    again = [each["value"] for name, each in figures.items() if name.endswith("work again")]
    assert len(again) == 7
    assert all(0 <= value < 30 for value in again)  # a hundredth of a second is the least that is told


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("lost", 0, most=0), "ok"),
        (Figure("lost", 1, most=0), "BROKEN"),
        (Figure("accepted", 98.9, "%", least=99), "BROKEN"),
        (Figure("accepted", 99, "%", least=99), "ok"),
        (Figure("until it worked", float("inf"), "s", most=3), "BROKEN"),
        (Figure("accepted of none", float("nan"), "%", least=99), "BROKEN"),
        (Figure("sent", 5000, "/s"), ""),
    ],
)
def test_a_figure_says_whether_it_keeps_its_bound(figure: Figure, verdict: str) -> None:
    line, last = lines([figure])

    assert line.startswith(figure.name)
    assert ("BROKEN" in line, " ok" in line) == (verdict == "BROKEN", verdict == "ok")
    assert status([figure]) == (verdict == "BROKEN")
    assert last == ("1 bounds BROKEN" if verdict == "BROKEN" else "every bound kept")
