"""What another configuration changes: of logins that are named, or of those in the audit file."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address

from radius_mfa.assembly.explaining import Explainer, Question, Replied, Verdict
from radius_mfa.assembly.explaining_ports import People
from radius_mfa.core.conditions import AttributeIs
from radius_mfa.core.messages import Attribute, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import SecondFactor
from radius_mfa.observe.audit_search import Event, Hit

REFUSED = "refused"
_LOOKED_UP_AT_ONCE = 500  # users, before the logins of these are gone through
# Of a request the audit file has these; what else a policy may look at is not known of a login there.
_AUDITED = frozenset(
    {
        Attribute.USER_NAME,
        Attribute.NAS_IP_ADDRESS,
        Attribute.CALLED_STATION_ID,
        Attribute.CALLING_STATION_ID,
        Attribute.NAS_IDENTIFIER,
    }
)


# Why a name is nobody's, whatever becomes of its realm.
_NOBODY = (Outcome.UNKNOWN_USER, Outcome.NAME_UNREADABLE)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same: `what`, and what it was and will be, "" for nothing.

    `what`: refused, policy, second_factor, trusted_device, factors, without_second_factor, asked, prompt or reply.
    """

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """A login that would not become of what it does; `differences` are at least one."""

    question: Question
    differences: tuple[Difference, ...]


async def changes(
    before: Explainer, after: Explainer, questions: Collection[Question], people: People
) -> AsyncIterator[Change]:
    """Those that change, in their order.  Raises DirectoryError."""
    asked = list(questions)
    for at in range(0, len(asked), _LOOKED_UP_AT_ONCE):
        some = asked[at : at + _LOOKED_UP_AT_ONCE]
        names = {explainer.looked_up(each) for each in some for explainer in (before, after)}
        await people.look_up_all({each for each in names if not isinstance(each, Outcome)})
        for question in some:
            found = differences(await before.verdict(question), await after.verdict(question))
            if found:
                yield Change(question, found)


# --- the audit file ---------------------------------------------------------------------------------


def audited(hits: Iterable[Hit], explainers: Collection[Explainer]) -> list[Question]:
    """The logins there, each once: those of a user at a client from a station, and at a time where that matters.

    Each is as it was the last time.
    """
    timed = any(each.looks_at_time for one in explainers for each in one.conditions)
    zones = [each.rules.zone for each in explainers] if timed else []
    found: dict[tuple[object, ...], Question] = {}
    for hit in hits:
        question = _question(hit.event)
        local = (datetime.fromtimestamp(question.now, zone) for zone in zones)
        times = [(each.weekday(), each.hour, each.minute) for each in local]
        found[question.user, question.client, question.station, question.attributes, *times] = question
    return list(found.values())


def _question(event: Event) -> Question:
    said = {key: value for key in event if isinstance(value := event[key], str)}
    texts = ((Attribute.CALLED_STATION_ID, "called_station"), (Attribute.NAS_IDENTIFIER, "nas_identifier"))
    attributes = [(int(number), said[key].encode()) for number, key in texts if key in said]
    with suppress(KeyError, ValueError):
        attributes.append((int(Attribute.NAS_IP_ADDRESS), IPv4Address(said["nas_address"]).packed))
    return Question(
        user=said.get("user_name", ""),
        client=said.get("client", ""),
        now=datetime.fromisoformat(said["time"]).timestamp(),
        station=said.get("station", ""),
        attributes=tuple(attributes),
        source=said.get("source", ""),
    )


def not_audited(explainers: Collection[Explainer]) -> list[str]:
    """The attributes that policies look at and the audit file does not have."""
    asked = (each for one in explainers for each in one.conditions if isinstance(each, AttributeIs))
    return sorted({each.name for each in asked if each.vendor or each.number not in _AUDITED})


async def without_who_has_left(
    questions: Collection[Question], explainer: Explainer, people: People
) -> tuple[list[Question], int]:
    """Those about users whom the directory knows, and how many others there are.  Raises DirectoryError."""
    names = {each: explainer.looked_up(each) for each in questions}
    asked = {name for name in names.values() if not isinstance(name, Outcome)}
    await people.look_up_all(asked)
    left = {name for name in asked if await people.look_up(name) is Outcome.UNKNOWN_USER}
    return [each for each in questions if names[each] not in left], len(left)


async def in_no_directory(
    questions: Collection[Question], explainers: Collection[Explainer], people: People
) -> list[str]:
    """The names that are nobody's at whichever client under whichever configuration.  Raises DirectoryError."""
    asked = [(each.user, explainer.looked_up(each)) for each in questions for explainer in explainers]
    await people.look_up_all({name for _, name in asked if not isinstance(name, Outcome)})
    found: dict[str, bool] = {}
    for user, name in asked:
        outcome = name if isinstance(name, Outcome) else await people.look_up(name)
        found[user] = found.get(user, False) or outcome not in _NOBODY
    return [user for user, is_found in found.items() if not is_found]


# --- two verdicts -----------------------------------------------------------------------------------


def differences(before: Verdict, after: Verdict) -> tuple[Difference, ...]:
    """What is not the same, in the order in which an administrator wants to know it.

    Who is refused under both sees no difference, whatever the reasons.
    """
    if before.refusal and after.refusal:
        return ()
    found = [
        Difference("refused", refused(before), refused(after)),
        Difference("policy", _policy(before), _policy(after)),
    ]
    if not after.refusal:
        found += _of_asking(before, after)
        found += _of_reply(() if before.refusal else before.returned, after.returned)
    return tuple(each for each in found if each.before != each.after)


def _of_asking(before: Verdict, after: Verdict) -> Iterator[Difference]:
    """How a second factor is asked for; where everybody was refused before, only whether it is."""
    yield Difference("second_factor", _second_factor(before), _second_factor(after))
    asks = SecondFactor.NEVER not in (_second_factor(before), _second_factor(after))
    if before.refusal:
        if asks and without(after) != REFUSED:
            yield Difference("without_second_factor", "", without(after))
        return
    yield Difference("trusted_device", _trusted(before), _trusted(after))
    if not asks:
        return
    factors = Difference("factors", _factors(before), _factors(after))
    asked = Difference("asked", how_asked(before), how_asked(after))
    yield factors
    yield Difference("without_second_factor", without(before), without(after))
    yield asked
    if asked.before == asked.after and factors.before == factors.after:  # or it is worded otherwise anyway
        yield Difference("prompt", _text(before.enrolled), _text(after.enrolled))


def _of_reply(before: Iterable[ReplyAttribute], after: Iterable[ReplyAttribute]) -> Iterator[Difference]:
    were, are = (Counter(f"{each.name} = {each.value}" for each in returned) for returned in (before, after))
    for added in (are - were).elements():
        yield Difference("reply", "", added)
    for removed in (were - are).elements():
        yield Difference("reply", removed, "")


def refused(verdict: Verdict) -> str:
    """Why nobody is let in, in words; empty where that is not so."""
    return verdict.refusal.replace("_", " ") + (f" ({verdict.why})" if verdict.why else "")


def _policy(verdict: Verdict) -> str:
    return verdict.policy.name if verdict.policy and not verdict.refusal else ""


def without(verdict: Verdict) -> str:
    """What becomes of who has never had a second factor: refused, let in, or until the end of which day."""
    answer = verdict.never_enrolled
    if answer is None or answer.decision != "accept":
        return REFUSED
    return f"let in until {verdict.until}" if verdict.until else "let in"


def how_asked(verdict: Verdict) -> str:
    """Of whom a code is asked: by a challenge, or in one field with the password, and how."""
    if verdict.nas is None:
        return ""
    match verdict.nas.profile.suffix:
        case None:
            return f"challenge, {verdict.nas.profile.rounds} answers"
        case int(digits):
            return f"one field, the last {digits} digits"
        case str(separator):
            return f"one field, after the last {separator}"


def _second_factor(verdict: Verdict) -> str:
    return verdict.policy.second_factor.value if verdict.policy and not verdict.refusal else ""


def _factors(verdict: Verdict) -> str:
    return " or ".join(sorted(verdict.policy.factors)) if verdict.policy else ""


def _trusted(verdict: Verdict) -> str:
    return "allowed" if may_trust(verdict) else "not allowed"


def may_trust(verdict: Verdict) -> bool:
    """Whether a device can be trusted there, given a station that is one."""
    allowed = verdict.policy is not None and verdict.policy.trust_device
    return allowed and verdict.nas is not None and verdict.nas.station != "none"


def _text(answer: Replied | None) -> str:
    return answer.text if answer else ""
