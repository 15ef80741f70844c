"""The fields of the audit file: what whoever reads it relies on."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from radius_mfa.core.messages import AuditEvent
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.audit import as_record
from radius_mfa.observe.audit_fields import FIELDS

# A promise: what stands here is not changed or taken out, only added to.
PROMISED = {
    "time": "text",
    "outcome": "text",
    "decision": "text",
    "client": "text",
    "source": "text",
    "user_name": "text",
    "user_id": "text",
    "username": "text",
    "login": "text",
    "round": "whole number",
    "policy": "text",
    "factor": "text",
    "station": "text",
    "called_station": "text",
    "nas_address": "text",
    "nas_identifier": "text",
    "duration": "seconds",
    "detail": "text",
    "by": "text",
    "by_id": "text",
    "forgotten": "true",
    "origin": "text",
}
NOT_WRITTEN = {"forgotten", "origin"}  # by a server
PYTHON = {"text": str, "whole number": int, "seconds": float, "true": bool}


def full() -> AuditEvent:
    """An event that has all there is."""
    event = AuditEvent(1.0, Outcome.ACCEPTED, "accept", "vpn", "192.0.2.1:1645")
    said: dict[str, Any] = {"round": 1, "duration": 0.5}
    rest = [each.name for each in fields(AuditEvent)[5:]]
    return replace(event, **{name: said.get(name, "said") for name in rest})


def test_the_fields_and_their_types_are_those_that_were_promised() -> None:
    assert {each.name: each.type for each in FIELDS} == PROMISED


def test_every_field_that_is_written_is_described_and_no_other() -> None:
    record = as_record(full())
    described = [each.name for each in FIELDS if each.name not in NOT_WRITTEN]
    assert [*record] == described == [each.name for each in fields(AuditEvent)]


def test_what_is_written_has_the_type_that_is_described() -> None:
    record = as_record(full())
    for each in FIELDS:
        if each.name not in NOT_WRITTEN:
            assert type(record[each.name]) is PYTHON[each.type], each.name


def test_what_is_always_there_is_in_an_event_that_has_nothing_else() -> None:
    record = as_record(AuditEvent(1.0, Outcome.ACCEPTED, "accept", "vpn", ""))
    assert [*record] == [each.name for each in FIELDS if each.when == "always"]


def test_each_is_described_and_shown_in_a_few_words() -> None:
    for each in FIELDS:
        assert all((each.when, each.meaning, each.example)), each.name
        assert len(each.meaning) < 100, each.name
