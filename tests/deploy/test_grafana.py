"""The dashboard as a file: it can be imported anywhere, and nothing on it lies on something else."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.deploy.shipped import DASHBOARD, panels_of

PANELS = panels_of(DASHBOARD)
SHOWING = [panel for panel in PANELS if panel["type"] != "row"]
_WIDTH = 24  # of Grafana's grid
_SINCE_GRAFANA_9 = range(36, 40)  # the versions of the form that Grafana 9 and 10 write, and all after them read


def test_it_is_of_the_form_that_grafana_reads_since_9() -> None:
    assert DASHBOARD["schemaVersion"] in _SINCE_GRAFANA_9
    assert (DASHBOARD["uid"], DASHBOARD["id"]) == ("radius-mfa", None), "it takes its own place, and nobody else's"
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_it_asks_whatever_prometheus_was_chosen() -> None:
    """A uid is of one Grafana alone."""
    by_name = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert by_name["datasource"]["type"] == "datasource"
    asking = [*SHOWING, *(target for panel in SHOWING for target in panel["targets"])]
    asking += [by_name["instance"], by_name["client"]]
    asking += [each for each in DASHBOARD["annotations"]["list"] if "expr" in each]
    assert all(each["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for each in asking)


@pytest.mark.parametrize("panel", SHOWING, ids=lambda panel: str(panel["title"]))
def test_every_panel_says_what_it_shows(panel: dict[str, object]) -> None:
    description, targets, config = panel["description"], panel["targets"], panel["fieldConfig"]
    assert isinstance(description, str)
    assert description.endswith(".")
    assert isinstance(config, dict)
    assert config["defaults"]["unit"]
    assert isinstance(targets, list)
    assert targets
    assert all(target["legendFormat"] for target in targets)
    assert len({target["refId"] for target in targets}) == len(targets)


def test_every_panel_has_a_place_of_its_own() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    for place in places:
        assert place["w"] > 0 < place["h"]
        assert 0 <= place["x"] <= _WIDTH - place["w"]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
