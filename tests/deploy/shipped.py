"""What we ship for who watches a server: the dashboard, the alerts, and the expressions in both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: Mapping[str, Any] = json.loads((DEPLOY / "grafana" / "radius-mfa.json").read_text())
RULES = DEPLOY / "prometheus" / "radius-mfa.rules.yml"
ALERTS: Sequence[Mapping[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]

# What Grafana puts in; whoever has chosen nothing has chosen all.
_CHOSEN = {"$instance": ".*", "$client": ".*", "$__rate_interval": "10s", "$__range": "1h"}
_NAME = re.compile(r"\bradius_mfa_\w+|\bprocess_\w+")
_MATCHER = re.compile(r'(\w+)\s*=~?\s*"([^"]*)"')


def panels_of(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those inside of rows that are folded up as well."""
    panels: list[dict[str, Any]] = dashboard["panels"]
    return [*panels, *(inner for panel in panels for inner in panel.get("panels", ()))]


def of_the_dashboard() -> Iterator[tuple[str, str]]:
    """Where an expression stands, and the expression with what Grafana puts in."""
    for panel in panels_of(DASHBOARD):
        for target in panel.get("targets", ()):
            yield panel["title"], _chosen(target["expr"])
    for annotation in DASHBOARD["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], _chosen(annotation["expr"])


def of_the_alerts() -> Iterator[tuple[str, str]]:
    """The name of each alert, and its expression."""
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]


def of_the_variables() -> Iterator[str]:
    """What the choices are read from."""
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield _chosen(variable["query"]["query"])


def names_in(text: str) -> set[str]:
    """The metrics that it is about; the labels `process_…` there are none."""
    return set(_NAME.findall(_MATCHER.sub("", text)))


def values_in(text: str) -> Iterator[tuple[str, str]]:
    """Each label with each value that is asked for."""
    for label, values in _MATCHER.findall(text):
        for value in values.split("|"):
            if value and value != ".*":
                yield label, value


def _chosen(expression: str) -> str:
    for variable, value in _CHOSEN.items():
        expression = expression.replace(variable, value)
    return expression
