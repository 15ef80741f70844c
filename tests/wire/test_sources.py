"""Who sends Message-Authenticator (CVE-2024-3596): counted, taken, and known again."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.store import SourceTally
from radius_mfa.wire import sources as limits
from radius_mfa.wire.sources import Sources

HOST = "192.0.2.1"


def test_the_first_signed_one_is_told_once_and_known_from_then_on() -> None:
    sources = Sources()
    assert not sources.saw("vpn", HOST, 1.0, signed=False)
    assert not sources.signs("vpn", HOST)
    assert [sources.saw("vpn", HOST, now, signed=True) for now in (2.0, 3.0)] == [True, False]
    assert sources.signs("vpn", HOST)
    assert not sources.signs("wifi", HOST)
    assert not sources.signs("vpn", "192.0.2.2")


def test_who_is_known_already_is_nothing_new() -> None:
    assert not Sources([("vpn", HOST)]).saw("vpn", HOST, 1.0, signed=True)


def test_a_source_is_counted_with_its_times() -> None:
    sources = Sources()
    for now, signed in ((1.0, False), (2.0, True), (3.0, True), (4.0, False)):
        sources.saw("vpn", HOST, now, signed=signed)
    assert sources.take() == [SourceTally("vpn", HOST, 1.0, 4.0, 2, 2, 3.0, 4.0)]
    assert sources.take() == []


def test_what_could_not_be_kept_is_taken_once_more() -> None:
    sources = Sources()
    sources.saw("vpn", HOST, 1.0, signed=True)
    taken = sources.take()
    sources.saw("vpn", HOST, 2.0, signed=False)
    sources.put_back(taken)
    assert sources.take() == [SourceTally("vpn", HOST, 1.0, 2.0, 1, 1, 1.0, 2.0)]


def test_whom_nobody_knows_any_more_has_to_sign_first() -> None:
    sources = Sources([("vpn", HOST)])
    sources.know([("vpn", "192.0.2.2")])
    assert not sources.signs("vpn", HOST)
    assert sources.signs("vpn", "192.0.2.2")
    assert sources.saw("vpn", HOST, 1.0, signed=True)


def test_who_was_counted_since_is_known_as_well() -> None:
    sources = Sources()
    sources.saw("vpn", HOST, 1.0, signed=True)
    sources.saw("vpn", "192.0.2.2", 1.0, signed=False)
    sources.know([])
    assert sources.signs("vpn", HOST)
    assert not sources.signs("vpn", "192.0.2.2")
    sources.take()
    sources.know([])
    assert not sources.signs("vpn", HOST)


def test_made_up_sources_take_no_room_from_those_that_sign() -> None:
    sources = Sources()
    for number in range(limits._MOST_STRANGERS + 10):
        sources.saw("vpn", str(number), 1.0, signed=False)
    assert sources.saw("vpn", HOST, 2.0, signed=True)
    sources.saw("wifi", HOST, 2.0, signed=False)  # another client has room of its own
    taken = sources.take()
    sources.put_back(taken)
    assert len(sources.take()) == len(taken) == limits._MOST_STRANGERS + 2
    sources.saw("vpn", "new", 3.0, signed=False)  # what was taken has made room
    assert len(sources.take()) == 1


def test_of_a_client_with_too_many_signers_every_source_must_sign_and_no_other_client_is_touched() -> None:
    """Whoever has a client's secret may sign from every address of it: that opens nothing (CVE-2024-3596)."""
    sources = Sources([("vpn", HOST)])
    for number in range(limits.MOST_SIGNERS + 10):
        sources.saw("dorm", str(number), 1.0, signed=True)
    assert sources.signs("dorm", "never seen")
    assert sources.signs("vpn", HOST)
    assert not sources.signs("vpn", "192.0.2.2")
    taken = sources.take()
    assert len(taken) == limits.MOST_SIGNERS
    sources.know([*((each.client, each.source) for each in taken), ("vpn", HOST)])
    assert sources.signs("dorm", "never seen")
    assert sources.signs("vpn", HOST)
    sources.put_back(taken)
    assert len(sources.take()) == limits.MOST_SIGNERS


def test_whoever_signs_where_no_more_are_told_apart_is_counted_if_they_were_and_is_new_never() -> None:
    sources = Sources(("dorm", str(number)) for number in range(limits.MOST_SIGNERS))
    sources.saw("dorm", HOST, 1.0, signed=False)
    assert [sources.saw("dorm", HOST, now, signed=True) for now in (2.0, 3.0)] == [False, False]
    assert sources.take() == [SourceTally("dorm", HOST, 1.0, 3.0, 2, 1, 3.0, 1.0)]


def test_what_is_put_back_of_a_signer_that_was_forgotten_meanwhile_counts_no_more() -> None:
    sources = Sources()
    sources.saw("vpn", HOST, 1.0, signed=True)
    taken = sources.take()
    sources.know([])
    sources.put_back(taken)
    assert sources.take() == []


def test_who_is_known_no_more_has_to_sign_first_whatever_is_put_back_of_them() -> None:
    """Signed requests that are counted make no signer: whoever is forgotten is learnt anew (CVE-2024-3596)."""
    sources = Sources()
    sources.saw("vpn", HOST, 1.0, signed=True)
    taken = sources.take()
    sources.know([])
    sources.saw("vpn", HOST, 2.0, signed=False)
    sources.put_back(taken)
    assert not sources.signs("vpn", HOST)
    assert [sources.saw("vpn", HOST, now, signed=True) for now in (3.0, 4.0)] == [True, False]
    assert sources.signs("vpn", HOST)
    assert sources.take() == [SourceTally("vpn", HOST, 1.0, 4.0, 3, 1, 4.0, 2.0)]


def test_who_is_counted_as_a_signer_and_then_known_no_more_is_learnt_anew() -> None:
    """Whether they are counted is one thing and whether they are known another, at each of their requests."""
    sources = Sources()
    assert [sources.saw("vpn", HOST, now, signed=True) for now in (1.0, 2.0)] == [True, False]
    sources.take()
    assert not sources.saw("vpn", HOST, 3.0, signed=True)
    taken = sources.take()
    sources.know([])
    assert not sources.signs("vpn", HOST)
    assert sources.saw("vpn", HOST, 4.0, signed=True)
    sources.put_back(taken)
    assert sources.signs("vpn", HOST)
    assert sources.take() == [SourceTally("vpn", HOST, 3.0, 4.0, 2, 0, 4.0, 0.0)]


_TURNS = st.sampled_from(["take", "put back", "know nobody", "know them", "learn", "signed", "unsigned"])


@given(st.lists(st.tuples(_TURNS, st.sampled_from(["a", "b"]))))
def test_who_is_known_is_never_a_matter_of_what_is_counted(steps: list[tuple[str, str]]) -> None:
    """Held to a set: known is who has signed since, or was, or is counted as such when all is known anew."""
    sources, known, taken = Sources(), set[str](), list[SourceTally]()
    counted: dict[str, bool] = {}  # whether signed, of those counted
    for now, (what, host) in enumerate(steps, 1):
        if what in {"signed", "unsigned"}:
            signed = what == "signed"
            assert sources.saw("vpn", host, float(now), signed) is (signed and host not in known)
            known |= {host} if signed else set()
            counted[host] = counted.get(host, False) or signed
        elif what == "take":
            taken, counted = sources.take(), {}
        elif what == "put back":
            sources.put_back(taken)
            for each in taken:
                if each.source in counted or not each.signed or each.source in known:
                    counted[each.source] = counted.get(each.source, False) or each.signed > 0
            taken = []
        elif what == "learn":
            sources.learn("vpn", host)
            known.add(host)
        else:
            sources.know([("vpn", host)] if what == "know them" else [])
            known = {each for each, signed in counted.items() if signed}
            known |= {host} if what == "know them" else set()
        assert {each for each in ("a", "b") if sources.signs("vpn", each)} == known


def test_what_another_worker_has_seen_is_known_here_and_counted_there() -> None:
    sources = Sources()
    sources.learn("vpn", HOST)
    sources.learn("vpn", HOST)
    assert sources.signs("vpn", HOST)
    assert not sources.signs("wifi", HOST)
    assert sources.take() == []
    assert not sources.saw("vpn", HOST, 1.0, signed=True), "it is not the first, and told already"


def test_what_another_worker_has_seen_is_not_known_any_more_where_the_store_does_not_have_it() -> None:
    sources = Sources()
    sources.learn("vpn", HOST)
    sources.know([])
    assert not sources.signs("vpn", HOST)


def test_what_another_worker_has_seen_takes_room_of_its_own_client_only() -> None:
    sources = Sources([("vpn", HOST)])
    for number in range(limits.MOST_SIGNERS + 10):
        sources.learn("dorm", str(number))
    assert sources.signs("dorm", "never seen")
    assert not sources.signs("vpn", "192.0.2.2")


_SEEN = st.tuples(st.sampled_from(["vpn", "wifi"]), st.sampled_from(["a", "b", "c"]), st.booleans())


@given(st.lists(_SEEN | st.sampled_from(["kept", "not kept"])))
def test_no_count_is_lost_or_counted_twice(steps: list[tuple[str, str, bool] | str]) -> None:
    sources, seen, kept = Sources(), Counter[tuple[str, str, bool]](), Counter[tuple[str, str, bool]]()
    for now, step in enumerate([*steps, "kept"], 1):
        if isinstance(step, tuple):
            client, host, signed = step
            sources.saw(client, host, float(now), signed=signed)
            seen[step] += 1
        elif step == "not kept":
            sources.put_back(sources.take())
        else:
            for each in sources.take():
                assert 0 < each.first_seen <= each.last_seen == max(each.last_signed, each.last_unsigned)
                kept[each.client, each.source, True] += each.signed
                kept[each.client, each.source, False] += each.unsigned
    assert +kept == seen
