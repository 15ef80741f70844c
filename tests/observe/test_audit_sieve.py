"""Passing over lines that cannot be about somebody: what is found is what reading every line finds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radius_mfa.core import usernames
from radius_mfa.observe.audit_files import every_line
from radius_mfa.observe.audit_search import Query, Search, event_of
from radius_mfa.observe.audit_sieve import NameSieve

# What folds to ASCII (full width, a ligature, the Kelvin sign, ß, an ellipsis), what JSON escapes, and the rest.
LETTERS = "abAB.k…\u212a" + "ａﬁß" + '"\\/ \n\x7f' + "山é\u0301İ"
NAMES = st.text(LETTERS, min_size=1, max_size=5) | st.sampled_from(
    ["alice", "ALICE", "ａlice", "al\\ice", "a…(5)"]
)
RECORDS = st.fixed_dictionaries(
    {}, optional={"user_name": NAMES, "user_id": NAMES, "username": NAMES, "detail": NAMES, "odd": st.just(1)}
)


def line_of(said: dict[str, Any], escaped: bool, spaced: bool, at: int) -> bytes:
    record = {"time": f"2026-10-14T12:00:{at % 60:02}.000+00:00", "outcome": "accepted", **said}
    separators = (", ", ": ") if spaced else (",", ":")
    line = json.dumps(record, ensure_ascii=escaped, separators=separators)
    return (line.replace("a", "\\u0061", 1) if escaped and spaced else line).encode()


@settings(deadline=None)
@given(
    st.lists(st.tuples(RECORDS, st.booleans(), st.booleans()), max_size=12),
    st.lists(NAMES, min_size=1, max_size=2),
    st.booleans(),
    st.integers(1, 400),
    st.sampled_from([0, 3]),
    st.booleans(),
)
@example([({"user_name": "a...(5)"}, False, False)] * 3, ["alice"], True, 400, 0, False)
@example([({"user_id": "…"}, False, False)] * 3, ["…"], False, 400, 0, False)
def test_who_is_looked_for_is_found_as_if_every_line_was_read(
    tmp_path_factory: pytest.TempPathFactory,
    said: list[tuple[dict[str, Any], bool, bool]],
    users: list[str],
    masked: bool,
    block: int,
    most: int,
    packed: bool,
) -> None:
    lines = [line_of(*each, at) for at, each in enumerate(said)]
    octets = b"".join(line + b"\n" for line in lines)
    path = tmp_path_factory.getbasetemp() / "sieved.jsonl"
    path.write_bytes(gzip.compress(octets) if packed else octets)
    query = Query(users, masked=masked)
    plain = [line for line in lines if Search(path, query).matches(event_of(line) or {})]
    search = Search(path, query, block)
    found = [hit.line for hit in search.hits(most)]
    assert found == (plain[-most:] if most else plain)
    assert search.more is bool(most and len(plain) > most)


def test_lines_that_cannot_be_about_them_are_passed_over() -> None:
    others = [line_of({"user_name": f"user{at}", "station": "a…b"}, False, False, at) for at in range(50)]
    line = line_of({"user_name": "ALICE"}, False, False, 25)
    octets = b"\n".join([*others[:25], line, *others[25:]])
    kept = [*NameSieve([usernames.fold("Alice")])(octets)]
    assert kept == [each for each in every_line(octets) if each[1] in (others[0], line, others[-1])]


def test_of_no_octets_nothing_is_kept(tmp_path: Path) -> None:
    assert [*NameSieve(["alice"])(b"")] == []
    assert [*NameSieve(["/"])(b"{}\n{}")] == [(0, b"{}"), (3, b"{}")], "it may stand there as \\/"
