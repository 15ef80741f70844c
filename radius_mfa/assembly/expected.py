"""What is counted for sure, and shown as 0 until it is: an alarm sees the first time as a change."""

from __future__ import annotations

from collections.abc import Iterable

from radius_mfa.config import model
from radius_mfa.core.outcomes import Outcome
from radius_mfa.observe.metrics import Counts
from radius_mfa.observe.wire_reasons import RADSEC_CLOSED, RADSEC_REFUSED
from radius_mfa.wire.walker import DiscardReason

_REQUESTS = ("access_request", "status_server")
_REPLIES = ("access_accept", "access_reject", "access_challenge")
_BROKEN = (Outcome.DIRECTORY_FAILED, Outcome.STORE_FAILED, Outcome.INTERNAL_ERROR)
_ALARMING = (
    DiscardReason.SERVER_BUSY,
    DiscardReason.CLIENT_BUSY,
    DiscardReason.TOO_MANY_HELD,
    DiscardReason.MESSAGE_AUTHENTICATOR_DOWNGRADED,
)
_MAILS = ("delivered", "postponed", "refused", "expired", "uncertain", "unreadable", "failed")
_CLOSED, _REFUSED = tuple(RADSEC_CLOSED), tuple(RADSEC_REFUSED)
_EAP = ("began", "accepted", "resumed", "refused", "failed", "abandoned", "evicted", "gone")
_HANDED_OVER = ("answered", "no_room", "no_reply", "home_gone")
_STEPS = ("directory_find", "directory_groups", "directory_password", "store_facts", "store_spend", "store_settle")


def expect(meter: Counts, configuration: model.Configuration, listeners: Iterable[str]) -> None:
    """`listeners`: as `transports.udp` names them."""
    for client in configuration.clients:
        _expect_of(meter, client, configuration.when_directory_fails)
    for outcome in _MAILS if configuration.factors.mail else ():
        meter.expect("mails", outcome=outcome)
    for reason in _REFUSED if any(each.radsec for each in configuration.listen) else ():
        meter.expect("radsec_refused", reason=str(reason))
    for event in _EAP if configuration.eap else ():
        meter.expect("eap", event=event)
    for outcome in _HANDED_OVER if configuration.workers > 1 else ():
        meter.expect("handed_over", outcome=outcome)
    for step in _STEPS:
        meter.expect("step", step=step)
    for listener in listeners:
        meter.expect("send_failed", listener=listener)
        meter.expect("receive_overflowed", listener=listener)


def _expect_of(meter: Counts, client: model.Client, when_broken: str) -> None:
    name = client.name
    for reason in _ALARMING:
        meter.expect("discarded", reason=reason.value, client=name)
    meter.expect("decisions", client=name, decision="reject", outcome=Outcome.PASSWORD_UNREADABLE.value, factor="")
    for code in _REQUESTS:
        meter.expect("requests", client=name, code=code)
    for code in _REPLIES:
        meter.expect("replies", client=name, code=code)
    for outcome in _BROKEN:
        meter.expect("decisions", client=name, decision=when_broken, outcome=outcome.value, factor="")
    for answered in ("yes", "no") if client.probe_users else ():
        meter.expect("probes", client=name, answered=answered)
    if client.certificate is not None or client.psk is not None:
        for why in _CLOSED:
            meter.expect("radsec_closed", client=name, reason=why)
    meter.expect("repeated", client=name)
    meter.expect("unencodable", client=name)
    meter.expect("decision", client=name)
