"""The benchmark of the portal: everybody signs in, and what it prints is what it has measured."""

import json
from dataclasses import asdict

from bench.portal import NAMES, Scale, lines, measure


def test_everybody_signs_in_and_each_kind_of_page_has_its_figures() -> None:
    it = measure(Scale(runs=2, pages=40, people=8))

    assert it.is_whole
    assert list(it.figures) == list(NAMES)
    for each in it.figures.values():
        assert 0 < each.rate.lowest <= each.rate.median <= each.rate.highest
        assert each.cpu.median > 0
    assert len(it.memory) == 3
    printed = list(lines(it))
    assert [line[:24].rstrip() for line in printed[-4:]] == [*NAMES, "MB"]
    assert json.loads(json.dumps(asdict(it)))["is_whole"]
