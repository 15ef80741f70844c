"""Who sends Message-Authenticator (CVE-2024-3596): counted by a server, reported by `radius-mfa clients`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.support import run_cli
from tests.end_to_end.nas import PROXY_STATE, REJECT, RawNas
from tests.end_to_end.site import VPN, Account, Site
from tests.peers.postgresql import shared


def report(config: Path) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in run_cli("--config", config, "clients", "--json").json}


def counts(config: Path, client: str) -> dict[str, tuple[int, int]]:
    """Requests with it and without, by source."""
    return {each["source"]: (each["signed"], each["unsigned"]) for each in report(config)[client]["sources"]}


def unsigned(nas: RawNas, user: Account, *extra: tuple[int, bytes]) -> bytes:
    return nas.packet(user.name.encode(), user.password.encode(), *extra, sign=False)


def test_each_request_is_counted_by_its_source_and_kept_when_the_server_ends(university: Site) -> None:
    user, one, two, off = university.staff(), "127.0.1.201", "127.0.1.202", "127.0.0.3"
    changes = university.own_store("clients", university.mail_server)
    with university.another("clients.yaml", changes) as server:
        with university.nas(one, server) as nas:
            for _ in range(3):
                nas.ask(user.name, user.password)  # nobody is enrolled here: whatever the answer
            assert university.unanswered(nas, unsigned(nas, user), server=server)
        with university.nas(two, server) as nas:
            nas.exchange(unsigned(nas, user))
            assert university.unanswered(nas, unsigned(nas, user, (PROXY_STATE, b"x")), server=server)
        with university.nas(VPN, server) as nas:
            assert university.unanswered(nas, unsigned(nas, user), server=server)
        university.foreign("radclient", off, server=server).ask(user.name, user.password)
    config = server.config
    assert counts(config, "auto") == {one: (3, 1), two: (0, 2)}
    assert counts(config, "vpn") == {VPN: (0, 1)}
    assert counts(config, "off") == {off: (1, 0)}
    said = report(config)
    assert said["auto"]["advice"].startswith(f"no: {two} without at ")
    assert (said["auto"]["verdict"], said["off"]["advice"]) == ("mixed", "yes")


def test_a_signer_is_known_after_kill_9_and_served_without_again_once_it_was_forgotten(university: Site) -> None:
    user, source = university.staff(), university.source()
    changes = university.own_store("forgetful", university.mail_server)
    with university.another("forgetful.yaml", changes) as server, university.nas(source, server) as nas:
        nas.ask(user.name, user.password)
        while not counts(server.config, "auto"):  # it is written at once
            pass
        server.kill()
    with university.another("forgetful.yaml", changes) as server, university.nas(source, server) as nas:
        nas.ask(user.name, user.password)  # counted, and not written down before it is forgotten
        packet = unsigned(nas, user)
        assert university.unanswered(nas, packet, server=server)
        run_cli("--config", server.config, "clients", "--forget", f"auto/{source}").worked()
        server.reload()
        server.wait_for("reloaded")
        assert nas.exchange(packet).code == REJECT


def test_a_signer_at_one_node_is_one_at_the_other(university: Site) -> None:
    user, source = university.staff(), university.source()
    postgresql = shared()
    changes = {"storage": postgresql.url(postgresql.new_database()), "audit": {"file": "signers.jsonl"}}
    with university.another("signer-a.yaml", changes) as a, university.another("signer-b.yaml", changes) as b:
        with university.nas(source, a) as nas:
            nas.ask(user.name, user.password)  # nobody is enrolled there: whatever the answer
            while not counts(a.config, "auto"):
                pass
        b.reload()
        b.wait_for("reloaded")
        with university.nas(source, b) as nas:
            assert university.unanswered(nas, unsigned(nas, user), server=b)


def test_a_client_that_nobody_is_any_more_is_reported(university: Site) -> None:
    """Its counts are there until they are forgotten."""
    user = university.staff()
    changes = university.own_store("renamed", university.mail_server)
    with university.another("renamed.yaml", changes) as server, university.nas(server=server) as nas:
        nas.ask(user.name, user.password)
    clients = university.usual()["clients"]
    clients[0]["name"] = "gateway"
    policies = university.usual()["policies"][-1:]
    path = university.write("renamed.yaml", {**changes, "clients": clients, "policies": policies})
    said = report(path)
    assert said["vpn"]["advice"] == "is not configured any more; --forget it"
    assert said["gateway"]["sources"] == []
