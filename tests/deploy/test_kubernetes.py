"""The example of a cluster: what it says is valid, its YAML is a configuration, and its parts fit together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from radius_mfa.config.load import load
from radius_mfa.wire.dictionary import Dictionary
from tests.cli.support import run_cli
from tests.deploy.images import DEPLOY, IMAGE, stages
from tests.peers.certificates import Authority

HERE = DEPLOY / "kubernetes"
KUSTOMIZATION = yaml.safe_load((HERE / "kustomization.yaml").read_text())
VERSIONS = ("1.30", "1.37")  # the oldest that is meant, the newest there is


def objects() -> list[dict[str, Any]]:
    """What is applied, but for names and labels that kustomize puts in."""
    texts = [(HERE / name).read_text() for name in KUSTOMIZATION["resources"]]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def deployment(name: str) -> dict[str, Any]:
    (it,) = (each for each in objects() if (each["kind"], each["metadata"]["name"]) == ("Deployment", name))
    spec: dict[str, Any] = it["spec"]
    return spec


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(name)["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    (it,) = pod(name)["containers"]
    found: dict[str, Any] = it
    return found


def test_kustomize_is_told_of_every_file() -> None:
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    named = {"kustomization.yaml", *KUSTOMIZATION["resources"], *generated["files"]}

    assert {path.name for path in HERE.iterdir()} == named


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one(version: str) -> None:
    for each in objects():
        kubernetes_validate.validate(each, version, strict=True)


def test_its_yaml_is_a_configuration_that_nobody_is_warned_of(tmp_path: Path) -> None:
    """With each file where the pods have it."""
    config, secrets, portal = (tmp_path / name for name in ("radius-mfa.yaml", "secrets", "portal"))
    shutil.copy(HERE / "radius-mfa.yaml", config)
    certificate = Authority(secrets).certify("mfa.example.org")
    portal.mkdir()
    for path, text in (
        *((secrets / name, f"{name} at random") for name in ("vpn", "database", "directory")),
        *((portal / name, certificate.read_text()) for name in ("tls.crt", "tls.key")),
    ):
        path.touch(0o640)
        path.write_text(text)

    assert load(config, {}, Dictionary.shipped()).warnings == ()
    run_cli("--config", config, "keys", "init").worked()
    assert (secrets / "key").is_file()


@pytest.mark.parametrize("name", ["radius-mfa", "portal"])
def test_a_pod_is_nobody_of_power(name: str) -> None:
    uid, gid = map(int, stages(IMAGE)[-1].one("USER").split(":"))
    security = container(name)["securityContext"]

    assert pod(name)["securityContext"]["runAsUser"] == uid
    assert pod(name)["securityContext"]["fsGroup"] == gid
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["automountServiceAccountToken"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", ["radius-mfa", "portal"])
def test_what_a_pod_is_asked_for_its_life_at_is_no_port_of_strangers(name: str) -> None:
    """Who takes every connection of such a port would have the pod killed."""
    (service,) = (each for each in objects() if (each["kind"], each["metadata"]["name"]) == ("Service", name))
    public = {port["targetPort"] for port in service["spec"]["ports"]}
    ports = {port["name"] for port in container(name)["ports"]}

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(name)[probe]["httpGet"]["port"] in ports - public


@pytest.mark.parametrize("name", ["radius-mfa", "portal"])
def test_a_new_pod_is_ready_before_an_old_one_goes_which_answers_until_nobody_asks_it(name: str) -> None:
    rolling = deployment(name)["strategy"]["rollingUpdate"]
    (_, waited) = container(name)["lifecycle"]["preStop"]["exec"]["command"]

    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
    # A pod that is no more: two probes' time, and as much again until all who send packets know.
    probe = container(name)["readinessProbe"]["periodSeconds"]
    assert 2 * probe < int(waited)
    assert pod(name)["terminationGracePeriodSeconds"] > int(waited) + 30
