"""What stands in a line of the audit file: a promise.

A field keeps its name, its type and its meaning.  There may be more of them one day, and more outcomes; who reads
the file passes over what is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """`type`: `text`, `whole number`, `seconds` (a number) or `true`.  `when`: in which events it is."""

    name: str
    type: str
    when: str
    meaning: str
    example: str


_ROUND = "requests of a login"
_KNOWN = "where somebody was found"

FIELDS: tuple[Field, ...] = (
    Field(
        "time",
        "text",
        "always",
        "When it was decided: ISO 8601, UTC, milliseconds.",
        "2026-10-14T12:00:00.250+00:00",
    ),
    Field(
        "outcome",
        "text",
        "always",
        "What it came to: one of the reasons, or an act in the portal.",
        "accepted",
    ),
    Field("decision", "text", "always", "accept, reject, challenge, discard; of acts done, refused.", "accept"),
    Field("client", "text", "always", "The client that asked, by its name in the YAML; portal.", "vpn"),
    Field(
        "source",
        "text",
        "where known",
        "Address and port that it came from; in the portal the browser's.",
        "192.0.2.1:1645",
    ),
    Field(
        "user_name",
        "text",
        "where sent",
        "As it was typed; masked where nobody was found.",
        "alice@example.org",
    ),
    Field(
        "user_id",
        "text",
        _KNOWN,
        "The directory's own id of the user.",
        "5f1c1f9e-8a0b-4d0e-9d53-3b1d0c6f2a11",
    ),
    Field("username", "text", _KNOWN, "The user's name as the directory has it.", "alice"),
    Field(
        "login",
        "text",
        _ROUND,
        "The same for all rounds of a login: hexadecimal.",
        "a4c8c1e1b1a54b6e9b0d3a3c5e7f9012",
    ),
    Field(
        "round",
        "whole number",
        _ROUND,
        "Which round: a challenge has that of the answer it asks for, from 1.",
        "2",
    ),
    Field("policy", "text", "where one matched", "The policy, by its name in the YAML.", "vpn"),
    Field("factor", "text", "where an answer was judged", "What the answer was judged as.", "totp"),
    Field("station", "text", "where sent", "Calling-Station-Id: the user's device or address.", "198.51.100.7"),
    Field(
        "called_station",
        "text",
        "where sent",
        "Called-Station-Id: what was dialled, or access point and SSID.",
        "vpn.example.org",
    ),
    Field("nas_address", "text", "where sent", "NAS-IP-Address or NAS-IPv6-Address.", "192.0.2.10"),
    Field("nas_identifier", "text", "where sent", "NAS-Identifier.", "gateway 1"),
    Field("duration", "seconds", "of requests", "From the arrival of the request to its decision.", "0.0042"),
    Field(
        "detail",
        "text",
        "where there is more to say",
        "For staff: one line, in no fixed form, without a secret.",
        "after 2 wrong",
    ),
    Field(
        "by",
        "text",
        "of acts of the help desk",
        "Who of the help desk did it; - for one who was forgotten.",
        "carol",
    ),
    Field(
        "by_id",
        "text",
        "of acts of the help desk",
        "The directory's own id of who did it; lines of older versions are without.",
        "0b9d7c52-6a0c-4f5e-8f4e-0f6f2f1f7c3d",
    ),
    Field("forgotten", "true", "after `user forget`", "Who it was has been taken out of the line.", "true"),
    Field(
        "origin",
        "text",
        "as `audit` prints it",
        "store: in no file here, and so told from the store.",
        "store",
    ),
)
