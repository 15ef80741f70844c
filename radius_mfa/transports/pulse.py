"""Whether the processes of a crew turn: each is asked every few seconds, and one that never answers is killed.

What is counted are questions, not seconds: where the whole machine has slept, one question has gone unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from radius_mfa.transports.member import Member
from radius_mfa.transports.voice import Voice

EVERY = 5.0  # seconds between two questions
_MOST = 6  # questions that may go unanswered


class Pulse:
    """`due`: when to ask next, in monotonic seconds."""

    def __init__(self, members: Sequence[Member], voice: Voice, every: float = EVERY) -> None:
        """`every`: seconds between two questions."""
        self._members = members
        self._voice = voice
        self._every = every
        self.due = monotonic() + every

    def look(self, now: float) -> None:
        """Ask, if it is time to.  One that begins is not asked: it may have a store to bring up to date."""
        if now < self.due:
            return
        self.due = now + self._every
        for member in self._members:
            if not member.is_ready:
                continue
            if member.unanswered == _MOST:
                self._voice.say("error", "process_hung", process=member.name, pid=member.pid)
                member.kill()
            member.unanswered += 1
            member.tell({"do": "answer"})

    @property
    def is_well(self) -> bool:
        """Whether there is nobody that has been killed and does not die: only a new start of all helps then."""
        return all(member.unanswered <= 2 * _MOST for member in self._members)
