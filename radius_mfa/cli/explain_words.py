"""What `radius-mfa explain` says, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from radius_mfa.assembly.explaining import (
    PROBE_USER,
    Explainer,
    Explanation,
    Looked,
    Replied,
    Standing,
    Verdict,
)
from radius_mfa.assembly.explaining_changes import Change, Difference, how_asked, may_trust, without
from radius_mfa.cli.common import table_line, time_of
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import SecondFactor

_LABEL = 14
_KINDS = {"mac": "MAC address", "ip": "IP address"}
_LET_IN = {
    Outcome.ACCEPTED_BY_PASSWORD: "let in by the password alone",
    Outcome.ACCEPTED_BY_DEVICE: "let in by the password alone, since the device is trusted",
    Outcome.CHALLENGED: "asked for a second factor",
    Outcome.MAIL_SENT: "asked for a second factor, which is mailed at once",
    Outcome.CODE_MISSING: "asked for a second factor, in one field with the password",
}
_SECOND_FACTOR = {
    SecondFactor.REQUIRED: "required",
    SecondFactor.WHEN_ENROLLED: "asked for once there is one",
    SecondFactor.NEVER: "never asked for",
}
_WHAT = {
    "second_factor": "second factor",
    "without_second_factor": "without a second factor",
    "trusted_device": "trusted device",
}


# --- one login, in words ------------------------------------------------------------------------


def lines(
    explainer: Explainer, explanation: Explanation, standing: Standing | None, unknown: str
) -> Iterator[str]:
    """`unknown`: why there is no `standing`, where that is worth a line."""
    for label, text in _rows(explainer, explanation, standing, unknown):
        yield table_line((label, text), (_LABEL, 0)) if label else table_line((text,), (0,))


def _rows(
    explainer: Explainer, explanation: Explanation, standing: Standing | None, unknown: str
) -> Iterator[tuple[str, str]]:
    question, verdict = explanation.question, explanation.verdict
    zone = explainer.rules.zone
    when = f"{datetime.fromtimestamp(question.now, zone):%a %Y-%m-%d %H:%M} {zone}"
    yield "", f"{question.user} at {question.client} ({when}): {_told(verdict, standing)}"
    if explanation.user and explanation.user.username != question.user:
        yield "user", explanation.user.username
    for looked in explanation.looked:
        yield "policy", f'"{looked.policy}" {"decides" if looked.matches else "does not match"}: {looked.why}'
    if not verdict.refusal:
        yield from _of_policy(explainer, explanation)
    elif verdict.enrolled and verdict.enrolled.text:
        yield "user reads", verdict.enrolled.text
    if standing:
        yield "this user", _standing(verdict, standing)
    elif unknown:
        yield "this user", f"unknown: {unknown}"


def _of_policy(explainer: Explainer, explanation: Explanation) -> Iterator[tuple[str, str]]:
    """What the policy asks for and returns."""
    verdict = explanation.verdict
    policy = verdict.policy
    assert policy is not None  # or it was a refusal
    yield "second factor", _SECOND_FACTOR[policy.second_factor]
    if policy.second_factor is not SecondFactor.NEVER:
        yield "factors", " or ".join(sorted(policy.factors))
        yield "asked by", how_asked(verdict)
        yield "user reads", verdict.enrolled.text if verdict.enrolled else ""
        yield "without one", _without(verdict)
        yield "trusted device", _trusted(explainer, explanation)
    for each in verdict.returned:
        yield "returns", f"{each.name} = {each.value}"
    if not verdict.returned:
        yield "returns", "nothing"


def _told(verdict: Verdict, standing: Standing | None) -> str:
    """What would happen: to this user where that is known, else to who has all factors."""
    if verdict.refusal:
        why = f": {verdict.why}" if verdict.why else ""
        return f"refused: {_refusal(verdict.refusal)}{why}"
    answer = standing.answer if standing else verdict.enrolled
    return _answered(verdict, answer) if answer else ""


def _refusal(refusal: str) -> str:
    if refusal == PROBE_USER:
        return "a name in probe_users; it is refused at once, and nobody is asked"
    return "no policy matches" if refusal == Outcome.NO_POLICY else refusal.replace("_", " ")


def _answered(verdict: Verdict, answer: Replied) -> str:
    if answer.outcome is Outcome.ACCEPTED_UNENROLLED:
        return f"let in by the password alone until {verdict.until}"
    return _LET_IN.get(answer.outcome) or f"refused: {answer.outcome.value.replace('_', ' ')}"


def _without(verdict: Verdict) -> str:
    never, reset = verdict.never_enrolled, verdict.reset
    if never is None or never.decision != "accept":
        return f'{without(verdict)}: "{never.text}"' if never else ""
    return without(verdict) + ("; who was reset is refused" if reset and reset.decision != "accept" else "")


def _trusted(explainer: Explainer, explanation: Explanation) -> str:
    question, verdict = explanation.question, explanation.verdict
    assert verdict.nas is not None  # or nothing would be asked there
    if not may_trust(verdict):
        allowed = verdict.policy is not None and verdict.policy.trust_device
        return "no: a station is worth nothing here (station: none)" if allowed else "no: not by this policy"
    kind = _KINDS[verdict.nas.station]
    if question.station and verdict.station is None:
        return f"no: {question.station} is not the {kind} of one device"
    days = explainer.configuration.trusted_devices.lifetime / 86400
    return f"yes, {verdict.station or f'by its {kind}'}, for {days:g} days"


def _standing(verdict: Verdict, standing: Standing) -> str:
    facts = standing.facts
    none = "has no second factor" + (" any more" if facts.required else "")
    parts = ["has " + " and ".join(sorted(standing.usable)) if standing.usable else none]
    if standing.answer.outcome is Outcome.LOCKED:
        parts.append(f"locked until {time_of(facts.counters.locked_until)}")
    if facts.counters.suspended:
        parts.append("totp is suspended")
    return f"{', '.join(parts)}: {_answered(verdict, standing.answer)}"


# --- one login, as JSON ---------------------------------------------------------------------------


def record(
    explainer: Explainer, explanation: Explanation, standing: Standing | None, unknown: str
) -> dict[str, Any]:
    """The same, for programs."""
    question, verdict, user = explanation.question, explanation.verdict, explanation.user
    answer = standing.answer if standing else verdict.enrolled
    policy = None if verdict.refusal else verdict.policy
    return {
        "user": question.user,
        "client": question.client,
        "time": datetime.fromtimestamp(question.now, explainer.rules.zone).isoformat(timespec="seconds"),
        "decision": answer.decision if answer else "reject",
        "outcome": answer.outcome.value if answer else verdict.refusal,
        "text": answer.text if answer else "",
        "detail": verdict.why,
        "username": user.username if user else None,
        "user_id": user.id if user and user.handle else None,
        "groups": sorted(user.groups) if user else [],
        "policy": verdict.policy.name if verdict.policy else None,
        "policies": [_looked(each) for each in explanation.looked],
        "second_factor": policy.second_factor.value if policy else None,
        "factors": sorted(policy.factors) if policy else [],
        "asked_by": how_asked(verdict) if policy else None,
        "prompt": verdict.enrolled.text if policy and verdict.enrolled else None,
        "without_second_factor": _case(verdict.never_enrolled) if policy else None,
        "let_in_until": verdict.until.isoformat() if verdict.until else None,
        "after_reset": _case(verdict.reset) if policy else None,
        "trusted_device": may_trust(verdict),
        "station": verdict.station,
        "reply": [{"name": each.name, "value": each.value} for each in verdict.returned],
        "this_user": _stored(standing) if standing else None,
        "unknown": unknown or None,
    }


def _looked(looked: Looked) -> dict[str, Any]:
    return {"policy": looked.policy, "matches": looked.matches, "why": looked.why}


def _case(answer: Replied | None) -> dict[str, str] | None:
    return {"decision": answer.decision, "outcome": answer.outcome.value, "text": answer.text} if answer else None


def _stored(standing: Standing) -> dict[str, Any]:
    counters = standing.facts.counters
    return {
        "factors": sorted(standing.usable),
        "required": standing.facts.required,
        "locked_until": time_of(counters.locked_until),
        "suspended": counters.suspended,
    }


# --- what changes ---------------------------------------------------------------------------------


def change_line(change: Change) -> str:
    """A login that changes."""
    found = {each.what: each for each in change.differences}
    told = [*_decided(found.get("refused"), found.get("policy"))]
    told += [_difference(each) for each in change.differences if each.what not in ("refused", "policy")]
    return table_line((f"{change.question.user} at {change.question.client}: {'; '.join(told)}",), (0,))


def _decided(refused: Difference | None, policy: Difference | None) -> Iterator[str]:
    """Of two policies the word once; a refusal is by none."""
    if policy is not None and refused is None:
        yield f'policy "{policy.before}" → "{policy.after}"'
    elif refused is not None:
        before, after = (policy.before, policy.after) if policy else ("", "")
        old = f"refused: {refused.before}" if refused.before else f'policy "{before}"'
        new = f"refused: {refused.after}" if refused.after else f'policy "{after}"'
        yield f"{old} → {new}"


def _difference(each: Difference) -> str:
    if each.what == "reply":
        return f"+ {each.after}" if each.after else f"- {each.before}"
    name = _WHAT.get(each.what, each.what)
    before, after = (f'"{text}"' if each.what == "prompt" else text for text in (each.before, each.after))
    return f"{name} {before} → {after}" if each.before else f"{name} {after}"


def change_record(change: Change) -> dict[str, Any]:
    """The same, for programs."""
    question = change.question
    changes = [{"what": each.what, "before": each.before, "after": each.after} for each in change.differences]
    return {
        "user": question.user,
        "client": question.client,
        "station": question.station or None,
        "changes": changes,
    }
