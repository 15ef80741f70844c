"""The soak of what supplicants say, a few thousand inputs: it gets to every stage, and nothing comes of any."""

from __future__ import annotations

from collections import Counter

from bench.soak.tunnels import TunnelFigures, try_tunnels

STAGES = {
    "EAP packets",
    "TLS fragments",
    "AVPs",
    "inner TTLS",
    "inner PEAP",
    "before the tunnel",
    "in the handshake",
    "in the tunnel",
}


def test_a_small_run_gets_everywhere_and_nothing_comes_of_it() -> None:
    figures = try_tunnels(6000, seed=3, workers=1)

    assert figures.failures == ()
    assert (figures.exceptions, figures.wrong_keys) == (0, 0)
    assert set(figures.tried) == STAGES
    assert 6000 <= sum(figures.tried.values()) < 6200
    assert min(figures.tried.values()) > 50
    # A decision was asked for, a tunnel was spoken in, a conversation ended, and one was met with silence.
    assert {"Say", "Asked", "End", "GivenUp", "FragmentsError", "nothing"} <= set(figures.became)


def test_figures_of_two_processes_are_those_of_both() -> None:
    one = TunnelFigures(Counter(AVPs=2), Counter(Say=1), 1, 0, ("one",) * 6, 2.0)
    other = TunnelFigures(Counter(AVPs=1), Counter(End=1), 0, 1, ("other",) * 6, 3.0)

    assert one + other == TunnelFigures(
        Counter(AVPs=3), Counter(Say=1, End=1), 1, 1, ("one",) * 6 + ("other",) * 4, 3.0
    )
