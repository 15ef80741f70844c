"""How long the certificates that we show are good for: in the log and the metrics, of one process or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import run_cli
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.site import COMMA, Account, Site
from tests.end_to_end.test_metrics import METRICS, fetch
from tests.peers.certificates import Authority
from tests.peers.server import Server

HOST = "radius.example.org"
DAYS = "radius_mfa_certificate_expires_days"


def told(server: Server, name: str) -> list[tuple[str, int]]:
    """Level and days of each line about that certificate, so far."""
    lines = [each for each in server.log if each["event"] == "certificate" and each["certificate"] == name]
    return [(each["level"], each["days"]) for each in lines]


@pytest.mark.parametrize("workers", [1, 2])
def test_each_is_shown_once_and_a_new_one_after_sighup(university: Site, tmp_path: Path, workers: int) -> None:
    authority = Authority(tmp_path / "ours")
    files = {name: tmp_path / f"{name}.pem" for name in ("eap", "radsec")}
    for name, days in (("eap", 90), ("radsec", 10)):
        files[name].touch(0o600)
        files[name].write_bytes(authority.certify(HOST, purpose="server", days=days).read_bytes())
    own = str(files["radsec"])
    radsec = {"radsec": "127.0.0.1:0", "certificate": own, "key": own, "client_ca": str(authority.ca_file)}
    changes: dict[str, Any] = {
        **METRICS,
        "workers": workers,
        "listen": [{"udp": "127.0.0.1:0"}, radsec],
        "eap": {"certificate": str(files["eap"]), "key": str(files["eap"])},
    }
    with university.another(f"certificates-{workers}.yaml", changes) as server:
        shown = fetch(server).shown(DAYS)
        assert {name: round(days) for name, days in shown.items()} == {"eap": 90, "radsec 127.0.0.1:0": 10}
        assert told(server, "eap") == [("info", 89)]
        assert told(server, "radsec 127.0.0.1:0") == [("warning", 9)]

        files["eap"].write_bytes(authority.certify(HOST, purpose="server", days=20).read_bytes())
        assert round(fetch(server).value(DAYS, certificate="eap")) == 90  # it is still the old one that is shown
        server.reload()
        server.wait_for("certificate")
        assert round(fetch(server).value(DAYS, certificate="eap")) == 20
        assert told(server, "eap") == [("info", 89), ("warning", 19)]


def test_an_expired_one_keeps_nobody_from_other_logins(university: Site, tmp_path: Path) -> None:
    """`check` calls it an error; at night there is nobody to hear that."""
    expired = Authority(tmp_path / "ours").certify(HOST, purpose="server", expired=True)
    changes = {"eap": {"certificate": str(expired), "key": str(expired)}}
    with university.another("expired.yaml", changes) as server:
        user = university.staff()
        assert university.foreign("pyrad", COMMA, server=server).ask(user.name, typed(user)).code == ACCEPT
        server.reload()
        server.wait_for("reloaded")
        assert {level for level, _ in told(server, "eap")} == {"error"}
    checked = run_cli("--config", university.folder / "expired.yaml", "check")
    assert checked.status == 2
    assert "expired on" in checked.err


def typed(user: Account) -> str:
    return f"{user.password},{user.code()}"
