"""What came of the packets: counted while they are sent, and as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bench.soak.form import form_fault
from bench.soak.mutate import Datagram
from bench.soak.oracle import Oracle, Question, Silence

MOST_FAILURES = 10


class Trouble(StrEnum):
    """What must never come of a packet."""

    EXCEPTION = "exception"
    WRONG_ACCEPT = "wrong accept"
    WRONG_CHALLENGE = "wrong challenge"
    REPLY_TO_SILENT = "reply to what must be discarded"
    BAD_REPLY = "reply that is none"
    DISCARDED = "discarded though it may not be"


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of all packets.

    `answered`: by code.  `silent`: by reason, those that had to be met with silence.  `unanswered`: might have
    been answered and were not; most are duplicates, and refusals given up for a newer request.  `failures`: a
    line for each of the first, with the packet and how to try it again.
    """

    tried: int = 0
    kinds: Mapping[str, int] = field(default_factory=Counter)
    answered: Mapping[str, int] = field(default_factory=Counter)
    silent: Mapping[str, int] = field(default_factory=Counter)
    unanswered: int = 0
    exceptions: int = 0
    wrong_accepts: int = 0
    wrong_challenges: int = 0
    replies_to_silent: int = 0
    bad_replies: int = 0
    wrong_discards: int = 0
    failures: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def troubles(self) -> int:
        """How much came of them that must not."""
        return (
            self.exceptions
            + self.wrong_accepts
            + self.wrong_challenges
            + self.replies_to_silent
            + self.bad_replies
            + self.wrong_discards
            + (not self.tried)
        )

    def __add__(self, other: Figures) -> Figures:
        """Both together; the seconds are the sum."""
        return Figures(
            tried=self.tried + other.tried,
            kinds=Counter(self.kinds) + Counter(other.kinds),
            answered=Counter(self.answered) + Counter(other.answered),
            silent=Counter(self.silent) + Counter(other.silent),
            unanswered=self.unanswered + other.unanswered,
            exceptions=self.exceptions + other.exceptions,
            wrong_accepts=self.wrong_accepts + other.wrong_accepts,
            wrong_challenges=self.wrong_challenges + other.wrong_challenges,
            replies_to_silent=self.replies_to_silent + other.replies_to_silent,
            bad_replies=self.bad_replies + other.bad_replies,
            wrong_discards=self.wrong_discards + other.wrong_discards,
            failures=(self.failures + other.failures)[:MOST_FAILURES],
            seconds=self.seconds + other.seconds,
        )

    def in_all(self, seconds: float) -> Figures:
        """The same, of parts that ran side by side for so long."""
        return replace(self, seconds=seconds)

    def lines(self) -> Iterator[str]:
        """The figures for people; the failures come last."""
        yield f"packets            {self.tried} tried in {self.seconds:.0f} s"
        yield f"answered           {_listed(self.answered)}"
        yield f"silence            {_listed(self.silent)}; {self.unanswered} others unanswered"
        yield f"exceptions         {self.exceptions}"
        yield f"wrong accepts      {self.wrong_accepts}, wrong challenges {self.wrong_challenges}"
        yield f"replies to silent  {self.replies_to_silent}"
        yield f"replies ill-formed {self.bad_replies}, wrong discards {self.wrong_discards}"
        yield from (f"FAILED {failure}" for failure in self.failures)


def _listed(counted: Mapping[str, int]) -> str:
    each = sorted(counted.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {times}" for name, times in each) or "none"


_CODES = {2: "accept", 3: "reject", 11: "challenge"}


class Tally:
    """Counts what is sent and what comes back, as the oracle judges it.  `again`: how to try it all again."""

    def __init__(self, oracle: Oracle, again: str) -> None:
        self.oracle = oracle
        self._again = again
        self._tried = 0
        self._kinds = Counter[str]()
        self._answered = Counter[str]()
        self._silent = Counter[str]()
        self._troubles = Counter[Trouble]()
        self._questions = self._replies = 0
        self._failures: list[str] = []

    def sent(self, datagram: Datagram) -> Question | Silence:
        """It is on its way from here on; what may become of it."""
        self._tried += 1
        self._kinds[datagram.kind] += 1
        read = self.oracle.read(datagram.octets, datagram.host)
        if isinstance(read, Silence):
            self._silent[read] += 1
        else:
            self._questions += 1
        return read

    def replied(
        self, datagram: Datagram, read: Question | Silence, reply: bytes, arrived: float, now: float
    ) -> None:
        """That came back for it; times are wall seconds."""
        if isinstance(read, Silence):
            return self.trouble(Trouble.REPLY_TO_SILENT, datagram, f"{read}, reply {reply.hex()}")
        self._replies += 1
        self._answered[_CODES.get(reply[0] if reply else 0, "other")] += 1
        if fault := form_fault(read, reply):
            return self.trouble(Trouble.BAD_REPLY, datagram, f"{fault}, reply {reply.hex()}")
        if fault := self.oracle.fault(read, datagram.port, reply, arrived, now):
            kind = Trouble.WRONG_CHALLENGE if reply[0] == 11 else Trouble.WRONG_ACCEPT
            return self.trouble(kind, datagram, fault)
        return None

    def trouble(self, kind: Trouble, datagram: Datagram | None, what: str) -> None:
        """That must not have happened."""
        self._troubles[kind] += 1
        if len(self._failures) < MOST_FAILURES:
            sent = "nothing sent"
            if datagram is not None:
                sent = f"{datagram.kind}, from {datagram.host}:{datagram.port}, packet {datagram.octets.hex()}"
            self._failures.append(f"{kind}: {what}; packet {self._tried}: {sent}; again: {self._again}")

    def figures(self, seconds: float) -> Figures:
        """All so far; `seconds` it took."""
        found = self._troubles
        figures = Figures(self._tried, self._kinds, self._answered, self._silent)
        return replace(
            figures,
            unanswered=max(self._questions - self._replies, 0),
            exceptions=found[Trouble.EXCEPTION],
            wrong_accepts=found[Trouble.WRONG_ACCEPT],
            wrong_challenges=found[Trouble.WRONG_CHALLENGE],
            replies_to_silent=found[Trouble.REPLY_TO_SILENT],
            bad_replies=found[Trouble.BAD_REPLY],
            wrong_discards=found[Trouble.DISCARDED],
            failures=tuple(self._failures),
            seconds=seconds,
        )
