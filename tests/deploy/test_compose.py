"""The compose file, and what its services run: the very scripts and files, at the very paths, as the very user."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from tests.deploy.images import DEPLOY, IMAGE, compose, stages
from tests.peers.machine import Machine

HERE = DEPLOY / "compose"
OPENLDAP = HERE / "openldap" / "Containerfile"
SERVICES = compose()["services"]
OURS = ("ca.pem", "certified", "database", "directory", "server.key", "server.pem", "vpn")


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


def test_each_server_has_its_own_secrets_and_nobody_elses() -> None:
    def volumes(service: str) -> set[str]:
        return {each.partition(":")[0] for each in SERVICES[service]["volumes"] if not each.startswith(".")}

    assert volumes("openldap") == {"openldap-secrets", "directory"}
    assert volumes("postgresql") == {"postgresql-secrets", "database"}
    assert volumes("radius-mfa") == volumes("portal") == {"secrets", "state"}
    given = [volume for volume in SERVICES["prepare"]["volumes"] if "-secrets" in volume]
    assert {each.partition(":")[2] for each in given} <= set(folders(IMAGE).split()), "or they would be root's"


def test_nobody_is_taken_to_be_on_campus_who_comes_by_a_published_port() -> None:
    """All of them seem to come from one address of its network."""
    assert "enrolment" not in yaml.safe_load((HERE / "radius-mfa.yaml").read_text())
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_its_services_run_makes_a_login(package: Path, tmp_path: Path) -> None:
    script = (Path(__file__).parent / "services.sh").read_text()
    said = Machine(tmp_path / "machine").run(values(package) + script, cwd=Path("/")).splitlines()

    assert sorted(line for line in said if line.startswith("made ")) == [
        "made /var/lib/radius-mfa/key 600",
        *(f"made openldap/{name} 600" for name in ("ca.pem", "directory", "server.key", "server.pem")),
        *(f"made postgresql/{name} 600" for name in ("ca.pem", "database", "server.key", "server.pem")),
        *(f"made secrets/{name} 600" for name in OURS),
    ]
    assert not any("warning" in line for line in said)
    assert "← Access-Accept" in said
    assert any(line.startswith("Received Access-Accept") for line in said)
    assert said[-1] == "stopped"
