"""What is known of a login while it is under way, and what is reported of it when a round ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from radius_mfa.core import answers, stations, usernames
from radius_mfa.core.answers import Answer, CodeAnswer
from radius_mfa.core.challenge import Content, primary_language
from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import (
    Accept,
    AccessRequest,
    Attribute,
    AuditEvent,
    Challenge,
    Decision,
    Discard,
    FactorKind,
    Message,
    Reject,
    ReplyAttribute,
    User,
)
from radius_mfa.core.outcomes import CODE_MISSING_ATTACHED, REFUSED, ROUNDS_OVER, Outcome, told_to_user
from radius_mfa.core.policy import Policy
from radius_mfa.core.ports import Sealer
from radius_mfa.core.record import record
from radius_mfa.core.returns import Values
from radius_mfa.core.stored import Attempt

_MICROSOFT, _MS_CHAP_RESPONSE, _MS_CHAP2_RESPONSE = 311, 1, 25
_NAS = (Attribute.CALLED_STATION_ID, Attribute.NAS_IP_ADDRESS, Attribute.NAS_IDENTIFIER)
_LONGEST_SHOWN = 128
AGAIN = "the same answer again"  # what staff read of an answer that was decided before
# Texts that are put otherwise where a code may come by mail as well, by mail only, or from a list on paper.
_OR_MAIL, _BY_MAIL, _RECOVERY = "_or_mail", "_mail", "_recovery"
PUT_OTHERWISE = {
    Outcome.CHALLENGED: {_OR_MAIL, _RECOVERY},
    Outcome.CODE_MISSING: {_OR_MAIL, _RECOVERY},
    CODE_MISSING_ATTACHED: {_OR_MAIL, _RECOVERY},
    Outcome.SUSPENDED: {_OR_MAIL},
    Outcome.CODE_WRONG: {_OR_MAIL, _BY_MAIL, _RECOVERY},
    Outcome.CODE_USED: {_OR_MAIL, _BY_MAIL, _RECOVERY},
    Outcome.ANSWER_UNREADABLE: {_OR_MAIL, _BY_MAIL, _RECOVERY},
    Outcome.FACTOR_NOT_ALLOWED: {_OR_MAIL, _BY_MAIL, _RECOVERY},
    Outcome.CLOCK_WRONG: {_OR_MAIL},
    Outcome.MAIL_LIMIT: {_OR_MAIL},
    ROUNDS_OVER: {_OR_MAIL, _BY_MAIL, _RECOVERY},
}
_DECISIONS = {Accept: "accept", Reject: "reject", Challenge: "challenge", Discard: "discard"}


@dataclass(slots=True)
class Login:
    """One login as far as it is known: it grows as more is learnt of it.

    `id`: 16 octets, the same in every round, or none yet.  `typed`: the User-Name that was typed, empty when
    unreadable.  `user_id` is empty until the directory, or a State, has said who it is.
    `values`: what is known of the user's entry for the sake of `returned`, what an Access-Accept returns;
    `cannot_return`: why it cannot, for staff.
    `factors`: those that may answer, until `expires` (wall seconds).  `mails`: answers that asked for
    a code by mail, see `challenge.Content`.
    """

    request: AccessRequest
    typed: str
    id: bytes = b""
    round: int = 0
    mails: int = 0
    user_id: str = ""
    username: str = ""
    language: str = ""
    policy: Policy | None = None
    values: Values = ()
    returned: tuple[ReplyAttribute, ...] = ()
    cannot_return: str = ""
    factors: frozenset[FactorKind] = frozenset()
    expires: float = 0.0
    factor: str = ""

    @classmethod
    def of(cls, request: AccessRequest, login_id: bytes = b"") -> Login:
        """A login of which only the request is known."""
        return cls(request, usernames.read(request.first(Attribute.USER_NAME)) or "", login_id)

    def about(self, user: User) -> None:
        """The directory has said who it is."""
        self.user_id = user.id
        self.username = user.username
        self.language = primary_language(user.language)

    def goes_on(self, content: Content) -> None:
        """A State has said who it is, and how far they are."""
        self.id = content.login
        self.expires = content.expires
        self.round = content.round
        self.mails = content.mails
        self.user_id = content.user_id
        self.language = content.language
        self.values = content.values
        self.factors = content.factors

    def under(self, policy: Policy) -> None:
        """The policy as it is now: what it no longer allows may not answer, whatever the State says."""
        self.policy = policy
        self.factors &= policy.factors

    def returning(self, values: Values) -> None:
        """What its policy returns, of what is known of the user."""
        assert self.policy is not None  # or it would return nothing
        filled = self.policy.reply.filled(values)
        if isinstance(filled, str):
            self.cannot_return = filled
        else:
            self.values, self.returned = values, filled

    @property
    def text(self) -> str | Outcome:
        """The text of User-Password, or why the request cannot be served."""
        if self.request.password is None:
            return Outcome.METHOD_NOT_OFFERED if other_method(self.request) else Outcome.NO_PASSWORD
        if not self.typed:
            return Outcome.NAME_UNREADABLE
        text = answers.readable(self.request.password)
        return Outcome.PASSWORD_UNREADABLE if text is None else text

    @property
    def asks_in_one_field(self) -> bool:
        """Whether password and answer come in one text, and there is no Access-Challenge."""
        return self.request.nas.profile.suffix is not None

    @property
    def is_last_round(self) -> bool:
        """Whether a wrong answer now ends the login.  Asking for a mail is no wrong answer."""
        return self.asks_in_one_field or self.round - self.mails >= self.request.nas.profile.rounds

    def attempts(self, answer: Answer, guess: FactorKind | None, sealer: Sealer) -> tuple[Attempt, ...]:
        """What `answer` spends, and a digest that tells it from any other to the same State.

        In one-field mode the line stands for the State; then, should that have been spent long ago, this login.
        """
        parts = self._said(answer, guess)
        digest, others = sealer.digest("answer", *parts), sealer.other_digests("answer", *parts)
        window = self.request.nas.window
        # The State may be answered until it expires, and that answer be repeated for a window after.
        own = Attempt(self.id, self.round, self.user_id, digest, self.expires + window, window, guess, others)
        # A State may come all the same, from before a reload: then it is that which is spent.
        if self.asks_in_one_field and self.request.first(Attribute.STATE) is None:
            return replace(own, login=sealer.digest("one line", self.user_id.encode(), *parts)), own
        return (own,)

    def _said(self, answer: Answer, guess: FactorKind | None) -> tuple[bytes, bytes, bytes]:
        """All that the request and its answer say, but for what differs from one sending to the next.

        Of what is no code only the form: it may be a password, and nothing derived from a password leaves
        this process.
        """
        if isinstance(answer, CodeAnswer) and guess is not None:
            said = f"{answer.code} {answer.trust}"
        else:
            said = type(answer).__name__
        return self.request.nas.name.encode(), self.request.said, said.encode()

    def message(self, what: Outcome | str, **parameters: str) -> Message:
        """What this user is told of an outcome, or by the text of that key."""
        key = _text_of(what, self.factor, self.factors)
        # Words in the user's own language would tell that there is such a user.
        language = "" if key == REFUSED else self.language
        return Message(key, language, tuple(parameters.items()) if parameters else ())

    def how_to_type(self) -> Message:
        """What a user is told who has typed a password and no code into the one field."""
        attached = isinstance(self.request.nas.profile.suffix, int)
        return self.message(CODE_MISSING_ATTACHED if attached else Outcome.CODE_MISSING)

    def told(self, barred: Outcome, counters: Counters, now: float) -> Message:
        """What this user is told of a lock or suspension; of a lock also how many minutes it still lasts."""
        if barred is not Outcome.LOCKED:
            return self.message(barred)
        return self.message(barred, minutes=str(max(1, round((counters.locked_until - now) / 60))))


@record(frozen=True, slots=True)
class Conclusion:
    """How one request ended."""

    decision: Decision
    event: AuditEvent

    @property
    def is_repeated(self) -> bool:
        """Whether it was decided before, on the identical answer."""
        return self.event.detail == AGAIN


@lru_cache(maxsize=4096, typed=True)  # a key is no outcome, though it may be spelt like one
def _text_of(what: Outcome | str, factor: str, factors: frozenset[FactorKind]) -> str:
    """The key of the text for an outcome, or of that key, as it is put for the factors that may answer."""
    key = told_to_user(what) if isinstance(what, Outcome) else what
    return key + _otherwise(key, factor, factors)


def _otherwise(key: str, factor: str, factors: frozenset[FactorKind]) -> str:
    """What is added to the key of a text because of the factors that may answer."""
    allowed = PUT_OTHERWISE.get(key, ())
    recovery = FactorKind.RECOVERY_CODES
    typed_or_only = factor == recovery or factors == {recovery}
    if _RECOVERY in allowed and recovery in factors and typed_or_only:
        return _RECOVERY
    if FactorKind.MAIL not in factors:
        return ""
    by_mail = factor == FactorKind.MAIL or FactorKind.TOTP not in factors
    suffix = _BY_MAIL if by_mail else _OR_MAIL
    return suffix if suffix in allowed else ""


def event_of(login: Login, decision: Decision, now: float, detail: str = "") -> AuditEvent:
    """The audit event that goes with a decision.

    A name that no directory entry has stood behind is masked: people type passwords there.
    """
    request = login.request
    if decision.outcome is Outcome.METHOD_NOT_OFFERED:
        detail = f"{other_method(request)} came, which is not served: {request.nas.profile.towards_pap}"
    if request.outer_name is not None:
        detail = "; ".join(filter(None, (detail, _outer(login, request.outer_name))))
    called, address, named = _said_of_nas(*request.firsts(*_NAS))
    station = stations.said_of(request)
    return AuditEvent(
        now,
        decision.outcome,
        _DECISIONS[type(decision)],
        request.nas.name,
        request.source,
        login.typed if login.user_id else masked(login.typed),
        login.user_id,
        login.username,
        login.id.hex(),
        login.round,
        login.policy.name if login.policy else "",
        login.factor,
        shown(station) if station else "",
        called,
        address,
        named,
        0.0,
        detail,
    )


def _outer(login: Login, name: bytes) -> str:
    """What is said of the name outside of the tunnel, where that is another; masked as the one inside is."""
    if usernames.read(name) == login.typed:
        return ""
    text = shown(name)
    return f"outer name {text if login.user_id else masked(text)}"


@lru_cache(maxsize=1024)  # of most it is the same in all their requests
def _said_of_nas(called: bytes | None, address: bytes | None, named: bytes | None) -> tuple[str, str, str]:
    """What a NAS says of itself (`_NAS`), as the event has it; empty where it does not."""
    dotted = "{}.{}.{}.{}".format(*address) if address and len(address) == 4 else ""
    return shown(called or b""), dotted, shown(named or b"")


def shown(octets: bytes) -> str:
    """Octets that a stranger chose, as text for a log: no control characters, not endless."""
    text = octets[:_LONGEST_SHOWN].decode(errors="replace")
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def masked(name: str) -> str:
    """A name that may be a password: its first character and how many there were."""
    return f"{name[0]}…({len(name)})" if name else ""


def other_method(request: AccessRequest) -> str | None:
    """How else than by PAP it asks to be let in (RFC 2865 §5.3, RFC 2548 §2, RFC 3579 §3.1), if it does."""
    if request.first(Attribute.EAP_MESSAGE) is not None:
        return "EAP"
    if request.vendor(_MICROSOFT, _MS_CHAP2_RESPONSE):
        return "MS-CHAPv2"
    if request.vendor(_MICROSOFT, _MS_CHAP_RESPONSE):
        return "MS-CHAP"
    return "CHAP" if request.first(Attribute.CHAP_PASSWORD) is not None else None
