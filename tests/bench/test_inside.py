"""The benchmark of our login inside of FreeRADIUS: all three let everybody in, and what it prints adds up."""

import json
from dataclasses import asdict

import pytest

from bench.inside import NAMES, Scale, lines, measure


def test_everybody_logs_in_at_all_three_and_their_figures_are_set_beside_each_other() -> None:
    scale = Scale(runs=2, logins=16, put_off=0)

    it = measure(scale)

    assert it.is_whole
    printed = list(lines(it))
    for name in NAMES:
        assert f"accepted  {name} 32 of 32, 0 packets resent" in printed
    assert {line[:24].rstrip() for line in printed} > {"MB at start", "MB after 16 logins", "MB after 32 logins"}
    for side in it.sides:
        assert side.failures == {}
        assert [logins for logins, _ in side.memory] == [0, 16, 32]
        assert all(0 < each.lowest <= each.median <= each.highest for each in side.figures.values())
    own, inside, alone = (side.figures["cpu"].median for side in it.sides)
    assert it.ratios[NAMES[0]]["cpu"].median == pytest.approx(inside / own)
    assert it.ratios[NAMES[2]]["cpu"].median == pytest.approx(inside / alone)
    assert json.loads(json.dumps(asdict(it)))["growth"] == list(it.growth)
