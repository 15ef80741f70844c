"""What would become of a login, and why: the conversation itself is asked, with a password that is right.

So nothing here decides.  `explaining_ports` is the world it is asked in, where nobody is bound and nothing is
written; `core.policy.evaluate` says why each policy before the one that decides did not match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from radius_mfa.assembly.explaining_ports import (
    ENROLLED,
    NEVER_ENROLLED,
    RESET,
    OnlyRead,
    People,
    SetClock,
    ports_of,
)
from radius_mfa.assembly.rules import dictionary_of, nas_of, rules_of, texts_of
from radius_mfa.config.load import Loaded
from radius_mfa.core import trust, usernames
from radius_mfa.core.conditions import Condition, Situation
from radius_mfa.core.conversation import Conversation
from radius_mfa.core.errors import StoreError
from radius_mfa.core.login import Conclusion
from radius_mfa.core.messages import (
    Accept,
    AccessRequest,
    Attribute,
    Discard,
    FactorKind,
    Nas,
    ReplyAttribute,
    User,
)
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy, evaluate
from radius_mfa.core.store import LoginStore
from radius_mfa.core.stored import Facts
from radius_mfa.wire.dictionary import VENDOR_HEADER, on_the_wire
from radius_mfa.wire.walker import LONGEST_VALUE

NO_CLIENT = "no_such_client"
PROBE_USER = "probe_user"
# What a login comes to that is not refused to everybody.
_DECIDED = frozenset(
    {
        Outcome.ACCEPTED_BY_PASSWORD,
        Outcome.CHALLENGED,
        Outcome.MAIL_SENT,
        Outcome.CODE_MISSING,
        Outcome.UNENROLLED,
    }
)
_ANY_PASSWORD = b"-"  # nothing that could be split off from it


@dataclass(frozen=True, slots=True)
class Question:
    """A login to be explained.

    `user`: the name as typed.  `now`: seconds since 1970.  `station`: what the client says of the device, "" for
    nothing.  `attributes`: what else it sends, as on the wire.  `source`: where from, with a port.
    """

    user: str
    client: str
    now: float
    station: str = ""
    attributes: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    source: str = ""

    @property
    def typed(self) -> str | None:
        """The name as it is read; None where no account can be called that."""
        return usernames.read(self.user.encode(errors="surrogateescape"))

    def asked_by(self, nas: Nas) -> AccessRequest:
        """The Access-Request; the station stands where the client's profile looks for it."""
        said = [(int(Attribute.USER_NAME), self.user.encode(errors="surrogateescape"))]
        if self.station:
            octets = self.station.encode(errors="surrogateescape")[: LONGEST_VALUE - VENDOR_HEADER]
            said.append(on_the_wire(*nas.profile.station, octets))
        return AccessRequest(nas, (*said, *self.attributes), _ANY_PASSWORD, self.source, 0.0)


@dataclass(frozen=True, slots=True)
class Replied:
    """How the right password is answered.  `text`: what the user reads then, empty where that is nothing."""

    decision: str
    outcome: Outcome
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of a login.

    `refusal`: why nobody at all is let in so, as an outcome, NO_CLIENT or PROBE_USER; empty where `policy` decides
    how.  `why`: more of that, for staff.  The answers are given to who has every factor that the policy takes, to
    who has never had one, and to whose factors were reset; None where there is no such client.
    `until`: the last day on which the second of them is let in, where it is not for ever.  `station`: the device
    that could be trusted, as `core.trust` spells it; None for none.
    """

    nas: Nas | None = None
    policy: Policy | None = None
    refusal: str = ""
    why: str = ""
    enrolled: Replied | None = None
    never_enrolled: Replied | None = None
    reset: Replied | None = None
    returned: tuple[ReplyAttribute, ...] = ()
    until: date | None = None
    station: str | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A policy that was looked at; `why` it matches or does not."""

    policy: str
    matches: bool
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is stored of the user, the factors that could answer, and how the password is answered."""

    facts: Facts
    usable: frozenset[FactorKind]
    answer: Replied


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, and how it is come to.  `user`: None where nobody was found."""

    question: Question
    verdict: Verdict
    user: User | None
    looked: tuple[Looked, ...]


class Explainer:
    """Explains logins under one configuration, to `people`.  Raises ConfigurationError."""

    def __init__(self, loaded: Loaded, people: People) -> None:
        self.configuration = loaded.configuration
        self.dictionary = dictionary_of(loaded)
        self.rules = rules_of(self.configuration, self.dictionary)
        self._people = people
        self._texts = texts_of(self.configuration)
        self._policies = {policy.name: policy for policy in self.rules.policies}
        self._last_days = {policy.name: policy.unenrolled for policy in self.configuration.policies}
        self._clock = SetClock()
        self._clients = {
            client.name: nas_of(client, self.configuration.gateway_of(client))
            for client in self.configuration.clients
        }
        self._conversations = [self._with(store) for store in (ENROLLED, NEVER_ENROLLED, RESET)]

    @property
    def clients(self) -> tuple[str, ...]:
        """Their names, as configured."""
        return tuple(self._clients)

    @property
    def conditions(self) -> Iterator[Condition]:
        """All there are, those within others too."""
        for policy in self.rules.policies:
            yield from _each(policy.conditions)

    def looked_up(self, question: Question) -> str | Outcome:
        """The name that the directory is asked for; why it is not asked."""
        nas = self._clients.get(question.client)
        if nas is None or question.typed is None:
            return Outcome.NAME_UNREADABLE
        return usernames.looked_up(question.typed, nas.naming)

    async def verdict(self, question: Question) -> Verdict:
        """What would become of it.  Raises DirectoryError."""
        nas = self._clients.get(question.client)
        if nas is None:
            return Verdict(refusal=NO_CLIENT)
        request = question.asked_by(nas)
        if request.is_probe:
            return Verdict(nas, refusal=PROBE_USER)
        await self._user(question)  # what cannot be looked up is an error, and no refusal as at a login
        ends = [await self._ask(each, request, question) for each in self._conversations]
        enrolled, never_enrolled, reset = (self._answer(end, nas) for end in ends)
        policy = self._policies.get(ends[0].event.policy)
        return Verdict(
            nas=nas,
            policy=policy,
            refusal="" if enrolled.outcome in _DECIDED else enrolled.outcome.value,
            why="" if enrolled.outcome in _DECIDED else enrolled.detail,
            enrolled=enrolled,
            never_enrolled=never_enrolled,
            reset=reset,
            returned=await self._returned(question, policy),
            until=self._until(policy, never_enrolled),
            station=trust.station_of(request),
        )

    async def explained(self, question: Question) -> Explanation:
        """The verdict, with the policies that were looked at on the way.  Raises DirectoryError."""
        verdict, user = await self.verdict(question), await self._user(question)
        if user is None or not user.active or verdict.nas is None or verdict.refusal == PROBE_USER:
            return Explanation(question, verdict, user, ())
        situation = Situation(question.asked_by(verdict.nas), user, question.now, self.rules.zone)
        looked = []
        for step in evaluate(self.rules.policies, situation).trace:
            told = step.policy.conditions if step.failed is None else (step.failed,)
            why = "; ".join(each.told(situation) for each in told) or "it has no conditions"
            looked.append(Looked(step.policy.name, step.failed is None, why))
        return Explanation(question, verdict, user, tuple(looked))

    async def standing(self, explanation: Explanation, store: LoginStore) -> Standing | None:
        """What this very user is answered; None where nobody is answered by what is stored.  Raises StoreError."""
        nas, user, policy = explanation.verdict.nas, explanation.user, explanation.verdict.policy
        if nas is None or user is None or policy is None:
            return None
        read = OnlyRead(store)
        facts = await read.facts(user.id, self._deadline)
        question = explanation.question
        end = await self._ask(self._with(read), question.asked_by(nas), question)
        if end.decision.outcome is Outcome.STORE_FAILED:
            raise StoreError(end.event.detail)
        factors = ports_of(self.configuration, self._people, read, self._clock).factors
        usable = frozenset(kind for kind, factor in factors.items() if factor.usable(facts))
        return Standing(facts, usable, self._answer(end, nas))

    @property
    def _deadline(self) -> float:
        """That of whoever waits for the explanation: a NAS may have less patience."""
        return self._clock.monotonic() + self._people.patience

    def _with(self, store: LoginStore) -> Conversation:
        return Conversation(ports_of(self.configuration, self._people, store, self._clock), self.rules)

    async def _ask(self, conversation: Conversation, request: AccessRequest, question: Question) -> Conclusion:
        self._clock.now = question.now
        return await conversation.answer(request, self._deadline)

    async def _user(self, question: Question) -> User | None:
        name = self.looked_up(question)
        found = name if isinstance(name, Outcome) else await self._people.look_up(name)
        return found if isinstance(found, User) else None

    async def _returned(self, question: Question, policy: Policy | None) -> tuple[ReplyAttribute, ...]:
        user = await self._user(question) if policy else None
        filled = policy.reply.filled(policy.reply.known_of(user)) if policy and user else ()
        return () if isinstance(filled, str) else filled

    def _until(self, policy: Policy | None, answer: Replied) -> date | None:
        if policy is None or answer.outcome is not Outcome.ACCEPTED_UNENROLLED:
            return None
        return self._last_days[policy.name]

    def _answer(self, end: Conclusion, nas: Nas) -> Replied:
        decision = end.decision
        text = (
            "" if isinstance(decision, Accept | Discard) else self._texts.words(decision.message, nas.profile.name)
        )
        return Replied(end.event.decision, decision.outcome, text, end.event.detail)


def _each(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        yield condition
        yield from _each(getattr(condition, "conditions", ()))
