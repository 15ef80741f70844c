"""The compose file, and what its services run: the very scripts and files, at the very paths, as the very user."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from compose_spec import PyCompose

from tests.deploy.images import DEPLOY, IMAGE, compose, stages
from tests.peers.machine import Machine

HERE = DEPLOY / "compose"
OPENLDAP = HERE / "openldap" / "Containerfile"
SERVICES = compose()["services"]


def command(service: str) -> str:
    """What it runs, for a shell."""
    image = stages(IMAGE)[-1]
    return shlex.join([*image.command("ENTRYPOINT"), *SERVICES[service].get("command", image.command("CMD"))])


def health(service: str) -> str:
    """How it is asked whether it works, for a shell."""
    if "healthcheck" not in SERVICES[service]:
        return shlex.join(stages(IMAGE)[-1].command("HEALTHCHECK"))
    kind, *words = SERVICES[service]["healthcheck"]["test"]
    assert kind == "CMD"
    return shlex.join(words)


def folders(image: Path) -> str:
    """The step that makes those which are to be written."""
    (step,) = (each for each in stages(image)[-1].all("RUN") if each.startswith("install "))
    return step


def values(package: Path) -> str:
    """What `services.sh` is told."""
    postgresql = SERVICES["postgresql"]
    said = {
        "COMPOSE": str(HERE),
        "PACKAGE": str(package),
        "PYTHON": sys.executable,
        "FOLDERS": f"{folders(IMAGE)}; {folders(OPENLDAP)}",
        "SERVER": command("radius-mfa"),
        "PORTAL": command("portal"),
        "POSTGRESQL": shlex.join(postgresql["command"]),
        **postgresql["environment"],
        "SERVER_HEALTH": health("radius-mfa"),
        **{f"{name.upper()}_HEALTH": health(name) for name in ("portal", "postgresql", "openldap")},
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in said.items())


def test_the_compose_file_is_one() -> None:
    PyCompose.from_json(json.dumps(compose())).validate()


def test_what_it_mounts_and_builds_is_there() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert (HERE / source).is_file() if source.startswith(".") else source in compose()["volumes"]
    build = SERVICES["prepare"]["build"]
    assert (HERE / build["context"] / build["dockerfile"]).samefile(IMAGE)
    assert all((OPENLDAP.parent / each).is_file() for each in stages(OPENLDAP)[-1].copied())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_nobody_of_power(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] == stages(IMAGE)[-1].one("USER") == stages(OPENLDAP)[-1].one("USER")


def test_what_its_services_run_makes_a_login(package: Path, tmp_path: Path) -> None:
    script = (Path(__file__).parent / "services.sh").read_text()
    said = Machine(tmp_path / "machine").run(values(package) + script, cwd=Path("/")).splitlines()

    assert sorted(line for line in said if line.startswith("made ")) == [
        f"made {name} 600"
        for name in ("ca.pem", "database", "directory", "key", "server.key", "server.pem", "vpn")
    ]
    assert not any("warning" in line for line in said)
    assert "← Access-Accept" in said
    assert any(line.startswith("Received Access-Accept") for line in said)
    assert said[-1] == "stopped"
