"""docs/reference/metrics.md and audit.md: what is counted, and what a line of the audit file has."""

from __future__ import annotations

from docs.site.tables import MADE, anchor, code, sentence, table
from radius_mfa.observe.audit_fields import FIELDS
from radius_mfa.observe.metrics import COUNTED, PREFIX, TIMED, WATCHED

_METRICS = f"""\
# Metrics, name by name

{MADE}
What `metrics: {{listen: …}}` has Prometheus fetch. What to watch, and what to be woken for, is in
[the page about metrics](../metrics.md); what a `reason` or an `outcome` is, in [that about reasons](reasons.md).

"""
# What Prometheus is not told with the metric: what the values of its labels mean.
MORE = {
    "radius_mfa_discarded_total": "`reason`: [silence](reasons.md#silence).",
    "radius_mfa_decisions_total": "Each round of a login is one. `outcome`: [logins](reasons.md#logins).",
    "radius_mfa_mails_total": "`outcome`: `delivered`; `postponed`, to be tried again; `refused` by the mail "
    "server; `expired`, the code before the mail; `uncertain`, the connection ended in the middle; "
    "`unreadable`, sealed under a key that is not there; `failed`.",
    "radius_mfa_radsec_refused_total": "`reason`: [RadSec](reasons.md#radsec).",
    "radius_mfa_radsec_closed_total": "`reason`: [RadSec](reasons.md#radsec).",
    "radius_mfa_eap_total": "`event`: `began`; `accepted`, `resumed`, `refused`; `failed`, no tunnel or none of "
    "the methods; `abandoned` by the supplicant in the middle, mostly since it does not trust the certificate; "
    "`evicted`, there was no room left; `gone`, requests of one that nobody knows any more.",
    "radius_mfa_handed_over_total": "`outcome`: `answered`; `no_room` or `home_gone`, answered here instead; "
    "`no_reply`.",
    "radius_mfa_step_seconds": "`step`: such as `directory_password`, `store_spend`.",
    "radius_mfa_up": "1 or 0. `part`: `directory`, `store`, `mail`.",
    "radius_mfa_directory_server_up": "1 or 0.",
    "radius_mfa_eap_conversations": "For some seconds after their end, too.",
    "radius_mfa_certificate_expires_days": "Less than 0 once it has. `certificate`: `eap`, `portal`, or `radsec` "
    "and where it listens. As it was read at the start or the last SIGHUP.",
    "radius_mfa_outbox_waiting": "As the store said within the last 15 seconds; nodes at one store show the same. "
    "Absent without `factors.mail`, and while the store does not say.",
    "radius_mfa_clock_synchronised": "See [the clock](../metrics.md#the-clock).",
    "radius_mfa_clock_offset_seconds": "Absent while nobody keeps it.",
    "radius_mfa_clock_error_seconds": "Absent while nobody keeps it.",
    "radius_mfa_process_started_timestamp_seconds": "It changes when a process is replaced.",
    "radius_mfa_processes": "Such as have said something within 10 seconds.",
    "radius_mfa_process_cpu_seconds": "Since it began: 0 again when it is replaced.",
}

_AUDIT = f"""\
# The audit file, field by field

{MADE}
A line is a JSON object; a field that says nothing is left out. Names, types and meanings stay as they are; there
may be more one day. What `outcome` can be is in [the page about reasons](reasons.md).

"""


def names() -> list[str]:
    """Every metric, as Prometheus has it."""
    counted = [f"{PREFIX}{name}_total" for name in COUNTED]
    return counted + [f"{PREFIX}{name}_seconds" for name in TIMED] + [PREFIX + name for name in WATCHED]


def metrics_page() -> str:
    counted = [(f"{PREFIX}{name}_total", "counter", *entry[:2]) for name, entry in COUNTED.items()]
    timed = [(f"{PREFIX}{name}_seconds", "histogram", *entry[:2]) for name, entry in TIMED.items()]
    watched = [(PREFIX + name, "gauge", *entry[:2]) for name, entry in WATCHED.items()]
    rows = [
        (anchor(name) + code(name), kind, " ".join(map(code, labels)), f"{about} {MORE.get(name, '')}")
        for name, kind, labels, about in (*counted, *timed, *watched)
    ]
    return _METRICS + table(("metric", "kind", "labels", "what it is"), rows).rstrip("\n") + "\n"


def audit_page() -> str:
    rows = [
        (anchor(each.name) + code(each.name), each.type, each.when, sentence(each.meaning), code(each.example))
        for each in FIELDS
    ]
    return _AUDIT + table(("field", "type", "when", "meaning", "example"), rows).rstrip("\n") + "\n"
