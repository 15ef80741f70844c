"""What is shown as 0 until it is counted: every name and label of it is one that is counted."""

from __future__ import annotations

import re
from pathlib import Path

import radius_mfa
from radius_mfa.assembly import expected
from radius_mfa.observe import metered
from radius_mfa.observe.metrics import COUNTED, TIMED, Counts
from radius_mfa.wire.clients import Stranger
from tests.config.support import Folder, client

PACKAGE = Path(radius_mfa.__file__).parent


def test_every_client_has_its_zeros(tmp_path: Path) -> None:
    counts = Counts()
    loaded = Folder(tmp_path).load(client("probe_users: probe\n    certificate: gw.example.org"))
    expected.expect(counts, loaded.configuration, ["127.0.0.1:1812"])
    met = {(name, dict(labels).get("client")) for name, labels in (*counts.counted, *counts.durations)}
    of_clients = {name for name, (labels, _) in {**COUNTED, **TIMED}.items() if "client" in labels}
    assert {name for name, whose in met if whose == "vpn"} == of_clients
    assert not any(counts.counted.values())
    for name, labels in (*counts.counted, *counts.durations):
        assert {label for label, _ in labels} == set({**COUNTED, **TIMED}[name][0])


def test_what_docs_say_to_be_woken_for_is_there_from_the_start(tmp_path: Path) -> None:
    """`increase()` sees no change where a series begins with its first event."""
    counts = Counts()
    expected.expect(counts, Folder(tmp_path).load(client()).configuration, [])
    page = (PACKAGE.parent / "docs" / "metrics.md").read_text().partition("## What to be woken for")[2]
    named = {
        value
        for _, values in re.findall(r'(reason|outcome)=~?"([^"]*)"', page)
        for value in re.split(r"\\?\|", values)
    }
    shown = {value for _, labels in counts.counted for _, value in labels}
    assert named <= shown, named - shown


def test_steps_and_mails_are_called_as_they_are_where_they_are_counted() -> None:
    source = Path(metered.__file__).read_text()
    assert set(expected._STEPS) <= set(re.findall(r'steps\["(\w+)",\]', source))
    outbox = (PACKAGE / "factors" / "outbox.py").read_text()
    assert all(f'"{outcome}"' in outbox for outcome in expected._MAILS)
    transports = "".join(path.read_text() for path in (PACKAGE / "transports").glob("*.py"))
    named = {*expected._CLOSED, *expected._REFUSED, *expected._HANDED_OVER} - {*Stranger}
    assert all(f'"{reason}"' in transports for reason in named)
