"""The alerts played through by promtool; they and the dashboard at a Prometheus that watches a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.health import PARTS
from radius_mfa.observe.kernel_clock import kernel_clock
from radius_mfa.observe.metrics import PREFIX, WATCHED
from radius_mfa.wire.walker import DiscardReason
from tests.deploy.shipped import (
    ALERTS,
    DEPLOY,
    names_in,
    of_the_alerts,
    of_the_dashboard,
    of_the_variables,
    values_in,
)
from tests.end_to_end.site import Site
from tests.end_to_end.test_metrics import address_of
from tests.peers.certificates import Authority
from tests.peers.prometheus import JOB, Prometheus, promtool, raised

PLAYS = Path(__file__).parent / "alerts.yaml"
# While nobody keeps the kernel's clock, nobody knows these.
OF_A_KEPT_CLOCK = {"radius_mfa_clock_offset_seconds", "radius_mfa_clock_error_seconds"}


@pytest.fixture(scope="module")
def prometheus(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It watches a server that leaves nothing out: workers, mail, RadSec, 802.1X, LDAP, probe users."""
    folder = tmp_path_factory.mktemp("prometheus")
    with university.another("watched.yaml", everything(university, folder)) as server:
        user = university.staff()
        with university.nas(server=server) as nas:
            state = nas.ask(user.name, user.password).state
            nas.ask(user.name, user.code(), state=state)
        with Prometheus(folder, address_of(server)) as it:
            yield it


def everything(university: Site, folder: Path) -> dict[str, Any]:
    """Changes to the usual configuration, after which it leaves out nothing that is counted."""
    authority = Authority(folder / "authority")
    own = str(authority.certify("radius.example.org", names=["radius.example.org", "127.0.0.1"], days=90))
    radsec = {"radsec": "127.0.0.1:0", "certificate": own, "key": own, "client_ca": str(authority.ca_file)}
    clients = university.usual()["clients"]
    clients[0]["probe_users"] = ["nagios"]
    gateway = {"name": "gateway", "certificate": "gw.example.org"}
    return {
        "audit": {"file": "watched.jsonl"},
        "listen": [{"udp": "127.0.0.1:0"}, radsec],
        "clients": [*clients, gateway],
        "eap": {"certificate": own, "key": own, "methods": ["ttls"]},
        "metrics": {"listen": "127.0.0.1:0"},
        "workers": 2,
    }


# --- at a running server ----------------------------------------------------------------------------


def test_every_name_in_dashboard_and_alerts_is_one_that_a_running_server_has(prometheus: Prometheus) -> None:
    texts = [text for _, text in (*of_the_dashboard(), *of_the_alerts())] + [*of_the_variables()]
    named = set().union(*map(names_in, texts))
    clock = kernel_clock()
    unknown = OF_A_KEPT_CLOCK if clock is None or not clock.is_kept else set()

    assert len(named) >= 40
    assert named - prometheus.names() == unknown


def test_every_metric_that_a_server_has_is_on_the_dashboard(prometheus: Prometheus) -> None:
    shown = set().union(*(names_in(text) for _, text in of_the_dashboard()))
    there = {name for name in prometheus.names() if name.startswith(PREFIX) and not name.endswith("_created")}
    of_histograms = {f"{PREFIX}step_seconds_{each}" for each in ("sum", "count")}

    assert there - shown == of_histograms, "shown by their buckets"
    assert {PREFIX + name for name in WATCHED} <= there | OF_A_KEPT_CLOCK | {f"{PREFIX}clock_synchronised"}


def test_every_expression_of_the_dashboard_comes_to_something(prometheus: Prometheus) -> None:
    """But for what is shown only where there is any."""
    for title, expression in of_the_dashboard():
        may_be_nothing = "> 0" in expression or names_in(expression) <= OF_A_KEPT_CLOCK
        comes_to = prometheus.query(expression) if may_be_nothing else prometheus.found(expression)
        assert comes_to or may_be_nothing, (title, expression)


def test_the_choices_are_read_from_what_there_is(prometheus: Prometheus) -> None:
    for choice in of_the_variables():
        series, _, label = choice.removeprefix("label_values(").removesuffix(")").rpartition(", ")
        found = prometheus.found(series)
        assert found, choice
        assert all(each["metric"][label] for each in found), choice


def test_every_alert_is_evaluated_and_a_server_that_is_well_raises_none(prometheus: Prometheus) -> None:
    alerts = prometheus.until_evaluated()
    assert {name: alert["lastError"] for name, alert in alerts.items() if alert["health"] != "ok"} == {}
    assert alerts.keys() == {name for name, _ in of_the_alerts()}
    assert raised(alerts) <= {"RadiusMfaClockUnsynchronised"}, "which is about the machine"


# --- by themselves ----------------------------------------------------------------------------------


def test_what_is_asked_for_can_be_there() -> None:
    """A reason or an outcome that nobody counts would be an alert that never comes."""
    known = {
        "outcome": {*map(str, Outcome), "refused", "expired", "uncertain", "unreadable", "failed"},
        "reason": {each.value for each in DiscardReason},
        "decision": {"accept", "reject"},
        "part": {*PARTS},
        "code": {"access_request"},
        "event": {"abandoned", "failed", "accepted", "resumed"},
        "factor": {each.value for each in FactorKind},
        "job": {JOB},
    }
    for where, text in (*of_the_dashboard(), *of_the_alerts()):
        for label, value in values_in(text):
            assert value in known[label], (where, label, value)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_how_urgent_it_is_what_is_so_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    summary, description = alert["annotations"]["summary"], alert["annotations"]["description"]
    assert summary[0].islower() or summary.startswith("{{")
    assert len(description) > 80
    assert description.endswith(".")


def test_the_example_is_one_that_prometheus_takes_with_the_rules_beside_it() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    example = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert [each["job_name"] for each in example["scrape_configs"]] == [JOB]


def test_every_alert_comes_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", PLAYS)
    played = [each for play in yaml.safe_load(PLAYS.read_text())["tests"] for each in play["promql_expr_test"]]
    for fires in (True, False):
        met = " ".join(each["expr"] for each in played if bool(each["exp_samples"]) is fires)
        assert [name for name, _ in of_the_alerts() if f'"{name}"' not in met] == []
