"""Prometheus as Debian has it, fetching the metrics of a server that runs, with the rules that we ship.

    with Prometheus(folder, address) as prometheus:
        prometheus.query("sum(rate(radius_mfa_decisions_total[1m]))")

It is stopped when the block ends; its data stay in the folder.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from time import monotonic
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode

import yaml

from radius_mfa.data import CONFIG
from tests.peers.ports import free_port

RULES = CONFIG.resolve().parent / "deploy" / "prometheus" / "radius-mfa.rules.yml"
JOB = "radius-mfa"  # as the rules and the example call it
_UNFETCHED = {"RadiusMfaDown", "RadiusMfaAbsent"}
_PATIENCE = 60.0  # seconds; a loaded machine may take its time


class Prometheus:
    """`address`: where the metrics are, which are fetched every second; without one in time there are none."""

    def __init__(self, folder: Path, address: tuple[str, int]) -> None:
        self._folder = folder
        self._address = "{}:{}".format(*address)
        self._port = free_port()

    def __enter__(self) -> Self:
        often = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"}
        target = {"job_name": JOB, "static_configs": [{"targets": [self._address]}]}
        config = {"global": often, "rule_files": [str(RULES)], "scrape_configs": [target]}
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        command = [
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={self._folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        self._log = (self._folder / "prometheus.log").open("w+")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        try:
            self._begins()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._log.close()

    def query(self, expression: str) -> Sequence[dict[str, Any]]:
        """The series that it comes to now; AssertionError with what is wrong where it comes to nothing at all."""
        answer = self._get("query", query=expression)
        assert answer["status"] == "success", (expression, answer.get("error"))
        found: Sequence[dict[str, Any]] = answer["data"]["result"]
        return found

    def found(self, expression: str) -> Sequence[dict[str, Any]]:
        """The same once it comes to something, since it may not after a fetch that took too long; or nothing."""
        end = monotonic() + _PATIENCE
        while not (found := self.query(expression)) and monotonic() < end:
            continue
        return found

    def names(self) -> set[str]:
        """Of all series that it has."""
        return set(self._get("label/__name__/values")["data"])

    def alerts(self) -> dict[str, dict[str, Any]]:
        """What it makes of each alert, by name: `health`, `lastError`, `alerts` that are pending or firing."""
        groups = self._get("rules")["data"]["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def until_evaluated(self) -> dict[str, dict[str, Any]]:
        """The alerts, once each was looked at; as they are where that never is so.

        One that is raised for want of a fetch, which took too long, goes with the next: that is waited for.
        """
        end = monotonic() + _PATIENCE
        while True:
            alerts = self.alerts()
            is_evaluated = all(rule["health"] != "unknown" for rule in alerts.values())
            if (is_evaluated and not raised(alerts) & _UNFETCHED) or monotonic() > end:
                return alerts

    def _begins(self) -> None:
        """Until it has fetched often enough for a rate of everything."""
        end = monotonic() + _PATIENCE
        while True:
            try:
                fetched = self.query(f'sum_over_time(up{{job="{JOB}"}}[1m])')
                if fetched and float(fetched[0]["value"][1]) >= 2:
                    return
            except OSError:
                pass
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            assert monotonic() < end, (self._folder / "prometheus.log").read_text()

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE) as reply:
                return json.load(reply)
        except HTTPError as refused:
            if refused.code >= 500:  # it is starting
                raise
            return json.load(refused)  # what is wrong with an expression


def raised(alerts: Mapping[str, dict[str, Any]]) -> Set[str]:
    """The names of those that are pending or firing."""
    return {name for name, alert in alerts.items() if alert["alerts"]}


def promtool(*words: str | Path) -> str:
    """What it says; AssertionError where it finds something wrong."""
    ran = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=_PATIENCE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr
