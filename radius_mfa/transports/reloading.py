"""A reload of all processes of a crew: all of them or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic

from radius_mfa.transports.control import Message
from radius_mfa.transports.member import Member
from radius_mfa.transports.service_manager import ServiceManager
from radius_mfa.transports.voice import Voice

_PATIENCE = 60.0  # seconds for each half; a directory of certificates on a slow disk takes one


class Reloading:
    """Where a reload stands.

    Asked for, the background process reads the YAML; then all prepare; then all take over.  `configuration`:
    the one that is in force, by generation and descriptor, for whoever is started meanwhile.  `deadline`: when
    whoever has not answered is waited for no longer, monotonic.  Each reload has a number, which its answers
    repeat: whoever was too slow for one answers nothing of the next.
    """

    def __init__(self, members: Sequence[Member], voice: Voice, manager: ServiceManager, fd: int) -> None:
        self._members = members
        self._reader = members[-1]
        self._voice = voice
        self._manager = manager
        self.configuration = (0, fd)
        self.deadline: float | None = None
        self._asked = False
        self._number = 0
        self._next: int | None = None  # the descriptor of what is being prepared
        self._said: Message = {}
        self._told: list[Member] = []  # to prepare
        self._awaited: set[Member] = set()

    def ask(self) -> None:
        """SIGHUP has come: begin, or begin once more when this one is over."""
        self._asked = True
        for member in self._members:
            member.tell({"do": "reopen"})
        self.look(monotonic())

    def look(self, now: float) -> None:
        """Begin if it is time to, and give up on whoever has not answered."""
        if self.deadline is not None and now >= self.deadline:
            names = ", ".join(sorted(each.name for each in self._awaited))
            self._give_up([f"{names}: no answer"])
        if self._asked and self.deadline is None and self._reader.is_ready:
            self._asked = False
            self._number += 1
            self._awaited = {self._reader}
            self.deadline = now + _PATIENCE
            self._manager.reloading()
            self._reader.tell({"do": "read", "reload": self._number})

    def hear(self, member: Member, message: Message, fd: int | None) -> None:
        """An answer; one that nobody waits for any more is none."""
        if member not in self._awaited or message.get("reload") != self._number:
            if fd is not None:
                os.close(fd)
            return
        self._awaited.discard(member)
        if message["is"] == "refused":
            self._give_up([str(problem) for problem in message["problems"]])
        elif message["is"] == "read":
            self._prepare(message, fd)
        elif not self._awaited:  # the last of them is prepared
            self._take_over()

    def lose(self, member: Member) -> None:
        """A process has ended; its replacement begins under what is in force.

        One that ends while it prepares may do so because of what it prepares: then all would.
        """
        self._told = [each for each in self._told if each is not member]
        if member in self._awaited:
            self._give_up([f"{member.name} has ended"])

    def drop(self) -> None:
        """All are to end: there is nothing more to be waited for, or to be begun."""
        self._asked, self._awaited, self.deadline = False, set(), None

    def catch_up(self, member: Member) -> None:
        """Bring one that has begun under a configuration of before to the one in force."""
        generation, fd = self.configuration
        if member.generation != generation:
            member.generation = generation
            member.tell({"do": "prepare", "reload": None}, fd)  # nobody waits for its answer
            member.tell({"do": "commit"})

    def _prepare(self, said: Message, fd: int | None) -> None:
        if fd is None:  # which the kernel drops where there may be no more open files (unix(7))
            self._give_up(["no descriptor came with what was read"])
            return
        self._said, self._next = said, fd
        self._told = [each for each in self._members if each.is_ready]
        self._awaited = set(self._told)
        self.deadline = monotonic() + _PATIENCE
        for member in self._told:
            member.tell({"do": "prepare", "reload": self._number}, fd)

    def _take_over(self) -> None:
        assert self._next is not None  # it was prepared
        generation, old = self.configuration
        self.configuration, self._next, self.deadline = (generation + 1, self._next), None, None
        os.close(old)
        for member in [each for each in self._members if each.is_ready]:
            if member in self._told:
                member.generation = generation + 1
                member.tell({"do": "commit"})
            else:
                self.catch_up(member)
        for key in self._said["restart"]:
            self._voice.say("warning", "restart_needed", key=key, note="stays as it was until then")
        self._voice.form = self._said["log_format"]
        self._voice.say("info", "reloaded", policies=self._said["policies"], changes=self._said["changes"])
        self._manager.reloaded(policies=self._said["policies"])

    def _give_up(self, problems: list[str]) -> None:
        self.deadline, self._awaited = None, set()
        if self._next is not None:
            os.close(self._next)
            self._next = None
            for member in self._told:
                member.tell({"do": "abandon"})
        self._voice.say("error", "reload_refused", problems=problems)
        self._manager.refused(problems)
