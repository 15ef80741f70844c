"""The benchmark of 802.1X, with FreeRADIUS on both sides: what it prints adds up; what it will not measure."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.directory import slapd
from bench.eap.certificates import KINDS, Kind, certify
from bench.eap.freeradius import Tunnels, freeradius_with_eap
from bench.eap.report import lines
from bench.eap.side_by_side import RefusedError, Scale, Side, compare, freeradius_side

SCALE = Scale(runs=2, logins=16, put_off=0)


@pytest.fixture
def sides(tmp_path: Path, kind: Kind) -> Iterator[tuple[Side, Side]]:
    certificate, key = certify(tmp_path, kind)
    with ExitStack() as stack:
        directory = stack.enter_context(slapd(SCALE.users))
        tunnels = Tunnels(certificate, key)
        one, other = (stack.enter_context(freeradius_with_eap(directory, tunnels)) for _ in range(2))
        yield freeradius_side(one, directory), freeradius_side(other, directory)


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_logs_in_at_both_and_is_resumed_at_both(sides: tuple[Side, Side], kind: Kind) -> None:
    it = compare(sides, SCALE, kind)

    assert it.is_whole
    printed = list(lines(it))
    for how in ("full", "resumed"):
        assert printed.count(f"accepted  FreeRADIUS 32 of 32 {how}, 0 packets resent") == 2
    for pair in (it.full, it.resumed):
        assert 0 < pair.ratios["cpu"].lowest <= pair.ratios["cpu"].highest
        for side in pair.sides:
            assert side.failures == {}
            assert side.core.median == pytest.approx(1e6 / side.figures["cpu"].median, rel=0.5)
    full, resumed = (pair.sides[0].figures["slapd"].median for pair in (it.full, it.resumed))
    assert resumed < full / 10  # nobody is looked up again
    assert json.loads(json.dumps(asdict(it)))["certificate"] == kind


@pytest.mark.parametrize("kind", KINDS[:1])
def test_what_lets_nobody_in_or_anybody_is_not_measured(sides: tuple[Side, Side]) -> None:
    one, other = sides
    for wrong, why in (
        (replace(other, typed=lambda _: b"wrong"), "does not let a user in by EAP-TTLS/PAP: RADIUS code 3"),
        (replace(other, mistyped=lambda user: (b"pw%d" % user,)), "has not refused a wrong password or code"),
    ):
        with pytest.raises(RefusedError, match=f"^FreeRADIUS {why}$"):
            compare((one, wrong), SCALE, "ECDSA P-256")


def test_sessions_that_are_not_resumed_are_failures(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path, "ECDSA P-256")
    with slapd(SCALE.users) as directory, ExitStack() as stack:
        tunnels = (Tunnels(certificate, key), Tunnels(certificate, key, resumes=False))
        one, other = (stack.enter_context(freeradius_with_eap(directory, each)) for each in tunnels)
        it = compare((freeradius_side(one, directory), freeradius_side(other, directory)), SCALE, "ECDSA P-256")

    assert not it.is_whole
    assert [side.failures for side in it.full.sides] == [{}, {}]
    assert [side.failures for side in it.resumed.sides] == [{}, {"a full handshake": 32}]
    assert json.loads(json.dumps(asdict(it)))["resumed"]["sides"][1]["failures"] == {"a full handshake": 32}
